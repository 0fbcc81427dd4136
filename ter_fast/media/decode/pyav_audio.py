"""Reads sound as 16 kHz mono float32, placed by its timestamps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, cast

import av
import numpy as np
import torch
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream
from torch import Tensor

from ter_fast.media.levels import Plane, Samples, average_channels
from ter_fast.media.resampling import GAP, Track

_PREROLL = 1.0
_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}


class _Source(Protocol):
    def packets(self, kind: str, since: float | None) -> Iterator[Packet[Stream]]: ...


def read_audio(source: _Source, start: float, end: float) -> tuple[Tensor | None, str]:
    """Return the sound between two timestamps, silence where the stream has none.

    Channels are averaged. Decoding begins a second early, so that codecs which build on earlier
    packets have settled. Timestamps that jump by more than 50 ms move what follows to its own
    place; smaller jumps are rounding of the container.

    Args:
        source: The open file.
        start: Timestamp in seconds.
        end: Timestamp in seconds.

    Returns:
        (round(16000 * (end - start)),) float32 in [-1, 1], or None where no packet decodes; and what
        was done about samples beyond full scale, "" for nothing.

    Example:
        >>> class Nothing:
        ...     def packets(self, kind, since):
        ...         return iter(())
        >>> read_audio(Nothing(), 0.0, 1.0)
        (None, '')
    """
    track = Track(start, end)
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
        return None, ""
    return torch.from_numpy(track.finish()), track.note


def mono(frame: AudioFrame) -> Samples:
    """Average the channels of a decoded frame: (samples,) float32 at its own rate.

    Example:
        >>> halves = np.array([[0.5], [0.0]], np.float32)
        >>> mono(AudioFrame.from_ndarray(halves, format="fltp", layout="stereo")).tolist()
        [0.25]
    """
    planes, interleaved = _planes(frame)
    samples = np.stack(planes)
    return average_channels(samples if interleaved == 1 else samples.reshape(-1, interleaved).T)


def _planes(frame: AudioFrame) -> tuple[list[Plane], int]:
    """Return a plane for each channel, or one and how many channels take turns in it."""
    channels = 1 if frame.format.is_planar else frame.layout.nb_channels
    dtype = _DTYPES[frame.format.name.removesuffix("p")]
    # PyAV lists planes up to a null pointer, which nothing guarantees behind the eighth.
    real = frame.planes[: frame.layout.nb_channels if frame.format.is_planar else 1]
    count = frame.samples * channels
    return [np.frombuffer(cast(Any, plane), dtype, count) for plane in real], channels


def _frames(source: _Source, start: float, end: float) -> Iterator[AudioFrame]:
    stream: AudioStream | None = None
    base = 0.0
    for packet in source.packets("audio", start - _PREROLL):
        if stream is None:
            stream = cast(AudioStream, packet.stream)
            if stream.codec_context.is_open:
                stream.codec_context.flush_buffers()
            base = float(stream.time_base or 0)
        if packet.pts is not None and packet.pts * base > end + GAP:
            break
        yield from _decode(stream, packet)
    if stream is not None:
        yield from _decode(stream, None)


def _decode(stream: AudioStream, packet: Packet[Stream] | None) -> list[AudioFrame]:
    try:
        return stream.codec_context.decode(packet)
    except av.FFmpegError:
        return []
