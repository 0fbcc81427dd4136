"""Array-likes in, NumPy arrays out: what the metrics accept, checked in one place."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ter_fast.errors import DataError

Vector = ArrayLike | torch.Tensor


def as_array(name: str, value: Vector) -> NDArray[Any]:
    """Return an array of booleans or numbers from anything array-like, tensors included.

    Raises:
        DataError: The value is no array of numbers; the message names it.
    """
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        # NumPy has no bfloat16.
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        # np.asarray would bring back what the mask hides.
        if value.dtype.kind != "f":
            raise DataError(
                f"{name} has masked values of dtype {value.dtype}, which has none for 'missing'; leave "
                "these samples out (value.compressed())"
            )
        value = value.filled(np.nan)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{name} is no array of numbers: {error}") from error
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > np.dtype(np.float64).itemsize:
        raise DataError(
            f"{name} has dtype {array.dtype}; give booleans, integers, or floats of up to 64 bits"
        )
    return array


def as_vector(name: str, value: Vector) -> NDArray[Any]:
    """Return a one-dimensional array of booleans or numbers, as `as_array` reads it.

    Raises:
        DataError: The value is no vector of numbers; the message names it.
    """
    array = as_array(name, value)
    if array.ndim != 1:
        raise DataError(f"{name} has shape {array.shape}; give one dimension, (N,)")
    return array
