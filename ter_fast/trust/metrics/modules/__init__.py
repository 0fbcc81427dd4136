"""Metrics as `torchmetrics.Metric` classes; importing this package imports torchmetrics.

Each is a shell around a function of `ter_fast.thresholds` or `ter_fast.metrics`. All take
`update(preds, target)`, those of trust also `confidence`, so that they stand in one
`MetricCollection` beside torchmetrics' own, which are to be used for what they compute:

    accuracy                      MulticlassAccuracy(num_classes, average="micro")
    UAR, balanced accuracy        MulticlassRecall(num_classes, average="macro")
    macro and weighted F1         MulticlassF1Score(num_classes, average="macro" or "weighted")
    ECE, bins of equal width      MulticlassCalibrationError(num_classes, n_bins=15)

A class that occurs only among the predictions counts as recall 0 in torchmetrics' macro recall, and
does not count in `unweighted_average_recall`.
"""

from ter_fast.trust.metrics.modules.at_threshold import (
    AcceptAllF1,
    Coverage,
    SelectiveRisk,
    TrustedAccuracy,
    TrustedF1,
    TrustedF1Lift,
    TrustedPrecision,
    TrustedRecall,
)
from ter_fast.trust.metrics.modules.curve import RiskCoverageCurve
from ter_fast.trust.metrics.modules.probability import (
    BrierScore,
    ClasswiseCalibrationError,
    EqualMassCalibrationError,
    NegativeLogLikelihood,
)
from ter_fast.trust.metrics.modules.ranking import (
    AUGRC,
    AURC,
    EAURC,
    FPR95,
    CoverageAtRisk,
    FailureAUROC,
    RiskAtCoverage,
)

__all__ = [
    "AUGRC",
    "AURC",
    "EAURC",
    "FPR95",
    "AcceptAllF1",
    "BrierScore",
    "ClasswiseCalibrationError",
    "Coverage",
    "CoverageAtRisk",
    "EqualMassCalibrationError",
    "FailureAUROC",
    "NegativeLogLikelihood",
    "RiskAtCoverage",
    "RiskCoverageCurve",
    "SelectiveRisk",
    "TrustedAccuracy",
    "TrustedF1",
    "TrustedF1Lift",
    "TrustedPrecision",
    "TrustedRecall",
]
