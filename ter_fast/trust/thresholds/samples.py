"""Confidences, correct flags and groups as the sweeps take them, checked in one place."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ter_fast.errors import DataError
from ter_fast.trust._arrays import Vector, as_vector

Scores = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]
Names = NDArray[Any]
Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


def check_pair(confidence: Vector, correct: Vector) -> tuple[Scores, Flags]:
    """Return confidences (N,), float32 or float64 in native order, and correct flags (N,).

    Raises:
        DataError: The lengths differ, an argument is not a vector of numbers, a confidence is
            infinite, or `correct` holds anything but 0 and 1.
    """
    scores, right = confidences(confidence), flags(correct)
    if scores.size != right.size:
        raise DataError(
            f"{scores.size} confidences but {right.size} correct flags; give one for each sample"
        )
    return scores, right


def confidences(value: Vector) -> Scores:
    """Return finite or NaN confidences (N,): float16 widens to float32, integers to float64.

    Raises:
        DataError: The argument is not a vector of numbers, or holds infinity.
    """
    array = as_vector("confidence", value)
    wide = np.float32 if array.dtype.kind == "f" and array.dtype.itemsize <= 4 else np.float64
    # In native byte order, with nothing between the elements, so that bits can be read off.
    scores: Scores = np.ascontiguousarray(array, dtype=wide)
    lowest, highest = np.fmin.reduce(scores, initial=0), np.fmax.reduce(scores, initial=0)
    if np.isinf(lowest) or np.isinf(highest):
        raise DataError(
            "an infinite confidence says that something overflowed before it got here; "
            "mark such samples NaN, which is never trusted"
        )
    return scores


def flags(value: Vector) -> Flags:
    """Return correct flags (N,) from booleans, or numbers 0 and 1.

    Raises:
        DataError: The argument is not a vector of numbers, or holds anything but 0 and 1.
    """
    array = as_vector("correct", value)
    if array.dtype.kind == "b":
        return np.ascontiguousarray(array)
    right = array.astype(np.bool_)
    if not np.array_equal(right, array):
        stray = array[right != array][0]
        raise DataError(f"correct holds {stray}; give booleans, or 0 and 1")
    return right


def at_least(threshold: float | Floats, dtype: np.dtype[Any]) -> Scores:
    """Return the smallest numbers of a floating dtype that are at least these."""
    with np.errstate(over="ignore"):
        least: Scores = np.asarray(threshold, np.float64).astype(dtype)
    return np.where(
        least.astype(np.float64) < threshold, np.nextafter(least, dtype.type(np.inf)), least
    )


def fraction(name: str, value: float) -> float:
    """Return a share of something.

    Raises:
        DataError: It is outside [0, 1]; the message names it.
    """
    if not 0 <= value <= 1:
        raise DataError(f"{name} is {value}; give a fraction in [0, 1]")
    return value


def encode_groups(groups: ArrayLike | torch.Tensor) -> tuple[Names, Codes]:
    """Return the distinct groups (G,) in ascending order, and each sample's place there (N,).

    Raises:
        DataError: The groups are no vector of names or integers, or some are missing.
    """
    array = groups.cpu().numpy() if isinstance(groups, torch.Tensor) else np.asarray(groups)
    if isinstance(groups, list | tuple) and array.dtype.kind == "U":
        # NumPy has just turned what may have been None or NaN into a name.
        array = np.array(groups, dtype=object)
    if array.ndim != 1:
        raise DataError(f"groups has shape {array.shape}; give one dimension, (N,)")
    if array.dtype.kind == "O":
        kinds = {type(group) for group in array}
        if not (kinds <= {str, np.str_} or all(issubclass(kind, int) for kind in kinds)):
            named = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise DataError(
                f"groups holds {named}; give names or integers alone, and name what is missing, "
                'as in "unknown"'
            )
        array = np.array(array.tolist() or np.empty(0, np.int64))
    if array.dtype.kind == "U":
        return _encode_names(array)
    if array.size == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if array.dtype.kind in "biu":
        return _encode_integers(array)
    raise DataError(f"groups has dtype {array.dtype}; give names or integers")


def _encode_names(array: NDArray[np.str_]) -> tuple[Names, Codes]:
    # Hashing names takes a fraction of the time that `np.unique` needs to sort them.
    values = array.tolist()
    names = sorted(set(values))
    place = {name: i for i, name in enumerate(names)}
    codes = np.fromiter(map(place.__getitem__, values), np.int64, count=len(values))
    return np.array(names, dtype=array.dtype), codes


def _encode_integers(array: NDArray[Any]) -> tuple[Names, Codes]:
    low, high = int(array.min()), int(array.max())
    spread = high - low + 1
    if spread > 4 * array.size + 1024 or high > np.iinfo(np.int64).max:
        names, codes = np.unique(array, return_inverse=True)
        return names, codes.astype(np.int64, copy=False)
    codes = array.astype(np.int64)
    codes -= low
    seen = np.zeros(spread, np.bool_)
    seen[codes] = True
    names = np.flatnonzero(seen)
    if names.size < spread:
        codes = (np.cumsum(seen) - 1)[codes]
    return (names + low).astype(array.dtype), codes
