"""Reads from a file's bytes what its container says of its size: where parts begin, and whether all is there.

Files are joined by `cat`, recorders start anew, and downloads end half way. FFmpeg reads them as far
as their first clock goes, and fills the rest with the length that the header states.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ter_fast.media.decode import stills

Bytes = bytes | mmap.mmap

Span = tuple[int, int]
"""First byte, and the one behind the last."""

Clock = tuple[int, int]
"""Where in a file a clock is stated, and its ticks of 90 kHz."""

# Sizes that writers leave in a header that they cannot come back to.
_UNKNOWN_SIZE = 0x7FFF_0000
_EBML, _SEGMENT, _CLUSTER = b"\x1a\x45\xdf\xa3", 0x18538067, 0x1F43B675
_OGG_FIRST = b"OggS\0\x02"
_FLAC_FIRST = b"fLaC\0\0\0\x22"
_ASF_FIRST = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FACTS = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_PACK = b"\0\0\1\xba"
_CLOCK = 90_000
_WRAP = 1 << 33
_JUMP = 60.0
_BACK = 1.0
# Tags before and behind an MP3, and how much of its end is searched for so many frames.
_TAGS, _TAIL, _FRAMES_IN_A_ROW = 1 << 12, 1 << 15, 4
_MP3_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_LOW_KBITS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_AC3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
# Packets of a transport stream: read at once, between tables and the clock, and which are no frames.
_PACKET, _BLOCK, _NEAR, _LAST_TABLE, _PADDING = 188, 1 << 16, 16, 0x1F, 0x1FFF


@dataclass(frozen=True)
class Layout:
    """What the bytes of a file say of it.

    Attributes:
        parts: Where each of the files lies that were joined to this one; one for a plain file.
        cut_short: Whether its end is missing.
    """

    parts: tuple[Span, ...]
    cut_short: bool = False


@contextmanager
def mapped(path: str) -> Iterator[mmap.mmap]:
    """Give the bytes of a file that is not empty, without reading them."""
    with (
        Path(path).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        yield data


def read_layout(path: str, container: str) -> Layout:
    """Read where the parts of a file lie, and whether its end is missing.

    Args:
        path: A file that is not empty.
        container: FFmpeg's name of its format.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile(suffix=".png") as file:
        ...     _ = file.write(b"\\x89PNG\\r\\n\\x1a\\n" + bytes(8)) + file.seek(0)
        ...     read_layout(file.name, "png_pipe")
        Layout(parts=((0, 16),), cut_short=True)
    """
    with mapped(path) as data:
        size = len(data)
        name = container.partition(",")[0]
        if name in ("gif", "apng", "image2") or name.endswith("_pipe"):
            return Layout(((0, size),), stills.is_cut_short(data))
        begins, cut_short = _READERS.get(name, _nothing)(data)
        edges = [0, *begins, size]
        spans = [(a, b) for a, b in zip(edges, edges[1:], strict=False) if b > a]
        return Layout(tuple(spans), cut_short)


_Found = tuple[list[int], bool]


def _nothing(data: Bytes) -> _Found:
    return [], False


def _mp4(data: Bytes) -> _Found:
    """Find a second film behind the first, and fragments that do not end.

    The index of a film without fragments says more exactly what is missing.
    """
    at, size = 0, len(data)
    films: list[int] = []
    begin: int | None = None
    kinds = set()
    end = 0
    while at + 8 <= size:
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        elif length == 0:
            length = size - at
        if length < 8 or not kind.isascii():
            break
        kinds.add(kind)
        if kind == b"ftyp":
            begin = at
        elif kind == b"moov" and begin is not None:
            films.append(begin)
            begin = None
        end = at = at + length
    return films[1:], b"moof" in kinds and end > size


def _matroska(data: Bytes) -> _Found:
    at, size = 0, len(data)
    begins: list[int] = []
    while at < size and data[at : at + 4] == _EBML:
        if at:
            begins.append(at)
        _, body, length = _element(data, at)
        if length is None:
            break
        kind, body, length = _element(data, body + length)
        if kind != _SEGMENT:
            break
        if length is None:
            return begins + _headers(data, body), _cluster_is_cut(data, body)
        at = body + length
    return begins, at > size


def _headers(data: Bytes, at: int) -> list[int]:
    """Return where EBML headers begin behind a segment that does not state its length."""
    found = []
    while (at := data.find(_EBML, at + 1)) >= 0:
        head = data[at : at + 64]
        if b"webm" in head or b"matroska" in head:
            found.append(at)
    return found


def _cluster_is_cut(data: Bytes, at: int) -> bool:
    """Say whether the last element of a segment without a length lacks its end."""
    last = at
    while at < len(data):
        last = at
        kind, body, length = _element(data, at)
        at = body if length is None or kind == _CLUSTER else body + length
        if kind < 0:
            return True
    return at > len(data) and last < len(data)


def _element(data: Bytes, at: int) -> tuple[int, int, int | None]:
    """Return the number, the beginning and the length of an EBML element; -1 where none is whole."""
    head = data[at : at + 12]
    if len(head) < 2 or not head[0]:
        return -1, at + 1, 0
    wide = 9 - head[0].bit_length()
    if wide >= len(head) or not head[wide]:
        return -1, at + 1, 0
    long = 9 - head[wide].bit_length()
    value = int.from_bytes(head[wide : wide + long], "big") & ((1 << 7 * long) - 1)
    unknown = value == (1 << 7 * long) - 1
    return int.from_bytes(head[:wide], "big"), at + wide + long, None if unknown else value


def _riff(data: Bytes) -> _Found:
    """Walk the RIFF chunks of a WAV or AVI: those of an AVI go on as AVIX."""
    at, begins = 0, []
    while at + 12 <= len(data) and data[at : at + 4] in (b"RIFF", b"RF64"):
        if at and data[at + 8 : at + 12] in (b"WAVE", b"AVI "):
            begins.append(at)
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"RF64" or not 4 < length < _UNKNOWN_SIZE:
            return begins, _wave_is_cut(data, at)
        at += 8 + length + length % 2
    # What is padded to an even length need not be.
    return begins, at > len(data) + 1


def _wave_is_cut(data: Bytes, at: int) -> bool:
    long = None
    at += 12
    while at + 8 <= len(data):
        kind, length = struct.unpack("<4sI", data[at : at + 8])
        if kind == b"ds64":
            long = int.from_bytes(data[at + 16 : at + 24], "little")
        if kind == b"data":
            if long is not None and length == 0xFFFFFFFF:
                length = long
            return length < _UNKNOWN_SIZE and at + 8 + length > len(data)
        at += 8 + length + length % 2
    return False


def _aiff(data: Bytes) -> _Found:
    return [], int.from_bytes(data[4:8], "big") + 8 > len(data)


def _au(data: Bytes) -> _Found:
    begin, length = struct.unpack(">II", data[4:12])
    return [], length < _UNKNOWN_SIZE and begin + length > len(data)


def _w64(data: Bytes) -> _Found:
    return [], int.from_bytes(data[16:24], "little") > len(data)


def _caf(data: Bytes) -> _Found:
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 12], "big", signed=True)
        if length < 0:
            return [], False
        at += 12 + length
    return [], at > len(data)


def _asf(data: Bytes) -> _Found:
    begins, at = [], data.find(_ASF_FIRST, 1)
    while at >= 0:
        begins.append(at)
        at = data.find(_ASF_FIRST, at + 1)
    last = begins[-1] if begins else 0
    at = data.find(_ASF_FACTS, last, last + (1 << 16))
    stated = int.from_bytes(data[at + 40 : at + 48], "little") if at >= 0 else 0
    return begins, last + stated > len(data)


def _ogg(data: Bytes) -> _Found:
    begins = []
    at, last_first = 0, -1
    while (at := data.find(_OGG_FIRST, at)) >= 0:
        # The first pages of all streams of a part follow one another.
        if at != last_first and at:
            begins.append(at)
        last_first = _ogg_page_end(data, at)
        at += 1
    last = data.rfind(b"OggS")
    return begins, _ogg_page_end(data, last) > len(data)


def _ogg_page_end(data: Bytes, at: int) -> int:
    head = data[at : at + 282]
    if len(head) < 27 or len(head) < 27 + head[26]:
        return len(data) + 1
    return at + 27 + head[26] + sum(head[27 : 27 + head[26]])


def _flac(data: Bytes) -> _Found:
    begins, at = [], data.find(_FLAC_FIRST)
    while (at := data.find(_FLAC_FIRST, at + 1)) >= 0:
        begins.append(at)
    return begins, False


def _flv(data: Bytes) -> _Found:
    begins: list[int] = []
    at, size, last = 13, len(data), 0
    while at + 11 <= size:
        if data[at : at + 3] == b"FLV":
            begins.append(at)
            at, last = at + 13, 0
            continue
        head = data[at : at + 8]
        time = int.from_bytes(head[4:7], "big") | head[7] << 24
        at += 15 + int.from_bytes(head[1:4], "big")
        last = max(last, time)
    # The last four bytes repeat a length, which nothing needs.
    return begins, at > size + 4


def _mp3(data: Bytes) -> _Found:
    stated = _xing_bytes(data)
    return [], stated is not None and stated > len(data) or _frame_is_cut(data, _mp3_frame)


def states_its_length(path: str) -> bool:
    """Say whether an MP3 states its number of frames, and that of its own bytes rather than of a part.

    Others have a length that FFmpeg guesses from the rate of the first frames.
    """
    with mapped(path) as data:
        stated = _xing_bytes(data)
        return stated is not None and abs(len(data) - stated) < _TAGS


def _xing_bytes(data: Bytes) -> int | None:
    """Return how long a file is by its Xing or Info header, or None where there is none."""
    at = 0
    while data[at : at + 3] == b"ID3":
        wide = data[at + 6 : at + 10]
        at += 10 + sum((byte & 0x7F) << 7 * (3 - i) for i, byte in enumerate(wide))
    head = data[at : at + 256]
    for name in (b"Xing", b"Info"):
        begin = head.find(name)
        if begin >= 0 and head[begin + 7 : begin + 8] and head[begin + 7] & 3 == 3:
            return at + int.from_bytes(head[begin + 12 : begin + 16], "big")
    return None


def _mp3_frame(head: bytes) -> int:
    """Return the length of a frame of MPEG audio, layer III, by its first bytes; 0 where it is none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] >> 5 != 7 or head[1] >> 1 & 3 != 1:
        return 0
    version, index, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or index in (0, 15) or rate == 3:
        return 0
    bits = (_MP3_KBITS if version == 3 else _MP3_LOW_KBITS)[index]
    hertz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    return (144 if version == 3 else 72) * bits * 1000 // hertz + (head[2] >> 1 & 1)


