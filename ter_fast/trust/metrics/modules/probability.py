"""Metrics of the probabilities themselves. `confidence` plays no part in them.

What is said of torch-uncertainty is of version 0.13; the tests hold the formulas it is said to
compute.
"""

from __future__ import annotations

import math
from typing import Any, get_args

import torch
from torch import Tensor

from ter_fast.errors import DataError
from ter_fast.opinions.opinion import Opinion
from ter_fast.opinions.reference.fusion import wide_dtype
from ter_fast.trust.metrics.binning import Strategy
from ter_fast.trust.metrics.calibration_error import calibration_curve, classwise_calibration_error
from ter_fast.trust.metrics.modules.base import (
    CollectingMetric,
    TrustMetric,
    as_labels,
    judge,
    probabilities,
)
from ter_fast.trust.metrics.probabilities import brier, negative_log_likelihood


class ProbabilityMetric(TrustMetric):
    """Average a figure over samples; base of the metrics that need only a sum and a count.

    Args:
        **kwargs: Settings of `torchmetrics.Metric`.
    """

    higher_is_better = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Named by the class, so that MetricCollection never takes two sums for one.
        self._total, self._samples = (f"{type(self).__name__}_{part}" for part in ("sum", "n"))
        zero = torch.zeros((), dtype=torch.float32)
        self.add_state(self._total, zero.to(wide_dtype(zero)), dist_reduce_fx="sum")
        self.add_state(self._samples, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor | Opinion, target: Tensor) -> None:
        """Add a batch.

        Args:
            preds: (N, K) probabilities, or an opinion over N samples.
            target: (N,) true labels.

        Raises:
            DataError: The batch is not as above; the message says what was given.
        """
        probability = probabilities(preds)
        if not len(as_labels("target", target)) and not len(probability):
            return
        total = self._mean(probability, target) * len(target)
        setattr(self, self._total, getattr(self, self._total) + total)
        setattr(self, self._samples, getattr(self, self._samples) + len(target))

    def compute(self) -> Tensor:
        """Return the mean over all samples since the last reset, 0-d; NaN without samples."""
        total, samples = getattr(self, self._total), getattr(self, self._samples)
        return self._scalar(total.item() / samples.item() if samples else math.nan)

    def _mean(self, probability: Tensor, target: Tensor) -> float:
        raise NotImplementedError


class BrierScore(ProbabilityMetric):
    """Measure the mean of sum_k (p_k - y_k)^2, in [0, 2]; torch-uncertainty agrees.

    Reference:
        Brier 1950, "Verification of forecasts expressed in terms of probability", eq. 2.

    Example:
        >>> import torch
        >>> BrierScore()(torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([0, 1]))
        tensor(0.2500)
    """

    plot_upper_bound = 2.0

    def _mean(self, probability: Tensor, target: Tensor) -> float:
        return brier(probability, target)


class NegativeLogLikelihood(ProbabilityMetric):
    """Measure the mean of -ln p_y, in nats; torch-uncertainty's `CategoricalNLL` agrees.

    Infinite where a class that came true had probability 0.

    Example:
        >>> import torch
        >>> NegativeLogLikelihood()(torch.tensor([[0.5, 0.5], [0.25, 0.75]]), torch.tensor([0, 1]))
        tensor(0.4904)
    """

    plot_upper_bound = None

    def _mean(self, probability: Tensor, target: Tensor) -> float:
        return negative_log_likelihood(probability, target)


