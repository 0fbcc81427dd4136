"""The exact sweep within each group: speaker, source, sex, corruption, predicted class."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ter_fast.errors import DataError
from ter_fast.trust._arrays import Vector
from ter_fast.trust.thresholds import counting
from ter_fast.trust.thresholds.counting import Criterion, Ranking, criterion_index
from ter_fast.trust.thresholds.exact import Sweep
from ter_fast.trust.thresholds.samples import (
    Names,
    Scores,
    at_least,
    check_pair,
    encode_groups,
    fraction,
)
from ter_fast.trust.thresholds.scores import GroupedScores, grouped_accept_all_f1, grouped_scores

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Name = str | int


@dataclass(frozen=True, eq=False, repr=False)
class GroupedSweep(Mapping[Name, Sweep]):
    """Hold the sweep of each group, and answer for all of them at once.

    A mapping from names, in ascending order, to `Sweep`s that share its memory. The thresholds of
    group g and their counts stand from `offsets[g]` to `offsets[g + 1]`, as in `Sweep`.

    Attributes:
        names: (G,) distinct groups.
        n: (G,) samples.
        n_correct: (G,) correct samples.
        nan_count: (G,) samples whose confidence is NaN.
        threshold: (D,) distinct confidences of each group in turn.
        accepted: (D,) samples of the group with at least this confidence.
        accepted_correct: (D,) correct ones among them.
        offsets: (G + 1,) where each group begins, and where the last ends.
    """

    names: Names
    n: Counts
    n_correct: Counts
    nan_count: Counts
    threshold: Scores
    accepted: Counts
    accepted_correct: Counts
    offsets: Counts

    def __len__(self) -> int:
        return int(self.names.size)

    def __iter__(self) -> Iterator[Name]:
        yield from self.names.tolist()

    def __getitem__(self, name: Name) -> Sweep:
        group = self._places[name]
        mine = slice(int(self.offsets[group]), int(self.offsets[group + 1]))
        return Sweep(
            threshold=self.threshold[mine],
            accepted=self.accepted[mine],
            accepted_correct=self.accepted_correct[mine],
            n=int(self.n[group]),
            n_correct=int(self.n_correct[group]),
            nan_count=int(self.nan_count[group]),
        )

    # As `Sweep`, one is equal to itself alone: a Mapping would compare sweeps made for the comparison.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"GroupedSweep({len(self)} groups, {int(self.n.sum())} samples)"

    def at(self, threshold: float | ArrayLike) -> GroupedScores:
        """Return each group's trusted metrics at one threshold, or at its own of (G,).

        Raises:
            DataError: A threshold is NaN, or there are neither one nor G of them.

        Example:
            >>> sweep_by([0.9, 0.8, 0.4], [1, 0, 1], ["f", "f", "m"]).at(0.5).precision.tolist()
            [0.5, 1.0]
        """
        thresholds = np.asarray(threshold, np.float64)
        if thresholds.shape not in ((), self.names.shape):
            raise DataError(
                f"threshold has shape {thresholds.shape}; give one number, or one for each of "
                f"{len(self)} groups"
            )
        if np.isnan(thresholds).any():
            raise DataError("threshold is NaN; give real numbers, or use .best() to choose them")
        least = at_least(thresholds, self.threshold.dtype)
        place = self._first(lambda i: self.threshold[i] >= least)
        return self._scores(
            np.broadcast_to(thresholds, self.n.shape), place, place < self.offsets[1:]
        )

    def best(self, criterion: Criterion = "balance") -> GroupedScores:
        """Return the metrics at each group's own best threshold, as `Sweep.best` chooses it.

        The threshold is infinite, and nothing accepted, where `Sweep.best` answers None. Chosen on
        a handful of samples a threshold is luck: look at `n`.

        Raises:
            DataError: The criterion is unknown.
        """
        place = self._best[criterion_index(criterion)]
        exists = place < self.offsets[1:]
        right = self._take(self.accepted_correct, self.offsets[:-1], exists)
        exists &= right > 0
        if criterion == "accuracy":
            accepted = self._take(self.accepted, place, exists)
            exists &= 2 * self._take(self.accepted_correct, place, exists) >= accepted
        return self._at(place, exists)

    def at_precision(self, precision: float) -> GroupedScores:
        """Return the metrics at each group's lowest threshold with at least this trusted precision.

        The threshold is infinite, and nothing accepted, where `Sweep.at_precision` answers None.

        Raises:
            DataError: The precision is outside [0, 1].

        Example:
            >>> curves = sweep_by([0.9, 0.8, 0.4, 0.3], [1, 0, 0, 0], ["f", "f", "m", "m"])
            >>> curves.at_precision(0.5).threshold.tolist()
            [0.8, inf]
        """
        least = fraction("precision", precision)
        return self._at(*self._lowest(self.accepted_correct / self.accepted >= least))

    def at_coverage(self, coverage: float) -> GroupedScores:
        """Return the metrics at each group's highest threshold that accepts this share of its samples.

        The threshold is infinite, and nothing accepted, where `Sweep.at_coverage` answers None.

        Raises:
            DataError: The coverage is outside [0, 1].
        """
        least = fraction("coverage", coverage)
        place = self._first(lambda i: self.accepted[i] / self.n < least) - 1
        return self._at(place, place >= self.offsets[:-1])

    def coverage_at_risk(self, risk: float) -> Floats:
        """Return each group's largest coverage whose selective risk is at most this, (G,); 0 for none.

        Raises:
            DataError: The risk is outside [0, 1].
        """
        most = fraction("risk", risk)
        wrong = self.accepted - self.accepted_correct
        place, exists = self._lowest(wrong / self.accepted <= most)
        return self._take(self.accepted, place, exists) / self.n

    def risk_at_coverage(self, coverage: float) -> Floats:
        """Return each group's selective risk at `at_coverage`, (G,); NaN where that accepts nothing.

        Raises:
            DataError: The coverage is outside [0, 1].
        """
        scores = self.at_coverage(coverage)
        return np.where(scores.accepted > 0, scores.risk, math.nan)

    @property
    def accept_all_f1(self) -> Floats:
        """Return 2a / (1 + a) for each group's accuracy a, (G,)."""
        return grouped_accept_all_f1(self.n, self.n_correct)

    @property
    def aurc(self) -> Floats:
        """Return each group's area under the risk-coverage curve, (G,); see `Sweep.aurc`."""
        return self._ranking.aurc

    @property
    def e_aurc(self) -> Floats:
        """Return each group's AURC minus that of its best order, (G,); see `Sweep.e_aurc`."""
        return self._ranking.e_aurc

    @property
    def augrc(self) -> Floats:
        """Return each group's area under the generalized risk, (G,); see `Sweep.augrc`."""
        return self._ranking.augrc

    @property
    def failure_auroc(self) -> Floats:
        """Return each group's failure AUROC, (G,); NaN without both kinds."""
        return self._ranking.failure_auroc

    @property
    def fpr95(self) -> Floats:
        """Return each group's FPR at 95 % TPR, (G,); see `Sweep.fpr95`."""
        correct, wrong = np.maximum(self.n_correct, 1), self.n - self.n_correct
        place = self._first(lambda i: self.accepted_correct[i] / correct < 0.95) - 1
        exists = place >= self.offsets[:-1]
        accepted = self._take(self.accepted, place, exists)
        accepted_wrong = accepted - self._take(self.accepted_correct, place, exists)
        rate = np.where(exists, accepted_wrong / np.maximum(wrong, 1), 1.0)
        return np.where((self.n_correct > 0) & (wrong > 0), rate, math.nan)

    @cached_property
    def _places(self) -> dict[Name, int]:
        return {name: place for place, name in enumerate(self)}

    @cached_property
    def _best(self) -> NDArray[np.int64]:
        return counting.choose(self.accepted, self.accepted_correct, self.offsets, self.n_correct)

    @cached_property
    def _ranking(self) -> Ranking:
        return counting.rank(
            self.accepted, self.accepted_correct, self.offsets, self.n, self.n_correct
        )

    def _first(self, reached: Callable[[Counts], Bools]) -> Counts:
        """Return the first place of each group that passes a test which all later ones pass."""
        low, high = self.offsets[:-1], self.offsets[1:]
        while (open_ := low < high).any():
            middle = (low + high) // 2
            passed = reached(np.minimum(middle, self.threshold.size - 1))
            low = np.where(open_ & ~passed, middle + 1, low)
            high = np.where(open_ & passed, middle, high)
        return low

    def _lowest(self, passed: Bools) -> tuple[Counts, Bools]:
        """Return the first of each group's places that pass a test (D,), and whether there is one."""
        places = np.append(np.flatnonzero(passed), self.threshold.size)
        place: Counts = places[np.searchsorted(places, self.offsets[:-1])]
        return place, place < self.offsets[1:]

    def _at(self, place: Counts, exists: Bools) -> GroupedScores:
        """Return the metrics at one of each group's own thresholds, at infinity where none was found."""
        threshold = np.full(self.n.shape, math.inf)
        threshold[exists] = self.threshold[place[exists]]
        return self._scores(threshold, place, exists)

    def _take(self, counts: Counts, place: Counts, exists: Bools) -> Counts:
        """Return the count at each group's place, 0 where none was found."""
        taken = np.zeros_like(self.n)
        taken[exists] = counts[place[exists]]
        return taken

    def _scores(self, threshold: Floats, place: Counts, exists: Bools) -> GroupedScores:
        accepted = self._take(self.accepted, place, exists)
        right = self._take(self.accepted_correct, place, exists)
        return grouped_scores(threshold.copy(), accepted, right, self.n, self.n_correct)


