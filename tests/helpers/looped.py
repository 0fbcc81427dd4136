"""Makes long files of short ones by copying their packets over and over, without encoding."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

TICKS = 90_000


def loop_media(source: Path, target: Path, seconds: float) -> Path:
    """Write `source` again and again until `target` lasts at least `seconds`."""
    with av.open(str(source)) as first, av.open(str(target), "w") as out:
        streams = [stream for stream in first.streams if stream.type in ("audio", "video")]
        made = {stream.index: out.add_stream_from_template(stream) for stream in streams}
        packets = [each for each in first.demux(*streams) if each.size and each.pts is not None]
        times = [(p.pts * p.time_base, p.dts * p.time_base, p.stream.index) for p in packets]
        ends = [p.pts * p.time_base + p.duration * p.time_base for p in packets]
        length = max(ends) - min(decoded for _, decoded, _ in times)
        begin = Fraction(0)
        while begin < seconds:
            for packet, (shown, decoded, index) in zip(packets, times, strict=True):
                packet.stream, packet.time_base = made[index], Fraction(1, TICKS)
                packet.pts = int((shown + begin) * TICKS)
                packet.dts = int((decoded + begin) * TICKS)
                out.mux(packet)
            begin += length
    return target
