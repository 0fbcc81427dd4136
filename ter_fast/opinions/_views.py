"""Check the views that fusion and inference are given, bring them into one form, and thin them in training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def check_views(views: Tensor | Sequence[Tensor], name: str) -> Tensor:
    """Return the views as one floating-point tensor `(V, ..., K)`.

    Args:
        views: `(V, ..., K)`, or a sequence of V tensors `(..., K)`.
        name: What the caller calls them, for the messages.

    Raises:
        TypeError: If they are not floating-point tensors.
        ValueError: If there is no view, fewer than two classes, or views do not fit together.
    """
    if not isinstance(views, Tensor):
        views = _stack(views, name)
    if not views.is_floating_point():
        raise TypeError(f"{name} is {views.dtype}: give a floating-point tensor (V, ..., K)")
    shape = views.shape
    if len(shape) < 2 or shape[0] < 1 or shape[-1] < 2:
        raise ValueError(
            f"{name} has shape {tuple(shape)}: expected (V, ..., K) with at least one view and "
            "two classes"
        )
    return views


def check_mask(mask: Tensor, views: Tensor) -> Tensor:
    """Return the mask as a bool tensor `(V, B)`.

    Raises:
        TypeError: If it is not a bool tensor.
        ValueError: If its shape or device does not fit the views.
    """
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        given = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"mask is {given}: give a torch.bool tensor, True where a view is present")
    return _per_view(mask, views, "mask")


def check_discount(discount: Tensor | Sequence[float], views: Tensor) -> Tensor:
    """Return reliabilities as a floating-point tensor `(V, B)`.

    Raises:
        TypeError: If a tensor is not floating point.
        ValueError: If a number lies outside [0, 1], or shape or device does not fit the views.
    """
    if not isinstance(discount, Tensor):
        if not all(0 <= w <= 1 for w in discount):
            raise ValueError(f"discount is {list(discount)}: reliabilities lie in [0, 1]")
        discount = torch.tensor(discount, dtype=views.dtype, device=views.device)
    elif not discount.is_floating_point():
        raise TypeError(f"discount is {discount.dtype}: give floating-point reliabilities")
    return _per_view(discount, views, "discount")


def _stack(views: Sequence[Tensor], name: str) -> Tensor:
    if not views:
        raise ValueError(f"{name} is an empty sequence: give at least one view (..., K)")
    for view in views:
        if not isinstance(view, Tensor):
            raise TypeError(f"a view is {type(view).__name__}: give tensors of {name} (..., K)")
    first = views[0]
    for index, view in enumerate(views):
        given = (tuple(view.shape), view.dtype, view.device)
        expected = (tuple(first.shape), first.dtype, first.device)
        if given != expected:
            raise ValueError(
                f"view {index} has (shape, dtype, device) {given} but view 0 has {expected}: "
                "all views need the same"
            )
    return torch.stack(list(views))


def _per_view(value: Tensor, views: Tensor, name: str) -> Tensor:
    shape = views.shape[:-1]
    if value.device != views.device:
        raise ValueError(
            f"{name} is on {value.device} but the evidence is on {views.device}: move one of them"
        )
    if value.shape == shape[:1] and len(shape) > 1:
        value = value.reshape(-1, *(1 for _ in shape[1:])).expand(shape)
    if value.shape != shape:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}: evidence of shape {tuple(views.shape)} "
            f"needs {tuple(shape)} or ({shape[0]},)"
        )
    return value.reshape(shape[0], shape[1:].numel())


def drop_views(mask: Tensor, share: float) -> Tensor:
    """Leave each view out with a chance, but never the last one of a sample.

    Args:
        mask: `(V, B)`, True where a view is present.
        share: Chance with which a view is left out, in [0, 1).

    Reference:
        Neverova et al., "ModDrop: adaptive multi-modal gesture recognition", 2016.

    Example:
        >>> bool(drop_views(torch.ones(2, 100, dtype=torch.bool), 0.9).any(0).all())
        True
    """
    if not share or len(mask) == 1:
        return mask
    kept = mask & (torch.rand(mask.shape, device=mask.device) >= share)
    return torch.where(kept.any(0), kept, mask)