class EqualMassCalibrationError(CollectingMetric):
    """Measure the expected calibration error over bins of about equally many samples.

    sum_b |B_b| / N |accuracy(B_b) - mean largest probability(B_b)|. Equal probabilities share a
    bin; torch-uncertainty's `AdaptiveCalibrationError` splits them as its sort leaves them, and
    where N is no multiple of the bins it makes the first ones larger instead of spreading the
    rest. For bins of equal width, take torchmetrics' `MulticlassCalibrationError`.

    Args:
        bins: Number of bins, at most.
        **kwargs: Settings of `torchmetrics.Metric`.

    Raises:
        DataError: There is no bin.

    Reference:
        Nguyen and O'Connor 2015, "Posterior calibration and exploratory analysis for natural
        language processing models", section 3.

    Example:
        >>> import torch
        >>> metric = EqualMassCalibrationError(bins=2)
        >>> metric(torch.tensor([[0.75, 0.25], [0.75, 0.25]]), torch.tensor([0, 1]))
        tensor(0.2500)
    """

    higher_is_better = False

    def __init__(self, bins: int = 15, **kwargs: Any) -> None:
        # Not the names of the ranking metrics, whose confidences may be others.
        kinds = {"top_probability": torch.float64, "top_correct": torch.bool}
        super().__init__(kinds, **kwargs)
        self.bins = _positive("bins", bins)

    def update(self, preds: Tensor | Opinion, target: Tensor) -> None:
        """Keep a batch.

        Args:
            preds: (N, K) probabilities, or an opinion over N samples.
            target: (N,) true labels.

        Raises:
            DataError: The batch is not as above; the message says what was given.
        """
        largest, correct = judge(probabilities(preds), target)
        self._keep("top_probability", largest)
        self._keep("top_correct", correct)

    def compute(self) -> Tensor:
        """Return the error over all samples since the last reset, 0-d; NaN without samples."""
        pairs = self._all("top_probability"), self._all("top_correct")
        return self._scalar(calibration_curve(*pairs, self.bins, "mass").ece)


class ClasswiseCalibrationError(CollectingMetric):
    """Measure the mean over the classes of the calibration error of each class's probability.

    1/K sum_k sum_b |B_kb| / N |share of class k in B_kb - mean p_k in B_kb|, with bins of p_k.
    torch-uncertainty, whose bins are of equal width, agrees but for probabilities on their borders.

    Args:
        num_classes: K.
        bins: Number of bins, at most.
        strategy: "width" for bins of equal width, "mass" for bins of about equally many samples.
        **kwargs: Settings of `torchmetrics.Metric`.

    Raises:
        DataError: There is no class or no bin, or the strategy is unknown.

    Reference:
        Kull et al. 2019, "Beyond temperature scaling", section 2.

    Example:
        >>> import torch
        >>> metric = ClasswiseCalibrationError(num_classes=3)
        >>> metric(torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]), torch.tensor([0, 0]))
        tensor(0.3333)
    """

    higher_is_better = False

    def __init__(
        self, num_classes: int, bins: int = 15, strategy: Strategy = "width", **kwargs: Any
    ) -> None:
        # Flat, because processes without samples can only send one dimension.
        kinds = {"class_probability": torch.float64, "class_target": torch.int64}
        super().__init__(kinds, **kwargs)
        self.num_classes = _positive("num_classes", num_classes)
        self.bins, self.strategy = _positive("bins", bins), strategy
        if strategy not in get_args(Strategy):
            raise DataError(f"unknown strategy {strategy!r}; choose one of width, mass")

    def update(self, preds: Tensor | Opinion, target: Tensor) -> None:
        """Keep a batch.

        Args:
            preds: (N, K) probabilities, or an opinion over N samples.
            target: (N,) true labels.

        Raises:
            DataError: The batch is not as above; the message says what was given.
        """
        rows = probabilities(preds)
        if rows.shape[1] != self.num_classes:
            raise DataError(
                f"preds has shape {tuple(rows.shape)}; give (N, {self.num_classes}), one column for "
                "each of num_classes"
            )
        judge(rows, target)
        self._keep("class_probability", rows.flatten())
        self._keep("class_target", target)

    def compute(self) -> Tensor:
        """Return the error over all samples since the last reset, 0-d; NaN without samples."""
        rows = self._all("class_probability").reshape(-1, self.num_classes)
        target = self._all("class_target")
        error = classwise_calibration_error(rows, target, self.bins, self.strategy)
        return self._scalar(error)


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise DataError(f"{name} is {value}; give at least one")
    return value
