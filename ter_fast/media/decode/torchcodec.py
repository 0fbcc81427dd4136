"""Pictures by torchcodec, everything else by PyAV, so that one definition of sound holds for both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from av.video.stream import VideoStream
from torch import Tensor
from torchcodec.decoders import VideoDecoder
from torchcodec.transforms import Resize

from ter_fast.media.clip import Clip
from ter_fast.media.decode.backends import Media, Sampling, check_sampling
from ter_fast.media.decode.pyav import PyAVMedia
from ter_fast.media.decode.pyav_joined import open_parts
from ter_fast.media.decode.pyav_video import HOLD, frame_seconds

_INSIDE = 1e-6
# Without an index it gives the key frame after the wanted picture.
_NO_SEEKING = ("mpegts", "mpeg")
_JOINED = "decoded by PyAV, since several files are joined in it"

_MOST_BYTES = 1 << 28
"""Pixels decoded at once, for torchcodec returns a picture as often as it is asked for it."""


def offer() -> str:
    """Say what torchcodec decodes on this machine."""
    return "pictures on the CPU through FFmpeg's libraries, exactly sampled; sound by PyAV"


def open_media(path: str, *, sampling: Sampling = "exact", threads: int | None = None) -> Media:
    """Open a file for `ter_fast.media.decode`.

    Times are those of PyAV. Colours differ by the rounding of the conversion, and scaled pictures
    by the filter (bilinear instead of area).

    Args:
        path: An existing, readable, non-empty file.
        sampling: "exact"; torchcodec does not look for key frames.
        threads: Threads that decode pictures; None lets FFmpeg decide.

    Raises:
        MediaError: As for PyAV; also where key frames are asked for.

    Example:
        >>> open_media(__file__)
        Traceback (most recent call last):
        ter_fast.errors.MediaError: ...
    """
    check_sampling("torchcodec", sampling)
    return open_parts(TorchCodecMedia(path, sampling, threads), _JOINED)


class TorchCodecMedia(PyAVMedia):
    """Keep a media file open between reads.

    What torchcodec does not do as PyAV does (photographs, turned or mirrored pictures, HDR, damaged
    files, video without timestamps) is left to PyAV; for a file that it fails on, the clip's note says
    so.

    Example:
        >>> TorchCodecMedia(__file__)
        Traceback (most recent call last):
        ter_fast.errors.MediaError: ...
    """

    _decoder: VideoDecoder | None = None
    _side: int | None = None

    def read(
        self,
        start: float,
        end: float,
        times: Sequence[float],
        *,
        audio: bool,
        video: bool,
        max_side: int | None,
    ) -> Clip:
        """Return the pictures shown at `times` and the sound of [start, end)."""
        # PyAV states no size for pictures beyond its limit, and refuses them.
        readable = self._video is not None and self.info.width and not self.info.is_image
        if not (video and readable) or self.is_hdr() or self._is_turned():
            return super().read(start, end, times, audio=audio, video=video, max_side=max_side)
        try:
            if self._container.format.name in _NO_SEEKING:
                raise ValueError(f"it seeks wrongly in {self._container.format.name}")
            decoder = self._open(max_side)
            stream = cast(VideoStream, self.stream("video"))
            wanted = [t + self.info.start for t in times]
            frames, instants = _pictures(decoder, wanted, frame_seconds(stream))
        except (RuntimeError, ValueError, IndexError) as error:
            clip = super().read(start, end, times, audio=audio, video=video, max_side=max_side)
            reason = str(error).strip().partition("\n")[0]
            why = f"decoded by PyAV, since torchcodec failed ({reason})"
            return replace(clip, note="; ".join(filter(None, [clip.note, why])))
        if instants is not None:
            instants = instants - self.info.start
        clip = super().read(start, end, times, audio=audio, video=False, max_side=max_side)
        return replace(clip, frames=frames, times=instants)

    def close(self) -> None:
        """Close the file, which torchcodec holds open as long as its decoder lives."""
        self._decoder = None
        super().close()

    def _is_turned(self) -> bool:
        shown = self.upright()
        return shown.mirrored or shown.rotation != 0

    def _open(self, max_side: int | None) -> VideoDecoder:
        if self._decoder is None or self._side != max_side:
            width, height = self.info.width or 0, self.info.height or 0
            scale = 1.0 if max_side is None else min(1.0, max_side / max(width, height, 1))
            size = (max(1, round(height * scale)), max(1, round(width * scale)))
            self._decoder = VideoDecoder(
                self._path,
                stream_index=None if self._video is None else self._video.index,
                dimension_order="NHWC",
                num_ffmpeg_threads=self.threads or 0,
                transforms=[Resize(size)] if scale < 1.0 or self.display.aspect != 1 else None,
            )
            self._side = max_side
        return self._decoder


def _pictures(
    decoder: VideoDecoder, wanted: Sequence[float], usual: float
) -> tuple[Tensor | None, Tensor | None]:
    first = decoder.metadata.begin_stream_seconds or 0.0
    last = decoder.metadata.end_stream_seconds
    if last is None or last <= first:
        raise ValueError("no length is known")
    pixels = (decoder.metadata.width or 1) * (decoder.metadata.height or 1)
    most = max(1, _MOST_BYTES // (3 * pixels))
    frames: list[Tensor] = []
    instants: list[float] = []
    left = list(wanted)
    while left:
        data, begins, end = _frames_at(decoder, left[:most], first, last, usual)
        left = [time for time in left[most:] if time >= end]
        kept = []
        for index, begin in enumerate(begins):
            if begin is not None and (not instants or begin > instants[-1]):
                kept.append(index)
                instants.append(begin)
        if kept:
            frames.append(data[kept])
    if not frames:
        return None, None
    return torch.cat(frames), torch.tensor(instants, dtype=torch.float64)


def _frames_at(
    decoder: VideoDecoder, wanted: Sequence[float], first: float, last: float, usual: float
) -> tuple[Tensor, list[float | None], float]:
    """Return the pictures at some times, when each begins (None if not shown then), and the last end."""
    inside = [max(t + _INSIDE, first) for t in wanted]
    within = [t for t in inside if t < last]
    found = [decoder.get_frames_played_at(within)] if within else []
    if len(within) < len(inside):
        # A last frame without a length ends where it begins, so that no time lies within it.
        frames = decoder.metadata.num_frames or 0
        found.append(decoder.get_frames_at([frames - 1] * (len(inside) - len(within))))
    begin = torch.cat([batch.pts_seconds for batch in found]).to(torch.float64)
    length = torch.cat([batch.duration_seconds for batch in found])
    at = torch.tensor(wanted, dtype=torch.float64)
    # A picture is shown until the next one; only the last one has an end of its own.
    end = torch.where(at < last, torch.inf, begin + length.clamp_min(usual))
    shown = (begin - HOLD <= at) & (at <= end + HOLD)
    data = found[0].data if len(found) == 1 else torch.cat([batch.data for batch in found])
    times = zip(begin.tolist(), shown.tolist(), strict=True)
    return data, [time if seen else None for time, seen in times], float(begin[-1] + length[-1])
