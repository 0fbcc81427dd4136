"""The table of corruptions, and the one function that applies any of them to a clip."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ter_fast.errors import DataError
from ter_fast.media.clip import Clip
from ter_fast.media.corrupt import audio, cross, video

if TYPE_CHECKING:
    from ter_fast.media.faces.cropper import FaceCropper

SEVERITIES = (1, 2, 3, 4, 5)
"""The severities of every corruption, the last the worst."""

Level = float | tuple[float, ...]


@dataclass(frozen=True)
class Corruption:
    """Describe one corruption: what it changes, and how much of it each severity is.

    Attributes:
        name: as it is asked for.
        kind: "audio", "video" or "cross".
        title: in words.
        measure: what the levels are, with their unit.
        levels: (5,) levels, of severity 1 to 5.
        change: the function that makes it.
        whole_file: decided once for a file, so that all of its windows fare alike.
    """

    name: str
    kind: str
    title: str
    measure: str
    levels: tuple[Level, Level, Level, Level, Level]
    change: Callable[..., Any]
    whole_file: bool = False

    @property
    def touches(self) -> str:
        """Return the modality that it changes: "audio" or "video"; the other one stays as it is."""
        return "video" if self.kind == "video" or self.name == "missing_video" else "audio"

    def level(self, severity: int) -> Level:
        """Return the level of a severity.

        Raises:
            DataError: The severity is none of 1 to 5.

        Example:
            >>> CORRUPTIONS["white_noise"].level(5)
            -5.0
        """
        if severity not in SEVERITIES:
            raise DataError(f"severity {severity!r} of {self.name}; expected 1, 2, 3, 4 or 5")
        return self.levels[severity - 1]


_SNR = (20.0, 14.0, 8.0, 2.0, -5.0)
_SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
_SNR_WORDS = "signal-to-noise ratio, dB"

_ALL = (
    Corruption("white_noise", "audio", "White noise", _SNR_WORDS, _SNR, audio.white_noise),
    Corruption("babble", "audio", "Babble of other clips", _SNR_WORDS, _SNR, audio.babble),
    Corruption(
        "reverberation", "audio", "Reverberation", "decay by 60 dB, s; direct to reverberant, dB",
        ((0.2, 10.0), (0.4, 5.0), (0.8, 0.0), (1.5, -5.0), (3.0, -10.0)), audio.reverberation,
    ),
    Corruption(
        "clipping", "audio", "Clipping", "share of samples cut off", (0.01, 0.05, 0.15, 0.3, 0.5),
        audio.clipping,
    ),
    Corruption(
        "low_pass", "audio", "Low-pass", "cut-off, Hz", (4000.0, 3000.0, 2000.0, 1000.0, 500.0),
        audio.low_pass,
    ),
    Corruption(
        "packet_loss", "audio", "Packet loss", "share of 20 ms packets lost",
        (0.05, 0.1, 0.2, 0.4, 0.6), audio.packet_loss,
    ),
    Corruption("silence", "audio", "Silence", "share of the sound", _SHARES, audio.silence),
    Corruption(
        "gaussian_noise", "video", "Gaussian noise", "standard deviation, of full scale 1",
        (0.08, 0.12, 0.18, 0.26, 0.38), video.gaussian_noise,
    ),
    Corruption(
        "blur", "video", "Blur", "standard deviation, of the shorter side",
        (0.005, 0.01, 0.02, 0.04, 0.08), video.blur,
    ),
    Corruption(
        "low_light", "video", "Low light", "share of the light", (0.5, 0.25, 0.12, 0.06, 0.03),
        video.low_light,
    ),
    Corruption(
        "jpeg", "video", "JPEG", "quality, of 100", (50.0, 25.0, 15.0, 10.0, 5.0), video.jpeg
    ),
    Corruption(
        "occlusion", "video", "Hidden face", "share of the face's area",
        (0.1, 0.25, 0.5, 0.75, 1.0), video.occlusion,
    ),
    Corruption("frozen_frames", "video", "Frozen frames", "share of frames", _SHARES, video.frozen),
    Corruption(
        "dropped_frames", "video", "Dropped frames", "share of frames", (0.2, 0.4, 0.6, 0.8, 0.95),
        video.kept_frames,
    ),
    Corruption(
        "low_resolution", "video", "Low resolution", "shorter side, pixels",
        (96.0, 64.0, 48.0, 32.0, 16.0), video.low_resolution,
    ),
    Corruption(
        "shifted_sound", "cross", "Sound out of step", "shift, s", (0.1, 0.2, 0.5, 1.0, 2.0),
        cross.shifted_sound,
    ),
    Corruption(
        "other_sound", "cross", "Sound of another clip", "share of the sound", _SHARES,
        cross.other_sound,
    ),
    Corruption(
        "missing_audio", "cross", "No sound", "share of clips without", _SHARES,
        cross.missing_audio, whole_file=True,
    ),
    Corruption(
        "missing_video", "cross", "No pictures", "share of clips without", _SHARES,
        cross.missing_video, whole_file=True,
    ),
)  # fmt: skip

CORRUPTIONS: Mapping[str, Corruption] = {each.name: each for each in _ALL}
"""Every corruption by name."""


def suite(modalities: Sequence[str] = ("audio", "video")) -> tuple[str, ...]:
    """Return the names of the corruptions that touch these modalities, in the table's order.

    Those between sound and pictures need both.

    Example:
        >>> suite(["audio"])[:3], len(suite())
        (('white_noise', 'babble', 'reverberation'), 19)
    """
    both = {"audio", "video"} <= set(modalities)
    return tuple(
        each.name for each in _ALL if (both if each.kind == "cross" else each.kind in modalities)
    )


def chosen(text: str, modalities: Sequence[str] = ("audio", "video")) -> tuple[str, ...]:
    """Return the corruptions that a text names: "suite", or names with commas between.

    Raises:
        DataError: A name is no corruption, or is none of these modalities.

    Example:
        >>> chosen("babble, jpeg")
        ('babble', 'jpeg')
    """
    possible = suite(modalities)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if names == ("suite",):
        return possible
    if not names or (unknown := [name for name in names if name not in possible]):
        given = ", ".join(unknown) if names else "nothing"
        raise DataError(
            f"{given} is no corruption of {' and '.join(modalities)}; give suite, or some of "
            f"{', '.join(possible)}"
        )
    return names


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
        clip: pictures, sound or both.
        name: one of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: another seed, other noise.
        others: the sound of other clips, (samples,) each, for "babble" and "other_sound".
        cropper: finds the face that "occlusion" hides; without one, or where it finds none, the
            whole picture is taken for the face.
        key: what tells clips apart, so that each has noise of its own; by default the last two
            parts of the clip's path. The clip's start counts as well.

    Raises:
        DataError: an unknown name or severity, or `others` is empty where it is needed.

    Example:
        >>> clip = Clip.from_arrays(audio=torch.sin(torch.arange(16_000) / 8) / 2)
        >>> noisy = corrupt(clip, "white_noise", 3)
        >>> noise = noisy.audio - clip.audio
        >>> round(float(10 * torch.log10(clip.audio.var() / noise.var())), 1)
        8.0
        >>> torch.equal(noisy.audio, corrupt(clip, "white_noise", 3).audio)
        True
    """
    if name not in CORRUPTIONS:
        raise DataError(f"{name!r} is no corruption; expected one of {', '.join(CORRUPTIONS)}")
    corruption = CORRUPTIONS[name]
    level = corruption.level(severity)
    part = "" if corruption.whole_file else f"{clip.start:.6f}"
    draw = _generator(seed, name, clip_key(clip.path) if key is None else key, part)
    sounds = [each.detach().cpu().numpy() for each in others]
    if corruption.kind == "cross":
        found: Clip = corruption.change(clip, level, draw, sounds)
        return found
    if corruption.kind == "audio":
        if clip.audio is None or not len(clip.audio):
            return clip
        change = (
            partial(corruption.change, others=sounds) if name == "babble" else corruption.change
        )
        return replace(clip, audio=torch.from_numpy(change(clip.audio.numpy(), level, draw)))
    return _with_video(clip, corruption, level, draw, cropper)


