"""When to trust: metrics of trust at every threshold, and thresholds chosen or promised.

A prediction is trusted at threshold t when its confidence c >= t. Correct or wrong, trusted or
not, give TP (correct, trusted), FP (wrong, trusted), FN (correct, not trusted) and TN.
"""

from ter_fast.thresholds.exact import Criterion, Sweep, sweep
from ter_fast.thresholds.scores import TrustedScores

__all__ = ["Criterion", "Sweep", "TrustedScores", "sweep"]
