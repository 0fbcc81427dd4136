"""What metrics over all thresholds keep, every sample or a histogram, and the curve behind them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torchmetrics.utilities.plot import plot_curve

from ter_fast.opinions.opinion import Opinion
from ter_fast.trust.metrics.modules.base import CollectingMetric, judge
from ter_fast.trust.thresholds import BinnedSweep, Sweep, sweep


class RankingMetric(CollectingMetric):
    """Collect confidences and whether they are right; base of the metrics over all thresholds.

    Args:
        bins: None to keep every sample (9 bytes each) and be exact. A number to count in bins, as
            `thresholds.BinnedSweep(bins)` does, which says how far off the figures can be: memory
            is constant, and confidences must be in [0, 1].
        **kwargs: Settings of `torchmetrics.Metric`.

    Raises:
        DataError: `bins` is no power of two that `BinnedSweep` takes.
    """

    histogram: Tensor

    def __init__(self, bins: int | None = None, **kwargs: Any) -> None:
        exact = {"confidence": torch.float64, "correct": torch.bool}
        super().__init__(exact if bins is None else {}, **kwargs)
        self.bins = bins
        if bins is not None:
            empty = torch.from_numpy(BinnedSweep(bins).counts)
            self.add_state("histogram", empty, dist_reduce_fx="sum")

    def update(
        self, preds: Tensor | Opinion, target: Tensor, confidence: Tensor | None = None
    ) -> None:
        """Keep a batch.

        Args:
            preds: (N, K) probabilities, (N,) predicted labels, or an opinion over N samples.
            target: (N,) true labels.
            confidence: (N,) confidences, NaN for "never trusted"; the largest probability, or the
                opinion's own confidence, when left out. Needed with labels.

        Raises:
            DataError: The batch is not as above; the message says what was given.
        """
        sure, correct = judge(preds, target, confidence)
        if self.bins is None:
            self._keep("confidence", sure)
            self._keep("correct", correct)
            return
        batch = BinnedSweep(self.bins)
        batch.update(sure, correct)
        self.histogram = self.histogram + torch.from_numpy(batch.counts).to(self.device)

    def compute(self) -> Any:
        """Return the metric over all batches since the last reset, 0-d; NaN without samples."""
        curve = self._sweep()
        return self._scalar(self._figure(curve) if curve.n else math.nan)

    def _sweep(self) -> Sweep:
        if self.bins is not None:
            return BinnedSweep(self.bins, self.histogram.cpu().numpy()).to_sweep()
        return sweep(self._all("confidence"), self._all("correct"))

    def _figure(self, curve: Sweep) -> float:
        raise NotImplementedError


class RiskCoverageCurve(RankingMetric):
    """Trace the selective risk over coverage, as torchmetrics' `BinaryROC` traces its curve.

    Example:
        >>> import torch
        >>> metric = RiskCoverageCurve()
        >>> metric.update(torch.tensor([[0.9, 0.1], [0.25, 0.75], [0.6, 0.4]]), torch.tensor([0, 0, 0]))
        >>> coverage, risk, threshold = metric.compute()
        >>> coverage, risk
        (tensor([0.3333, 0.6667, 1.0000]), tensor([0.0000, 0.5000, 0.3333]))
    """

    def compute(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return coverage, risk and threshold, (D,) each, from the highest threshold down.

        D is the number of distinct confidences; where it is 1, torchmetrics makes them 0-d.
        """
        curve = self._sweep()
        values = (curve.coverage, curve.risk, curve.threshold)
        coverage, risk, threshold = (
            torch.from_numpy(value[::-1].copy()).to(self.device) for value in values
        )
        return coverage.float(), risk.float(), threshold

    def plot(  # type: ignore[override]
        self,
        curve: tuple[Tensor, Tensor, Tensor] | None = None,
        score: Tensor | bool | None = None,
        ax: Any = None,
    ) -> Any:
        """Draw the curve.

        Args:
            curve: What `compute` or `forward` returned; `compute()` when left out.
            score: Area to write beside the curve; True for the AURC, where `curve` is left out.
            ax: Matplotlib axes to draw on; new ones when left out.

        Returns:
            The figure (None on given axes) and the axes.

        Raises:
            ModuleNotFoundError: Matplotlib is not installed.
        """
        coverage, risk, threshold = (
            each.reshape(-1) for each in (self.compute() if curve is None else curve)
        )
        if isinstance(score, bool):
            score = self._scalar(self._sweep().aurc) if score and curve is None else None
        return plot_curve(
            (coverage, risk, threshold),
            score=score,
            ax=ax,
            label_names=("Coverage", "Selective risk"),
            name=type(self).__name__,
        )
