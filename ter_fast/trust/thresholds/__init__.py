"""When to trust: metrics of trust at every threshold, and thresholds chosen or guaranteed.

A prediction is trusted at threshold t when its confidence c >= t. Correct or wrong, trusted or
not, give TP (correct, trusted), FP (wrong, trusted), FN (correct, not trusted) and TN.
"""

from ter_fast.trust.thresholds.binned import BinnedSweep
from ter_fast.trust.thresholds.bounds import ErrorBound
from ter_fast.trust.thresholds.counting import Criterion
from ter_fast.trust.thresholds.exact import Sweep, sweep
from ter_fast.trust.thresholds.grouped import GroupedSweep, sweep_by
from ter_fast.trust.thresholds.guarantee import (
    guaranteed,
    guaranteed_by_class,
    guaranteed_worst_group,
)
from ter_fast.trust.thresholds.guarantee.grids import Grid, grid_from
from ter_fast.trust.thresholds.guarantee.result import Guarantee
from ter_fast.trust.thresholds.scores import GroupedScores, TrustedScores

__all__ = [
    "BinnedSweep",
    "Criterion",
    "ErrorBound",
    "Grid",
    "GroupedScores",
    "GroupedSweep",
    "Guarantee",
    "Sweep",
    "TrustedScores",
    "grid_from",
    "guaranteed",
    "guaranteed_by_class",
    "guaranteed_worst_group",
    "sweep",
    "sweep_by",
]
