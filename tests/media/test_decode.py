"""Decoding against files whose every frame and sample is known, and against decoding it all."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from helpers.media import number_of, numbered, tone, write_media
from ter_fast.media import decode
from ter_fast.media.clip import Clip
from ter_fast.media.decode import pyav_video
from ter_fast.media.resampling import SAMPLE_RATE

SECOND = [i * 0.04 for i in range(25)]
THREE_SECONDS = [i * 0.04 for i in range(75)]


def numbers(clip: Clip) -> list[int]:
    assert clip.frames is not None
    return [number_of(frame) for frame in clip.frames]


@pytest.mark.parametrize(
    ("name", "video_codec", "audio_codec"),
    [
        ("a.mp4", "libx264", "aac"),
        ("a.mov", "libx265", "aac"),
        ("a.mkv", "libx264", "flac"),
        ("a.webm", "libvpx-vp9", "libopus"),
        ("a.avi", "mpeg4", "mp3"),
        ("b.avi", "libx264", "mp3"),
        ("a.ts", "libx264", "aac"),
        ("a.flv", "libx264", "aac"),
    ],
)
def test_every_container_gives_the_picture_of_the_wanted_time(
    tmp_path: Path, name: str, video_codec: str, audio_codec: str
) -> None:
    quiet = {"x265-params": "log-level=none"} if video_codec == "libx265" else {}
    path = write_media(
        tmp_path / name,
        frame_times=THREE_SECONDS,
        video_codec=video_codec,
        video_options=quiet,
        sound=[(0.0, tone(3.0, 48_000))],
        audio_codec=audio_codec,
    )
    clip = decode.read(path, frames=8)
    assert clip.frames is not None
    assert clip.times is not None
    assert clip.audio is not None
    assert clip.frames.shape == (8, 96, 160, 3)
    assert abs(clip.duration - 3.0) < 0.15
    # Some containers shift all pictures by the encoder's delay, up to two frames.
    offset = torch.tensor(numbers(clip)) * 0.04 - clip.times
    assert float(offset.max() - offset.min()) < 0.03
    assert abs(float(offset.mean())) < 0.13
    centres = torch.tensor([(i + 0.5) * clip.duration / 8 for i in range(8)], dtype=torch.float64)
    assert bool((clip.times <= centres + 1e-6).all())
    assert bool((clip.times > centres - 0.045).all())
    assert clip.audio.shape == (round(SAMPLE_RATE * clip.duration),)
    assert abs(float(clip.audio[8000:40_000].std()) - 0.3535) < 0.03


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.wav", "pcm_s16le"),
        ("b.wav", "pcm_u8"),
        ("c.wav", "pcm_f64le"),
        ("a.flac", "flac"),
        ("a.mp3", "libmp3lame"),
        ("a.opus", "libopus"),
        ("a.m4a", "aac"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_sound_files_keep_level_and_place(
    tmp_path: Path, name: str, codec: str, channels: int
) -> None:
    path = write_media(
        tmp_path / name, sound=[(0.0, tone(2.0, 48_000))], audio_codec=codec, channels=channels
    )
    info = decode.probe(path)
    assert (info.has_video, info.has_audio, info.width) == (False, True, None)
    clip = decode.read(path)
    assert clip.frames is None
    assert clip.audio is not None
    expected = torch.from_numpy(tone(2.0, SAMPLE_RATE))[2000:30_000]
    got = clip.audio[2000:30_000]
    assert float((got - expected).square().mean().sqrt()) < 0.04


def test_dedupe_low_rate_and_explicit_times(tmp_path: Path) -> None:
    path = write_media(tmp_path / "slow.mkv", frame_times=[0.0, 0.5, 1.0, 1.5])
    assert numbers(decode.read(path, frames=16)) == [0, 1, 2]
    clip = decode.read(path, times=[1.5, 1.0, 0.499, 0.5, 0.7])
    assert numbers(clip) == [0, 1, 2, 3]
    assert clip.times is not None
    assert clip.times.tolist() == pytest.approx([0.0, 0.5, 1.0, 1.5])


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_is_undone(tmp_path: Path, degrees: int) -> None:
    path = write_media(
        tmp_path / "turned.mp4",
        frame_times=SECOND,
        picture=lambda i: np.ascontiguousarray(np.rot90(numbered(i + 300), -(degrees // 90))),
        rotation=degrees,
    )
    info = decode.probe(path)
    assert (info.width, info.height, info.rotation) == (160, 96, degrees)
    clip = decode.read(path, times=[0.0, 0.4], max_side=80)
    assert clip.frames is not None
    assert clip.frames.shape == (2, 48, 80, 3)
    assert numbers(clip) == [300, 310]


@pytest.mark.parametrize(("orientation", "code"), [(3, -2), (6, 1), (8, -1)])
def test_photographs_honour_exif(tmp_path: Path, orientation: int, code: int) -> None:
    upright = numbered(517)
    stored = np.ascontiguousarray(np.rot90(upright, code))
    exif = np.frombuffer(
        b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01"
        + bytes([0, orientation, 0, 0])
        + bytes(4),
        np.uint8,
    )
    path = tmp_path / "photo.jpg"
    done = cv2.imwriteWithMetadata(str(path), stored[..., ::-1], [cv2.IMAGE_METADATA_EXIF], [exif])
    assert done
    clip = decode.read(path)
    assert clip.frames is not None
    assert clip.frames.shape == (1, 96, 160, 3)
    assert numbers(clip) == [517]


@pytest.mark.parametrize("name", ["a.png", "b 100%d.jpg", "c.bmp", "d.webp"])
def test_image_is_a_clip_of_one_frame(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert cv2.imwrite(str(path), numbered(77)[..., ::-1])
    clip = decode.read(path, frames=16)
    assert numbers(clip) == [77]
    assert (clip.start, clip.end, clip.audio) == (0.0, 0.0, None)
    assert clip.times is not None
    assert clip.times.tolist() == [0.0]
    assert [numbers(window) for window in decode.windows(path, seconds=2)] == [[77]]


def test_samples_outside_the_video_are_left_out_and_pauses_show_the_last_picture(
    tmp_path: Path,
) -> None:
    late = write_media(
        tmp_path / "late.mp4",
        frame_times=[2.0 + t for t in THREE_SECONDS],
        sound=[(0.0, tone(8.0, 48_000))],
    )
    clip = decode.read(late, frames=8)
    assert numbers(clip) == [0, 12, 37, 62, 74]
    gap = write_media(
        tmp_path / "gap.mkv",
        frame_times=[*THREE_SECONDS, *(13.0 + t for t in THREE_SECONDS)],
        sound=[(0.0, tone(16.0, 48_000))],
    )
    clip = decode.read(gap, frames=8)
    assert numbers(clip) == [25, 74, 75, 125]
    assert clip.audio is not None
    assert not clip.is_silent()
    parts = list(decode.windows(gap, seconds=4.0, frames=4))
    assert [numbers(part) for part in parts] == [[12, 37, 62, 74], [74], [74], [74, 87, 112, 137]]
    assert all(part.audio is not None and not part.is_silent() for part in parts)


@pytest.mark.parametrize("name", ["gap.mkv", "gap.mp4"])
def test_gap_in_sound_is_silence_in_its_place(tmp_path: Path, name: str) -> None:
    path = write_media(
        tmp_path / name,
        frame_times=[i * 0.04 for i in range(400)],
        sound=[(0.0, tone(3.0, 48_000)), (13.0, tone(3.0, 48_000))],
    )
    clip = decode.read(path, frames=8)
    assert len(numbers(clip)) == 8
    assert clip.audio is not None
    assert clip.audio[int(3.2 * SAMPLE_RATE) : int(12.8 * SAMPLE_RATE)].abs().max() < 1e-3
    heard = clip.audio.abs() > 0.1
    assert abs(int(heard[: 10 * SAMPLE_RATE].nonzero()[-1]) / SAMPLE_RATE - 3.0) < 0.03
    assert abs(int(heard[10 * SAMPLE_RATE :].nonzero()[0]) / SAMPLE_RATE - 3.0) < 0.03
    middle = decode.read(path, start=5.0, end=9.0)
    assert middle.is_silent()
    assert middle.audio is not None
    assert middle.audio.shape == (4 * SAMPLE_RATE,)


def test_windows_cover_the_file_once(tmp_path: Path) -> None:
    path = write_media(
        tmp_path / "long.mp4",
        frame_times=[i * 0.04 for i in range(230)],
        video_options={"g": "30"},
        sound=[(0.0, tone(9.2, 44_100))],
        audio_codec="flac",
        rate=44_100,
    )
    whole = decode.read(path, times=[1.0])
    parts = list(decode.windows(path, seconds=4.0, frames=8))
    assert [(p.start, p.end) for p in parts] == [(0.0, 4.0), (4.0, 8.0), (8.0, whole.end)]
    sound = torch.cat([p.audio for p in parts if p.audio is not None])
    assert whole.audio is not None
    assert torch.equal(sound, whole.audio)
    assert numbers(parts[1])[:2] == [106, 118]
    merged = list(decode.windows(path, seconds=8.5, frames=2))
    assert [(p.start, p.end) for p in merged] == [(0.0, whole.end)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("open.mp4", {"x264-params": "keyint=25:min-keyint=25:scenecut=0:open-gop=1:bframes=3"}),
        ("closed.mkv", {"g": "20", "bf": "2"}),
        ("one.mp4", {"g": "1000", "bf": "3"}),
        ("intra.ts", {"x264-params": "keyint=30:intra-refresh=1"}),
    ],
)
def test_planned_decoding_equals_decoding_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 60, (96, 160, 3), np.uint8)
    path = write_media(
        tmp_path / name,
        frame_times=[i * 0.04 for i in range(200)],
        picture=lambda i: numbered(i) // 2 + np.roll(noise, 3 * i, axis=1),
        video_options=options,
    )
    for times in _time_sets(decode.probe(path).duration):
        _compare(path, times, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["fixtures/obama_speech.mp4", "fixtures/face_noface.mov", "decode/music_video_3.mp4"]
)
def test_planned_decoding_is_exact_on_real_files(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = data_dir / name
    for times in _time_sets(decode.probe(path).duration):
        _compare(path, times, monkeypatch)


def _time_sets(duration: float) -> Iterator[list[float]]:
    yield [(i + 0.5) * duration / 16 for i in range(16)]
    yield [0.9 * duration, 0.95 * duration]
    generator = random.Random(0)
    yield [generator.uniform(0, duration) for _ in range(30)]


def _compare(path: Path, times: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    planned = decode.read(path, times=times, audio=False)
    with monkeypatch.context() as patch:
        patch.setattr(pyav_video, "_sample", pyav_video._sample_in_order)
        complete = decode.read(path, times=times, audio=False)
    assert planned.times is not None
    assert complete.times is not None
    assert planned.frames is not None
    assert complete.frames is not None
    assert planned.times.tolist() == complete.times.tolist()
    assert torch.equal(planned.frames, complete.frames)


def test_real_files_start_where_they_start(data_dir: Path) -> None:
    late_video = decode.read(data_dir / "decode/music_video_3.mp4", times=[1.0, 1.79, 1.81])
    assert late_video.times is not None
    assert late_video.times.tolist() == pytest.approx([1.8])
    late_sound = decode.read(data_dir / "fixtures/face_noface.mov", video=False).audio
    assert late_sound is not None
    assert not late_sound[: int(2.4 * SAMPLE_RATE)].any()
    assert late_sound[int(2.5 * SAMPLE_RATE) :].any()
    speech = decode.read(sorted((data_dir / "nemo").glob("*.opus"))[0])
    assert speech.frames is None
    assert not speech.is_silent()


def test_windows_join_to_the_whole_sound_of_real_files(data_dir: Path) -> None:
    for name in ("decode/music_video_2.mp4", "fixtures/obama_speech.mp4"):
        whole = decode.read(data_dir / name, video=False).audio
        parts = [c.audio for c in decode.windows(data_dir / name, seconds=2.5, video=False)]
        assert whole is not None
        assert torch.equal(torch.cat([p for p in parts if p is not None]), whole)


def test_max_side_scales_only_down(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", frame_times=SECOND)
    small = decode.read(path, times=[0.5], max_side=50)
    assert small.frames is not None
    assert small.frames.shape == (1, 30, 50, 3)
    same = decode.read(path, times=[0.5], max_side=500)
    assert same.frames is not None
    assert same.frames.shape == (1, 96, 160, 3)


def test_two_pictures_long_before_the_sound_are_where_they_are(tmp_path: Path) -> None:
    """FFmpeg gives the start of the sound to a stream of so few pictures."""
    path = write_media(
        tmp_path / "late.mkv",
        frame_times=[0.0, 5.0],
        sound=[(13.0, tone(2.0, 48_000))],
        audio_codec="flac",
    )
    info = decode.probe(path)
    assert (info.start, info.duration) == (0.0, pytest.approx(15.0, abs=0.05))
    clip = decode.read(path, times=[1.0, 6.0])
    assert clip.times is not None
    assert clip.times.tolist() == [0.0, 5.0]
    assert clip.audio is not None
    assert clip.audio[: 12 * SAMPLE_RATE].abs().max() == 0
    assert clip.audio[int(13.5 * SAMPLE_RATE) :].abs().max() > 0.1


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_a_file_that_begins_late_lasts_as_long_as_it_has_something(
    tmp_path: Path, ending: str
) -> None:
    """Matroska states its end where others state a length."""
    path = write_media(
        tmp_path / f"late.{ending}",
        frame_times=[3.0 + t for t in SECOND],
        sound=[(3.0, tone(1.0, 48_000))],
    )
    info = decode.probe(path)
    begun = info.start if info.start > 1 else 3.0
    assert info.start + info.duration == pytest.approx(4.0, abs=0.1)
    clips = list(decode.windows(path, seconds=0.5, start=begun - info.start, frames=1))
    assert all(clip.frames is not None for clip in clips)
