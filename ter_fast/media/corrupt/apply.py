"""The one function that applies any corruption to a clip."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from ter_fast.errors import DataError
from ter_fast.media.corrupt.suite import CORRUPTIONS

if TYPE_CHECKING:
    from torch import Tensor

    from ter_fast.media.clip import Clip
    from ter_fast.media.corrupt.video import Box
    from ter_fast.media.faces.cropper import FaceCropper


def corrupt(
    clip: Clip,
    name: str,
    severity: int,
    *,
    seed: int = 0,
    others: Sequence[Tensor] = (),
    cropper: FaceCropper | None = None,
    key: str | None = None,
) -> Clip:
    """Corrupt a clip: the same bits for the same seed, clip and severity, in any order or process.

    What is random does not depend on the severity: packets lost at one severity are lost at the
    next, so that severities differ in nothing but how severe they are. The given clip stays as it
    is; a corruption of what a clip lacks changes nothing.

    Args:
        clip: Pictures, sound or both.
        name: One of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: Another seed, other noise.
        others: The sound of other clips, (samples,) each, for corruptions that are made of it.
        cropper: Finds the face that "occlusion" hides; without one, or where it finds none, the
            whole picture is taken for the face.
        key: What tells clips apart, so that each has its own noise; by default the last two
            parts of the clip's path. The clip's start counts as well.

    Raises:
        DataError: An unknown name or severity, or `others` is empty where it is needed.

    Example:
        >>> import torch
        >>> from ter_fast import Clip
        >>> clip = Clip.from_arrays(audio=torch.sin(torch.arange(16_000) / 8) / 2)
        >>> noisy = corrupt(clip, "white_noise", 3)
        >>> noise = noisy.audio - clip.audio
        >>> round(float(10 * torch.log10(clip.audio.var() / noise.var())), 1)
        8.0
        >>> torch.equal(noisy.audio, corrupt(clip, "white_noise", 3).audio)
        True
    """
    import torch

    if name not in CORRUPTIONS:
        raise DataError(f"{name!r} is no corruption; expected one of {', '.join(CORRUPTIONS)}")
    corruption = CORRUPTIONS[name]
    level = corruption.level(severity)
    part = "" if corruption.whole_file else f"{clip.start:.6f}"
    draw = _generator(seed, name, clip_key(clip.path) if key is None else key, part)
    if not corruption.cross and not _holds(clip, corruption.modality):
        return clip
    given: dict[str, Any] = {}
    if corruption.takes("others"):
        given["others"] = [other.detach().cpu().numpy() for other in others]
    if corruption.takes("boxes") and cropper is not None and clip.frames is not None:
        given["boxes"] = _faces(clip.frames, cropper)
    if corruption.on_clip:
        changed: Clip = corruption.change(clip, level, draw, **given)
        return changed
    values = clip.audio if corruption.modality == "audio" else clip.frames
    assert values is not None
    made = torch.from_numpy(corruption.change(values.cpu().numpy(), level, draw, **given))
    return (
        replace(clip, audio=made) if corruption.modality == "audio" else replace(clip, frames=made)
    )


def clip_key(path: str | None) -> str:
    """Return what tells a clip apart wherever its folder lies: the last two parts of its path.

    Example:
        >>> clip_key("/data/ravdess/Actor_01/03-01.wav")
        'Actor_01/03-01.wav'
    """
    return "/".join(PurePath(path or "").parts[-2:])


def _holds(clip: Clip, modality: str) -> bool:
    if modality == "audio":
        return clip.audio is not None and len(clip.audio) > 0
    return clip.frames is not None and clip.times is not None


def _faces(frames: Tensor, cropper: FaceCropper) -> list[Box | None]:
    faces = cropper.largest(frames)
    return [None if f is None else (f.x, f.y, f.width, f.height) for f in faces]


def _generator(*parts: object) -> np.random.Generator:
    """Return a generator that depends on these parts and nothing else: no order, no process."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogateescape")).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype="<u4"))
