"""Counts, best thresholds and areas of one group or many, from compiled loops.

The loops are imported when they are called: loading Numba takes longer than importing the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.trust.thresholds.samples import Flags, Scores

Criterion = Literal["balance", "f1", "accuracy"]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class Tally(NamedTuple):
    """Distinct thresholds (D,) of all groups and their counts; group g's from offsets[g] on."""

    threshold: Scores
    accepted: Counts
    accepted_correct: Counts
    offsets: Counts


def tally(scores: Scores, right: Flags, codes: Counts | None = None, groups: int = 1) -> Tally:
    """Count what each group (G,) accepts at its distinct confidences; `codes` None is one group."""
    if not scores.size:
        nothing = np.empty(0, np.int64)
        return Tally(scores, nothing, nothing, np.zeros(groups + 1, np.int64))
    if np.fmin.reduce(scores, initial=0) < 0:
        # Keys order by the bits of non-negative numbers: ranks stand in for the confidences.
        values, ranks = np.unique(scores, return_inverse=True)
        places = np.where(np.isnan(scores), np.nan, ranks.astype(np.float64))
        ranked = tally(places, right, codes, groups)
        return ranked._replace(threshold=values[ranked.threshold.astype(np.int64)])
    unsigned = np.dtype(f"u{scores.itemsize}")
    infinity = (scores.dtype.type(np.inf).view(unsigned) << 1).astype(unsigned)
    bits = scores.view(unsigned)
    if codes is None:
        return _one(bits, right, infinity, scores.dtype)
    return _many(bits, right, infinity, scores.dtype, codes, groups)


def _one(bits: NDArray[Any], right: Flags, infinity: Any, dtype: np.dtype[Any]) -> Tally:
    from ter_fast.trust.thresholds import loops

    keys, spare = np.empty_like(bits), np.empty_like(bits)
    loops.pack(bits, right, keys)
    if loops.sort(keys, spare, np.zeros((bits.itemsize, 256), np.int64)):
        keys = spare
    del spare
    accepted, accepted_correct = (np.empty(bits.size, np.int64) for _ in range(2))
    distinct = loops.collapse(keys, infinity, 0, keys, accepted, accepted_correct)
    return _trim(keys.view(dtype), accepted, accepted_correct, np.array([0, distinct]))


def _many(
    bits: NDArray[Any],
    right: Flags,
    infinity: Any,
    dtype: np.dtype[Any],
    codes: Counts,
    groups: int,
) -> Tally:
    from ter_fast.trust.thresholds import loops

    sizes = np.bincount(codes, minlength=groups)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    keys, spare = np.empty_like(bits), np.empty(int(sizes.max()), bits.dtype)
    loops.scatter(bits, right, codes, starts[:-1].copy(), keys)
    digits = np.zeros((bits.itemsize, 256), np.int64)
    accepted, accepted_correct = (np.empty(bits.size, np.int64) for _ in range(2))
    offsets = np.zeros(groups + 1, np.int64)
    loops.collapse_groups(
        keys, infinity, starts, digits, spare, accepted, accepted_correct, offsets
    )
    return _trim(keys.view(dtype), accepted, accepted_correct, offsets)


def _trim(threshold: Scores, accepted: Counts, accepted_correct: Counts, offsets: Counts) -> Tally:
    """Keep the front of each array, and its memory only where most of it is used."""
    distinct = int(offsets[-1])
    wasteful = distinct <= threshold.size // 2
    threshold, accepted = threshold[:distinct], accepted[:distinct]
    accepted_correct = accepted_correct[:distinct]
    if wasteful:
        return Tally(threshold.copy(), accepted.copy(), accepted_correct.copy(), offsets)
    return Tally(threshold, accepted, accepted_correct, offsets)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Hold the sums behind the areas of each group (G,), and derive the areas from them.

    Attributes:
        risk: Selective risk summed over coverages 1/N … N/N.
        generalized: Twice the sum of wrong and accepted over the same.
        ordered: Twice the pairs (correct, wrong) in the right order, ties counting half.
        n: Samples.
        n_correct: Correct samples.
    """

    risk: Floats
    generalized: Counts
    ordered: Counts
    n: Counts
    n_correct: Counts

    @property
    def aurc(self) -> Floats:
        """Return the mean selective risk; NaN without samples."""
        return _quotient(self.risk, self.n)

    @property
    def e_aurc(self) -> Floats:
        """Return the excess of AURC over the best order; NaN without samples, never negative."""
        excess = _quotient(np.maximum(self.risk - self._optimum, 0), self.n)
        # Sums that differ by rounding alone are told apart by what was counted.
        return np.where((self.ordered == 2 * self._pairs) & (self.n > 0), 0.0, excess)

    @property
    def augrc(self) -> Floats:
        """Return the area under the generalized risk; NaN without samples."""
        return _quotient(self.generalized, 2.0 * self.n * self.n)

    @property
    def failure_auroc(self) -> Floats:
        """Return the share of ordered pairs; NaN without both kinds."""
        return _quotient(self.ordered, 2 * self._pairs)

    @property
    def _pairs(self) -> Counts:
        return self.n_correct * (self.n - self.n_correct)

    @property
    def _optimum(self) -> Floats:
        """Return sum_{j=1}^{W} j / (C + j): all wrong ones, at the rate 1, after the C correct."""
        from ter_fast.trust.thresholds import loops

        optimum = np.empty(self.n.size)
        loops.best_order(self.n, self.n_correct, optimum)
        return optimum


def rank(
    accepted: Counts, accepted_correct: Counts, offsets: Counts, n: Counts, n_correct: Counts
) -> Ranking:
    """Return the sums behind the areas of each group (G,), equal confidences in any order."""
    from ter_fast.trust.thresholds import loops

    risk = np.empty(n.size)
    generalized, ordered = (np.empty(n.size, np.int64) for _ in range(2))
    loops.rank(accepted, accepted_correct, offsets, n, n_correct, risk, generalized, ordered)
    return Ranking(risk, generalized, ordered, n, n_correct)


def choose(
    accepted: Counts, accepted_correct: Counts, offsets: Counts, n_correct: Counts
) -> NDArray[np.int64]:
    """Return the lowest places that are best for each criterion, (3, G), in exact integers."""
    from ter_fast.trust.thresholds import loops

    best = np.empty((3, n_correct.size), np.int64)
    loops.choose(accepted, accepted_correct, offsets, n_correct, best)
    return best


def criterion_index(criterion: Criterion) -> int:
    """Return the row of `choose` that answers a criterion.

    Raises:
        DataError: The criterion is unknown.
    """
    known = get_args(Criterion)
    if criterion not in known:
        raise DataError(f"unknown criterion {criterion!r}; choose one of {', '.join(known)}")
    return known.index(criterion)


def _quotient(dividend: Any, divisor: Any) -> Floats:
    quotient: Floats = np.divide(
        dividend, divisor, out=np.full(np.shape(dividend), np.nan), where=np.asarray(divisor) > 0
    )
    return quotient
