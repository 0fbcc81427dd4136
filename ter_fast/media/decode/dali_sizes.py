"""Reads from packets how large their pictures are and whether they are shown, which DALI does not ask.

Where a stream changes its size on the way, as video calls do, DALI would read beyond its pictures.
"""

from __future__ import annotations

from collections.abc import Iterator

_VP8_SHOWN = 0x10
_VP8_SYNC = b"\x9d\x01\x2a"
_VP9_HEADER = 32
_RGB = 7
_JPEG_FRAMES = (0xC0, 0xC1, 0xC2)
_JPEG_SCAN = 0xDA

Size = tuple[int, int]


def stated_sizes(codec: str, packet: bytes) -> set[Size]:
    r"""Return each (width, height) that the headers in a packet of VP8, VP9 or MJPEG state.

    A picture that takes its size from the one before states none, and neither does any other codec.

    Args:
        codec: PyAV's name.
        packet: One coded picture, or a VP9 superframe of several.

    Reference:
        RFC 6386 (VP8), section 9.1; VP9 Bitstream & Decoding Process Specification (2016), section
        6.2 and annex B; ITU-T T.81 (JPEG), annex B.

    Example:
        >>> stated_sizes("vp8", b"\x10\x00\x00\x9d\x01\x2a\xa0\x00\x60\x00")
        {(160, 96)}
    """
    if codec == "vp8":
        found = [_vp8(packet)]
    elif codec == "vp9":
        found = [_vp9(part) for part in _parts(packet)]
    elif codec == "mjpeg":
        found = [_jpeg(packet)]
    else:
        found = []
    return {size for size in found if size is not None}


def shows_a_picture(codec: str, packet: bytes) -> bool:
    r"""Say whether a packet of VP8 or VP9 holds a picture that is shown; those of others all do.

    One that is only referred to counts as none, and would spoil the numbers of those after it.

    Example:
        >>> shows_a_picture("vp8", b"\x10\0\0"), shows_a_picture("vp8", b"\x00\0\0")
        (True, False)
    """
    if codec == "vp8":
        return bool(packet) and bool(packet[0] & _VP8_SHOWN)
    if codec == "vp9":
        return any(_vp9_shown(part) for part in _parts(packet))
    return True


def _vp9_shown(data: bytes) -> bool:
    bits = _Bits(data[:_VP9_HEADER])
    bits.take(2)
    if bits.take(1) | bits.take(1) << 1 == 3:
        bits.take(1)
    if bits.take(1):  # shows a picture that is decoded already
        return True
    bits.take(1)
    return bool(bits.take(1))


def _vp8(data: bytes) -> Size | None:
    if len(data) < 10 or data[0] & 1 or data[3:6] != _VP8_SYNC:
        return None
    width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    return width, height


def _parts(packet: bytes) -> Iterator[bytes]:
    """Yield the pictures of a VP9 superframe, whose index lies at its end."""
    last = packet[-1] if packet else 0
    count, wide = (last & 7) + 1, (last >> 3 & 3) + 1
    index = packet[-(2 + wide * count) :]
    if last >> 5 != 0b110 or len(index) < 2 + wide * count or index[0] != last:
        yield packet
        return
    begin = 0
    for at in range(1, 1 + wide * count, wide):
        size = int.from_bytes(index[at : at + wide], "little")
        yield packet[begin : begin + size]
        begin += size


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data.ljust(_VP9_HEADER, b"\0"), "big")
        self._left = 8 * _VP9_HEADER

    def take(self, count: int) -> int:
        self._left -= count
        return self._value >> self._left & (1 << count) - 1


def _vp9(data: bytes) -> Size | None:
    bits = _Bits(data[:_VP9_HEADER])
    bits.take(2)
    profile = bits.take(1) | bits.take(1) << 1
    if profile == 3:
        bits.take(1)
    if bits.take(1):  # shows a picture that is decoded already
        return None
    inter, shown, resilient = bits.take(1), bits.take(1), bits.take(1)
    if not inter:
        bits.take(24)
        _skip_colours(bits, profile)
        return _vp9_size(bits)
    intra_only = 0 if shown else bits.take(1)
    if not resilient:
        bits.take(2)
    if intra_only:
        bits.take(24)
        if profile > 0:
            _skip_colours(bits, profile)
        bits.take(8)
        return _vp9_size(bits)
    bits.take(8 + 3 * 4)
    if any(bits.take(1) for _ in range(3)):  # as large as one that it refers to
        return None
    return _vp9_size(bits)


def _skip_colours(bits: _Bits, profile: int) -> None:
    if profile >= 2:
        bits.take(1)
    rgb = bits.take(3) == _RGB
    if not rgb:
        bits.take(1)
    if profile in (1, 3):
        bits.take(1 if rgb else 3)


def _vp9_size(bits: _Bits) -> Size:
    width, height = bits.take(16) + 1, bits.take(16) + 1
    return width, height


def _jpeg(data: bytes) -> Size | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF and data[at + 1] != _JPEG_SCAN:
        if data[at + 1] in _JPEG_FRAMES:
            height, width = (int.from_bytes(data[i : i + 2], "big") for i in (at + 5, at + 7))
            return width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
