"""What the metric classes share: how they read a batch, keep their states and draw themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from ter_fast.errors import DataError
from ter_fast.opinions.opinion import Opinion
from ter_fast.opinions.reference.fusion import wide_dtype
from ter_fast.trust.metrics.probabilities import ROW_SUM_TOLERANCE


class TrustMetric(Metric):
    """Base of the metrics: a float32 scalar on the metric's device, NaN without samples."""

    is_differentiable = False
    full_state_update = False
    plot_lower_bound: float | None = 0.0
    plot_upper_bound: float | None = 1.0

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw one value, or a sequence of values over steps.

        Args:
            val: What `compute` or `forward` returned, or a sequence of that; `compute()` when left
                out.
            ax: Matplotlib axes to draw on; new ones when left out.

        Returns:
            The figure (None on given axes) and the axes.

        Raises:
            ModuleNotFoundError: Matplotlib is not installed.
        """
        return self._plot(val, ax)

    def _scalar(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.float32, device=self.device)

    def _apply(self, fn: Callable[..., Any], exclude_state: Sequence[str] = ()) -> torch.nn.Module:
        # Lightning's bf16-true casts every floating state of a module, and eight bits hold neither
        # a sum nor an order: the states follow to another device, and keep their dtypes.
        module = super()._apply(fn, exclude_state=tuple(self._defaults))
        for name in self._defaults:
            state = getattr(self, name)
            moved = (
                [each.to(self.device) for each in state]
                if isinstance(state, list)
                else state.to(self.device)
            )
            setattr(self, name, moved)
        return module


class CollectingMetric(TrustMetric):
    """Base of the metrics that need every sample at once, and keep them in lists.

    Args:
        collected: Names and dtypes of what to keep of each sample.
        **kwargs: Settings of `torchmetrics.Metric`.
    """

    def __init__(self, collected: Mapping[str, torch.dtype], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.collected = dict(collected)
        for name in self.collected:
            self.add_state(name, [], dist_reduce_fx="cat")

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather the states of all processes; torchmetrics calls it before `compute`."""
        for name in self.collected:
            if not getattr(self, name):
                # torchmetrics would send float32 for a process that saw no sample, and gathering
                # two dtypes fails.
                self._keep(name, torch.empty(0, dtype=torch.float32, device=self.device))
        super().sync(*args, **kwargs)

    def _keep(self, name: str, batch: Tensor) -> None:
        dtype = self.collected[name]
        wide = wide_dtype(batch) if dtype is torch.float64 else dtype
        getattr(self, name).append(batch.to(wide))

    def _all(self, name: str) -> Tensor:
        return dim_zero_cat(getattr(self, name))


def judge(
    preds: Tensor | Opinion, target: Tensor, confidence: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return how sure each prediction is, and whether it is right, (N,) each.

    Args:
        preds: (N, K) probabilities (with `confidence`, any scores), (N,) predicted labels, or an
            opinion over N samples.
        target: (N,) true labels.
        confidence: (N,) confidences; the largest probability or the opinion's own when left out.

    Raises:
        DataError: Something is no tensor, shapes or lengths do not fit, labels are no integers or
            outside 0 … K - 1, rows of `preds` that should be probabilities are not, labels come
            without confidences, or a confidence is infinite or no floating-point number.
    """
    predicted, own, classes = _read(preds, confidence is None)
    if own is None:
        own = _check("confidence", confidence, 1)
    true = as_labels("target", target, classes)
    if not predicted.shape == true.shape == own.shape:
        raise DataError(
            f"{len(predicted)} predictions, {len(true)} targets and {len(own)} confidences; give "
            "one of each for each sample"
        )
    if not own.is_floating_point():
        raise DataError(f"confidence has dtype {own.dtype}; give floating-point numbers")
    if torch.isinf(own).any():
        raise DataError(
            "an infinite confidence says that something overflowed before it got here; "
            "mark such samples NaN, which is never trusted"
        )
    return own.detach(), predicted == true


def probabilities(preds: Tensor | Opinion) -> Tensor:
    """Return probabilities (N, K) from themselves or from an opinion.

    Raises:
        DataError: They are no (N, K) floating-point tensor, or the rows are no distributions.
    """
    rows = _check("preds", preds.probability if isinstance(preds, Opinion) else preds, 2)
    if not rows.is_floating_point() or not rows.shape[1]:
        raise DataError(
            f"preds has dtype {rows.dtype} and shape {tuple(rows.shape)}; give probabilities (N, K)"
        )
    rows = rows.detach()
    sums = rows.sum(1, dtype=torch.float32)
    off, negative = (sums - 1).abs() > ROW_SUM_TOLERANCE, rows < 0
    if off.any() or negative.any():
        index = int((off | negative.any(1)).int().argmax())
        raise DataError(
            f"row {index} of preds is {rows[index].tolist()}: not a distribution over classes; give "
            "probabilities (of logits: preds.softmax(1)), or confidence with them"
        )
    return rows


def _read(preds: Tensor | Opinion, needed: bool) -> tuple[Tensor, Tensor | None, int | None]:
    """Return the predicted labels, their own confidence where it is needed, and K where known."""
    if isinstance(preds, Opinion):
        if preds.evidence.ndim != 2:
            raise DataError(
                f"the opinion's evidence has shape {tuple(preds.evidence.shape)}; give (N, K)"
            )
        # As `Opinion.trusted` has it: an opinion without any evidence is never trusted.
        informed = (preds.evidence > 0).any(1)
        own = torch.where(informed, preds.confidence, float("nan")) if needed else None
        return preds.prediction, own, preds.num_classes
    if isinstance(preds, Tensor) and preds.ndim == 2:
        if needed:
            largest, label = probabilities(preds).max(1)
            # Rounding may leave a probability a hair above 1.
            return label, largest.clamp(max=1), preds.shape[1]
        if not preds.shape[1]:
            raise DataError(f"preds has shape {tuple(preds.shape)}; give (N, K) with classes")
        return preds.argmax(1), None, preds.shape[1]
    predicted = as_labels("preds", preds)
    if needed:
        raise DataError(
            "preds holds labels, which say nothing of how sure they are; give confidence with them, "
            "or probabilities (N, K)"
        )
    return predicted, None, None


def as_labels(name: str, value: Tensor, classes: int | None = None) -> Tensor:
    """Return labels (N,) as they are.

    Raises:
        DataError: They are no vector of integers, or one is outside 0 … K - 1.
    """
    labels = _check(name, value, 1)
    if labels.is_floating_point() or labels.is_complex():
        raise DataError(
            f"{name} has dtype {labels.dtype} and shape {tuple(labels.shape)}; give integer labels"
        )
    if not labels.numel():
        return labels
    low, high = (int(end) for end in labels.aminmax())
    if low < 0 or (classes is not None and high >= classes):
        stray, last = (low, "…") if low < 0 else (high, f"… {(classes or 0) - 1}")
        raise DataError(f"{name} holds the label {stray}, outside 0 {last}; drop or fix it")
    return labels


def _check(name: str, value: Any, dimensions: int) -> Tensor:
    if not isinstance(value, Tensor):
        raise DataError(
            f"{name} is {type(value).__name__}; give a tensor (of an array: torch.as_tensor)"
        )
    if value.ndim != dimensions:
        wanted = "(N, K)" if dimensions == 2 else "(N,)"
        raise DataError(f"{name} has shape {tuple(value.shape)}; give {wanted}")
    return value
