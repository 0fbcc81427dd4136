"""Cuts out of a film the packets that the wanted pictures depend on, as a small film for DALI."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
import numpy.typing as npt
import torch
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from ter_fast.errors import MediaError
from ter_fast.media.decode import dali_nal
from ter_fast.media.decode.dali import reason_of
from ter_fast.media.decode.dali_sizes import shows_a_picture, stated_sizes
from ter_fast.media.decode.pyav import PyAVMedia
from ter_fast.media.decode.pyav_video import group_timestamps, planned_packets

CPU_CODECS = ("vp8", "vp9", "mjpeg")
"""What DALI decodes without a GPU, by PyAV's names."""

GPU_CODECS = ("h264", "hevc", "vp8", "vp9", "mjpeg", "mpeg4", "av1", "libdav1d")
"""What DALI decodes through NVDEC, by PyAV's names."""

MAX_BYTES = 1 << 28
"""Largest excerpt in bytes: what is longer is left to PyAV, which reads it piece by piece."""

_TICK = Fraction(1, 25)


class NotForDaliError(MediaError):
    """Says in one phrase why a film is left to PyAV."""


JOINED = NotForDaliError("several files are joined in it")


@dataclass(frozen=True)
class Excerpt:
    """Hold a film of the packets that T pictures depend on.

    Attributes:
        film: (bytes,) uint8, Matroska with one track and a constant frame rate.
        numbers: (T,) int32 number of each picture in that film.
        times: (T,) float64 seconds at which each begins, by the timestamps of the file.
    """

    film: npt.NDArray[np.uint8]
    numbers: npt.NDArray[np.int32]
    times: npt.NDArray[np.float64]


def default_device() -> str:
    """Return where DALI decodes: "gpu" where torch sees one, otherwise "cpu".

    Example:
        >>> default_device() == ("gpu" if torch.cuda.is_available() else "cpu")
        True
    """
    return "gpu" if torch.cuda.is_available() else "cpu"


def excerpt(media: PyAVMedia, times: Sequence[float], device: str) -> Excerpt | None:
    """Cut out what the pictures shown at `times` depend on, without decoding.

    The packets are those that PyAV would decode, each run from a key frame on, so a long file is
    neither read nor held whole; and pictures are told apart by their number, whatever the frame rate.

    Args:
        media: The open file.
        times: Ascending seconds from the file's beginning.
        device: "cpu" or "gpu", for which codecs differ.

    Returns:
        The excerpt, or None where no picture is shown.

    Raises:
        NotForDaliError: DALI does not decode such a film as PyAV does.
    """
    _check(media, device)
    base, film = 0, _Film()
    numbers: list[int] = []
    begins: list[float] = []
    for group in group_timestamps([t + media.info.start for t in times]):
        planned = planned_packets(media, group)
        if planned is None:
            raise NotForDaliError("its timestamps do not tell one picture from another")
        packets, plan = planned
        wanted = set(plan.wanted)
        for first, last in _close_gaps(packets, plan.runs):
            run = _whole(packets[first : last + 1])
            order = sorted(range(len(run)), key=lambda i: run[i].pts or 0)
            film.append(run, order)
            for rank, index in enumerate(order):
                begin = float((run[index].pts or 0) * run[index].time_base)
                if run[index].pts in wanted and (not begins or begin > begins[-1]):
                    numbers.append(base + rank)
                    begins.append(begin)
            base += len(run)
    if not numbers:
        return None
    return Excerpt(film.finish(), np.array(numbers, np.int32), np.array(begins))


def left_to_pyav(error: Exception) -> str:
    """Say in one phrase why PyAV decoded what DALI was asked for.

    Example:
        >>> left_to_pyav(NotForDaliError("its pictures are stored turned"))
        'decoded by PyAV, since its pictures are stored turned'
    """
    if isinstance(error, NotForDaliError):
        return f"decoded by PyAV, since {error}"
    return f"decoded by PyAV, since DALI failed ({reason_of(error)})"


def _check(media: PyAVMedia, device: str) -> None:
    codec = media.info.video_codec
    if codec not in (GPU_CODECS if device == "gpu" else CPU_CODECS):
        gpu = (
            "has no decoder for"
            if device == "gpu" or codec not in GPU_CODECS
            else "needs a GPU for"
        )
        raise NotForDaliError(f"DALI {gpu} {codec}")
    shown = media.upright()
    if shown.rotation or shown.mirrored:
        raise NotForDaliError("its pictures are stored turned")
    if media.is_hdr():
        raise NotForDaliError("its pictures are HDR")


