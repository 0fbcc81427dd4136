"""What happens between sound and pictures: out of step, of different clips, or one of them gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ter_fast.errors import DataError
from ter_fast.media.corrupt.audio import SHARES, Sound, stretch
from ter_fast.media.corrupt.suite import register_corruption
from ter_fast.media.resampling import SAMPLE_RATE

if TYPE_CHECKING:
    from ter_fast.media.clip import Clip


@register_corruption(
    "shifted_sound",
    modality="audio",
    title="Sound out of step",
    measure="shift, s",
    levels=(0.1, 0.2, 0.5, 1.0, 2.0),
    description=(
        "early or late; what falls off one end comes in at the other; at most half the window"
    ),
    cross=True,
)
def shifted_sound(clip: Clip, seconds: float, draw: np.random.Generator) -> Clip:
    """Shift the sound against the pictures, early or late.

    What falls off one end comes in at the other: a gap of silence would be one more corruption.
    """
    early = draw.random() < 0.5
    if clip.audio is None:
        return clip
    # On a circle nothing is further out of step than by half of it.
    offset = min(round(seconds * SAMPLE_RATE), len(clip.audio) // 2)
    return replace(clip, audio=clip.audio.roll(-offset if early else offset))


@register_corruption(
    "other_sound",
    modality="audio",
    title="Sound of another clip",
    measure="share of the sound",
    levels=SHARES,
    description="in one stretch; of a clip of another class where there is one",
    cross=True,
    another_class=True,
)
def other_sound(
    clip: Clip, share: float, draw: np.random.Generator, others: Sequence[Sound]
) -> Clip:
    """Replace one stretch that is this share of the sound by that of another clip, equally loud.

    Raises:
        DataError: No other clip has sound.
    """
    import torch

    heard = [each for each in others if each.size and np.any(each)]
    if not heard:
        raise DataError(
            "other_sound takes the sound of another clip and none was given; give others=[…]"
        )
    other = heard[int(draw.integers(len(heard)))]
    if clip.audio is None or not len(clip.audio):
        return clip
    sound = clip.audio.numpy().copy()
    begin, end = stretch(sound.size, share, draw)
    level = np.sqrt(np.mean(np.square(sound, dtype=np.float64)))
    foreign = np.resize(other, sound.size)
    if not np.any(foreign):
        # A longer clip may begin with as much silence, which has no loudness to match.
        foreign = np.resize(np.trim_zeros(other, "f"), sound.size)
    foreign = foreign * (level / np.sqrt(np.mean(np.square(foreign, dtype=np.float64))))
    sound[begin:end] = np.clip(foreign[begin:end], -1, 1)
    return replace(clip, audio=torch.from_numpy(sound))


@register_corruption(
    "missing_audio",
    modality="audio",
    title="No sound",
    measure="share of clips without",
    levels=SHARES,
    cross=True,
    whole_file=True,
)
def missing_audio(clip: Clip, share: float, draw: np.random.Generator) -> Clip:
    """Take the sound away from this share of the clips."""
    return replace(clip, audio=None) if draw.random() < share else clip


@register_corruption(
    "missing_video",
    modality="video",
    title="No pictures",
    measure="share of clips without",
    levels=SHARES,
    cross=True,
    whole_file=True,
)
def missing_video(clip: Clip, share: float, draw: np.random.Generator) -> Clip:
    """Take the pictures away from this share of the clips."""
    return replace(clip, frames=None, times=None) if draw.random() < share else clip
