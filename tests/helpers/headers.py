"""Where the headers of media files lie, and which of their numbers say how large or long things are."""

from __future__ import annotations

import struct
from functools import cache

BOXES_OF_BOXES = frozenset(
    {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"moof", b"traf"}
)


def header(content: bytes) -> tuple[int, int]:
    """Return begin and end of the index, or of the first 4 KiB where there is none."""
    for name, begin, end in boxes(content):
        if name == b"moov":
            return begin, end
    return 0, min(len(content), 4096)


@cache
def boxes(content: bytes) -> tuple[tuple[bytes, int, int], ...]:
    """List (name, begin, end) of the boxes of an MP4 or QuickTime file, without their headers."""
    if content[4:8] != b"ftyp":
        return ()
    found: list[tuple[bytes, int, int]] = []

    def walk(at: int, end: int) -> None:
        while at + 8 <= end:
            size, name = struct.unpack(">I4s", content[at : at + 8])
            if size < 8 or at + size > end:
                return
            found.append((name, at + 8, at + size))
            if name in BOXES_OF_BOXES:
                walk(at + 8, at + size)
            at += size

    walk(0, len(content))
    return tuple(found)


def fields(content: bytes) -> list[tuple[int, str]]:
    """List the place and the format of the header's numbers that say how large or long things are."""
    places = {
        b"mvhd": [(12, ">I"), (16, ">I"), (20, ">I")],
        b"mdhd": [(12, ">I"), (16, ">I")],
        b"tkhd": [(12, ">I"), (20, ">I"), *((40 + 4 * i, ">I") for i in range(9)), (76, ">I"), (80, ">I")],
        # After 8 bytes of count and 16 of the first entry: a picture's size, or channels, bits, rate.
        b"stsd": [(4, ">I"), (8, ">I"), (12, ">I"), (16 + 16, ">H"), (16 + 18, ">H"), (16 + 24, ">H"),
                  (16 + 26, ">H"), (16 + 32, ">I"), (110, ">I"), (118, ">I")],
        b"stts": [(4, ">I"), (8, ">I"), (12, ">I")],
        b"ctts": [(4, ">I"), (8, ">I"), (12, ">I")],
        b"stsz": [(4, ">I"), (8, ">I"), (12, ">I")],
        b"stsc": [(4, ">I"), (8, ">I"), (12, ">I"), (16, ">I")],
        b"stco": [(4, ">I"), (8, ">I")],
        b"stss": [(4, ">I"), (8, ">I")],
        b"elst": [(4, ">I"), (8, ">I"), (12, ">I"), (16, ">I")],
        b"hdlr": [(8, ">I")],
    }  # fmt: skip
    found = [
        (begin + at, code)
        for name, begin, end in boxes(content)
        for at, code in places.get(name, [])
        if begin + at + struct.calcsize(code) <= end
    ]
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        found = [(at, "<I") for at in (4, 16, 24, 28, 40)] + [(at, "<H") for at in (20, 22, 32, 34)]
    elif content[:4] == b"RIFF":
        found = [(at, "<I") for at in range(4, 320, 4)]
    elif content[:4] == b"\x89PNG":
        found = [(8, ">I"), (16, ">I"), (20, ">I"), (24, "B"), (25, "B"), (28, "B")]
    elif content[:3] == b"GIF":
        found = [(6, "<H"), (8, "<H"), (10, "B")]
    elif content[:4] == b"fLaC":
        found = [(8, ">H"), (10, ">H"), (18, ">H"), (20, ">H"), (22, ">I")]
    elif content[:2] == b"\xff\xd8" and (at := content.find(b"\xff\xc0")) > 0:
        found = [(at + 5, ">H"), (at + 7, ">H"), (at + 9, "B"), (at + 11, "B")]
    return found
