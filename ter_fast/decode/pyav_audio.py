"""Reads sound as 16 kHz mono float32, placed by its timestamps."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd
from typing import Protocol, cast

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

from ter_fast.clip import SAMPLE_RATE

_GAP = 0.05
_PREROLL = 1.0
_Samples = npt.NDArray[np.float32]


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
        begin = None
        if frame.pts is not None and frame.time_base is not None:
            begin = float(frame.pts * frame.time_base)
        track.add(_mono(frame), frame.sample_rate, begin)
    if not found:
        return None
    return torch.from_numpy(track.finish())


def resample(sound: Tensor, rate: int) -> Tensor:
    """Convert (samples,) float32 at `rate` Hz to 16 kHz.

    Example:
        >>> import torch
        >>> resample(torch.zeros(44_100), 44_100).shape
        torch.Size([16000])
    """
    track = _Track(0.0, sound.numel() / rate)
    if sound.numel():
        track.add(sound.numpy(), rate, None)
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
        self._waiting: list[_Samples] = []

    def add(self, block: _Samples, rate: int, begin: float | None) -> None:
        if rate != self._rate or (begin is not None and abs(begin - self._due) > _GAP):
            self._end_segment()
            self._begin_segment(rate, self._due if begin is None else begin)
        self._waiting.append(block)
        self._due += len(block) / rate
        # The cost of the resampler is per call rather than per sample.
        if sum(map(len, self._waiting)) >= rate:
            self._convert()

    def finish(self) -> _Samples:
        self._end_segment()
        # A float file may hold NaN, and a lossy one may overshoot full scale.
        return np.nan_to_num(self._samples, nan=0.0).clip(-1.0, 1.0)

    def _begin_segment(self, rate: int, begin: float) -> None:
        period = rate // gcd(rate, SAMPLE_RATE)
        position = round(begin * rate)
        lead = position % period
        self._write_at = (position - lead) // period * (SAMPLE_RATE * period // rate) - self._first
        self._waiting = [np.zeros(lead, np.float32)]
        self._rate, self._due = rate, begin
        self._resampler = AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)

    def _end_segment(self) -> None:
        self._convert()
        if self._resampler is not None:
            self._write(self._resampler.resample(None))
        self._resampler, self._rate = None, 0

    def _convert(self) -> None:
        if not self._waiting or self._resampler is None:
            return
        block = np.concatenate(self._waiting)
        self._waiting = []
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


def _mono(frame: AudioFrame) -> _Samples:
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(frame.samples, -1).T
    if samples.dtype.kind == "f":
        return cast(_Samples, samples.mean(axis=0, dtype=np.float32))
    scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
    offset = scale if samples.dtype.kind == "u" else 0.0
    mean = samples.mean(axis=0, dtype=np.float64)
    return cast(_Samples, ((mean - offset) / scale).astype(np.float32))


def _frames(source: _Source, start: float, end: float) -> Iterator[AudioFrame]:
    stream: AudioStream | None = None
    for packet in source.packets("audio", start - _PREROLL):
        if stream is None:
            stream = cast(AudioStream, packet.stream)
            if stream.codec_context.is_open:
                stream.codec_context.flush_buffers()
        if packet.pts is not None and float(packet.pts * packet.time_base) > end + _GAP:
            break
        yield from _decoded(stream, packet)
    if stream is not None:
        yield from _decoded(stream, None)


def _decoded(stream: AudioStream, packet: Packet[Stream] | None) -> list[AudioFrame]:
    try:
        return stream.codec_context.decode(packet)
    except av.FFmpegError:
        return []
