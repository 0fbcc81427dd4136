"""Metrics of how well confidence ranks right above wrong, over all thresholds at once.

Equal confidences are accepted together, and NaN ranks below every real confidence. Each class keeps
every sample, or with `bins` a histogram of constant size: see `RankingMetric`. What is said of
torch-uncertainty is of version 0.13; the tests hold the formulas it is said to compute.
"""

from __future__ import annotations

from typing import Any

from ter_fast.trust.metrics.modules.curve import RankingMetric
from ter_fast.trust.thresholds import Sweep
from ter_fast.trust.thresholds.samples import fraction


class AURC(RankingMetric):
    """Measure the area under the risk-coverage curve: the mean risk over coverages 1/N … N/N.

    Equal confidences count in expectation over their order. torch-uncertainty takes them in the
    order that its sort leaves them in, so that shuffling samples changes its figure, and takes the
    trapezoid from coverage 1/N to 1 over 1 - 1/N: with risks r_1 … r_N of N distinct confidences it
    gives (N AURC - (r_1 + r_N) / 2) / (N - 1), and NaN for one sample.

    Reference:
        Geifman, Uziel and El-Yaniv 2019, "Bias-Reduced Uncertainty Estimation".

    Example:
        >>> import torch
        >>> metric = AURC()
        >>> metric.update(torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), torch.tensor([0, 0, 0]))
        >>> metric.compute()
        tensor(0.2778)
    """

    higher_is_better = False

    def _figure(self, curve: Sweep) -> float:
        return curve.aurc


class EAURC(RankingMetric):
    """Measure AURC less that of the best order of the same samples.

    The optimum is exact for N samples, C of them correct: 1/N sum_{j=1}^{N-C} j / (C + j).

    Reference:
        Geifman, Uziel and El-Yaniv 2019, "Bias-Reduced Uncertainty Estimation".

    Example:
        >>> import torch
        >>> metric = EAURC()
        >>> metric(torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), torch.tensor([0, 0, 0]))
        tensor(0.1667)
    """

    higher_is_better = False

    def _figure(self, curve: Sweep) -> float:
        return curve.e_aurc


class AUGRC(RankingMetric):
    """Measure the area under (wrong and accepted) / N over coverage, a trapezoid from (0, 0).

    torch-uncertainty leaves the first step out and divides by 1 - 1/N: of N distinct confidences
    it gives (N AUGRC - g / 2) / (N - 1), where g is 1/N if the surest prediction is wrong, else 0.

    Reference:
        Traub et al. 2024, "Overcoming Common Flaws in the Evaluation of Selective Classification
        Systems".

    Example:
        >>> import torch
        >>> metric = AUGRC()
        >>> metric(torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), torch.tensor([0, 0, 0]))
        tensor(0.1667)
    """

    higher_is_better = False
    plot_upper_bound = 0.5

    def _figure(self, curve: Sweep) -> float:
        return curve.augrc


class FailureAUROC(RankingMetric):
    """Measure P(c_correct > c_wrong) + P(c_correct = c_wrong) / 2; NaN without both kinds.

    What torchmetrics' `BinaryAUROC` gives for confidences and whether they are right.

    Reference:
        Hendrycks and Gimpel 2017, "A Baseline for Detecting Misclassified and Out-of-Distribution
        Examples in Neural Networks".

    Example:
        >>> import torch
        >>> metric = FailureAUROC()
        >>> metric(torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), torch.tensor([0, 0, 0]))
        tensor(0.5000)
    """

    higher_is_better = True

    def _figure(self, curve: Sweep) -> float:
        return curve.failure_auroc


class FPR95(RankingMetric):
    """Measure the share of wrong predictions accepted once 95 % of the correct ones are.

    "Correct" is the positive class; NaN without both kinds. torch-uncertainty agrees, ties
    included, given the confidences and whether they are right.

    Example:
        >>> import torch
        >>> metric = FPR95()
        >>> metric(torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), torch.tensor([0, 0, 0]))
        tensor(1.)
    """

    higher_is_better = False

    def _figure(self, curve: Sweep) -> float:
        return curve.fpr95


class CoverageAtRisk(RankingMetric):
    """Measure the largest coverage whose selective risk is at most `risk`; 0 where none is.

    torch-uncertainty also stops inside a group of equal confidences, where no threshold can, and
    gives NaN where no coverage will do.

    Args:
        risk: Largest share of wrong predictions among the accepted, in [0, 1].
        **kwargs: As for `RankingMetric`.

    Raises:
        DataError: The risk is outside [0, 1].

    Example:
        >>> import torch
        >>> metric = CoverageAtRisk(risk=0.4)
        >>> metric(torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), torch.tensor([0, 0, 0]))
        tensor(1.)
    """

    higher_is_better = True

    def __init__(self, risk: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.risk = float(fraction("risk", risk))

    def _figure(self, curve: Sweep) -> float:
        return curve.coverage_at_risk(self.risk)


class RiskAtCoverage(RankingMetric):
    """Measure the selective risk at the highest threshold that accepts this share of samples.

    NaN where too many confidences are NaN to accept so much. torch-uncertainty accepts exactly
    ceil(coverage N) samples, and so splits groups of equal confidences.

    Args:
        coverage: Least share of samples to accept, in [0, 1].
        **kwargs: As for `RankingMetric`.

    Raises:
        DataError: The coverage is outside [0, 1].

    Example:
        >>> import torch
        >>> metric = RiskAtCoverage(coverage=0.5)
        >>> metric(torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), torch.tensor([0, 0, 0]))
        tensor(0.5000)
    """

    higher_is_better = False

    def __init__(self, coverage: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.coverage = float(fraction("coverage", coverage))

    def _figure(self, curve: Sweep) -> float:
        return curve.risk_at_coverage(self.coverage)
