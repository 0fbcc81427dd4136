"""Layouts of sound files that are frames or pages, one after another: MP3, ADTS, AC-3, Ogg, FLAC."""

from __future__ import annotations

from collections.abc import Callable

from ter_fast.media.decode.layout.base import Bytes, Found, find_all, mapped

_OGG_FIRST = b"OggS\0\x02"
_FLAC_FIRST = b"fLaC\0\0\0\x22"
# Tags before and behind an MP3, and how much of its end is searched for so many frames.
_TAGS, _TAIL, _FRAMES_IN_A_ROW = 1 << 12, 1 << 15, 4
_MP3_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_LOW_KBITS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_AC3_KBITS = (
    32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640,
)  # fmt: skip


def ogg(data: Bytes) -> Found:
    """Find where the first pages of a link of a chain stand, and whether the last page is whole."""
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


def flac(data: Bytes) -> Found:
    """Find the headers of FLAC files that were joined."""
    return find_all(data, _FLAC_FIRST), False


def mp3(data: Bytes) -> Found:
    """Compare the length in the Xing header with that of the file, and look at the last frame."""
    stated = _xing_bytes(data)
    return [], (stated is not None and stated > len(data)) or _frame_is_cut(data, _mp3_frame)


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


def framed(data: Bytes, length_of: Callable[[bytes], int]) -> Found:
    """Look at the last frame of a file that is nothing but frames."""
    return [], _frame_is_cut(data, length_of)


def ac3_frame(head: bytes) -> int:
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


def adts_frame(head: bytes) -> int:
    """Return the length of a frame of AAC by its first bytes; 0 where it is none."""
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
