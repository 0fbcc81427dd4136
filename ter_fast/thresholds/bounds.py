"""How far the figures of binned confidences can be from those of the confidences themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ter_fast.thresholds import counting
from ter_fast.thresholds.counting import Ranking
from ter_fast.thresholds.exact import Sweep

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ErrorBound:
    """Hold how far each figure of a `BinnedSweep` can be from that of the exact sweep.

    Computed from the counts, whatever stands behind them: a figure lies between its values when
    each bin holds its correct samples first, and its wrong ones first. Rounding of float64 apart;
    NaN where the figure is.

    Attributes:
        aurc: of AURC.
        e_aurc: of E-AURC.
        augrc: of AUGRC.
        failure_auroc: of failure AUROC.
        fpr95: of FPR at 95 % TPR.
        f1: of the trusted F1 of `best("f1")`.
        accuracy: of the trusted accuracy of `best("accuracy")`.
        coverage: of the coverage of `at_coverage`, the share of the fullest bin.
    """

    aurc: float
    e_aurc: float
    augrc: float
    failure_auroc: float
    fpr95: float
    f1: float
    accuracy: float
    coverage: float


def bounds_of(curve: Sweep) -> ErrorBound:
    """Compare the figures of ties with those of the best and the worst order inside each bin."""
    above, above_right = (np.append(c, 0)[1:] for c in (curve.accepted, curve.accepted_correct))
    right = curve.accepted_correct - above_right
    wrong = curve.accepted - above - right
    # A confidence of 1 is one value, and so a tie in the exact sweep as well.
    right_first, wrong_first = (np.where(curve.threshold < 1, c, 0) for c in (right, wrong))
    best = _ordered(curve, above + right_first, above_right + right_first)
    worst = _ordered(curve, above + wrong_first, above_right)

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
    )


def _excess(highest: Floats, at_edges: Floats) -> float:
    """Return how much the best inside the bins may be above the best at their edges."""
    return max(float(np.max(highest, initial=0) - np.max(at_edges, initial=0)), 0.0)


def _ordered(curve: Sweep, accepted: Counts, accepted_correct: Counts) -> Ranking:
    """Return the sums when each bin is cut in two: its upper part is accepted before the rest."""
    return counting.rank(
        np.stack([curve.accepted, accepted], axis=1).ravel(),
        np.stack([curve.accepted_correct, accepted_correct], axis=1).ravel(),
        np.array([0, 2 * accepted.size]),
        np.array([curve.n]),
        np.array([curve.n_correct]),
    )
