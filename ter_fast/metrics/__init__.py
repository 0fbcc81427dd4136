"""Figures of merit of the field as plain functions of arrays, and the intervals that go with them.

Arguments come prediction first, target second, as in torchmetrics; arrays, sequences and tensors
will do. Without samples every figure is NaN.
"""

from ter_fast.metrics.bootstrap import Interval, bootstrap_interval
from ter_fast.metrics.labels import (
    accuracy,
    confusion_matrix,
    macro_f1,
    unweighted_average_recall,
    weighted_f1,
)
from ter_fast.metrics.probabilities import (
    brier,
    expected_calibration_error,
    negative_log_likelihood,
)

__all__ = [
    "Interval",
    "accuracy",
    "bootstrap_interval",
    "brier",
    "confusion_matrix",
    "expected_calibration_error",
    "macro_f1",
    "negative_log_likelihood",
    "unweighted_average_recall",
    "weighted_f1",
]