def sweep_by(confidence: Vector, correct: Vector, groups: ArrayLike | torch.Tensor) -> GroupedSweep:
    """Sweep every threshold within each group exactly, all groups in one pass.

    What each group gets is what `sweep` gives for its samples alone, to the last bit.

    Args:
        confidence: (N,) confidences, as `sweep` takes them.
        correct: (N,) whether each prediction is right: booleans, or numbers 0 and 1.
        groups: (N,) names or integers, one group for each sample.

    Raises:
        DataError: The lengths differ, a group is missing or no name or integer, or confidences or
            flags are what `sweep` refuses.

    Example:
        >>> curves = sweep_by([0.9, 0.8, 0.4, 0.3], [1, 0, 1, 1], ["f", "m", "f", "m"])
        >>> list(curves), curves.failure_auroc.tolist()
        (['f', 'm'], [nan, 0.0])
        >>> curves["m"].threshold.tolist()
        [0.3, 0.8]
    """
    scores, right = check_pair(confidence, correct)
    names, codes = encode_groups(groups)
    if codes.size != scores.size:
        raise DataError(
            f"{scores.size} confidences but {codes.size} groups; give one for each sample"
        )
    threshold, accepted, accepted_correct, offsets = counting.tally(
        scores, right, codes, names.size
    )
    n = np.bincount(codes, minlength=names.size)
    real = np.zeros_like(n)
    filled = offsets[:-1] < offsets[1:]
    real[filled] = accepted[offsets[:-1][filled]]
    return GroupedSweep(
        names=names,
        n=n,
        n_correct=np.bincount(codes[right], minlength=names.size),
        nan_count=n - real,
        threshold=threshold,
        accepted=accepted,
        accepted_correct=accepted_correct,
        offsets=offsets,
    )
