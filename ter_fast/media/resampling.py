"""Sound of any rate put on the grid of 16 kHz."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ter_fast.media.levels import Plane, Samples, average_channels, fit_full_scale

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler
    from torch import Tensor

SAMPLE_RATE = 16_000
"""Samples per second of every `Clip.audio`, in Hz."""

GAP = 0.05
"""Seconds by which a block's timestamp may miss the end of the one before; more is a gap."""

_Type = np.dtype[Any]


def resample(sound: Tensor, rate: int) -> Tensor:
    """Convert (samples,) float32 at `rate` Hz to 16 kHz.

    Example:
        >>> import torch
        >>> resample(torch.zeros(44_100), 44_100).shape
        torch.Size([16000])
    """
    import torch

    track = Track(0.0, sound.numel() / rate)
    if sound.numel():
        track.add([sound.numpy()], 1, rate, None)
    return torch.from_numpy(track.finish())


class Track:
    """Put blocks of sound in their place among the 16 kHz samples of [start, end).

    Blocks of one rate without a gap form a segment, which passes one resampler. Silence of up to
    one common period of the two rates goes before a segment, so that it begins on the grid
    n / 16000 s: the same sound then gets the same samples wherever reading starts.

    Attributes:
        note: What was done about samples beyond full scale; "" for nothing.
    """

    note = ""

    def __init__(self, start: float, end: float) -> None:
        self._samples = np.zeros(round((end - start) * SAMPLE_RATE), np.float32)
        self._first = round(start * SAMPLE_RATE)
        self._rate = 0
        self._due = start
        self._write_at = 0
        self._resampler: AudioResampler | None = None
        self._waiting: list[Sequence[Plane]] = []
        self._layout: tuple[int, int, _Type] | None = None
        self._length = 0
        self._lead = 0

    def add(
        self, planes: Sequence[Plane], interleaved: int, rate: int, begin: float | None
    ) -> None:
        """Append a block: a plane for each channel, or one in which `interleaved` channels take turns."""
        if rate != self._rate or (begin is not None and abs(begin - self._due) > GAP):
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

    def finish(self) -> Samples:
        """Return the samples of all blocks in [-1, 1]; silence where there were none.

        `note` then says what was done to bring them there.
        """
        self._end_segment()
        self.note = fit_full_scale(self._samples)
        return self._samples

    def _begin_segment(self, rate: int, begin: float) -> None:
        period = rate // gcd(rate, SAMPLE_RATE)
        position = round(begin * rate)
        lead = position % period
        self._write_at = (position - lead) // period * (SAMPLE_RATE * period // rate) - self._first
        self._lead = lead
        self._rate, self._due = rate, begin
        from av.audio.resampler import AudioResampler

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
        block = average_channels(planes if interleaved == 1 else planes.reshape(-1, interleaved).T)
        self._waiting, self._length = [], 0
        if self._lead:
            block = np.concatenate([np.zeros(self._lead, np.float32), block])
            self._lead = 0
        if len(block):
            from av.audio.frame import AudioFrame

            if not np.isfinite(block.sum()):
                # One NaN would spread as far as the filter reaches.
                block = np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)
            frame = AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
            frame.sample_rate = self._rate
            self._write(self._resampler.resample(frame))

    def _write(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            piece = cast(Samples, frame.to_ndarray())[0]
            first = max(0, self._write_at)
            last = min(len(self._samples), self._write_at + len(piece))
            if first < last:
                inner = slice(first - self._write_at, last - self._write_at)
                self._samples[first:last] = piece[inner]
            self._write_at += len(piece)
