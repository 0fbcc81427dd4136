"""Files that were joined go on where the first one ends, whatever their clocks say."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.media import number_of, numbered, tone, write_media
from ter_fast.errors import MediaError
from ter_fast.media import decode
from ter_fast.media.clip import Clip
from ter_fast.media.decode.layout import read_layout
from ter_fast.media.resampling import SAMPLE_RATE

TWO_SECONDS = [i * 0.04 for i in range(50)]


def hertz(clip: Clip, start: float, end: float) -> float:
    """Return the frequency of a tone by its zero crossings."""
    assert clip.audio is not None
    part = clip.audio[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)].numpy()
    return float(np.count_nonzero(np.diff(np.signbit(part)))) / 2 / (end - start)


def joined(folder: Path, name: str, video: str | None, audio: str | None, width: int = 160) -> Path:
    """Write two films of two seconds, with pictures from 0 and 500 on and a tone each, one behind the other."""
    parts = []
    for first, pitch, wide in ((0, 440.0, 160), (500, 880.0, width)):
        path = folder / f"{first}_{name}"
        write_media(
            path,
            frame_times=TWO_SECONDS if video else (),
            picture=lambda i, first=first, wide=wide: numbered(first + i, wide),  # type: ignore[misc]
            video_codec=video or "",
            sound=[(0.0, tone(2.0, 48_000, pitch))] if audio else (),
            audio_codec=audio or "",
        )
        parts.append(path.read_bytes())
    path = folder / name
    path.write_bytes(b"".join(parts))
    return path


CONTAINERS = [
    ("a.ts", "libx264", "aac"),
    ("a.mpg", "mpeg1video", "mp2"),
    ("a.vob", "mpeg2video", "ac3"),
    ("a.webm", "libvpx", "libopus"),
    ("a.mkv", "libx264", "aac"),
    ("a.mp4", "libx264", "aac"),
    ("a.mov", "libx264", "aac"),
    ("a.avi", "mpeg4", "mp3"),
    ("a.flv", "libx264", "aac"),
    ("a.ogg", None, "libopus"),
    ("a.flac", None, "flac"),
    ("a.wav", None, "pcm_s16le"),
    ("a.mp3", None, "libmp3lame"),
    ("a.aac", None, "aac"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "video", "audio"), CONTAINERS)
def test_both_parts_in_order_each_with_its_sound(
    tmp_path: Path, name: str, video: str | None, audio: str
) -> None:
    path = joined(tmp_path, name, video, audio)
    assert decode.probe(path).duration == pytest.approx(4.0, abs=0.25)
    clip = decode.read(path, frames=4)
    assert clip.note == ""
    assert hertz(clip, 0.5, 1.5) == pytest.approx(440, abs=5)
    assert hertz(clip, 2.7, 3.7) == pytest.approx(880, abs=9)
    if video:
        assert clip.frames is not None
        seen = [number_of(frame) for frame in clip.frames]
        assert [number >= 500 for number in seen] == [False, False, True, True]
        assert seen == sorted(seen)
    parts = list(decode.windows(path, seconds=1.0, frames=2))
    assert hertz(parts[0], 0.1, 0.9) == pytest.approx(440, abs=5)
    assert hertz(parts[-1], 0.2, 0.7) == pytest.approx(880, abs=20)
    if video:
        assert all(part.frames is not None for part in parts)


@pytest.mark.parametrize(
    "backend", ["pyav", pytest.param("torchcodec", marks=pytest.mark.extra("torchcodec"))]
)
def test_a_part_of_another_size_is_fitted_into_the_first(tmp_path: Path, backend: str) -> None:
    path = joined(tmp_path, "a.ts", "libx264", None, width=320)
    clip = decode.read(path, frames=4, backend=backend)
    assert clip.frames is not None
    assert clip.frames.shape == (4, 96, 160, 3)
    # 320 x 96 becomes 160 x 48, with black above and below.
    assert int(clip.frames[3, :20].max()) == 0
    assert number_of(clip.frames[3, 24:72]) >= 500
    assert decode.probe(path).width == 160
    left = "" if backend == "pyav" else "decoded by PyAV, since several files are joined in it"
    assert clip.note == left


def test_a_stretch_across_the_joint_is_as_long_as_asked(tmp_path: Path) -> None:
    path = joined(tmp_path, "a.ts", "libx264", "aac")
    clip = decode.read(path, start=1.5, end=2.5, frames=2)
    assert clip.audio is not None
    assert clip.audio.shape == (SAMPLE_RATE,)
    assert clip.frames is not None
    assert [number_of(frame) >= 500 for frame in clip.frames] == [False, True]
    with pytest.raises(MediaError, match="no stretch from"):
        decode.read(path, start=9.0)


def test_one_damaged_clock_makes_no_part(tmp_path: Path) -> None:
    path = write_media(
        tmp_path / "a.ts",
        frame_times=TWO_SECONDS,
        sound=[(0.0, tone(2.0, 48_000))],
        audio_codec="mp2",
    )
    content = bytearray(path.read_bytes())
    clocks = [
        at
        for at in range(0, len(content), 188)
        if content[at + 3] & 0x20 and content[at + 4] >= 7 and content[at + 5] & 0x10
    ]
    content[clocks[len(clocks) // 2] + 6] ^= 0x7F
    path.write_bytes(content)
    assert len(read_layout(str(path), "mpegts").parts) == 1


@pytest.mark.parametrize("before", [1.0, 30.0])
def test_a_clock_that_wraps_goes_on(tmp_path: Path, before: float) -> None:
    """The clock of a transport stream has 33 bits, and begins again after 26.5 hours."""
    first = 2**33 / 90_000 - before
    path = tmp_path / "a.ts"
    plain = write_media(tmp_path / "plain.ts", frame_times=TWO_SECONDS)
    with (
        av.open(str(plain)) as source,
        av.open(
            str(path), "w", format="mpegts", options={"output_ts_offset": f"{int(first * 1e6)}us"}
        ) as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    info = decode.probe(path)
    assert info.duration == pytest.approx(2.0, abs=0.1)
    clip = decode.read(path, frames=4)
    assert clip.frames is not None
    assert [number_of(frame) for frame in clip.frames] == pytest.approx([6, 18, 31, 43], abs=1)


def boxes(content: bytes, since: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    while since + 8 <= end:
        size = int.from_bytes(content[since : since + 4], "big")
        yield since, since + size, content[since + 4 : since + 8]
        since += size


def edited(content: bytes, since: int, end: int, ticks: int = 0) -> bytes:
    """Return the boxes of an MP4 whose tracks show its first second, and then the one from 3 s on."""
    out = b""
    for begin, stop, kind in boxes(content, since, end):
        body = content[begin + 8 : stop]
        if kind == b"trak":
            head = content.index(b"mdhd", begin)
            ticks = int.from_bytes(content[head + 16 : head + 20], "big")
        if kind in (b"moov", b"trak"):
            body = edited(content, begin + 8, stop, ticks)
        elif kind == b"edts":
            (first,) = struct.unpack(">i", content[begin + 28 : begin + 32])
            edits = struct.pack(">IiI", 1000, first, 65536)
            edits += struct.pack(">IiI", 1000, first + 3 * ticks, 65536)
            body = struct.pack(">I4sII", 16 + len(edits), b"elst", 0, 2) + edits
        out += struct.pack(">I", 8 + len(body)) + kind + body
    return out


@pytest.mark.parametrize(
    "backend", ["pyav", pytest.param("torchcodec", marks=pytest.mark.extra("torchcodec"))]
)
def test_an_edit_list_of_two_stretches(tmp_path: Path, backend: str) -> None:
    sound = np.concatenate([tone(2.0, 48_000), tone(4.0, 48_000, 880.0)])
    path = write_media(
        tmp_path / "a.mp4",
        frame_times=[i * 0.04 for i in range(150)],
        video_options={"g": "30"},
        sound=[(0.0, sound)],
    )
    content = path.read_bytes()
    path.write_bytes(edited(content, 0, len(content)))
    clip = decode.read(path, frames=8, backend=backend)
    assert clip.duration == pytest.approx(2.0, abs=0.05)
    assert clip.frames is not None
    seen = [number_of(frame) for frame in clip.frames]
    assert seen[:4] == [3, 9, 15, 21]
    # FFmpeg puts the second stretch up to two pictures late.
    assert seen[4:] == pytest.approx([78, 84, 90, 96], abs=2)
    assert hertz(clip, 0.1, 0.9) == pytest.approx(440, abs=5)
    assert hertz(clip, 1.1, 1.9) == pytest.approx(880, abs=9)
    parts = decode.windows(path, seconds=0.5, frames=1, backend=backend)
    seen = [number_of(part.frames[0]) for part in parts if part.frames is not None]
    assert seen == pytest.approx([6, 18, 81, 93], abs=2)
