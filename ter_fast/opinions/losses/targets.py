"""What every loss asks of its target and its reduction."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ter_fast.opinions import _ops
from ter_fast.opinions._views import Values, as_tensor

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(reduction: str) -> None:
    """Refuse an unknown reduction."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction is {reduction!r}; expected one of {', '.join(REDUCTIONS)}")


def reduce(loss: Tensor, reduction: str) -> Tensor:
    """Return the mean, the sum, or the losses themselves."""
    check_reduction(reduction)
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


def check_target(evidence: Tensor, target: Values) -> Tensor:
    """Return the target as int64 classes or as soft targets in the dtype of the evidence."""
    if not isinstance(target, Tensor):
        # Lists of whole numbers are classes here.
        target = as_tensor(np.asarray(target), "target").to(evidence.device)
    if not evidence.is_floating_point():
        raise TypeError(f"evidence is {evidence.dtype}; expected a floating-point tensor (…, K)")
    if evidence.ndim == 0 or evidence.shape[-1] < 2:
        raise ValueError(
            f"evidence has shape {tuple(evidence.shape)}; expected (…, K) with at least two classes"
        )
    if target.device != evidence.device:
        raise ValueError(
            f"target is on {target.device} but the evidence is on {evidence.device}; move one of them"
        )
    classes = evidence.shape[-1]
    if target.shape == evidence.shape and target.is_floating_point():
        return target.to(evidence.dtype)
    if target.shape != evidence.shape[:-1] or target.is_floating_point():
        raise ValueError(
            f"target is {target.dtype} {tuple(target.shape)}; expected class indices "
            f"{tuple(evidence.shape[:-1])} or soft targets {tuple(evidence.shape)}"
        )
    target = target.long()
    # Looking at the classes on another device would wait for it, and traced ones cannot be looked at;
    # there the loss of a class that is none is NaN instead.
    seen = type(target) is Tensor and target.is_cpu and not _ops.is_watched()
    if seen and target.numel():
        low, high = int(target.min()), int(target.max())
        if low < 0 or high >= classes:
            raise ValueError(
                f"target holds class {low if low < 0 else high}; expected 0 to {classes - 1}"
            )
    return target


def soft_target(evidence: Tensor, target: Tensor) -> Tensor:
    """Return a checked target as weights of the classes, `(…, K)` in the dtype of the evidence.

    NaN for a class that is none, where `check_target` could not look.
    """
    if target.is_floating_point():
        return target.to(evidence.dtype)
    classes = evidence.shape[-1]
    hot = target.unsqueeze(-1) == torch.arange(classes, device=evidence.device)
    known = (target >= 0) & (target < classes)
    return torch.where(known.unsqueeze(-1), hot.to(evidence.dtype), torch.nan)
