"""Reads a camera, a microphone, a pipe or a network stream as windows, as they happen."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import av
from av.container import InputContainer

from ter_fast.errors import MediaError
from ter_fast.media.clip import Clip
from ter_fast.media.decode.live_advice import DEVICES, advice
from ter_fast.media.decode.live_buffer import LiveBuffer, WindowGrid

# Frames of one stream come in order, and no picture stands for a minute: beyond that the sender's
# clock started again, and to wait for what it says could take days.
_BACK, _AHEAD = 1.0, 60.0
# So many seconds without a byte are a stream that broke off, wherever FFmpeg can tell.
_SILENCE = 10.0
_ALSA = "/usr/share/alsa/alsa.conf"
# What is quicker than that was there already.
_WAITED = 0.005


@dataclass
class LiveStats:
    """Counts of a stream so far.

    Attributes:
        seconds: Of the stream that were read.
        delay: Seconds by which reading lags behind what has come.
        skipped: Pictures that were not decoded, to catch up.
        damaged: Packets that could not be decoded.
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
    that jump, as where a sender starts again, go on where they were. What is left at the end makes a
    last window where it is a quarter of one at least; a stream shorter than that is one window all the same.

    Args:
        source: See `ter_fast.predict.live.Live`.
        grid: Which windows.
        stats: Kept up to date.
        stopped: Asked between packets; True ends the stream.
        max_delay: seconds.

    Raises:
        MediaError: The source cannot be opened, holds nothing that is wanted, or broke off.

    Example:
        >>> next(live_windows("gone.mp4", WindowGrid(4, 4, 16), LiveStats(), lambda: False))
        Traceback (most recent call last):
        ter_fast.errors.MediaError: gone.mp4 cannot be opened ...
    """
    with _open(source, stopped) as container:
        streams = [
            each
            for kind in (["video"] if grid.video else []) + (["audio"] if grid.audio else [])
            if (each := container.streams.best(kind)) is not None  # type: ignore[arg-type]
        ]
        if not streams:
            raise MediaError(
                f"{source} holds no {'pictures' if grid.video else 'sound'} that the model could use"
            )
        buffer = LiveBuffer(source, grid, {each.type for each in streams})
        clock = _Clock()
        packets = container.demux(*streams)
        while not stopped():
            asked = time.monotonic()
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.FFmpegError as error:
                yield from buffer.rest()
                raise MediaError(
                    f"{source} broke off after {stats.seconds:.1f} s ({_reason(error)}); connect again"
                ) from None
            waited = time.monotonic() - asked
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
                stats.delay = clock.own_delay(_wait_until(clock.begun + at, stopped), waited)
                waited = 0.0
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

    def own_delay(self, late: float, waited: float) -> float:
        """Return the seconds by which reading is late, less those for which the sender kept it waiting.

        To decode less would not make a sender faster: its stream is late from now on, and no more than
        that.
        """
        sent_late = min(late, waited) if waited > _WAITED else 0.0
        self.begun += sent_late
        return late - sent_late


def _wait_until(due: float, stopped: Callable[[], bool]) -> float:
    """Wait until the clock says `due`; return by how many seconds it is late."""
    while (early := due - time.monotonic()) > 0 and not stopped():
        time.sleep(min(early, 0.1))
    return max(0.0, time.monotonic() - due)


@contextlib.contextmanager
def _open(source: str, stopped: Callable[[], bool]) -> Iterator[InputContainer]:
    """Open a source, and close it afterwards with whatever it is read through."""
    with contextlib.ExitStack() as opened:
        try:
            target, form = _target(source, stopped)
            if isinstance(target, _Pipe):
                opened.callback(target.close)
            container: InputContainer = av.open(target, format=form, timeout=_SILENCE)
        except (av.FFmpegError, ValueError, OSError) as error:
            raise MediaError(
                f"{source} cannot be opened as a stream ({_reason(error)}); {advice(source, error)}"
            ) from None
        opened.callback(container.close)
        yield container


def _target(source: str, stopped: Callable[[], bool]) -> tuple[Any, str | None]:
    """Return what FFmpeg shall open, and as which input format."""
    head, _, rest = source.partition(":")
    if source in ("-", "pipe:0", "pipe:"):
        return _Pipe(sys.stdin.fileno(), stopped), None
    if head in DEVICES and not rest.startswith("//"):
        if head == "alsa" and os.path.isfile(_ALSA):
            # The ALSA that comes with PyAV looks for it where it was built, and finds no device.
            os.environ.setdefault("ALSA_CONFIG_PATH", _ALSA)
        return rest, head
    if source.startswith("/dev/video"):
        return source, "v4l2"
    if os.path.exists(source) and stat.S_ISFIFO(os.stat(source).st_mode):
        return _Pipe(os.open(source, os.O_RDONLY | os.O_NONBLOCK), stopped, owned=True), None
    return source, None


def _reason(error: Exception) -> str:
    if isinstance(error, av.ExitError):
        return f"nothing came for {_SILENCE:g} s"
    return getattr(error, "strerror", None) or str(error)


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
        # PyAV closes what it reads from in some cases, but not in all.
        if self._owned:
            self._owned = False
            os.close(self._handle)