def clip_key(path: str | None) -> str:
    """Return what tells a clip apart wherever its folder lies: the last two parts of its path.

    Example:
        >>> clip_key("/data/ravdess/Actor_01/03-01.wav")
        'Actor_01/03-01.wav'
    """
    return "/".join(PurePath(path or "").parts[-2:])


def _with_video(
    clip: Clip,
    corruption: Corruption,
    level: Level,
    draw: np.random.Generator,
    cropper: FaceCropper | None,
) -> Clip:
    if clip.frames is None or clip.times is None:
        return clip
    if corruption.name == "dropped_frames":
        kept = torch.from_numpy(corruption.change(len(clip.frames), level, draw))
        return replace(clip, frames=clip.frames[kept], times=clip.times[kept])
    pictures = clip.frames.numpy()
    if corruption.name == "occlusion" and cropper is not None:
        faces = [cropper.largest(picture) for picture in pictures]
        boxes = [face and (face.x, face.y, face.width, face.height) for face in faces]
        changed = corruption.change(pictures, level, draw, boxes)
    else:
        changed = corruption.change(pictures, level, draw)
    return replace(clip, frames=torch.from_numpy(changed))


def _generator(*parts: object) -> np.random.Generator:
    """Return a generator that depends on these parts and nothing else: no order, no process."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogateescape")).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype="<u4"))
