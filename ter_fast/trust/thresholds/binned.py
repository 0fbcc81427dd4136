"""The sweep over bins: constant memory, mergeable, with the error that binning can have caused.

Bins are about equally wide in logit, because confidences crowd at 0 and at 1 by orders of magnitude.
Each halving of the distance to the nearer end, down to 2^-24, holds as many bins of equal width;
1 has a bin of its own, because saturated confidences are many. A bin holds its lower edge.
Measured over nine shapes of confidence (Dirichlet, softmax, uniform, beta, logit-normal), the error
bound of failure AUROC stayed under 4e-4 with 512 bins a halving, 23,555 in all; 25,000 bins of
equal width went up to 2e-2, and bins by the distance to 1 alone up to 2e-1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ter_fast.errors import DataError
from ter_fast.trust._arrays import Vector
from ter_fast.trust.thresholds.bounds import ErrorBound, bounds_of
from ter_fast.trust.thresholds.counting import Criterion
from ter_fast.trust.thresholds.exact import Sweep
from ter_fast.trust.thresholds.samples import check_pair
from ter_fast.trust.thresholds.scores import TrustedScores

Counts = NDArray[np.int64]

FORMAT, VERSION = "ter_fast.BinnedSweep", 1
MOST_BINS = 4096
MOST_SAMPLES = 2**31 - 1
"""Up to here products of counts fit 64 bits."""
CHUNK = 1 << 18
HALVINGS = 23
"""From 1/2 to 2^-24, the distance to 1 of float32's last number below it."""


