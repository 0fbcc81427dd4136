"""Half of a download: what is there counts, what is missing is said, and nothing is filled up."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers.media import tone, write_media
from ter_fast.errors import MediaError
from ter_fast.media import decode

SECONDS = [i * 0.04 for i in range(150)]

FILMS = [
    ("a.mp4", "libx264", "aac", {"movflags": "faststart"}),
    ("f.mp4", "libx264", "aac", {"movflags": "frag_keyframe+empty_moov"}),
    ("a.mov", "libx264", "aac", {"movflags": "faststart"}),
    ("a.mkv", "libx264", "aac", {}),
    ("a.webm", "libvpx", "libopus", {}),
    ("l.webm", "libvpx", "libopus", {"live": "1"}),
    ("a.avi", "mpeg4", "mp3", {}),
    ("a.flv", "libx264", "aac", {}),
    ("a.ts", "libx264", "mp2", {}),
    ("a.gif", "gif", None, {}),
]
SOUNDS = [
    ("a.flac", "flac"),
    ("a.ogg", "libopus"),
    ("a.mp3", "libmp3lame"),
    ("a.aac", "aac"),
    ("a.ac3", "ac3"),
    ("a.wav", "pcm_s16le"),
    ("a.aiff", "pcm_s16be"),
    ("a.au", "pcm_s16be"),
    ("a.w64", "pcm_s16le"),
    ("a.caf", "pcm_s16le"),
    ("a.m4a", "aac"),
]


def halve(path: Path) -> None:
    content = path.read_bytes()
    # At no border of sectors, packets or pages.
    path.write_bytes(content[: len(content) // 2 | 1])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "video", "audio", "options"), FILMS)
def test_half_a_film(
    tmp_path: Path, name: str, video: str, audio: str | None, options: dict[str, str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
    path = write_media(
        tmp_path / name,
        frame_times=SECONDS,
        picture=lambda i: np.roll(noise, 5 * i, axis=1),
        video_codec=video,
        video_options={"g": "25"} if video != "gif" else {},
        sound=[(0.0, tone(6.0, 48_000))] if audio else (),
        audio_codec=audio or "",
        container_options=options,
    )
    assert decode.read(path).note == ""
    assert not decode.probe(path).cut_short
    halve(path)
    clip = decode.read(path)
    assert decode.probe(path).cut_short
    assert clip.note == f"the file is cut short after {clip.duration:.1f} s; copy it again"
    assert 1.0 < clip.duration < 4.0
    assert clip.frames is not None
    if audio:
        assert clip.audio is not None
        heard = clip.audio.abs() > 0.01
        assert clip.duration - int(heard.nonzero()[-1]) / 16_000 < 0.2


@pytest.mark.parametrize(("name", "codec"), SOUNDS)
def test_half_a_sound(tmp_path: Path, name: str, codec: str) -> None:
    path = write_media(
        tmp_path / name,
        sound=[(0.0, tone(6.0, 48_000))],
        audio_codec=codec,
        container_options={"movflags": "faststart"} if name.endswith("m4a") else {},
    )
    assert decode.read(path).note == ""
    halve(path)
    clip = decode.read(path)
    assert clip.note == f"the file is cut short after {clip.duration:.1f} s; copy it again"
    # Pages of Ogg last for a second.
    assert 1.5 < clip.duration < 4.0
    assert clip.audio is not None
    heard = clip.audio.abs() > 0.01
    assert clip.duration - int(heard.nonzero()[-1]) / 16_000 < 0.2


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tiff", "a.bmp", "a.gif"])
@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_half_a_picture_is_refused(tmp_path: Path, name: str, kept: float) -> None:
    path = tmp_path / name
    noise = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
    if name.endswith("gif"):
        write_media(path, frame_times=[0.0], picture=lambda _: noise, video_codec="gif")
    else:
        assert cv2.imwrite(str(path), noise)
    assert decode.read(path).note == ""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(MediaError, match="is cut short: the end of the picture is missing"):
        decode.read(path)


def test_what_a_camera_appends_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    assert cv2.imwrite(str(path), np.full((32, 32, 3), 99, np.uint8))
    path.write_bytes(path.read_bytes() + b"a preview" * 9)
    assert decode.read(path).frames is not None