def _frames(data: Bytes, length_of: Callable[[bytes], int]) -> _Found:
    return [], _frame_is_cut(data, length_of)


def _ac3_frame(head: bytes) -> int:
    """Return the length of a frame of AC-3 or E-AC-3; 0 where it is none."""
    if len(head) < 6 or head[:2] != b"\x0b\x77":
        return 0
    if head[5] >> 3 > 10:
        return 2 * (((head[2] & 7) << 8 | head[3]) + 1)
    rate, index = head[4] >> 6, head[4] & 63
    if rate == 3 or index >= 2 * len(_AC3_KBITS):
        return 0
    kbits = _AC3_KBITS[index >> 1]
    return 2 * (2 * kbits, kbits * 96_000 // 44_100 + index % 2, 3 * kbits)[rate]


def _adts_frame(head: bytes) -> int:
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return 0
    return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5


def _frame_is_cut(data: Bytes, length_of: Callable[[bytes], int]) -> bool:
    """Say whether the last of the frames that end a file lacks its end; tags may follow it."""
    since = max(0, len(data) - _TAIL)
    tail = bytes(data[since:])
    for begin in range(len(tail)):
        at, count = begin, 0
        while at < len(tail) and (length := length_of(tail[at : at + 6])):
            at, count = at + length, count + 1
        if count >= _FRAMES_IN_A_ROW:
            # Of the last frame there may be less than the bytes that state its length.
            rest = tail[at : at + 6]
            return at > len(tail) or (0 < len(rest) < 6 and rest[0] == tail[begin])
    return False


def _program_stream(data: Bytes) -> _Found:
    clocks = []
    last = 0
    for match in re.finditer(re.escape(_PACK), data):
        clock = _pack_clock(data[match.end() : match.end() + 6])
        if clock is not None:
            last = match.start()
            clocks.append((last, clock))
    return _breaks(clocks), _pack_is_cut(data, last)


def _breaks(clocks: list[Clock]) -> list[int]:
    """Return where a clock has been set anew, rather than being damaged once."""
    begins = []
    last: int | None = None
    for index, (at, clock) in enumerate(clocks):
        if last is not None and _jumps(clock - last):
            after = clocks[index + 1 : index + 2]
            if not after or _jumps(after[0][1] - clock):
                continue
            begins.append(at)
        last = clock
    return begins


def _jumps(ticks: int) -> bool:
    """Say whether a clock of 33 bits, which begins again after 26 hours, has been set anew."""
    ticks = (ticks + _WRAP // 2) % _WRAP - _WRAP // 2
    return not -_BACK * _CLOCK <= ticks <= _JUMP * _CLOCK


def _pack_clock(head: bytes) -> int | None:
    """Return the system clock reference of a pack of MPEG-2 or MPEG-1, in ticks of 90 kHz."""
    if len(head) < 6:
        return None
    value = int.from_bytes(head[:5], "big")
    if head[0] >> 6 == 1:
        return value >> 35 << 30 & _WRAP - 1 | (value >> 19 & 0x7FFF) << 15 | value >> 3 & 0x7FFF
    if head[0] >> 4 == 2:
        return (value >> 33 & 7) << 30 | (value >> 17 & 0x7FFF) << 15 | value >> 1 & 0x7FFF
    return None


def _pack_is_cut(data: Bytes, at: int) -> bool:
    head = data[at : at + 14]
    if len(head) < 14:
        return True
    at += 12 if head[4] >> 4 == 2 else 14 + (head[13] & 7)
    while at + 6 <= len(data) and data[at : at + 3] == b"\0\0\1" and data[at + 3] >= 0xBB:
        at += 6 + int.from_bytes(data[at + 4 : at + 6], "big")
    return at > len(data)


def _transport_stream(data: Bytes) -> _Found:
    """Find where the clock of the programme (PCR) jumps, and whether the last frame is whole."""
    first, wide = _transport_packets(data)
    if not wide:
        return [], False
    clocks: dict[int, list[Clock]] = {}
    for pid, at, clock in _programme_clocks(data, first, wide):
        clocks.setdefault(pid, []).append((at, clock))
    breaks = _breaks(max(clocks.values(), key=len, default=[]))
    begins = [_tables_before(data, at, first, wide) for at in breaks]
    # With a time before each packet, none stands behind the last one.
    left = (len(data) - first) % wide
    return begins, left not in (0, _PACKET) or _ends_within_frame(data, first, wide)


def _programme_clocks(data: Bytes, first: int, wide: int) -> Iterator[tuple[int, int, int]]:
    """Yield (PID, position, ticks of 90 kHz) of each packet that states the clock."""
    for block in range(first, len(data) - wide + 1, _BLOCK * wide):
        count = min(_BLOCK, (len(data) - block) // wide)
        rows = np.frombuffer(data, np.uint8, count * wide, block).reshape(count, wide)[:, :12].copy()
        stated = (rows[:, 0] == 0x47) & (rows[:, 3] & 0x20 > 0) & (rows[:, 4] >= 7)
        for row in np.flatnonzero(stated & (rows[:, 5] & 0x10 > 0)).tolist():
            head = rows[row].tobytes()
            clock = int.from_bytes(head[6:11], "big") >> 7
            yield (head[1] & 31) << 8 | head[2], block + row * wide, clock


def _tables_before(data: Bytes, at: int, first: int, wide: int) -> int:
    """Return where the tables of a programme stand: just before the packets that they describe."""
    since = max(first, at - _NEAR * wide)
    for begin in range(since, at, wide):
        if (data[begin + 1] & 31) << 8 | data[begin + 2] <= _LAST_TABLE:
            return begin
    return at


def _transport_packets(data: Bytes) -> tuple[int, int]:
    """Return where packets begin and how long they are: 188 bytes, with a time 192, with parity 204."""
    head = bytes(data[:2048])
    for wide in (188, 192, 204):
        for first in range(min(wide, len(head))):
            if len(data) >= 2 * wide and all(b == 0x47 for b in head[first::wide]):
                return first, wide
    return 0, 0


def _ends_within_frame(data: Bytes, first: int, wide: int) -> bool:
    """Say whether the last packet of a frame is full: a muxer fills up the one that ends a frame."""
    at = first + (len(data) - first - _PACKET) // wide * wide
    for _ in range(_NEAR):
        if at < first:
            break
        head = data[at : at + 4]
        pid = (head[1] & 31) << 8 | head[2]
        if _LAST_TABLE < pid < _PADDING and head[3] & 0x10:
            return not head[3] & 0x20
        at -= wide
    return False


_READERS: dict[str, Callable[[Bytes], _Found]] = {
    "mov": _mp4,
    "matroska": _matroska,
    "avi": _riff,
    "wav": _riff,
    "aiff": _aiff,
    "au": _au,
    "asf": _asf,
    "ogg": _ogg,
    "flac": _flac,
    "flv": _flv,
    "mp3": _mp3,
    "aac": partial(_frames, length_of=_adts_frame),
    "ac3": partial(_frames, length_of=_ac3_frame),
    "eac3": partial(_frames, length_of=_ac3_frame),
    "w64": _w64,
    "caf": _caf,
    "mpeg": _program_stream,
    "mpegts": _transport_stream,
}
