"""Corruptions of bare tensors: sound or pictures that belong to no file."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ter_fast.errors import DataError
from ter_fast.media.clip import Clip
from ter_fast.media.corrupt.apply import corrupt
from ter_fast.media.corrupt.suite import CORRUPTIONS
from ter_fast.media.faces.cropper import FaceCropper


def corrupt_audio(
    audio: Tensor,
    name: str,
    severity: int,
    *,
    seed: int = 0,
    others: Sequence[Tensor] = (),
    key: str = "",
) -> Tensor:
    """Corrupt (samples,) float32 sound at 16 kHz, as `corrupt` does a clip's.

    Args:
        audio: The sound; it stays as it is.
        name: A corruption of kind "audio".
        severity: 1 to 5.
        seed: Another seed, other noise.
        others: The sound of other clips, for corruptions that are made of it.
        key: What tells this sound from others, so that each has its own noise.

    Raises:
        DataError: Another name or severity, or `others` is empty where it is needed.
        MediaError: Another shape or type.

    Example:
        >>> import torch
        >>> corrupt_audio(torch.ones(32_000) / 2, "silence", 2).count_nonzero().item()
        19200
    """
    _require(name, "audio")
    clip = Clip(None, None, None, audio, 0.0, len(audio) / 16_000)
    found = corrupt(clip, name, severity, seed=seed, others=others, key=key).audio
    assert found is not None
    return found


def corrupt_frames(
    frames: Tensor,
    name: str,
    severity: int,
    *,
    seed: int = 0,
    cropper: FaceCropper | None = None,
    key: str = "",
) -> Tensor:
    """Corrupt (T, H, W, 3) uint8 pictures, as `corrupt` does a clip's.

    Args:
        frames: The pictures; they stay as they are.
        name: A corruption of kind "video".
        severity: 1 to 5.
        seed: Another seed, other noise.
        cropper: Finds faces, for corruptions of them.
        key: What tells these pictures from others, so that each clip has its own noise.

    Returns:
        The pictures, (T, H, W, 3) uint8; fewer of them where frames are dropped.

    Raises:
        DataError: Another name or severity.
        MediaError: Another shape or type.

    Example:
        >>> import torch
        >>> len(corrupt_frames(torch.zeros(20, 8, 8, 3).byte(), "dropped_frames", 3))
        8
    """
    _require(name, "video")
    clip = Clip.from_arrays(frames)
    found = corrupt(clip, name, severity, seed=seed, cropper=cropper, key=key).frames
    assert found is not None
    return found


def _require(name: str, kind: str) -> None:
    names = [each.name for each in CORRUPTIONS.values() if each.kind == kind]
    if name not in names:
        raise DataError(f"{name!r} is no corruption of {kind}; expected one of {', '.join(names)}")
