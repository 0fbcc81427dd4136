"""Metrics at one threshold: four counts, whatever the number of samples.

Where nothing is trusted, precision is 1, the risk 0 and recall 0; without samples all are NaN.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ter_fast.errors import DataError
from ter_fast.opinions.opinion import Opinion
from ter_fast.opinions.reference.fusion import wide_dtype
from ter_fast.opinions.trusted import is_trusted
from ter_fast.trust.metrics.modules.base import TrustMetric, judge
from ter_fast.trust.thresholds.scores import TrustedScores, accept_all_f1, trusted_scores


class ThresholdMetric(TrustMetric):
    """Count correct and wrong, trusted and not; base of the metrics at one threshold.

    Args:
        threshold: Confidence from which a prediction is trusted, compared as a real number, as
            `Sweep.at` does: a float32 confidence of 0.9 is less than the threshold 0.9.
        **kwargs: Settings of `torchmetrics.Metric`.

    Raises:
        DataError: The threshold is NaN.
    """

    def __init__(self, threshold: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if math.isnan(threshold):
            raise DataError("threshold is NaN; give the confidence from which to trust")
        self.threshold = float(threshold)
        # MetricCollection lets metrics share their states when, after the first batch, these have
        # the same names and values. That may be so by chance at two thresholds, not by name.
        self._counts = f"counts_at_{self.threshold!r}".replace(".", "_")
        self.add_state(self._counts, torch.zeros(4, dtype=torch.int64), dist_reduce_fx="sum")

    @property
    def counts(self) -> Tensor:
        """Numbers of samples TP, FP, FN, TN so far, (4,) int64; of this process only."""
        counts: Tensor = getattr(self, self._counts)
        return counts

    def update(
        self, preds: Tensor | Opinion, target: Tensor, confidence: Tensor | None = None
    ) -> None:
        """Count a batch.

        Args:
            preds: (N, K) probabilities, (N,) predicted labels, or an opinion over N samples.
            target: (N,) true labels.
            confidence: (N,) confidences, NaN for "never trusted"; the largest probability, or the
                opinion's own confidence, when left out. Needed with labels.

        Raises:
            DataError: The batch is not as above; the message says what was given.
        """
        sure, correct = judge(preds, target, confidence)
        trusted = is_trusted(sure.to(wide_dtype(sure)), self.threshold)
        right, accepted = correct.count_nonzero(), trusted.count_nonzero()
        both = (correct & trusted).count_nonzero()
        rejected = len(correct) - right - accepted + both
        batch = torch.stack([both, accepted - both, right - both, rejected])
        setattr(self, self._counts, self.counts + batch)

    def compute(self) -> Tensor:
        """Return the metric over all batches since the last reset, 0-d; NaN without samples."""
        right, wrong, missed, rejected = self.counts.tolist()
        n = right + wrong + missed + rejected
        if not n:
            return self._scalar(math.nan)
        scores = trusted_scores(self.threshold, right + wrong, right, n, right + missed)
        return self._scalar(self._figure(scores))

    def _figure(self, scores: TrustedScores) -> float:
        raise NotImplementedError


class TrustedPrecision(ThresholdMetric):
    """Measure how often trusted predictions are right, TP / (TP + FP).

    Example:
        >>> import torch
        >>> metric = TrustedPrecision(threshold=0.5)
        >>> metric.update(torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), torch.tensor([0, 0, 0]))
        >>> metric.compute()
        tensor(0.6667)
    """

    higher_is_better = True

    def _figure(self, scores: TrustedScores) -> float:
        return scores.precision


class TrustedRecall(ThresholdMetric):
    """Measure how many of the right predictions are trusted, TP / (TP + FN).

    Example:
        >>> import torch
        >>> metric = TrustedRecall(threshold=0.7)
        >>> metric(torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), torch.tensor([0, 0, 0]))
        tensor(0.5000)
    """

    higher_is_better = True

    def _figure(self, scores: TrustedScores) -> float:
        return scores.recall


class TrustedF1(ThresholdMetric):
    """Measure trusted precision and recall together, 2 TP / (2 TP + FP + FN).

    Trusting everything scores 2a / (1 + a) at accuracy a: see `TrustedF1Lift`.

    Example:
        >>> import torch
        >>> metric = TrustedF1(threshold=0.7)
        >>> metric(torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), torch.tensor([0, 0, 0]))
        tensor(0.5000)
    """

    higher_is_better = True

    def _figure(self, scores: TrustedScores) -> float:
        return scores.f1


class TrustedF1Lift(ThresholdMetric):
    """Measure what the threshold adds to trusted F1: less 2a / (1 + a), that of trusting everything.

    Example:
        >>> import torch
        >>> metric = TrustedF1Lift(threshold=0.7)
        >>> metric(torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]]), torch.tensor([0, 0, 0]))
        tensor(0.2000)
    """

    higher_is_better = True
    plot_lower_bound = -1.0

    def _figure(self, scores: TrustedScores) -> float:
        return scores.lift


class AcceptAllF1(ThresholdMetric):
    """Measure the trusted F1 of trusting everything, 2a / (1 + a): the baseline of `TrustedF1`.

    Args:
        **kwargs: Settings of `torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> metric = AcceptAllF1()
        >>> metric(torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]]), torch.tensor([0, 0, 0]))
        tensor(0.8000)
    """

    higher_is_better = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(-math.inf, **kwargs)

    def compute(self) -> Tensor:
        """Return the baseline over all batches since the last reset, 0-d; NaN without samples."""
        right, wrong, missed, rejected = self.counts.tolist()
        n = right + wrong + missed + rejected
        return self._scalar(accept_all_f1(n, right + missed) if n else math.nan)


class TrustedAccuracy(ThresholdMetric):
    """Measure how often trust is well placed, (TP + TN) / N.

    Example:
        >>> import torch
        >>> metric = TrustedAccuracy(threshold=0.7)
        >>> metric(torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.6, 0.4]]), torch.tensor([0, 0, 0]))
        tensor(0.6667)
    """

    higher_is_better = True

    def _figure(self, scores: TrustedScores) -> float:
        return scores.accuracy


class Coverage(ThresholdMetric):
    """Measure the share of predictions that are trusted, (TP + FP) / N.

    Example:
        >>> import torch
        >>> labels, sure = torch.tensor([0, 1, 1, 0]), torch.tensor([0.9, 0.8, 0.3, float("nan")])
        >>> Coverage(threshold=0.5)(labels, torch.tensor([0, 1, 0, 1]), sure)
        tensor(0.5000)
    """

    higher_is_better = True

    def _figure(self, scores: TrustedScores) -> float:
        return scores.coverage


class SelectiveRisk(ThresholdMetric):
    """Measure how often trusted predictions are wrong, FP / (TP + FP).

    Reference:
        Geifman and El-Yaniv 2017, "Selective Classification for Deep Neural Networks".

    Example:
        >>> import torch
        >>> metric = SelectiveRisk(threshold=0.7)
        >>> metric(torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), torch.tensor([0, 0, 0]))
        tensor(0.5000)
    """

    higher_is_better = False

    def _figure(self, scores: TrustedScores) -> float:
        return scores.risk
