"""Reads from a photograph's bytes how it is oriented, whether all of it is there, and why it may not decode."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

_JPEG, _PNG, _RIFF = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF"
_TIFF = (b"II*\0", b"MM\0*")
_EXIF = b"Exif\0\0"

_WIDTH, _HEIGHT = 0x100, 0x101
_ORIENTATION, _BITS, _COMPRESSION, _PHOTOMETRIC = 0x112, 0x102, 0x103, 0x106
_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES = 0x111, 0x117, 0x144, 0x145
_SAMPLE_FORMAT = 0x153
_TIFF_WIDTHS = {1: 1, 3: 2, 4: 4}
_JPEG_IN_TIFF, _YCBCR, _FLOAT = (6, 7), 6, 3
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xDA))

MOST_PIXELS = 1 << 26
"""Headers of a few bytes can ask for pictures of gigabytes: larger ones are refused."""

Bytes = bytes | mmap.mmap


def orientation_of(data: Bytes) -> int | None:
    r"""Return the EXIF orientation (1 to 8) of a JPEG, PNG, WebP or TIFF; None where none is stated.

    Reference:
        CIPA DC-008 (Exif 2.32), 4.6.4; PNG third edition, 11.3.4.5 (eXIf); TIFF 6.0, section 8.

    Example:
        >>> orientation_of(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x05\0\0\0\0\0\0\0")
        5
    """
    tiff = data if data[:4] in _TIFF else _exif(data)
    stated = _first_directory(tiff).get(_ORIENTATION)
    return stated[0] if stated and stated[0] in range(1, 9) else None


def is_cut_short(data: Bytes) -> bool:
    r"""Say whether a JPEG, PNG, GIF, WebP, BMP or TIFF lacks its end; False for any other file.

    Example:
        >>> is_cut_short(b"\xff\xd8\xff\xe0\0\x10JFIF"), is_cut_short(b"GIF89a\x01\0\x01\0\0\0\0;")
        (True, False)
    """
    for begins, lacks_end in _ENDS.items():
        if data[: len(begins)] == begins:
            return lacks_end(data)
    return False


def why_unreadable(data: Bytes) -> str:
    r"""Say in one phrase why FFmpeg decodes no picture of a sound file, "" where nothing is known.

    Example:
        >>> why_unreadable(b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02")
        'it is an animated WebP, which FFmpeg does not decode, so convert it to GIF or MP4'
    """
    if data[8:16] == b"WEBPVP8X" and len(data) > 20 and data[20] & 2:
        return "it is an animated WebP, which FFmpeg does not decode, so convert it to GIF or MP4"
    if data[:4] not in _TIFF:
        return ""
    tags = _first_directory(data)
    advice = "so save it as RGB with 8 or 16 bits and LZW compression"
    if tags.get(_SAMPLE_FORMAT, [1])[0] == _FLOAT:
        return f"its pixels are floating-point numbers, whose range no TIFF states, {advice}"
    return (
        f"it is a TIFF of {tags.get(_BITS, [1])[0]} bits, photometric interpretation "
        f"{tags.get(_PHOTOMETRIC, [0])[0]} and compression {tags.get(_COMPRESSION, [1])[0]}, which "
        f"FFmpeg does not decode, {advice}"
    )


def tiff_by_opencv(data: Bytes) -> npt.NDArray[np.uint8] | None:
    """Decode a TIFF that FFmpeg decodes wrongly: JPEG within it is black, YCbCr loses its range.

    Returns:
        (H, W, 3) RGB as stored, not turned; None where FFmpeg does well, or OpenCV fails.
    """
    if data[:4] not in _TIFF:
        return None
    tags = _first_directory(data)
    if tags.get(_COMPRESSION, [1])[0] not in _JPEG_IN_TIFF and tags.get(_PHOTOMETRIC) != [_YCBCR]:
        return None
    if tags.get(_WIDTH, [0])[0] * tags.get(_HEIGHT, [0])[0] > MOST_PIXELS:
        return None
    import cv2

    content = np.frombuffer(_set_upright(data), np.uint8)
    picture = cv2.imdecode(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if picture is None else np.ascontiguousarray(picture[..., ::-1])


def _set_upright(tiff: Bytes) -> bytearray:
    """Return a TIFF that states no orientation: OpenCV turns some of them, whatever it is asked."""
    content = bytearray(tiff)
    order = "<" if content[:2] == b"II" else ">"
    (at,) = struct.unpack(f"{order}I", content[4:8])
    (count,) = struct.unpack(f"{order}H", content[at : at + 2])
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = struct.unpack(f"{order}HH", content[entry : entry + 4])
        if tag == _ORIENTATION:
            content[entry + 8 : entry + 12] = struct.pack(
                f"{order}{'I' if kind == 4 else 'H2x'}", 1
            )
    return content


def _exif(data: Bytes) -> bytes:
    """Return the EXIF block, a TIFF file of its own; b"" where there is none."""
    if data[:3] == _JPEG:
        parts = ((kind, at, size) for kind, at, size in _jpeg_segments(data) if kind == 0xE1)
        blocks = (data[at : at + size] for _, at, size in parts)
        return next((b[len(_EXIF) :] for b in blocks if b.startswith(_EXIF)), b"")
    if data[:8] == _PNG:
        chunks = _png_chunks(data)
    elif data[:4] == _RIFF:
        chunks = _riff_chunks(data)
    else:
        return b""
    found = next((data[at : at + size] for k, at, size in chunks if k in (b"eXIf", b"EXIF")), b"")
    return found.removeprefix(_EXIF)


def _first_directory(tiff: Bytes) -> dict[int, list[int]]:
    """Return the whole numbers of a TIFF's first directory by tag."""
    if tiff[:4] not in _TIFF:
        return {}
    order = "<" if tiff[:2] == b"II" else ">"
    tags: dict[int, list[int]] = {}
    try:
        (at,) = struct.unpack(f"{order}I", tiff[4:8])
        (count,) = struct.unpack(f"{order}H", tiff[at : at + 2])
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, length = struct.unpack(f"{order}HHI", tiff[entry : entry + 8])
            width = _TIFF_WIDTHS.get(kind)
            if width is None or not 0 < width * length <= len(tiff):
                continue
            value = entry + 8
            if width * length > 4:
                (value,) = struct.unpack(f"{order}I", tiff[value : value + 4])
            letter = {1: "B", 2: "H", 4: "I"}[width]
            raw = tiff[value : value + width * length]
            tags[tag] = list(struct.unpack(f"{order}{length}{letter}", raw))
    except struct.error:
        # What could be read of a damaged directory counts.
        pass
    return tags


def _jpeg_segments(data: Bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, begin, size) of the contents of the segments before the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if kind == 0xFF:
            at += 1
            continue
        if kind == 0xDA:
            return
        size = 0 if kind in _WITHOUT_LENGTH else int.from_bytes(data[at + 2 : at + 4], "big")
        yield kind, at + 4, size - 2
        at += 2 + size


def _png_chunks(data: Bytes) -> Iterator[tuple[bytes, int, int]]:
    at = len(_PNG)
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        yield kind, at + 8, size
        at += 12 + size


def _riff_chunks(data: Bytes) -> Iterator[tuple[bytes, int, int]]:
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack("<4sI", data[at : at + 8])
        yield kind, at + 8, size
        at += 8 + size + size % 2


def _jpeg_lacks_end(data: Bytes) -> bool:
    # Cameras append previews and more behind the end.
    heads = (at + size for _, at, size in _jpeg_segments(data))
    return data.rfind(b"\xff\xd9") < max(heads, default=2)


def _gif_lacks_end(data: Bytes) -> bool:
    at = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0)
    while at < len(data) and data[at] in b"!,":
        if data[at] == ord("!"):
            at += 2
        else:
            flags = data[at + 9] if at + 9 < len(data) else 0
            at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return at >= len(data)


def _tiff_lacks_end(data: Bytes) -> bool:
    tags = _first_directory(data)
    offsets = tags.get(_STRIP_OFFSETS) or tags.get(_TILE_OFFSETS)
    sizes = tags.get(_STRIP_BYTES) or tags.get(_TILE_BYTES)
    # Many writers put the directory last.
    if not offsets or not sizes:
        return True
    return any(begin + size > len(data) for begin, size in zip(offsets, sizes, strict=False))


def _states_more(data: Bytes, at: int, ahead: int) -> bool:
    return len(data) < int.from_bytes(data[at : at + 4], "little") + ahead


_ENDS: dict[bytes, Callable[[Bytes], bool]] = {
    _JPEG: _jpeg_lacks_end,
    _PNG: lambda data: not any(kind == b"IEND" for kind, _, _ in _png_chunks(data)),
    b"GIF8": _gif_lacks_end,
    _RIFF: lambda data: _states_more(data, 4, 8),
    b"BM": lambda data: _states_more(data, 2, 0),
    **dict.fromkeys(_TIFF, _tiff_lacks_end),
}
