"""Layouts of containers made of boxes that state their length: MP4, Matroska, RIFF, FLV and more."""

from __future__ import annotations

import re
import struct

from ter_fast.media.decode.layout.base import UNKNOWN_SIZE, Bytes, Found, Span, find_all, mapped

_EBML, _SEGMENT, _CLUSTER = b"\x1a\x45\xdf\xa3", 0x18538067, 0x1F43B675
_ASF_FIRST = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FACTS = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_GRID = re.compile(rb"infe[\x02\x03]...(?:..|....)..grid", re.DOTALL)


def is_tiled(data: Bytes) -> bool:
    """Say whether a HEIC or AVIF holds its picture in tiles, each a picture of its own."""
    return _GRID.search(data[: 1 << 16]) is not None


def mp4(data: Bytes) -> Found:
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


def matroska(data: Bytes) -> Found:
    """Walk the segments, or the clusters of one that does not state its length."""
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


def riff(data: Bytes) -> Found:
    """Walk the RIFF chunks of a WAV or AVI: those of an AVI go on as AVIX."""
    at, begins = 0, []
    while at + 12 <= len(data) and data[at : at + 4] in (b"RIFF", b"RF64"):
        if at and data[at + 8 : at + 12] in (b"WAVE", b"AVI "):
            begins.append(at)
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"RF64" or not 4 < length < UNKNOWN_SIZE:
            return begins, _wave_is_cut(data, at)
        at += 8 + length + length % 2
    # What is padded to an even length need not be.
    return begins, at > len(data) + 1


def _wave_is_cut(data: Bytes, at: int) -> bool:
    begin, length = _wave_samples(data, at)
    return length < UNKNOWN_SIZE and begin + length > len(data)


def _wave_samples(data: Bytes, at: int) -> Span:
    """Return where the samples of a WAV begin, and of how many bytes its header says they are."""
    long = None
    at += 12
    while at + 8 <= len(data):
        kind, length = struct.unpack("<4sI", data[at : at + 8])
        if kind == b"ds64":
            long = int.from_bytes(data[at + 16 : at + 24], "little")
        if kind == b"data":
            return at + 8, long if long is not None and length == 0xFFFFFFFF else length
        at += 8 + length + length % 2
    return at, 0


def wave_goes_on(path: str) -> bool:
    """Say whether a WAV holds more samples than its header states, as where a recorder was stopped."""
    with mapped(path) as data:
        if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
            return False
        begin, length = _wave_samples(data, 0)
        end = begin + length + length % 2
        if not length or end + 8 > len(data):
            return False
        kind, length = struct.unpack("<4sI", data[end : end + 8])
        return not (kind.isalnum() or kind.strip().isalnum()) or end + 8 + length > len(data)


def aiff(data: Bytes) -> Found:
    """Compare the length in the header with that of the file."""
    return [], int.from_bytes(data[4:8], "big") + 8 > len(data)


def au(data: Bytes) -> Found:
    """Compare the length in the header, where there is one, with that of the file."""
    begin, length = struct.unpack(">II", data[4:12])
    return [], length < UNKNOWN_SIZE and begin + length > len(data)


def w64(data: Bytes) -> Found:
    """Compare the length in the header with that of the file."""
    return [], int.from_bytes(data[16:24], "little") > len(data)


def caf(data: Bytes) -> Found:
    """Walk the chunks; one of length -1 goes on to the end."""
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 12], "big", signed=True)
        if length < 0:
            return [], False
        at += 12 + length
    return [], at > len(data)


def asf(data: Bytes) -> Found:
    """Find further headers, and compare the length in the last one with that of the file."""
    begins = find_all(data, _ASF_FIRST)
    last = begins[-1] if begins else 0
    at = data.find(_ASF_FACTS, last, last + (1 << 16))
    stated = int.from_bytes(data[at + 40 : at + 48], "little") if at >= 0 else 0
    return begins, last + stated > len(data)


def flv(data: Bytes) -> Found:
    """Walk the tags up to the header of a file that was joined."""
    begins: list[int] = []
    at, size = 13, len(data)
    while at + 11 <= size:
        if data[at : at + 3] == b"FLV":
            begins.append(at)
            at += 13
            continue
        at += 15 + int.from_bytes(data[at + 1 : at + 4], "big")
    # The last four bytes repeat a length, which nothing needs.
    return begins, at > size + 4
