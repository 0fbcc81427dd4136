"""Samples pictures exactly: of all frames, decodes those that the wanted ones depend on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from typing import Protocol, cast

import av
import numpy as np
import torch
from av.packet import Packet
from av.stream import Stream
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from torch import Tensor

from ter_fast.media.decode.backends import Sampling
from ter_fast.media.decode.pyav_container import is_untimed
from ter_fast.media.decode.pyav_picture import Display, to_rgb, upright_size

HOLD = 1.0
"""Seconds for which the first picture counts as shown before it begins, and the last beyond its end."""

_TOLERANCE = 1e-6
_GROUP_GAP = 15.0
_GROUP_SPAN = 60.0


class _Source(Protocol):
    sampling: Sampling
    threads: int | None
    display: Display
    picture: VideoFrame | None

    def stream(self, kind: str) -> Stream: ...

    def packets(self, kind: str, since: float | None) -> Iterator[Packet[Stream]]: ...

    def seeks(self, since: float | None) -> bool: ...


@dataclass
class DecodePlan:
    """Which packets to decode, as runs from a key frame on, and the timestamps to keep."""

    runs: list[tuple[int, int]]
    wanted: list[int]
    from_start: bool


def read_pictures(
    source: _Source, wanted: Sequence[float], still: bool, max_side: int | None
) -> tuple[Tensor | None, Tensor | None]:
    """Return the pictures shown at the wanted timestamps, each once, and their own timestamps.

    Args:
        source: The open file.
        wanted: Ascending timestamps in seconds.
        still: Whether the file is one picture, which has no time.
        max_side: Longest side in pixels to scale down to, or None.

    Returns:
        (T, H, W, 3) uint8 and (T,) float64 seconds, or two None where there is no picture.

    Example:
        >>> class Nothing:
        ...     sampling, threads, picture = "exact", None, None
        ...     def stream(self, kind): ...
        ...     def packets(self, kind, since): return iter(())
        >>> read_pictures(Nothing(), [], False, None)
        (None, None)
    """
    if still:
        frame = first_frame(source)
        found = [] if frame is None else [(frame, 0.0)]
    else:
        found = []
        for group in group_timestamps(wanted):
            for frame, time in _sample(source, group):
                if not found or time > found[-1][1]:
                    found.append((frame, time))
    if not found:
        return None, None
    size = upright_size(found[0][0], max_side, source.display)
    converter = VideoReformatter()
    pictures = [to_rgb(frame, size, converter, source.display) for frame, _ in found]
    times = torch.tensor([time for _, time in found], dtype=torch.float64)
    return torch.from_numpy(np.stack(pictures)), times


def first_frame(source: _Source) -> VideoFrame | None:
    """Return the first picture that decodes, or None."""
    if source.picture is not None:
        return source.picture
    return next((shown.frame for shown in _decode_all(source)), None)


def group_timestamps(wanted: Sequence[float]) -> list[list[float]]:
    """Split timestamps where seeking beats reading on, and where packets would pile up."""
    groups = [list(wanted[:1])]
    for before, now in pairwise(wanted):
        if now - before > _GROUP_GAP or now - groups[-1][0] > _GROUP_SPAN:
            groups.append([])
        groups[-1].append(now)
    return [group for group in groups if group]


def _sample(source: _Source, wanted: list[float]) -> list[tuple[VideoFrame, float]]:
    """Return the frames shown at the wanted timestamps, by the plan or else one after another."""
    planned = planned_packets(source, wanted)
    if planned is not None:
        packets, plan = planned
        stream = cast(VideoStream, source.stream("video"))
        threads = 1 if source.sampling == "keyframe" else source.threads
        shown = _decode_plan(stream, packets, plan, threads)
        if all(pts in shown for pts in plan.wanted):
            base = float(stream.time_base or 0)
            return [(shown[pts], pts * base) for pts in plan.wanted]
    return _sample_in_order(source, wanted)


def planned_packets(
    source: _Source, wanted: list[float]
) -> tuple[list[Packet[Stream]], DecodePlan] | None:
    """Return the packets around the wanted timestamps and which of them to decode.

    None says that timestamps or key frames do not tell.
    """
    for since in (wanted[0], wanted[0] - 5.0, None):
        keys_only = source.sampling == "keyframe"
        packets = _collect(source, since, wanted[-1], keys_only)
        from_start = not source.seeks(since)
        stream = cast(VideoStream, source.stream("video"))
        plan = _plan(packets, stream, wanted, from_start, keys_only)
        if plan is not None:
            return packets, plan
        if from_start:
            break
    return None


def _collect(
    source: _Source, since: float | None, last: float, keys_only: bool
) -> list[Packet[Stream]]:
    packets: list[Packet[Stream]] = []
    base, end = 0.0, last + _TOLERANCE
    for packet in source.packets("video", since):
        # Exact fractions would cost more than the packets.
        base = base or float(packet.time_base)
        packets.append(packet)
        if keys_only and packet.is_keyframe and packet.pts is not None and packet.pts * base < last:
            # Up to there a later key frame may be nearer than this one.
            end = 2 * last - packet.pts * base
        # A frame is never shown before it is decoded, so nothing later can be due by then. What an edit
        # list leaves out stands in between with times of its own.
        if packet.dts is not None and packet.dts * base > end and not packet.is_discard:
            break
    return packets


def _plan(
    packets: list[Packet[Stream]],
    stream: VideoStream,
    wanted: list[float],
    from_start: bool,
    keys_only: bool,
) -> DecodePlan | None:
    """Choose the packets to decode, or return None where timestamps or key frames do not tell."""
    if not packets or any(p.pts is None for p in packets) or not _has_presentation_times(stream):
        return None
    base = float(stream.time_base or 0)
    order = sorted(
        (i for i, p in enumerate(packets) if not p.is_discard), key=lambda i: packets[i].pts or 0
    )
    times = np.array([(packets[i].pts or 0) * base for i in order])
    if not len(times) or (not from_start and times[0] > wanted[0] + _TOLERANCE):
        return None
    keys = [i for i in order if packets[i].is_keyframe] if keys_only else []
    if keys_only and not keys:
        return None
    chosen: dict[int, None] = {}
    for time in wanted:
        at = max(0, int(np.searchsorted(times, time + _TOLERANCE, side="right")) - 1)
        packet = packets[order[at]]
        length = _length(packet.duration, stream)
        until = times[at] + length if at == len(times) - 1 else float("inf")
        if _is_shown(time, times[at], until):
            chosen[_nearest(packets, keys, time / base) if keys_only else order[at]] = None
    runs: list[tuple[int, int]] = []
    for index in sorted(chosen):
        key = _key_before(packets, index)
        if key is None:
            return None
        if runs and key <= runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((key, index))
    return DecodePlan(runs, [packets[i].pts or 0 for i in chosen], from_start)


def _nearest(packets: list[Packet[Stream]], keys: list[int], pts: float) -> int:
    """Return the key frame shown nearest to a timestamp, the earlier of two as near."""
    return min(keys, key=lambda i: abs((packets[i].pts or 0) - pts))


def _key_before(packets: list[Packet[Stream]], index: int) -> int | None:
    """Return the key frame from which a packet can be decoded.

    A frame that precedes its key frame on screen (a leading frame of an open group) refers to the
    group before, too.
    """
    pts = packets[index].pts or 0
    for key in range(index, -1, -1):
        if packets[key].is_keyframe and (packets[key].pts or 0) <= pts:
            return key
    return None


def _decode_plan(
    stream: VideoStream, packets: list[Packet[Stream]], plan: DecodePlan, threads: int | None
) -> dict[int, VideoFrame]:
    """Return the wanted frames by timestamp, as far as they can be trusted."""
    _use_threads(stream, threads)
    context = stream.codec_context
    wanted = set(plan.wanted)
    shown: dict[int, VideoFrame] = {}
    for first, last in plan.runs:
        begun_well = packets[first].is_discard or (plan.from_start and first == 0)
        for packet in [*packets[first : last + 1], None]:
            # A frame that no other refers to need not be decoded unless it is wanted itself.
            skip = packet is not None and packet.pts not in wanted
            context.skip_frame = "NONREF" if skip else "DEFAULT"
            for frame in _decode(stream, packet):
                if frame.pts == packets[first].pts:
                    begun_well = frame.pict_type == PictureType.I
                if frame.pts in wanted:
                    shown[frame.pts] = frame
        context.flush_buffers()
        # With intra refresh, packets are called key frames from which only a later picture is
        # whole; nothing but decoding from the beginning is exact then.
        if not begun_well:
            return {}
    return shown


def _use_threads(stream: VideoStream, threads: int | None) -> None:
    # FFmpeg fixes the way of threading with the first packet.
    if stream.codec_context.is_open:
        stream.codec_context.flush_buffers()
    else:
        stream.codec_context.thread_type = "AUTO"
        stream.codec_context.thread_count = threads or 0


def _decode(stream: VideoStream, packet: Packet[Stream] | None) -> list[VideoFrame]:
    try:
        return stream.codec_context.decode(packet)
    except av.FFmpegError:
        return []


@dataclass
class _Shown:
    """A decoded frame with the timestamp and the length of its showing, in seconds."""

    frame: VideoFrame
    begin: float
    length: float


def _decode_all(source: _Source) -> Iterator[_Shown]:
    stream: VideoStream | None = None
    clock: list[int] = []
    for packet in source.packets("video", None):
        # Taken from the packet, since the source may have reopened the file to rewind it.
        if stream is None:
            stream = cast(VideoStream, packet.stream)
            _use_threads(stream, source.threads)
        heappush(clock, packet.dts if packet.dts is not None else packet.pts or 0)
        yield from _attach_times(_decode(stream, packet), stream, clock)
    if stream is not None:
        yield from _attach_times(_decode(stream, None), stream, clock)


def _attach_times(
    frames: list[VideoFrame], stream: VideoStream, clock: list[int]
) -> Iterator[_Shown]:
    """Attach timestamps; where the container has none, frames take their packets' in order."""
    base = float(stream.time_base or 0)
    for frame in frames:
        earliest = heappop(clock) if clock else 0
        trusted = frame.pts is not None and _has_presentation_times(stream)
        pts = frame.pts if trusted and frame.pts is not None else earliest
        yield _Shown(frame, pts * base, _length(frame.duration, stream))


