"""Cuts a stream's windows out of the frames that come: sampled pictures, and the sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from ter_fast.media.clip import Clip
from ter_fast.media.decode.pyav_audio import mono
from ter_fast.media.levels import fit_full_scale
from ter_fast.media.resampling import SAMPLE_RATE, resample

_SLACK = 1.0
_GAP = 0.05
_Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WindowGrid:
    """Which windows are cut from a stream, and what of it is kept.

    Attributes:
        seconds: Length of a window.
        hop: Seconds from the start of a window to that of the next.
        frames: Pictures of a window.
        audio: Whether sound is wanted.
        video: Whether pictures are wanted.
        max_side: Longest side of a picture in pixels.
    """

    seconds: float
    hop: float
    frames: int
    audio: bool = True
    video: bool = True
    max_side: int = 1280


_Sampled = tuple[float, float, torch.Tensor]


@dataclass
class LiveBuffer:
    """Hold what windows still need: sampled pictures, and sound at its own rate.

    The picture of a sample, at the middle of each part of a window, is the one that is shown then,
    whenever it began; it is shown until the next one comes.

    Attributes:
        source: What windows are called.
        grid: Which windows.
        kinds: "audio", "video" or both: what the stream holds.

    Example:
        >>> buffer = LiveBuffer("camera", WindowGrid(4.0, 4.0, 16), {"video"})
        >>> list(buffer.ready()), list(buffer.rest())
        ([], [])
    """

    source: str
    grid: WindowGrid
    kinds: set[str]
    pictures: list[_Sampled] = field(default_factory=list)
    sounds: list[tuple[float, _Samples]] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)
    rate: int = 0
    window: int = 0
    sample: int = 0
    last: VideoFrame | None = None
    last_at: float = 0.0
    shown: torch.Tensor | None = None

    def add(self, frame: AudioFrame | VideoFrame, at: float) -> None:
        """Keep what is needed of a frame that begins at `at`."""
        if isinstance(frame, VideoFrame):
            self._sample(at)
            self.last, self.last_at, self.shown = frame, at, None
            self.seen["video"] = at
            return
        if frame.sample_rate != self.rate:
            # Another rate in the middle of a stream begins its sound again.
            self.rate, self.sounds = frame.sample_rate, []
        if frame.samples and not self._in_gap(at, at + frame.samples / frame.sample_rate):
            self.sounds.append((at, mono(frame)))
            self._forget()
        self.seen["audio"] = at + frame.samples / frame.sample_rate

    def _sample(self, until: float) -> None:
        """Keep the picture that was shown at each sampling instant before `until`."""
        step = self.grid.seconds / self.grid.frames
        while (instant := (self.sample + 0.5) * step) < until:
            self.sample += 1
            if self.last is None or instant < self.last_at or self._in_gap(instant, instant):
                continue
            if self.shown is None:
                self.shown = _picture(self.last, self.grid.max_side)
            self.pictures.append((instant, self.last_at, self.shown))

    def _forget(self) -> None:
        """Let the oldest sound go where timestamps stand still: no window would ever end."""
        most = (self.grid.seconds + self.grid.hop + 2 * _SLACK) * self.rate
        held = sum(len(block) for _, block in self.sounds)
        while held > most and len(self.sounds) > 1:
            held -= len(self.sounds.pop(0)[1])

    def _in_gap(self, start: float, end: float) -> bool:
        """Say whether a stretch lies between two windows, where no window needs it."""
        place = start % self.grid.hop
        return self.grid.seconds < place and place + end - start < self.grid.hop

    def ready(self) -> Iterator[Clip]:
        """Yield the windows that are over."""
        while self.seen:
            end = self.window * self.grid.hop + self.grid.seconds
            over = len(self.seen) == len(self.kinds) and min(self.seen.values()) >= end
            # A stream that fell silent may not hold the other up.
            if not over and max(self.seen.values()) < end + _SLACK:
                return
            yield self._cut(end)

    def rest(self) -> Iterator[Clip]:
        """Yield what is left when the stream ends; what is shorter than any window is one, too."""
        if not self.seen:
            return
        end = max(self.seen.values())
        if self.last is not None:
            length = float((self.last.duration or 0) * (self.last.time_base or 0))
            end = max(end, self.last_at + min(length, _SLACK))
        grid = self.grid
        step = grid.seconds / grid.frames
        self._sample(end + step)
        if not self.window and self.last is not None:
            # So that the first picture is in it.
            end = max(end, step)
        # As with files: a quarter of a hop beyond the last window's end is worth another one.
        least = grid.seconds - 0.75 * min(grid.hop, grid.seconds)
        while end - self.window * grid.hop >= (least if self.window else 0.0):
            yield self._cut(min(end, self.window * grid.hop + grid.seconds))

    def _cut(self, end: float) -> Clip:
        start = self.window * self.grid.hop
        # Each picture once, however many samples fall on it.
        began = {at: picture for instant, at, picture in self.pictures if start <= instant < end}
        inside = list(began.items())[-self.grid.frames :]
        shape = inside[-1][1].shape if inside else None
        sound, level = self._sound(start, end)
        inside = [each for each in inside if each[1].shape == shape]
        clip = Clip(
            self.source,
            torch.stack([picture for _, picture in inside]) if inside else None,
            torch.tensor([at for at, _ in inside], dtype=torch.float64) if inside else None,
            sound,
            start,
            end,
            f"the sound: {level}" if level else "",
        )
        self.window += 1
        begin = self.window * self.grid.hop
        self.pictures = [each for each in self.pictures if each[0] >= begin]
        self.sounds = [
            sound for sound in self.sounds if sound[0] + len(sound[1]) / self.rate > begin
        ]
        return clip

    def _sound(self, start: float, end: float) -> tuple[torch.Tensor | None, str]:
        if not self.sounds:
            return None, ""
        sound = np.zeros(round((end - start) * self.rate), np.float32)
        due: int | None = None
        for at, block in self.sounds:
            place = round((at - start) * self.rate)
            # Timestamps are rounded; only a jump is a gap.
            if due is not None and abs(place - due) < _GAP * self.rate:
                place = due
            due = place + len(block)
            low, high = max(place, 0), min(due, len(sound))
            if low < high:
                sound[low:high] = block[low - place : high - place]
        wanted = round((end - start) * SAMPLE_RATE)
        level = fit_full_scale(sound)
        found = resample(torch.from_numpy(sound), self.rate)
        return torch.nn.functional.pad(found, (0, max(0, wanted - len(found))))[:wanted], level


def _picture(frame: VideoFrame, max_side: int) -> torch.Tensor:
    scale = min(1.0, max_side / max(frame.width, frame.height))
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in (frame.width, frame.height))
        frame = frame.reformat(width=width, height=height)
    pixels = frame.to_ndarray(format="rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return torch.from_numpy(np.ascontiguousarray(np.rot90(pixels, turns)))
