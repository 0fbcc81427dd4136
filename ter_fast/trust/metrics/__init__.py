"""Figures of merit of the field as plain functions of arrays, and the intervals that go with them.

Arguments come prediction first, target second, as in torchmetrics; arrays, sequences and tensors
will do. Without samples every figure is NaN.

The classes are the same figures for training loops, as `torchmetrics.Metric`: see
`ter_fast.trust.metrics.modules`. torchmetrics loads when the first of them is asked for.
"""

from typing import TYPE_CHECKING, Any

from ter_fast.errors import TerFastError
from ter_fast.trust.metrics.binning import CalibrationCurve
from ter_fast.trust.metrics.bootstrap import Bootstrap
from ter_fast.trust.metrics.calibration_error import (
    BrierDecomposition,
    brier_decomposition,
    calibration_curve,
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
)
from ter_fast.trust.metrics.generic import bootstrap_interval
from ter_fast.trust.metrics.labels import (
    accuracy,
    confusion_matrix,
    macro_f1,
    unweighted_average_recall,
    weighted_f1,
)
from ter_fast.trust.metrics.probabilities import brier, negative_log_likelihood
from ter_fast.trust.metrics.replicates import Comparison, Interval, Replicates, compare

if TYPE_CHECKING:
    from ter_fast.trust.metrics.modules import (
        AUGRC,
        AURC,
        EAURC,
        FPR95,
        AcceptAllF1,
        BrierScore,
        ClasswiseCalibrationError,
        Coverage,
        CoverageAtRisk,
        EqualMassCalibrationError,
        FailureAUROC,
        NegativeLogLikelihood,
        RiskAtCoverage,
        RiskCoverageCurve,
        SelectiveRisk,
        TrustedAccuracy,
        TrustedF1,
        TrustedF1Lift,
        TrustedPrecision,
        TrustedRecall,
    )

__all__ = [
    "AUGRC",
    "AURC",
    "EAURC",
    "FPR95",
    "AcceptAllF1",
    "Bootstrap",
    "BrierDecomposition",
    "BrierScore",
    "CalibrationCurve",
    "ClasswiseCalibrationError",
    "Comparison",
    "Coverage",
    "CoverageAtRisk",
    "EqualMassCalibrationError",
    "FailureAUROC",
    "Interval",
    "NegativeLogLikelihood",
    "Replicates",
    "RiskAtCoverage",
    "RiskCoverageCurve",
    "SelectiveRisk",
    "TrustedAccuracy",
    "TrustedF1",
    "TrustedF1Lift",
    "TrustedPrecision",
    "TrustedRecall",
    "accuracy",
    "bootstrap_interval",
    "brier",
    "brier_decomposition",
    "calibration_curve",
    "classwise_calibration_error",
    "compare",
    "confusion_matrix",
    "expected_calibration_error",
    "macro_f1",
    "maximum_calibration_error",
    "negative_log_likelihood",
    "unweighted_average_recall",
    "weighted_f1",
]


if not TYPE_CHECKING:
    # Hidden from type checkers, who would take every misspelt name for one that this resolves.
    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            from ter_fast.trust.metrics import modules
        except ModuleNotFoundError as error:
            if error.name != "torchmetrics":
                raise
            raise TerFastError(
                f"metrics.{name} needs torchmetrics: pip install 'ter_fast[metrics]'; "
                "the functions of ter_fast.metrics and ter_fast.thresholds do without"
            ) from error
        return getattr(modules, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