def _has_presentation_times(stream: VideoStream) -> bool:
    """Say whether packets carry display times; AVI numbers them in decoding order instead."""
    if is_untimed(stream.container):
        return False
    return stream.container.format.name != "avi" or not stream.codec_context.has_b_frames


def _sample_in_order(source: _Source, wanted: list[float]) -> list[tuple[VideoFrame, float]]:
    """Decode every frame from the beginning and keep those that are shown at the wanted times."""
    kept: list[tuple[VideoFrame, float]] = []
    pending = list(wanted)
    current: _Shown | None = None

    def settle(until: float) -> None:
        while current is not None and pending and pending[0] + _TOLERANCE < until:
            time = pending.pop(0)
            end = current.begin + current.length if until == float("inf") else until
            if _is_shown(time, current.begin, end) and (not kept or current.begin > kept[-1][1]):
                kept.append((current.frame, current.begin))

    for shown in _decode_all(source):
        settle(shown.begin)
        if not pending:
            return kept
        current = shown
    settle(float("inf"))
    return kept


def _is_shown(time: float, begin: float, end: float) -> bool:
    return begin - HOLD <= time <= end + HOLD


def _length(ticks: int | None, stream: VideoStream) -> float:
    """Return for how many seconds the last picture is shown: as long as it says, or as the others are."""
    return max((ticks or 0) * float(stream.time_base or 0), frame_seconds(stream))


def frame_seconds(stream: VideoStream) -> float:
    """Return for how many seconds a picture of a stream is shown on average."""
    rate = stream.average_rate
    return float(1 / rate) if rate else 0.04
