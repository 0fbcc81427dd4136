"""Says how long the streams in use of a container last, and measures it where the header only guesses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from ter_fast.media.decode.layout.frames import states_its_length
from ter_fast.media.decode.pyav_container import is_attached, is_untimed

LONGEST_GAP = 3600.0
"""Damaged timestamps jump by days, and every window of such a void would be searched for nothing."""

# Below this many bytes a second a stated duration is more likely wrong than the stream that thin,
# and to measure it costs little, because the file is small.
_THINNEST = 1000
# A header that says that nothing happens for so many seconds is checked.
LATE = 1.0
PICTURES = ("gif", "apng")
"""Formats whose file is a picture, or a row of them."""

_UNKNOWN_LENGTH = 0.04
# FFmpeg guesses the length of these by the rate of their first packets, or by the size of the file.
_GUESSED = (
    "aac", "ac3", "eac3", "dts", "dtshd", "truehd", "mlp", "loas", "amr", "gsm", "g722",
)  # fmt: skip
# These state their number of samples, and nothing tells but the last packet whether all are there.
_COUNTED = ("flac", "tta", "wv", "ape")
# These state, or FFmpeg finds, the length of each stream.
_STATE_EACH = ("mov", "mpegts", "avi", "ogg", "nut")
# Pictures and sound take turns in a file, each for no longer than so many seconds.
_TURNS = 5.0
# So many seconds before the end that is stated hold packets of every stream.
_TAIL = 20.0


@dataclass(frozen=True)
class Duration:
    """How long a file lasts.

    Attributes:
        seconds: From its earliest picture or sound to the end of its last.
        jumps: Whether what comes after is left out, since timestamps jump.
        missing: Seconds that the header states and that the file does not hold.
    """

    seconds: float
    jumps: bool = False
    missing: float = 0.0


def find_duration(
    container: InputContainer,
    streams: Sequence[Stream],
    start: float,
    path: str,
    size: int,
    cut_short: bool,
) -> tuple[Duration, bool]:
    """Return how long the streams in use last, and whether packets were read to know it.

    Streams that nobody reads, such as subtitles, stretch nothing.

    Args:
        container: Opened, nothing of it read.
        streams: Those in use.
        start: The earliest timestamp in seconds.
        path: The file.
        size: In bytes.
        cut_short: Whether the end of the file is missing.
    """
    stated = (container.duration or 0) / 1e6
    name = container.format.name.partition(",")[0]
    guessed = (
        name in _GUESSED
        or is_untimed(container)
        or "ignore_length" in container.options
        or (name == "mp3" and not states_its_length(path))
    )
    # Matroska states when the last picture ends, however late the first one begins.
    late = start > LATE and name == "matroska"
    thin = size < _THINNEST * stated
    if cut_short:
        whole = _whole_end(container, streams, start, name in PICTURES) - start
        return Duration(min(whole, stated) if stated > 0 and not guessed else whole), True
    if stated <= 0 or guessed:
        return _measure(container, streams, start), True
    if late or thin:
        measured = _measure(container, streams, start)
        return Duration(min(stated, measured.seconds), measured.jumps), True
    if name in _COUNTED or name == "mpeg":
        last = _last_end(container, streams, start + stated - _TAIL)
        measured = Duration(last - start) if last else _measure(container, streams, start)
        if name == "mpeg":
            return measured, True
        return Duration(min(stated, measured.seconds), missing=stated - measured.seconds), True
    unread = [s for s in container.streams if s not in streams and not is_attached(s)]
    if not unread:
        return Duration(stated), False
    ends = [_stated_end(stream) for stream in streams]
    if name in _STATE_EACH and all(end is not None for end in ends):
        return Duration(max(end for end in ends if end is not None) - start), False
    last = _last_end(container, streams, start + stated - _TAIL) if stated > _TAIL else None
    if last is not None:
        return Duration(min(stated, last - start)), True
    measured = _measure(container, streams, start)
    return Duration(min(stated, measured.seconds), measured.jumps), True


def timed_packets(container: InputContainer, streams: Iterable[Stream]) -> Iterator[Packet[Stream]]:
    """Yield packets in file order, as far as the file is readable.

    Those of a file without timestamps are given some, at the rate of its pictures, in the order of
    decoding.
    """
    untimed = is_untimed(container)
    due = 0
    try:
        for packet in container.demux(*streams):
            if not packet.size:
                continue
            if untimed and packet.time_base:
                packet.pts, packet.dts = None, due
                rate = packet.stream.average_rate or 25
                due += packet.duration or round(1 / (rate * packet.time_base))
            yield packet
    except (av.FFmpegError, IndexError):
        # At the end PyAV may look for a stream that it does not know, where a damaged program table
        # made FFmpeg find one on the way.
        return


def _stated_end(stream: Stream) -> float | None:
    if stream.start_time is None or stream.duration is None or stream.time_base is None:
        return None
    return float((stream.start_time + stream.duration) * stream.time_base)


def _spans(container: InputContainer, streams: Sequence[Stream]) -> Iterator[tuple[float, float]]:
    """Yield when each packet begins and how long it lasts, in seconds."""
    for packet in timed_packets(container, streams):
        span = _span(packet)
        if span is not None:
            yield span


def _span(packet: Packet[Stream]) -> tuple[float, float] | None:
    begin = packet.dts if packet.pts is None else packet.pts
    if begin is None or packet.is_discard:
        return None
    length = float((packet.duration or 0) * packet.time_base) or _UNKNOWN_LENGTH
    return float(begin * packet.time_base), min(length, LONGEST_GAP)


def _last_end(container: InputContainer, streams: Sequence[Stream], since: float) -> float | None:
    """Return when the last packet ends, None where it is not among those from `since` on."""
    try:
        if since > 0:
            container.seek(int(since * 1e6))
    except av.FFmpegError:
        return None
    ends = [begin + length for begin, length in _spans(container, streams)]
    return max(ends, default=None)


def _whole_end(
    container: InputContainer, streams: Sequence[Stream], start: float, pictures: bool
) -> float:
    """Return until when a file without its end has both pictures and sound.

    One of them may go on for a moment, since they take turns in a file. A stream that ended long
    before the file is cut ends there. The last one of a row of pictures is not whole.
    """
    spans: dict[int, list[tuple[float, float]]] = {}
    for packet in timed_packets(container, streams):
        span = _span(packet)
        if span is not None:
            spans.setdefault(packet.stream_index, []).append(span)
    if pictures:
        spans = {index: found[:-1] for index, found in spans.items()}
    ends = [max((sum(span) for span in found), default=start) for found in spans.values()]
    last = max(ends, default=start)
    return min((end for end in ends if end > last - _TURNS), default=start)


def _measure(container: InputContainer, streams: Sequence[Stream], start: float) -> Duration:
    last = start
    for begin, length in sorted(_spans(container, streams)):
        if begin - last > LONGEST_GAP:
            return Duration(last - start, jumps=True)
        last = max(last, begin + length)
    return Duration(last - start)
