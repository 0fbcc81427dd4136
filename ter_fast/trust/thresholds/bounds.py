"""How far the figures of binned confidences can be from those of the confidences themselves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ter_fast.trust.thresholds import counting
from ter_fast.trust.thresholds.counting import Ranking
from ter_fast.trust.thresholds.exact import Sweep

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ErrorBound:
    """Hold how far each figure of a `BinnedSweep` can be from that of the exact sweep.

    Computed from the counts, whatever stands behind them: a figure lies between its values when
    each bin holds its correct samples first, and its wrong ones first. Rounding of float64 apart;
    NaN where the figure is. What depends on a level is asked by a method of the same name.

    Attributes:
        aurc: Of AURC.
        e_aurc: Of E-AURC.
        augrc: Of AUGRC.
        failure_auroc: Of failure AUROC.
        fpr95: Of FPR at 95 % TPR.
        f1: Of the trusted F1 of `best("f1")`.
        accuracy: Of the trusted accuracy of `best("accuracy")`.
        coverage: Of the coverage of `at_coverage`, the share of the fullest bin.
        balance: Of the coverage of `best("balance")`.

    Example:
        >>> from ter_fast.trust.thresholds import BinnedSweep
        >>> stream = BinnedSweep(bins=1)
        >>> stream.update([0.52, 0.55, 0.6, 0.7], [False, True, True, True])
        >>> stream.coverage_at_risk(0.1), stream.error_bound.coverage_at_risk(0.1)
        (0.0, 0.75)
    """

    aurc: float
    e_aurc: float
    augrc: float
    failure_auroc: float
    fpr95: float
    f1: float
    accuracy: float
    coverage: float
    balance: float
    _bins: _Bins = field(repr=False, compare=False)

    def coverage_at_risk(self, risk: float) -> float:
        """Return how much more the exact sweep may cover at this selective risk; it never covers less.

        Raises:
            DataError: The risk is outside [0, 1].
        """
        own = self._bins.curve.coverage_at_risk(risk)
        most = self._bins.widest(1 - risk, lambda right, a: (a - right) / a <= risk)
        return max(most - own, 0.0)

    def at_precision(self, precision: float) -> float:
        """Return how much more the exact sweep may cover at this trusted precision; never less.

        Coverage counts as 0 where no edge reaches the precision, and `at_precision` is None.

        Raises:
            DataError: The precision is outside [0, 1].
        """
        found = self._bins.curve.at_precision(precision)
        most = self._bins.widest(precision, lambda right, a: right / a >= precision)
        return max(most - (found.coverage if found else 0.0), 0.0)

    def risk_at_coverage(self, coverage: float) -> float:
        """Return how far the selective risk at this coverage can be off, to either side.

        NaN where too many confidences are NaN to accept so much.

        Raises:
            DataError: The coverage is outside [0, 1].
        """
        found = self._bins.curve.at_coverage(coverage)
        if found is None:
            return math.nan
        ends = self._bins.risks(found.accepted, coverage)
        return max(abs(end - found.risk) for end in ends)


@dataclass(frozen=True, slots=True, eq=False)
class _Bins:
    """Hold the samples inside each filled bin, and those of higher bins, (B,) each.

    Attributes:
        curve: The sweep over the edges.
        above: Samples of higher bins.
        above_right: Correct ones among them.
        right: Correct samples in the bin; 0 where it holds one value, which no threshold divides.
        wrong: Likewise the wrong ones.
    """

    curve: Sweep
    above: Counts
    above_right: Counts
    right: Counts
    wrong: Counts

    def widest(self, share: float, accepts: Callable[[Counts, Counts], Flags]) -> float:
        """Return the largest coverage that any order inside the bins gives to a share of correct ones.

        Args:
            share: Of the accepted samples, at least so many are to be correct.
            accepts: The same of counts of correct and of accepted samples, as the sweep computes it.
        """
        right = self.above_right + self.right
        wrong_above = self.above - self.above_right
        with np.errstate(over="ignore"):  # the smallest shares there are leave room for any number
            room = right / share - right - wrong_above if share else np.full(right.shape, np.inf)
        most = 0
        # The quotient may round to the other side of a whole number than what the sweep computes.
        for nearby in (1, 0, -1):
            wrong = np.clip(np.floor(room) + nearby, 0, self.wrong).astype(np.int64)
            accepted = right + wrong_above + wrong
            passed = accepts(right, np.maximum(accepted, 1))
            most = max(most, int(np.max(accepted, where=passed, initial=0)))
        return most / max(self.curve.n, 1)

    def risks(self, reached: int, coverage: float) -> tuple[float, float]:
        """Return the lowest and the highest risk at the first sample that covers enough.

        Args:
            reached: Samples accepted at the edge of that sample's bin.
            coverage: Share of the samples to accept.
        """
        place = int(np.flatnonzero(self.curve.accepted == reached)[0])
        above, right, wrong = (int(c[place]) for c in (self.above, self.right, self.wrong))
        wrong_above = above - int(self.above_right[place])
        if not right + wrong:
            risk = float(self.curve.risk[place])
            return risk, risk
        n = self.curve.n
        enough = math.ceil(coverage * n)
        enough = max(enough - (max(enough - 1, 0) / n >= coverage), above + 1)
        low = min(max(above + right, enough), reached)
        high = min(max(above + wrong, enough), reached)
        return (
            (wrong_above + max(low - above - right, 0)) / low,
            (wrong_above + min(high - above, wrong)) / high,
        )

    @property
    def balance(self) -> float:
        """Return how far the coverage can be off where it is to be the share of correct samples."""
        n_right = self.curve.n_correct
        inside = self.right + self.wrong
        divided = (self.above < n_right) & (n_right < self.above + inside)
        if not divided.any():
            return 0.0
        gap = int(np.abs(self.curve.accepted - n_right).min())
        return 2 * gap / self.curve.n


def bounds_of(curve: Sweep) -> ErrorBound:
    """Compare the figures of ties with those of the best and the worst order inside each bin."""
    above, above_right = (np.append(c, 0)[1:] for c in (curve.accepted, curve.accepted_correct))
    right = curve.accepted_correct - above_right
    wrong = curve.accepted - above - right
    # A confidence of 1 is one value, and so a tie in the exact sweep as well.
    right_first, wrong_first = (np.where(curve.threshold < 1, c, 0) for c in (right, wrong))
    inside = _Bins(curve, above, above_right, right_first, wrong_first)
    best = _rank_halves(curve, above + right_first, above_right + right_first)
    worst = _rank_halves(curve, above + wrong_first, above_right)

    def widest(figure: str) -> float:
        middle = float(getattr(curve, figure))
        ends = [float(getattr(order, figure)[0]) for order in (best, worst)]
        return max(abs(end - middle) for end in ends)

    n_right, n_wrong = curve.n_correct, curve.n - curve.n_correct
    f1 = 2 * (above_right + right_first) / np.maximum(above + right_first + n_right, 1)
    accuracy = (2 * above_right + right_first - above + n_wrong) / max(curve.n, 1)
    crossing = np.flatnonzero(curve.accepted_correct / max(n_right, 1) >= 0.95)
    entering = int(wrong_first[crossing[-1]]) if crossing.size else 0
    return ErrorBound(
        aurc=widest("aurc"),
        e_aurc=widest("e_aurc"),
        augrc=widest("augrc"),
        failure_auroc=widest("failure_auroc"),
        fpr95=entering / n_wrong if n_right * n_wrong else math.nan,
        f1=_excess(f1, curve.f1),
        accuracy=_excess(accuracy, curve.accuracy),
        coverage=float(np.max(right_first + wrong_first, initial=0) / max(curve.n, 1)),
        balance=inside.balance,
        _bins=inside,
    )


def _excess(highest: Floats, at_edges: Floats) -> float:
    """Return how much the best inside the bins may be above the best at their edges."""
    return max(float(np.max(highest, initial=0) - np.max(at_edges, initial=0)), 0.0)


def _rank_halves(curve: Sweep, accepted: Counts, accepted_correct: Counts) -> Ranking:
    """Return the sums when each bin is cut in two: its upper part is accepted before the rest."""
    return counting.rank(
        np.stack([curve.accepted, accepted], axis=1).ravel(),
        np.stack([curve.accepted_correct, accepted_correct], axis=1).ravel(),
        np.array([0, 2 * accepted.size]),
        np.array([curve.n]),
        np.array([curve.n_correct]),
    )