class BinnedSweep:
    """Count trusted predictions in bins of confidence, for streams and for many workers.

    Answers what `Sweep` answers, with the edges of its bins as the thresholds: counts at an edge are
    exact, and `error_bound` says how far every other figure can be off. Merging is exact and in any order.

    Args:
        bins: Bins for each halving of the distance to 0 or to 1: a power of two, at most 4096. Of
            twice as many, errors are about half as large. Memory: 1.1 kB times this.
        counts: (2, B + 1) samples to begin with: wrong and correct ones by bin, NaN first.

    Raises:
        DataError: `bins` is no power of two up to 4096, or `counts` does not fit it.

    Example:
        >>> stream = BinnedSweep()
        >>> stream.update([0.9, 0.8], [True, True])
        >>> stream.update([0.4], [False])
        >>> stream.aurc, stream.at(0.5).precision
        (0.1111111111111111, 1.0)
    """

    def __init__(self, bins: int = 512, counts: ArrayLike | None = None) -> None:
        if (
            not isinstance(bins, int | np.integer)
            or not 1 <= bins <= MOST_BINS
            or bins & (bins - 1)
        ):
            raise DataError(f"bins is {bins}; give a power of two from 1 to {MOST_BINS}")
        self.bins = int(bins)
        self._edges = lower_edges(bins)
        self._sweep: Sweep | None = None
        shape = (2, self._edges.size + 1)
        self._counts = np.zeros(shape, np.int64) if counts is None else _counts(counts, shape)
        self._check_room(0)

    @property
    def counts(self) -> Counts:
        """Return a copy of all that is known: wrong and correct samples by bin, NaN first, (2, B + 1)."""
        return self._counts.copy()

    def update(self, confidence: Vector, correct: Vector) -> None:
        """Count more samples, (N,) each, as `sweep` takes them.

        Raises:
            DataError: A confidence is outside [0, 1], or the arguments are what `sweep` refuses.
        """
        scores, right = check_pair(confidence, correct)
        lowest, highest = np.fmin.reduce(scores, initial=0), np.fmax.reduce(scores, initial=1)
        if lowest < 0 or highest > 1:
            stray = lowest if lowest < 0 else highest
            raise DataError(f"confidence holds {stray}; bins are made for [0, 1], sweep takes any")
        self._check_room(scores.size)
        flat, width = self._counts.reshape(-1), self._counts.shape[1]
        for start in range(0, scores.size, CHUNK):
            part = slice(start, start + CHUNK)
            place = bin_of(scores[part], self.bins)
            place += 1
            place += right[part] * width
            np.add.at(flat, place, 1)
        self._sweep = None

    def merge(self, other: BinnedSweep) -> None:
        """Add what another one has counted.

        Raises:
            DataError: The other has different bins.
        """
        if other.bins != self.bins:
            raise DataError(f"cannot merge {other.bins} bins a halving into {self.bins}")
        self._check_room(other.n)
        self._counts += other._counts
        self._sweep = None

    def __add__(self, other: BinnedSweep) -> BinnedSweep:
        merged = BinnedSweep(self.bins, self._counts)
        merged.merge(other)
        return merged

    def __repr__(self) -> str:
        return f"BinnedSweep(bins={self.bins}, {self.n} samples)"

    def to_dict(self) -> dict[str, Any]:
        """Return the counts of the bins that hold any, for JSON.

        Example:
            >>> stream = BinnedSweep()
            >>> stream.update([1.0], [True])
            >>> stream.to_dict()["correct"]
            [1]
        """
        filled = np.flatnonzero(self._counts.any(axis=0))
        wrong, correct = self._counts[:, filled].tolist()
        kept = {"bins": self.bins, "bin": filled.tolist(), "wrong": wrong, "correct": correct}
        return {"format": FORMAT, "version": VERSION, **kept}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BinnedSweep:
        """Return what `to_dict` described.

        Raises:
            DataError: The dictionary is none of `to_dict`, or a newer version's.
        """
        if not isinstance(values, Mapping):
            raise DataError(f"expected the dictionary of to_dict, not {type(values).__name__}")
        if values.get("format") != FORMAT or values.get("version") != VERSION:
            raise DataError(
                f"expected {FORMAT} version {VERSION}, not {values.get('format')} version "
                f"{values.get('version')}; write it with this version's to_dict"
            )
        try:
            found = cls(values["bins"])
            counts = found.counts
            if np.any(np.diff(values["bin"], prepend=-1) <= 0):
                raise ValueError("bins are not in ascending order")
            held = np.asarray([values["wrong"], values["correct"]])
            if held.size and held.dtype.kind not in "iu":
                raise ValueError(f"counts have dtype {held.dtype}, which is no integer of 64 bits")
            counts[:, values["bin"]] = held
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(f"no counts of a BinnedSweep: {error!r}") from error
        return cls(found.bins, counts)

    def to_sweep(self) -> Sweep:
        """Return the sweep whose thresholds are the lower edges of the bins that hold samples."""
        if self._sweep is None:
            real = self._counts[:, 1:]
            filled = np.flatnonzero(real.any(axis=0))
            wrong, right = (row[::-1].cumsum()[::-1].copy() for row in real[:, filled])
            self._sweep = Sweep(
                threshold=self._edges[filled],
                accepted=wrong + right,
                accepted_correct=right,
                n=self.n,
                n_correct=self.n_correct,
                nan_count=self.nan_count,
            )
        return self._sweep

    @property
    def n(self) -> int:
        """Return the number of samples."""
        return int(self._counts.sum())

    @property
    def n_correct(self) -> int:
        """Return the number of correct predictions."""
        return int(self._counts[1].sum())

    @property
    def nan_count(self) -> int:
        """Return the number of samples whose confidence is NaN."""
        return int(self._counts[:, 0].sum())

    def at(self, threshold: float) -> TrustedScores:
        """Return the trusted metrics at the lowest edge from this threshold on.

        They are exact for the threshold that they name.

        Raises:
            DataError: The threshold is NaN.
        """
        place = int(np.searchsorted(self._edges, threshold))
        named = float(self._edges[place]) if place < self._edges.size else threshold
        return self.to_sweep().at(named)

    def best(self, criterion: Criterion = "balance") -> TrustedScores | None:
        """Return the metrics at the best edge; see `Sweep.best`."""
        return self.to_sweep().best(criterion)

    def at_precision(self, precision: float) -> TrustedScores | None:
        """Return the metrics at the lowest edge with at least this trusted precision."""
        return self.to_sweep().at_precision(precision)

    def at_coverage(self, coverage: float) -> TrustedScores | None:
        """Return the metrics at the highest edge that accepts this share of the samples."""
        return self.to_sweep().at_coverage(coverage)

    def coverage_at_risk(self, risk: float) -> float:
        """Return the largest coverage of an edge whose selective risk is at most this."""
        return self.to_sweep().coverage_at_risk(risk)

    def risk_at_coverage(self, coverage: float) -> float:
        """Return the selective risk at the highest edge with at least this coverage."""
        return self.to_sweep().risk_at_coverage(coverage)

    @property
    def accept_all(self) -> TrustedScores:
        """Return the baseline that trusts every prediction."""
        return self.to_sweep().accept_all

    @property
    def accept_all_f1(self) -> float:
        """Return the trusted F1 of trusting every prediction."""
        return self.to_sweep().accept_all_f1

    @property
    def aurc(self) -> float:
        """Return AURC with each bin as a tie; see `Sweep.aurc`."""
        return self.to_sweep().aurc

    @property
    def e_aurc(self) -> float:
        """Return E-AURC with each bin as a tie; see `Sweep.e_aurc`."""
        return self.to_sweep().e_aurc

    @property
    def augrc(self) -> float:
        """Return AUGRC with each bin as a tie; see `Sweep.augrc`."""
        return self.to_sweep().augrc

    @property
    def failure_auroc(self) -> float:
        """Return failure AUROC with each bin as a tie; see `Sweep.failure_auroc`."""
        return self.to_sweep().failure_auroc

    @property
    def fpr95(self) -> float:
        """Return FPR at 95 % TPR at the highest edge that reaches it; see `Sweep.fpr95`."""
        return self.to_sweep().fpr95

    @property
    def error_bound(self) -> ErrorBound:
        """Return how far each figure can be from that of the exact sweep over the same samples."""
        return bounds_of(self.to_sweep())

    def _check_room(self, more: int) -> None:
        if self.n + more > MOST_SAMPLES:
            raise DataError(f"{self.n + more} samples are more than {MOST_SAMPLES}; start again")


