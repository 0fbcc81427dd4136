"""Reads a camera, a microphone, a pipe or a network stream as windows, as they happen."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import torch
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.video.frame import VideoFrame

from ter_fast.clip import SAMPLE_RATE, Clip
from ter_fast.decode.pyav_audio import mono, resample
from ter_fast.errors import MediaError

DEVICES = ("v4l2", "alsa", "pulse", "avfoundation", "dshow", "gdigrab", "x11grab", "lavfi")
"""Inputs of FFmpeg that are no files: `alsa:default`, `v4l2:/dev/video0`, …"""

_SLACK = 1.0
_GAP = 0.05
# Frames of one stream come in order, and no picture stands for a minute: beyond that the sender's
# clock began anew, and to wait for what it says could take days.
_BACK, _AHEAD = 1.0, 60.0
_Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WindowGrid:
    """Which windows are cut from a stream, and what of it is kept.

    Attributes:
        seconds: length of a window.
        hop: seconds from the start of a window to that of the next.
        frames: pictures of a window.
        audio: whether sound is wanted.
        video: whether pictures are wanted.
        max_side: longest side of a picture in pixels.
    """

    seconds: float
    hop: float
    frames: int
    audio: bool = True
    video: bool = True
    max_side: int = 1280


@dataclass
class LiveStats:
    """What became of a stream so far.

    Attributes:
        seconds: of the stream that were read.
        delay: seconds by which reading lags behind the clock.
        skipped: pictures that were not decoded, to catch up.
        damaged: packets that could not be decoded.
    """

    seconds: float = 0.0
    delay: float = 0.0
    skipped: int = 0
    damaged: int = 0


def live_windows(
    source: str,
    grid: WindowGrid,
    stats: LiveStats,
    stopped: Callable[[], bool],
    *,
    max_delay: float = 1.0,
) -> Iterator[Clip]:
    """Yield the windows of a stream as they end, never faster than the clock.

    A stream that comes faster, such as a file, is read at its own pace. Where decoding falls more
    than `max_delay` seconds behind, only key frames are decoded until it has caught up. Timestamps
    that jump, as where a sender begins anew, go on where they were. What is left at the end makes a
    last window where it is a quarter of one at least.

    Args:
        source: see `ter_fast.live.Live`.
        grid: which windows.
        stats: kept up to date.
        stopped: asked between packets; True ends the stream.
        max_delay: seconds.

    Raises:
        MediaError: the source cannot be opened, holds nothing that is wanted, or broke off.

    Example:
        >>> next(live_windows("gone.mp4", WindowGrid(4, 4, 16), LiveStats(), lambda: False))
        Traceback (most recent call last):
        ter_fast.errors.MediaError: gone.mp4 cannot be opened ...
    """
    with contextlib.closing(_opened(source, stopped)) as container:
        streams = [
            each
            for kind in (["video"] if grid.video else []) + (["audio"] if grid.audio else [])
            if (each := container.streams.best(kind)) is not None  # type: ignore[arg-type]
        ]
        if not streams:
            raise MediaError(
                f"{source} holds no {'pictures' if grid.video else 'sound'} that the model could use"
            )
        buffer = _Buffer(source, grid, {each.type for each in streams})
        clock = _Clock()
        packets = container.demux(*streams)
        while not stopped():
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.FFmpegError as error:
                yield from buffer.rest()
                raise MediaError(
                    f"{source} broke off after {stats.seconds:.1f} s ({error.strerror}); connect again"
                ) from None
            try:
                frames: list[Any] = list(packet.decode())
            except av.FFmpegError:
                stats.damaged += 1
                continue
            if packet.stream.type == "video" and packet.size and stats.delay > max_delay:
                stats.skipped += not frames
            for frame in frames:
                if frame.time is None:
                    continue
                at = clock.place(packet.stream.type, frame.time)
                stats.delay = _paced(clock.begun + at, stopped)
                stats.seconds = max(stats.seconds, at)
                buffer.add(frame, at)
            late = stats.delay > max_delay
            for stream in streams:
                if stream.type == "video":
                    stream.codec_context.skip_frame = "NONKEY" if late else "DEFAULT"
            yield from buffer.ready()
        if not stopped():
            if not clock.last:
                raise MediaError(
                    f"{source} ended before anything could be decoded; check the sender"
                )
            yield from buffer.rest()


class _Clock:
    """Place timestamps on the seconds since the first frame, and stay there when they jump."""

    def __init__(self) -> None:
        self.begun = 0.0
        self.last: dict[str, float] = {}
        self._zero: dict[str, float] = {}
        self._first = 0.0

    def place(self, kind: str, timestamp: float) -> float:
        """Return the seconds at which a frame of a stream begins."""
        if not self.last:
            self.begun, self._first = time.monotonic(), timestamp
        at = timestamp - self._zero.setdefault(kind, self._first)
        before = self.last.get(kind, at)
        if not -_BACK < at - before < _AHEAD:
            self._zero[kind], at = timestamp - before, before
        self.last[kind] = at
        return at


def _paced(due: float, stopped: Callable[[], bool]) -> float:
    """Wait until the clock says `due`; return by how many seconds it is late."""
    while (early := due - time.monotonic()) > 0 and not stopped():
        time.sleep(min(early, 0.1))
    return max(0.0, time.monotonic() - due)


def _opened(source: str, stopped: Callable[[], bool]) -> InputContainer:
    head, _, rest = source.partition(":")
    target: Any = source
    form = None
    if source in ("-", "pipe:0", "pipe:"):
        target = _Pipe(sys.stdin.fileno(), stopped)
    elif head in DEVICES and not rest.startswith("//"):
        target, form = rest, head
    elif source.startswith("/dev/video"):
        form = "v4l2"
    elif os.path.exists(source) and stat.S_ISFIFO(os.stat(source).st_mode):
        target = _Pipe(os.open(source, os.O_RDONLY | os.O_NONBLOCK), stopped, owned=True)
    try:
        # Ten seconds without a byte are a stream that broke off, wherever FFmpeg can tell.
        found: InputContainer = av.open(target, format=form, timeout=10.0)
        return found
    except (av.FFmpegError, ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(
            f"{source} cannot be opened as a stream ({reason}); name a device such as /dev/video0 or "
            "alsa:default, a URL, a file, or - for a pipe"
        ) from None


class _Pipe:
    """A pipe that can be left while nothing comes through it."""

    def __init__(self, handle: int, stopped: Callable[[], bool], owned: bool = False) -> None:
        self._handle, self._stopped, self._owned = handle, stopped, owned
        self._begun = False

    def read(self, size: int) -> bytes:
        while not self._stopped():
            readable, _, _ = select.select([self._handle], [], [], 0.1)
            if not readable:
                continue
            try:
                data = os.read(self._handle, min(size, 65536))
            except BlockingIOError:
                continue
            if data or self._begun or not self._owned:
                self._begun = True
                return data
            # A named pipe reads as ended until its first writer comes.
            time.sleep(0.05)
        return b""

    def close(self) -> None:
        if self._owned:
            os.close(self._handle)


@dataclass
class _Buffer:
    """Holds what windows still need: sampled pictures, and sound at its own rate."""

    source: str
    grid: WindowGrid
    kinds: set[str]
    pictures: list[tuple[float, torch.Tensor]] = field(default_factory=list)
    sounds: list[tuple[float, _Samples]] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)
    rate: int = 0
    window: int = 0
    sample: int = 0
    last: VideoFrame | None = None
    last_at: float = 0.0

    def add(self, frame: AudioFrame | VideoFrame, at: float) -> None:
        """Keep what is needed of a frame that begins at `at`."""
        if isinstance(frame, VideoFrame):
            self._sample(at)
            self.last, self.last_at = frame, at
            self.seen["video"] = at
            return
        if frame.sample_rate != self.rate:
            # Another rate in the middle of a stream begins its sound anew.
            self.rate, self.sounds = frame.sample_rate, []
        if frame.samples:
            self.sounds.append((at, mono(frame)))
        self.seen["audio"] = at + frame.samples / frame.sample_rate

    def _sample(self, until: float) -> None:
        """Keep the picture that was shown at each sampling instant before `until`."""
        step = self.grid.seconds / self.grid.frames
        kept = False
        while (self.sample + 0.5) * step < until:
            self.sample += 1
            if self.last is not None and not kept and (self.sample - 0.5) * step >= self.last_at:
                self.pictures.append((self.last_at, _picture(self.last, self.grid.max_side)))
                kept = True

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
        """Yield what is left when the stream ends."""
        end = max(self.seen.values(), default=0.0)
        self._sample(end + self.grid.seconds / self.grid.frames)
        while end - self.window * self.grid.hop >= self.grid.seconds / 4:
            yield self._cut(min(end, self.window * self.grid.hop + self.grid.seconds))
            if self.window * self.grid.hop + self.grid.seconds - self.grid.hop >= end:
                return

    def _cut(self, end: float) -> Clip:
        start = self.window * self.grid.hop
        inside = [each for each in self.pictures if start - 1e-9 <= each[0] < end]
        if len(inside) > self.grid.frames:
            inside = inside[-self.grid.frames :]
        shape = inside[-1][1].shape if inside else None
        inside = [each for each in inside if each[1].shape == shape]
        clip = Clip(
            self.source,
            torch.stack([picture for _, picture in inside]) if inside else None,
            torch.tensor([at for at, _ in inside], dtype=torch.float64) if inside else None,
            self._sound(start, end),
            start,
            end,
        )
        self.window += 1
        begin = self.window * self.grid.hop
        self.pictures = [each for each in self.pictures if each[0] >= begin - 1e-9]
        self.sounds = [each for each in self.sounds if each[0] + len(each[1]) / self.rate > begin]
        return clip

    def _sound(self, start: float, end: float) -> torch.Tensor | None:
        if not self.sounds:
            return None
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
        found = resample(torch.from_numpy(np.nan_to_num(sound).clip(-1.0, 1.0)), self.rate)
        return torch.nn.functional.pad(found, (0, max(0, wanted - len(found))))[:wanted]


def _picture(frame: VideoFrame, max_side: int) -> torch.Tensor:
    scale = min(1.0, max_side / max(frame.width, frame.height))
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in (frame.width, frame.height))
        frame = frame.reformat(width=width, height=height)
    pixels = frame.to_ndarray(format="rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return torch.from_numpy(np.ascontiguousarray(np.rot90(pixels, turns)))
