"""What decoding yields: `Clip`, a stretch of pictures and sound, and `MediaInfo`, a file's facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar

import numpy.typing as npt
import torch
from torch import Tensor

from ter_fast.errors import MediaError
from ter_fast.media.arrays import audio_from, check_rates, frames_from, split_rate, times_from
from ter_fast.media.resampling import SAMPLE_RATE

_SILENCE_BLOCK = SAMPLE_RATE // 20


@dataclass(frozen=True)
class MediaInfo:
    """Describe a media file without decoding it.

    Times are in seconds. `start` is the file's own timestamp of its earliest picture or sound;
    every other time in this package counts from there. `width` and `height` are those of the
    upright picture, and `rotation` (degrees counter-clockwise: 0, 90, 180 or 270) is what sets
    the stored one upright. `cut_short` says that the file lacks the end that its index lists;
    `duration` is then that of what is there.
    """

    path: str
    duration: float
    start: float
    has_video: bool
    has_audio: bool
    is_image: bool = False
    cut_short: bool = False
    frame_rate: float | None = None
    width: int | None = None
    height: int | None = None
    rotation: int = 0
    video_codec: str | None = None
    audio_codec: str | None = None
    audio_rate: int | None = None


@dataclass(frozen=True, eq=False)
class Clip:
    """Hold the pictures and the sound of one stretch of time; either may be missing.

    Attributes:
        path: The file it came from, if any.
        frames: Upright RGB pictures, (T, H, W, 3) uint8.
        times: When each picture is first shown, (T,) float64 seconds from the file's beginning.
        audio: (samples,) float32 in [-1, 1], mono at 16 kHz, from `start` to `end`.
        start: Seconds from the file's beginning.
        end: Seconds from the file's beginning.
        note: What a reader should know of the file, such as that it is cut short; "" for nothing.

    Raises:
        MediaError: A tensor has another shape or type than stated, or `end` lies before `start`.

    Example:
        >>> import torch
        >>> clip = Clip(None, None, None, torch.zeros(16_000), 0.0, 1.0)
        >>> clip.duration, clip.is_silent()
        (1.0, True)
    """

    path: str | None
    frames: Tensor | None
    times: Tensor | None
    audio: Tensor | None
    start: float
    end: float
    note: str = ""
    _read: ClassVar[Callable[..., Clip] | None] = None

    def __post_init__(self) -> None:
        """Refuse tensors that no later stage could read."""
        if not 0.0 <= self.end - self.start < float("inf"):
            raise MediaError(
                f"A clip from {self.start} to {self.end} s is not a stretch of time; "
                "give finite seconds with end >= start."
            )
        if self.frames is not None:
            _check_frames(self.frames, self.times)
        elif self.times is not None:
            raise MediaError("A clip has frame times but no frames; give both or neither.")
        if self.audio is not None and (self.audio.ndim != 1 or self.audio.dtype != torch.float32):
            raise MediaError(
                f"Audio is {_shape(self.audio)}, expected (samples,) float32; "
                "Clip.from_arrays converts other layouts."
            )

    @property
    def duration(self) -> float:
        """Return `end - start` in seconds.

        Example:
            >>> Clip(None, None, None, None, 2.0, 5.0).duration
            3.0
        """
        return self.end - self.start

    def is_silent(self, threshold_db: float = -60.0) -> bool:
        """Say whether no 50 ms of the sound reach `threshold_db`.

        The level of a block is `20 log10(rms)` in dB below full scale, its mean taken off first so
        that a constant offset of the recorder does not pass for sound. No audio is silent.

        Args:
            threshold_db: Level in dB relative to full scale, 0 being the loudest.

        Example:
            >>> import torch
            >>> tone = 0.1 * torch.sin(torch.arange(16_000) * 0.3)
            >>> Clip(None, None, None, tone, 0.0, 1.0).is_silent()
            False
        """
        if self.audio is None or self.audio.numel() == 0:
            return True
        block = min(_SILENCE_BLOCK, self.audio.numel())
        blocks = self.audio[: self.audio.numel() // block * block].view(-1, block)
        loudest = float(blocks.std(dim=1, correction=0).max())
        return not loudest >= 10.0 ** (threshold_db / 20.0)

    @classmethod
    def from_file(cls, path: str | Path, **options: Any) -> Clip:
        """Read a clip from a media file; `options` are those of `ter_fast.media.decode.read`.

        Args:
            path: Any file that FFmpeg reads: video, sound or picture.
            **options: `start`, `end`, `frames`, `times`, `audio`, `video`, `max_side`.

        Raises:
            MediaError: The file cannot be read; the message names it and says why.

        Example:
            >>> Clip.from_file("nowhere.mp4")
            Traceback (most recent call last):
            ter_fast.errors.MediaError: nowhere.mp4 does not exist; check the path.
        """
        if cls._read is None:
            # The decoder is built on this class, which it gives its reader as it loads.
            import_module("ter_fast.media.decode")
        assert cls._read is not None
        return cls._read(path, **options)

    @classmethod
    def from_arrays(
        cls,
        frames: Any = None,
        audio: Any = None,
        *,
        times: npt.ArrayLike | Tensor | None = None,
        frame_rate: float = 25.0,
        sample_rate: float = SAMPLE_RATE,
        start: float = 0.0,
        path: str | None = None,
    ) -> Clip:
        """Build a clip from arrays, tensors or Pillow's pictures that are already in memory.

        Args:
            frames: (T, H, W, 3) RGB, or (H, W, 3) for one picture; uint8, or float in [0, 1]. One
                channel is grey, as (H, W) is, and a fourth (alpha) is left out. Also a picture of Pillow's, or
                a list of pictures of one size. OpenCV's are BGR, which nothing tells from RGB: give
                `picture[..., ::-1]`.
            audio: (samples,), (channels, samples) or (samples, channels), of which the longer axis is that of
                the samples; float in [-1, 1], or int16, int32, int8 or uint8 at their full scale. Or sound
                and rate together, in either order. Channels are averaged; if that cancels them, the first
                stands for all. Float sound up to eight times too loud is divided by its peak, which `note` says.
            times: (T,) seconds that do not fall; without it, picture i stands at `start + i / frame_rate`.
            frame_rate: Pictures per second where `times` is not given.
            sample_rate: Rate of `audio` in Hz where that comes without; another than 16 kHz is converted.
            start: Seconds at which the clip begins.
            path: A name to show in results.

        Raises:
            MediaError: Neither is given, a shape or type is another, pictures are of unequal size, times fall, or
                a value is NaN, infinite or out of range.

        Example:
            >>> import numpy as np
            >>> clip = Clip.from_arrays(np.zeros((50, 8, 8, 3), np.uint8), np.zeros(32_000))
            >>> clip.frames.shape, clip.duration
            (torch.Size([50, 8, 8, 3]), 2.0)
            >>> Clip.from_arrays(audio=(np.zeros((8000, 2), np.int16), 8000)).duration
            1.0
        """
        if frames is None and audio is None:
            raise MediaError("A clip needs frames, audio or both; neither was given.")
        if (together := split_rate(audio)) is not None:
            audio, sample_rate = together
        check_rates(frame_rate, sample_rate)
        end, note = start, ""
        pictures = instants = sound = None
        if frames is not None:
            pictures = frames_from(frames)
            count = pictures.shape[0]
            instants = (
                start + torch.arange(count, dtype=torch.float64, device="cpu") / frame_rate
                if times is None
                else times_from(times, count)
            )
            end = max(end, float(instants[-1]) + 1.0 / frame_rate)
        elif times is not None:
            raise MediaError("A clip has frame times but no frames; give both or neither.")
        if audio is not None:
            sound, note = audio_from(audio, sample_rate)
            end = max(end, start + sound.numel() / SAMPLE_RATE)
        return cls(path, pictures, instants, sound, start, end, note)


def join_sound(pictures: Iterable[Clip], sounds: Iterable[Clip]) -> Iterator[Clip]:
    """Put the windows of a film and of its sound, each from its own file, together in order.

    A window has the film's times, and the notes of both. Where one is longer, its last windows stand
    alone; those of the sound go on where the film's would have.

    Args:
        pictures: The film's windows.
        sounds: The sound's, from the same moment on.

    Example:
        >>> film = Clip("a.mp4", None, None, None, 8.0, 9.0, note="cut short")
        >>> sound = Clip("a.wav", None, None, torch.zeros(16_000), 0.0, 1.0, note="damaged")
        >>> both = next(join_sound([film], [sound]))
        >>> both.start, len(both.audio), both.note
        (8.0, 16000, 'cut short; the sound: damaged')
    """
    ahead = 0.0
    for picture, sound in zip_longest(pictures, sounds):
        if sound is None:
            yield picture
        elif picture is None:
            yield replace(sound, start=sound.start + ahead, end=sound.end + ahead)
        else:
            ahead = picture.start - sound.start
            note = f"the sound: {sound.note}" if sound.note else ""
            both = "; ".join(filter(None, (picture.note, note)))
            yield replace(picture, audio=sound.audio, note=both)


def _shape(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _check_frames(frames: Tensor, times: Tensor | None) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != torch.uint8:
        raise MediaError(
            f"Frames are {_shape(frames)}, expected (T, H, W, 3) uint8 RGB; "
            "Clip.from_arrays converts other types."
        )
    if frames.numel() == 0:
        raise MediaError(f"Frames are {_shape(frames)}: no picture; pass None where there is none.")
    if times is None or times.shape != frames.shape[:1] or times.dtype != torch.float64:
        given = "missing" if times is None else _shape(times)
        raise MediaError(
            f"Frame times are {given}, expected ({frames.shape[0]},) float64 seconds, "
            "one for each frame."
        )