def _counts(values: ArrayLike, shape: tuple[int, int]) -> Counts:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or array.shape != shape or (array < 0).any():
        raise DataError(
            f"counts is {array.dtype} {array.shape}; give non-negative integers of shape {shape}"
        )
    if array.max(initial=0) > MOST_SAMPLES:
        raise DataError(f"counts holds {array.max()}; a bin counts {MOST_SAMPLES} samples at most")
    return array.astype(np.int64)


def lower_edges(bins: int) -> NDArray[np.float64]:
    """Return the lower edges of all bins in ascending order, (2 * `HALVINGS` * bins + 3,)."""
    steps = np.arange(1, bins + 1) / bins
    octaves = 2.0 ** -np.arange(HALVINGS + 1.0, 1.0, -1.0)
    # Ends of the bins of distance, (2^-24, 1/2], all exact in float64.
    distance = (octaves[:, None] * (1 + steps)).ravel()
    low = np.concatenate([octaves[:1], distance[:-1]])
    return np.concatenate([[0.0], low, 1 - distance[::-1], [1 - octaves[0], 1.0]])


def bin_of(confidence: NDArray[np.floating[Any]], bins: int) -> NDArray[np.int64]:
    """Return the bin (N,) of each confidence in [0, 1]; -1 for NaN.

    Read off the bit patterns, which order as non-negative numbers do.
    """
    dtype = confidence.dtype
    signed = np.dtype(f"i{dtype.itemsize}")
    shift = np.finfo(dtype).nmant - (bins.bit_length() - 1)
    base = int(dtype.type(2.0 ** -(HALVINGS + 1)).view(signed)) >> shift
    upper = confidence >= 0.5
    # 1 - c is exact from 1/2 on. Bins of that distance hold their upper end: one bit less.
    bits = np.where(upper, 1 - confidence, confidence).view(signed) - upper
    halving = np.maximum((bits >> shift) - base, -1)
    last = 2 * HALVINGS * bins
    found = np.where(upper, last - halving, halving + 1) + (confidence == 1)
    return np.where(np.isnan(confidence), -1, found).astype(np.int64, copy=False)
