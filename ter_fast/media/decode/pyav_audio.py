"""Reads sound as 16 kHz mono float32, placed by its timestamps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd
from typing import Any, Protocol, cast

import av
import numpy as np
import numpy.typing as npt
import torch
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream
from torch import Tensor

from ter_fast.media.clip import SAMPLE_RATE

_GAP = 0.05
_PREROLL = 1.0
_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
_Samples = npt.NDArray[np.float32]
_Plane = npt.NDArray[Any]
_Type = np.dtype[Any]


class _Source(Protocol):
    def packets(self, kind: str, since: float | None) -> Iterator[Packet[Stream]]: ...


def read_audio(source: _Source, start: float, end: float) -> Tensor | None:
    """Return the sound between two timestamps, silence where the stream has none.

    Channels are averaged. Decoding begins a second early, so that codecs which build on earlier
    packets have settled. Timestamps that jump by more than 50 ms move what follows to its own
    place; smaller jumps are rounding of the container.

    Args:
        source: The open file.
        start: Timestamp in seconds.
        end: Timestamp in seconds.

    Returns:
        (round(16000 * (end - start)),) float32 in [-1, 1], or None where no packet decodes.

    Example:
        >>> class Nothing:
        ...     def packets(self, kind, since):
        ...         return iter(())
        >>> read_audio(Nothing(), 0.0, 1.0) is None
        True
    """
    track = _Track(start, end)
    found = False
    for frame in _frames(source, start, end):
        found = True
        if not frame.samples:
            continue
        base = frame.time_base
        begin = None
        if frame.pts is not None and base is not None:
            # Exact fractions would take longer than the sound takes to decode.
            begin = frame.pts * base.numerator / base.denominator
        track.add(*_planes(frame), frame.sample_rate, begin)
    if not found:
        return None
    return torch.from_numpy(track.finish())


def mono(frame: AudioFrame) -> _Samples:
    """Average the channels of a decoded frame: (samples,) float32 at its own rate.

    Example:
        >>> halves = np.array([[0.5], [0.0]], np.float32)
        >>> mono(AudioFrame.from_ndarray(halves, format="fltp", layout="stereo")).tolist()
        [0.25]
    """
    planes, interleaved = _planes(frame)
    samples = np.stack(planes)
    return _mono(samples if interleaved == 1 else samples.reshape(-1, interleaved).T)


def resample(sound: Tensor, rate: int) -> Tensor:
    """Convert (samples,) float32 at `rate` Hz to 16 kHz.

    Example:
        >>> import torch
        >>> resample(torch.zeros(44_100), 44_100).shape
        torch.Size([16000])
    """
    track = _Track(0.0, sound.numel() / rate)
    if sound.numel():
        track.add([sound.numpy()], 1, rate, None)
    return torch.from_numpy(track.finish())


class _Track:
    """Put blocks of sound in their place among the 16 kHz samples of [start, end).

    Blocks of one rate without a gap form a segment, which passes one resampler. Silence of up to
    one common period of the two rates goes before a segment, so that it begins on the grid
    n / 16000 s: the same sound then gets the same samples wherever reading starts.
    """

    def __init__(self, start: float, end: float) -> None:
        self._samples = np.zeros(round((end - start) * SAMPLE_RATE), np.float32)
        self._first = round(start * SAMPLE_RATE)
        self._rate = 0
        self._due = start
        self._write_at = 0
        self._resampler: AudioResampler | None = None
        self._waiting: list[Sequence[_Plane]] = []
        self._layout: tuple[int, int, _Type] | None = None
        self._length = 0
        self._lead = 0

    def add(
        self, planes: Sequence[_Plane], interleaved: int, rate: int, begin: float | None
    ) -> None:
        """Append a block: a plane for each channel, or one in which `interleaved` channels take turns."""
        if rate != self._rate or (begin is not None and abs(begin - self._due) > _GAP):
            self._end_segment()
            self._begin_segment(rate, self._due if begin is None else begin)
        layout = len(planes), interleaved, planes[0].dtype
        if layout != self._layout:
            self._convert()
            self._layout = layout
        self._waiting.append(planes)
        samples = len(planes[0]) // interleaved
        self._length += samples
        self._due += samples / rate
        # The cost of mixing and of the resampler is per call rather than per sample.
        if self._length >= rate:
            self._convert()

    def finish(self) -> _Samples:
        self._end_segment()
        # A float file may hold NaN, and a lossy one may overshoot full scale. In place, since hours
        # of sound fill hundreds of megabytes.
        np.nan_to_num(self._samples, copy=False, nan=0.0)
        return np.clip(self._samples, -1.0, 1.0, out=self._samples)

    def _begin_segment(self, rate: int, begin: float) -> None:
        period = rate // gcd(rate, SAMPLE_RATE)
        position = round(begin * rate)
        lead = position % period
        self._write_at = (position - lead) // period * (SAMPLE_RATE * period // rate) - self._first
        self._lead = lead
        self._rate, self._due = rate, begin
        self._resampler = AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)

    def _end_segment(self) -> None:
        self._convert()
        if self._resampler is not None:
            self._write(self._resampler.resample(None))
        self._resampler, self._rate = None, 0

    def _convert(self) -> None:
        if not self._waiting or self._resampler is None or self._layout is None:
            return
        planes = np.stack([np.concatenate(plane) for plane in zip(*self._waiting, strict=True)])
        interleaved = self._layout[1]
        block = _mono(planes if interleaved == 1 else planes.reshape(-1, interleaved).T)
        self._waiting, self._length = [], 0
        if self._lead:
            block = np.concatenate([np.zeros(self._lead, np.float32), block])
            self._lead = 0
        if len(block):
            frame = AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
            frame.sample_rate = self._rate
            self._write(self._resampler.resample(frame))

    def _write(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            piece = cast(_Samples, frame.to_ndarray())[0]
            first = max(0, self._write_at)
            last = min(len(self._samples), self._write_at + len(piece))
            if first < last:
                inner = slice(first - self._write_at, last - self._write_at)
                self._samples[first:last] = piece[inner]
            self._write_at += len(piece)


def _planes(frame: AudioFrame) -> tuple[list[_Plane], int]:
    """Return a plane for each channel, or one and how many channels take turns in it."""
    channels = 1 if frame.format.is_planar else frame.layout.nb_channels
    dtype = _DTYPES[frame.format.name.removesuffix("p")]
    # PyAV lists planes up to a null pointer, which nothing promises behind the eighth.
    real = frame.planes[: frame.layout.nb_channels if frame.format.is_planar else 1]
    count = frame.samples * channels
    return [np.frombuffer(cast(Any, plane), dtype, count) for plane in real], channels


def _mono(samples: _Plane) -> _Samples:
    """Average the channels of (channels, samples) of any type to float32 in [-1, 1]."""
    if samples.dtype.kind == "f":
        return cast(_Samples, samples.mean(axis=0, dtype=np.float32))
    scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
    offset = scale if samples.dtype.kind == "u" else 0.0
    mean = samples.mean(axis=0, dtype=np.float64)
    return cast(_Samples, ((mean - offset) / scale).astype(np.float32))


def _frames(source: _Source, start: float, end: float) -> Iterator[AudioFrame]:
    stream: AudioStream | None = None
    base = 0.0
    for packet in source.packets("audio", start - _PREROLL):
        if stream is None:
            stream = cast(AudioStream, packet.stream)
            if stream.codec_context.is_open:
                stream.codec_context.flush_buffers()
            base = float(stream.time_base or 0)
        if packet.pts is not None and packet.pts * base > end + _GAP:
            break
        yield from _decoded(stream, packet)
    if stream is not None:
        yield from _decoded(stream, None)


def _decoded(stream: AudioStream, packet: Packet[Stream] | None) -> list[AudioFrame]:
    try:
        return stream.codec_context.decode(packet)
    except av.FFmpegError:
        return []
