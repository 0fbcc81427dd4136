"""Reads from packets of H.264 and HEVC where a decoder may begin, and whether their sizes may change.

Containers call packets key frames that refer to pictures before them, or that only a decoder without
a past understands. NVDEC counts the pictures that it gives, so one left out would spoil all numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

CODECS = ("h264", "hevc")
"""Codecs made of NAL units, by PyAV's names."""

_START = b"\0\0\1"
_H264_SLICE, _H264_IDR, _H264_SPS = 1, 5, 7
_H264_CODED = range(1, 6)
_INTRA = (2, 4)
_HEVC_CODED, _HEVC_IRAP, _HEVC_RESET = range(32), range(16, 24), range(16, 21)
_HEVC_SPS = 33
_HEAD = 24


def nal_units(codec: str, packet: bytes, extradata: bytes) -> list[bytes]:
    r"""Split a packet into NAL units without the lengths or start codes between them.

    Args:
        codec: "h264" or "hevc".
        packet: One coded picture.
        extradata: The stream's; MP4 and Matroska state there how long a length is.

    Reference:
        ISO/IEC 14496-15 (2022), 5.3.3 and 8.3.3; ITU-T H.264 and H.265, annex B.

    Example:
        >>> nal_units("h264", b"\0\0\1\x65ab\0\0\1\x41c", b"")
        [b'eab', b'Ac']
    """
    if not extradata.startswith(b"\1"):
        return [unit for unit in packet.split(_START)[1:] if unit]
    at = 4 if codec == "h264" else 21
    wide = (extradata[at] & 3) + 1 if len(extradata) > at else 4
    return list(_by_length(packet, wide))


def _by_length(packet: bytes, wide: int) -> Iterator[bytes]:
    at = 0
    while at + wide < len(packet):
        size = int.from_bytes(packet[at : at + wide], "big")
        if size:
            yield packet[at + wide : at + wide + size]
        at += wide + size


def stands_alone(codec: str, units: list[bytes]) -> bool:
    r"""Say whether a picture refers to no other: all of its slices are intra coded.

    Reference:
        ITU-T H.264, 7.3.3 and table 7-6; ITU-T H.265, table 7-1.

    Example:
        >>> stands_alone("h264", [b"\x41\x9a\x00"]), stands_alone("h264", [b"\x65\x88\x84"])
        (False, True)
    """
    kinds = [_kind(codec, unit) for unit in units]
    if codec == "hevc":
        coded = [kind for kind in kinds if kind in _HEVC_CODED]
        return bool(coded) and all(kind in _HEVC_IRAP for kind in coded)
    slices = [(k, u) for k, u in zip(kinds, units, strict=True) if k in _H264_CODED]
    return bool(slices) and all(
        kind == _H264_IDR or (kind == _H264_SLICE and _slice_type(unit) in _INTRA)
        for kind, unit in slices
    )


def resets_decoder(codec: str, units: list[bytes]) -> bool:
    r"""Say whether a decoder forgets what came before: an IDR picture, or in HEVC a broken link.

    Example:
        >>> resets_decoder("h264", [b"\x06\x05", b"\x65\x88"]), resets_decoder("hevc", [b"\x2a\x01"])
        (True, False)
    """
    kinds = {_kind(codec, unit) for unit in units}
    return _H264_IDR in kinds if codec == "h264" else any(kind in _HEVC_RESET for kind in kinds)


def size_sets(codec: str, units: list[bytes]) -> set[bytes]:
    r"""Return the sequence parameter sets among NAL units, which state the size of the pictures.

    Example:
        >>> size_sets("h264", [b"\x67\x42\0", b"\x68\xce"])
        {b'gB'}
    """
    wanted = _H264_SPS if codec == "h264" else _HEVC_SPS
    # Annex B pads with zeros, and no NAL unit ends with one.
    return {unit.rstrip(b"\0") for unit in units if _kind(codec, unit) == wanted}


def _kind(codec: str, unit: bytes) -> int:
    return unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63


def _slice_type(unit: bytes) -> int:
    """Return the type of a slice of H.264 modulo 5, or -1 where it is cut off."""
    head = unit[1:_HEAD].replace(b"\0\0\3", b"\0\0")
    bits = "".join(f"{byte:08b}" for byte in head)
    at = 0
    value = -1
    # Before it stands the number of the slice's first macroblock.
    for _ in range(2):
        zeros = bits.find("1", at) - at
        if zeros < 0 or at + 2 * zeros + 1 > len(bits):
            return -1
        value = int(bits[at + zeros : at + 2 * zeros + 1], 2) - 1
        at += 2 * zeros + 1
    return value % 5