def _close_gaps(
    packets: list[Packet[Stream]], runs: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Close the gap before a run whose key frame does not make the decoder forget the run before."""
    joined: list[tuple[int, int]] = []
    for first, last in runs:
        if joined and not _resets_decoder(packets[first]):
            joined[-1] = joined[-1][0], last
        else:
            joined.append((first, last))
    return joined


def _resets_decoder(packet: Packet[Stream]) -> bool:
    codec = _context(packet).name
    return codec not in dali_nal.CODECS or dali_nal.resets_decoder(codec, _units(packet))


def _units(packet: Packet[Stream]) -> list[bytes]:
    context = _context(packet)
    return dali_nal.nal_units(context.name, bytes(packet), bytes(context.extradata or b""))


def _context(packet: Packet[Stream]) -> VideoCodecContext:
    return cast(VideoStream, packet.stream).codec_context


def _whole(run: list[Packet[Stream]]) -> list[Packet[Stream]]:
    """Leave out what is shown before the key frame of a run: it refers to the run before."""
    kept = [packet for packet in run if (packet.pts or 0) >= (run[0].pts or 0)]
    if len({packet.pts for packet in kept}) < len(kept):
        raise NotForDaliError("its timestamps do not tell one picture from another")
    if not all(shows_a_picture(_context(p).name, bytes(p)) for p in kept):
        raise NotForDaliError("it has pictures that are never shown")
    return kept


class _Film:
    """Writes packets as a film in memory, one tick of a constant rate for each picture."""

    def __init__(self) -> None:
        self._stream: VideoStream | None = None
        self._runs: list[tuple[list[bytes], list[bool], list[int]]] = []
        self._size = 0
        self._sets: set[bytes] = set()

    def append(self, run: list[Packet[Stream]], order: list[int]) -> None:
        ranks = [0] * len(run)
        for rank, index in enumerate(order):
            ranks[index] = rank
        self._check(run)
        data = [bytes(packet) for packet in run]
        self._size += sum(map(len, data))
        if self._size > MAX_BYTES:
            raise NotForDaliError(f"more than {MAX_BYTES >> 20} MB are needed at once")
        self._runs.append((data, [packet.is_keyframe for packet in run], ranks))
        # The file may have been opened again on the way.
        self._stream = cast(VideoStream, run[0].stream)

    def _check(self, run: list[Packet[Stream]]) -> None:
        stream = cast(VideoStream, run[0].stream)
        codec = stream.codec_context.name
        for packet in run:
            sizes = stated_sizes(codec, bytes(packet)) - {(stream.width, stream.height)}
            if sizes or packet.has_sidedata("new_extradata"):
                raise NotForDaliError("its pictures change size")
        if codec not in dali_nal.CODECS:
            return
        for packet in run:
            self._sets |= dali_nal.size_sets(codec, _units(packet))
        known = bytes(stream.codec_context.extradata or b"")
        if len(self._sets) > 1 or (known and not all(each in known for each in self._sets)):
            raise NotForDaliError("its pictures may change size")
        alone = dali_nal.stands_alone(codec, _units(run[0]))
        if not alone or (self._runs and not _resets_decoder(run[0])):
            raise NotForDaliError("its key frames do not stand alone")

    def finish(self) -> npt.NDArray[np.uint8]:
        assert self._stream is not None
        buffer = io.BytesIO()
        try:
            with av.open(buffer, "w", format="matroska") as out:
                # Without `opaque` PyAV looks for an encoder of the same name, and dav1d is none.
                track = out.add_stream_from_template(self._stream, opaque=True)
                track.time_base = _TICK
                for packet in self._packets():
                    packet.stream = track
                    out.mux(packet)
        except (av.FFmpegError, ValueError) as error:
            raise NotForDaliError(f"its packets do not fit into Matroska ({error})") from None
        return np.frombuffer(buffer.getvalue(), np.uint8)

    def _packets(self) -> Iterator[Packet[Stream]]:
        base = 0
        # A picture may be shown later than it is coded, never earlier.
        delay = max(i - r for _, _, ranks in self._runs for i, r in enumerate(ranks))
        for data, keys, ranks in self._runs:
            for index, (content, key, rank) in enumerate(zip(data, keys, ranks, strict=True)):
                packet: Packet[Stream] = Packet(content)
                packet.pts, packet.dts = base + rank + delay, base + index
                packet.time_base, packet.duration, packet.is_keyframe = _TICK, 1, key
                yield packet
            base += len(data)
