"""Layouts of streams that carry a clock: where MPEG transport and program streams set it anew."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from ter_fast.media.decode.layout.base import Bytes, Found

Clock = tuple[int, int]
"""Where in a file a clock is stated, and its ticks of 90 kHz."""

_PACK = b"\0\0\1\xba"
_HERTZ = 90_000
_WRAP = 1 << 33
# A clock that goes back, or on by more than so many seconds, is another one.
_BACK, _JUMP = 1.0, 60.0
# Packets of a transport stream: read at once, between tables and the clock, and which are no frames.
_PACKET, _BLOCK, _NEAR, _LAST_TABLE, _PADDING = 188, 1 << 16, 16, 0x1F, 0x1FFF


def program_stream(data: Bytes) -> Found:
    """Find where the system clock reference jumps, and whether the last pack is whole."""
    clocks = []
    last = 0
    for match in re.finditer(re.escape(_PACK), data):
        clock = _pack_clock(data[match.end() : match.end() + 6])
        if clock is not None:
            last = match.start()
            clocks.append((last, clock))
    return _breaks(clocks), _pack_is_cut(data, last)


def transport_stream(data: Bytes) -> Found:
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
    return not -_BACK * _HERTZ <= ticks <= _JUMP * _HERTZ


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


def _programme_clocks(data: Bytes, first: int, wide: int) -> Iterator[tuple[int, int, int]]:
    """Yield (PID, position, ticks of 90 kHz) of each packet that states the clock."""
    for block in range(first, len(data) - wide + 1, _BLOCK * wide):
        count = min(_BLOCK, (len(data) - block) // wide)
        rows = (
            np.frombuffer(data, np.uint8, count * wide, block).reshape(count, wide)[:, :12].copy()
        )
        stated = (rows[:, 0] == 0x47) & (rows[:, 3] & 0x20 > 0) & (rows[:, 4] >= 7)
        for row in np.flatnonzero(stated & (rows[:, 5] & 0x10 > 0)).tolist():
            head = rows[row].tobytes()
            clock = int.from_bytes(head[6:11], "big") >> 7
            yield (head[1] & 31) << 8 | head[2], block + row * wide, clock


def _tables_before(data: Bytes, at: int, first: int, wide: int) -> int:
    """Return where the tables of a programme stand: just before the packets that they describe."""
    begin = at
    for packet in range(at - wide, max(first, at - _NEAR * wide) - 1, -wide):
        if (data[packet + 1] & 31) << 8 | data[packet + 2] <= _LAST_TABLE:
            begin = packet
        elif begin != at:
            break
    return begin


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
