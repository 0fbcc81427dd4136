"""Check the views that fusion and inference are given, bring them into one form, and thin them in training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

Values = Tensor | ArrayLike
"""A tensor, or what `torch.as_tensor` makes one of: an array, or lists of numbers."""

Views = Values | Sequence[Values]
"""A tensor of all views, or one for each."""


def as_tensor(values: Values, name: str) -> Tensor:
    """Return a tensor as it is, and make one of an array or of lists.

    Arrays keep their type, and their memory where torch can share it: not where they are read-only, run
    backwards or have the other byte order. Python's numbers become floats of torch's default type, integers
    as well.

    Args:
        values: Numbers.
        name: What the caller calls them, for the messages.

    Raises:
        TypeError: If they are no numbers, or lists of unequal length.

    Example:
        >>> as_tensor([6, 0], "evidence"), as_tensor(np.array([6.0, 0.0]), "evidence").dtype
        (tensor([6., 0.]), torch.float64)
    """
    if isinstance(values, Tensor):
        return values
    try:
        array = np.asarray(values)
    except (ValueError, TypeError):
        array = np.asarray(None)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        given = array.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise TypeError(f"{name} is {given}: give a tensor, an array or lists of numbers")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
    plain = not isinstance(values, (np.ndarray, np.generic)) and array.dtype.kind in "iuf"
    return tensor.to(torch.get_default_dtype()) if plain else tensor


def check_views(views: Views, name: str) -> Tensor:
    """Return the views as one floating-point tensor `(V, ..., K)`.

    Args:
        views: `(V, ..., K)`, or a sequence of V tensors `(..., K)`; arrays and lists as well.
        name: What the caller calls them, for the messages.

    Raises:
        TypeError: If they are not floating point.
        ValueError: If there is no view, fewer than two classes, or views do not fit together.
    """
    if not isinstance(views, Tensor):
        views = as_tensor(views, name) if isinstance(views, np.ndarray) else _stack(views, name)
    if not views.is_floating_point():
        raise TypeError(f"{name} is {views.dtype}: give a floating-point tensor (V, ..., K)")
    shape = views.shape
    if len(shape) < 2 or shape[0] < 1 or shape[-1] < 2:
        raise ValueError(
            f"{name} has shape {tuple(shape)}: expected (V, ..., K) with at least one view and "
            "two classes"
        )
    return views


def check_mask(mask: Values, views: Tensor) -> Tensor:
    """Return the mask as a bool tensor `(V, B)`.

    Raises:
        TypeError: If it is not of bools.
        ValueError: If its shape or device does not fit the views.
    """
    if not isinstance(mask, Tensor):
        mask = as_tensor(mask, "mask").to(views.device)
    if mask.dtype != torch.bool:
        raise TypeError(
            f"mask is {mask.dtype}: give a torch.bool tensor (or bools), True where a view is present"
        )
    return _per_view(mask, views, "mask")


def check_discount(discount: Values, views: Tensor) -> Tensor:
    """Return reliabilities as a floating-point tensor `(V, B)`.

    Raises:
        TypeError: If a tensor is not floating point.
        ValueError: If a number lies outside [0, 1], or shape or device does not fit the views.
    """
    if not isinstance(discount, Tensor):
        weights = as_tensor(discount, "discount")
        if not bool(((weights >= 0) & (weights <= 1)).all()):
            raise ValueError(f"discount is {weights.tolist()}: reliabilities lie in [0, 1]")
        discount = weights.to(views)
    elif not discount.is_floating_point():
        raise TypeError(f"discount is {discount.dtype}: give floating-point reliabilities")
    return _per_view(discount, views, "discount")


def _stack(given: Views, name: str) -> Tensor:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise TypeError(
            f"{name} is {type(given).__name__}: give a tensor (V, ..., K), or one (..., K) for each view"
        )
    if not given:
        raise ValueError(f"{name} is an empty sequence: give at least one view (..., K)")
    views = [as_tensor(view, f"a view of {name}") for view in given]
    first = views[0]
    for index, view in enumerate(views):
        form = (tuple(view.shape), view.dtype, view.device)
        expected = (tuple(first.shape), first.dtype, first.device)
        if form != expected:
            raise ValueError(
                f"view {index} has (shape, dtype, device) {form} but view 0 has {expected}: "
                "all views need the same"
            )
    return torch.stack(views)


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
