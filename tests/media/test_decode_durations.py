"""How long a file lasts, where its header guesses, is wrong, or counts tracks that nobody reads."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.media import number_of, tone, write_media
from ter_fast.media import decode

SECONDS = [i * 0.04 for i in range(75)]


def uneven(quiet_first: bool = False) -> np.ndarray:
    """Six seconds of noise and six of a soft tone, which variable rates give very different sizes."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 6 * 48_000).astype(np.float32)
    soft = 0.05 * tone(6.0, 48_000, 200.0)
    return np.concatenate([soft, noise] if quiet_first else [noise, soft])


@pytest.mark.slow
@pytest.mark.parametrize("quiet_first", [True, False])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp3", "libmp3lame", {"write_xing": "0", "id3v2_version": "0"}),
        ("b.mp3", "libmp3lame", {}),
        ("a.aac", "aac", {}),
        ("a.ac3", "ac3", {}),
        ("a.flac", "flac", {}),
        ("a.mka", "flac", {"live": "1"}),
    ],
)
def test_sound_lasts_as_long_as_its_samples(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], quiet_first: bool
) -> None:
    path = write_media(
        tmp_path / name,
        sound=[(0.0, uneven(quiet_first))],
        audio_codec=codec,
        container_options=options,
    )
    clip = decode.read(path)
    assert clip.duration == pytest.approx(12.0, abs=0.1)
    assert clip.note == ""
    assert clip.audio is not None
    halves = clip.audio[16_000:80_000].std(), clip.audio[112_000:176_000].std()
    assert (halves[0] < halves[1]) == quiet_first


@pytest.mark.parametrize("stated", [0, 1000, 0x7FFFFF00, 0x80000000 - 44, 0xFFFFFFFF])
def test_wave_of_any_stated_length(tmp_path: Path, stated: int) -> None:
    """Pipes and stopped recorders leave a length in the header that is none."""
    path = write_media(tmp_path / "a.wav", sound=[(0.0, uneven())], audio_codec="pcm_s16le")
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[4:8] = struct.pack("<I", 0xFFFFFFFF)
    content[at : at + 4] = struct.pack("<I", stated)
    path.write_bytes(content)
    clip = decode.read(path)
    assert clip.duration == pytest.approx(12.0, abs=0.01)
    assert clip.note == ""


def test_flac_that_states_no_samples(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.flac", sound=[(0.0, uneven())], audio_codec="flac")
    content = bytearray(path.read_bytes())
    # Of the 36 bits the last 32; the first four are zero.
    content[22:26] = bytes(4)
    path.write_bytes(content)
    clip = decode.read(path)
    assert clip.duration == pytest.approx(12.0, abs=0.01)
    assert clip.note == ""


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.h264", "libx264"),
        ("a.hevc", "libx265"),
        ("a.m1v", "mpeg1video"),
        ("a.m4v", "mpeg4"),
        ("a.mjpeg", "mjpeg"),
    ],
)
def test_coded_pictures_without_a_container(tmp_path: Path, name: str, codec: str) -> None:
    """They have no timestamps: their rate tells when each is shown."""
    path = write_media(
        tmp_path / name,
        frame_times=SECONDS,
        video_codec=codec,
        video_options={"x265-params": "log-level=none"} if codec == "libx265" else {},
    )
    clip = decode.read(path, frames=5)
    assert clip.frames is not None
    assert clip.times is not None
    assert clip.duration == pytest.approx(3.0, abs=0.05)
    assert [number_of(frame) for frame in clip.frames] == [7, 22, 37, 52, 67]
    assert clip.times.tolist() == pytest.approx([0.28, 0.88, 1.48, 2.08, 2.68], abs=1e-3)
    parts = list(decode.windows(path, seconds=1.0, frames=2))
    assert [number_of(part.frames[0]) for part in parts if part.frames is not None] == [6, 31, 56]


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov", "a.ts", "a.avi"])
def test_tracks_that_nobody_reads_stretch_nothing(tmp_path: Path, name: str) -> None:
    codec, audio = ("mpeg4", "mp3") if name.endswith("avi") else ("libx264", "aac")
    path = write_media(
        tmp_path / name,
        frame_times=SECONDS,
        video_codec=codec,
        sound=[(0.0, tone(3.0, 48_000))],
        audio_codec=audio,
        channels=2,
        second_sound=0.1 * tone(40.0, 48_000),
    )
    with av.open(str(path)) as container:
        best = container.streams.best("audio")
        assert best is not None
        assert best.index == 1
        assert container.duration is not None
        assert container.duration > 35e6
    clip = decode.read(path, frames=4)
    assert clip.duration == pytest.approx(3.0, abs=0.1)
    assert clip.frames is not None
    assert len(clip.frames) == 4
    assert clip.note == ""
