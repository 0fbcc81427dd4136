"""What else stands for a clip or a batch: pictures of Pillow, arrays, sound with its rate, paths of bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ter_fast.data.modalities import MEDIA
from ter_fast.errors import MediaError
from ter_fast.media.arrays import is_picture, split_rate
from ter_fast.media.clip import Clip
from ter_fast.opinions._views import as_tensor


def in_memory(source: Any) -> Any:
    """Return what a source stands for: a clip, tensors by modality, a path as text; anything else as it is.

    Args:
        source: What `Model.predict` takes.

    Raises:
        MediaError: Pictures or sound of another form than `Clip.from_arrays` takes, or sound without its rate.
        TypeError: Nothing that could be predicted.

    Example:
        >>> in_memory((16_000, np.zeros(8000, np.int16))).duration
        0.5
    """
    if isinstance(source, (str, Clip)):
        return source
    if isinstance(source, (bytes, os.PathLike)):
        return os.fsdecode(source)
    if (together := split_rate(source)) is not None:
        sound, rate = together
        return Clip.from_arrays(audio=sound, sample_rate=rate)
    if isinstance(source, Mapping):
        return _tensors(source)
    if is_picture(source):
        return Clip.from_arrays(source)
    if isinstance(source, (np.ndarray, Tensor)):
        return _pictures(source)
    if not isinstance(source, Iterable):
        raise TypeError(
            f"the source is {type(source).__name__}; give a file, a folder, a Clip, a picture, "
            "(sound, sample rate), or a list of these"
        )
    return source


def _pictures(array: Any) -> Clip:
    if array.ndim < 2 or (array.ndim == 2 and array.dtype not in (np.uint8, torch.uint8)):
        raise MediaError(
            f"An array of shape {tuple(array.shape)} and type {array.dtype} is no picture, and as sound it lacks "
            "its rate; give (array, sample_rate)."
        )
    return Clip.from_arrays(array)


def _tensors(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make tensors of arrays by modality; what lies beside a clip is left to its reader."""
    batch = all(isinstance(value, (np.ndarray, Tensor)) for value in source.values())
    if not batch or not any(name in MEDIA for name in source):
        return source
    return {name: as_tensor(value, name) for name, value in source.items()}
