"""Backends, key frames, threads and batches against decoding every frame."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from helpers.media import number_of, numbered, tone, write_media
from helpers.tiny import tiny_model
from ter_fast.errors import MediaError
from ter_fast.media import decode
from ter_fast.media.clip import Clip
from ter_fast.media.decode import backends
from ter_fast.media.features import resize_frames

needs_torchcodec = pytest.mark.extra("torchcodec")
REAL = [
    "decode/music_video_3.mp4",
    "fixtures/face_noface.mov",
    "fixtures/obama_speech.mp4",
]
REAL_AND_MADE = [*(pytest.param(name, marks=pytest.mark.data) for name in REAL), "film"]


def full_decode(path: Path, *wanted: float) -> tuple[np.ndarray, np.ndarray, dict[float, Any]]:
    """Decode every frame: when each is shown, when each key frame is, and the wanted ones as RGB."""
    start = decode.probe(path).start
    begins, keys, kept = [], [], {}
    asked = {round(time, 6) for time in wanted}
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            time = round(frame.time - start, 6)
            begins.append(time)
            if frame.key_frame:
                keys.append(time)
            if time in asked:
                kept[time] = torch.from_numpy(frame.to_ndarray(format="rgb24"))
    return np.array(begins), np.array(keys), kept


def pictures(clip: Clip) -> tuple[list[float], torch.Tensor]:
    assert clip.frames is not None
    assert clip.times is not None
    return clip.times.tolist(), clip.frames


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds of variable frame rate with B-frames and uneven key frames, and sound."""
    ticks = np.cumsum(np.random.default_rng(3).integers(20, 70, 180)) / 1000
    noise = np.random.default_rng(0).integers(0, 60, (96, 160, 3), np.uint8)
    return write_media(
        tmp_path_factory.mktemp("film") / "film.mp4",
        frame_times=[round(float(t), 3) for t in ticks - ticks[0]],
        picture=lambda i: numbered(i) // 2 + np.roll(noise, 3 * i, axis=1),
        video_options={"g": "40", "bf": "3"},
        sound=[(0.0, tone(7.0, 48_000))],
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "threads"),
    [("pyav", None), ("pyav", 1), pytest.param("torchcodec", None, marks=needs_torchcodec)],
)
@pytest.mark.parametrize("name", REAL_AND_MADE)
def test_kept_frames_equal_those_of_a_full_decode(
    request: pytest.FixtureRequest, name: str, backend: str, threads: int | None
) -> None:
    if name == "film":
        path = request.getfixturevalue("film")
    else:
        path = request.getfixturevalue("data_dir") / name
    clip = decode.read(path, frames=9, audio=False, backend=backend, threads=threads)
    times, frames = pictures(clip)
    begins, _, frame_of = full_decode(path, *times)
    centres = [(i + 0.5) * clip.duration / 9 for i in range(9)]
    shown = begins[np.maximum(np.searchsorted(begins, np.array(centres) + 1e-6) - 1, 0)]
    near = np.array(centres) >= begins[0] - 1.0
    assert times == pytest.approx(list(dict.fromkeys(shown[near])), abs=1e-6)
    for time, picture in zip(times, frames, strict=True):
        expected = frame_of[round(time, 6)]
        # Both ask FFmpeg for the conversion, with other flags: rounding may differ, no more.
        assert int((picture.int() - expected.int()).abs().max()) <= 3


@pytest.mark.parametrize("name", REAL_AND_MADE)
def test_key_frames_are_the_nearest_ones(request: pytest.FixtureRequest, name: str) -> None:
    if name == "film":
        path = request.getfixturevalue("film")
    else:
        path = request.getfixturevalue("data_dir") / name
    clip = decode.read(path, frames=9, sampling="keyframe", audio=False)
    times, frames = pictures(clip)
    _, keys, _ = full_decode(path)
    centres = np.array([(i + 0.5) * clip.duration / 9 for i in range(9)])
    began = float(keys[0])
    wanted = centres[centres >= began - 1.0]
    nearest = keys[np.abs(keys[None] - wanted[:, None]).argmin(1)]
    assert times == pytest.approx(list(dict.fromkeys(nearest)), abs=1e-6)
    assert "key frames" in clip.note
    # A key frame decoded alone is the picture that decoding everything gives.
    exact_times, exact = pictures(decode.read(path, times=[t + 1e-5 for t in times], audio=False))
    assert times == exact_times
    assert torch.equal(frames, exact)


def test_key_frames_around_a_stretch_count(film: Path) -> None:
    _, keys, _ = full_decode(film)
    middle = (keys[1] + keys[2]) / 2
    for offset, expected in ((-0.2, keys[1]), (0.2, keys[2])):
        at = middle + offset
        clip = decode.read(film, start=at - 0.1, end=at + 0.1, frames=1, sampling="keyframe")
        assert pictures(clip)[0] == pytest.approx([expected], abs=1e-6)
    parts = list(decode.windows(film, seconds=1.0, frames=4, sampling="keyframe"))
    assert all(part.frames is not None and part.audio is not None for part in parts)


def test_key_frames_that_do_not_stand_alone_are_decoded_exactly(tmp_path: Path) -> None:
    path = write_media(
        tmp_path / "intra.ts",
        frame_times=[i * 0.04 for i in range(90)],
        video_options={"x264-params": "keyint=30:intra-refresh=1"},
    )
    clip = decode.read(path, times=[2.0], sampling="keyframe")
    assert [number_of(frame) for frame in pictures(clip)[1]] == [
        number_of(frame) for frame in pictures(decode.read(path, times=[2.0]))[1]
    ]


@pytest.mark.slow
@needs_torchcodec
@pytest.mark.parametrize("side", [None, 224, 50])
def test_torchcodec_gives_the_clip_that_pyav_gives(data_dir: Path, side: int | None) -> None:
    for name in REAL:
        mine = decode.read(data_dir / name, frames=6, max_side=side)
        other = decode.read(data_dir / name, frames=6, max_side=side, backend="torchcodec")
        assert pictures(other)[0] == pytest.approx(pictures(mine)[0], abs=1e-9)
        assert mine.audio is not None
        assert other.audio is not None
        assert torch.equal(mine.audio, other.audio)
        difference = (pictures(mine)[1].int() - pictures(other)[1].int()).abs().float()
        # Unscaled pictures agree; scaled ones differ by the filter.
        assert float(difference.mean()) <= (0.5 if side is None else 4.0)
        assert other.note == ""


@needs_torchcodec
def test_torchcodec_follows_the_same_rules(tmp_path: Path, film: Path) -> None:
    late = write_media(
        tmp_path / "late.mp4",
        frame_times=[2.0 + i * 0.04 for i in range(75)],
        sound=[(0.0, tone(8.0, 48_000))],
    )
    gap = write_media(
        tmp_path / "gap.mkv",
        frame_times=[i * 0.04 for i in (*range(75), *range(325, 400))],
        sound=[(0.0, tone(16.0, 48_000))],
    )
    turned = write_media(
        tmp_path / "turned.mp4",
        frame_times=[0.0, 0.04, 0.08],
        picture=lambda i: np.ascontiguousarray(np.rot90(numbered(i))),
        rotation=270,
    )
    sound = write_media(
        tmp_path / "a.wav", sound=[(0.0, tone(1.0, 16_000))], audio_codec="pcm_s16le"
    )
    for path in (late, gap, turned):
        mine, other = (decode.read(path, frames=8, backend=name) for name in ("pyav", "torchcodec"))
        assert pictures(other)[0] == pytest.approx(pictures(mine)[0], abs=1e-9)
        seen = [number_of(frame) for frame in pictures(other)[1]]
        assert seen == [number_of(frame) for frame in pictures(mine)[1]]
    assert decode.read(sound, backend="torchcodec").frames is None
    parts = zip(
        decode.windows(gap, seconds=4.0, frames=4),
        decode.windows(gap, seconds=4.0, frames=4, backend="torchcodec"),
        strict=True,
    )
    assert all((mine.frames is None) == (other.frames is None) for mine, other in parts)
    assert decode.choose("torchcodec").why
    with pytest.raises(MediaError, match=r"samples exactly only.*use the backend pyav"):
        decode.read(film, backend="torchcodec", sampling="keyframe")


@needs_torchcodec
def test_what_torchcodec_fails_on_is_decoded_by_pyav(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ter_fast.media.decode import torchcodec

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no such codec\nand a long trace")

    monkeypatch.setattr(torchcodec, "VideoDecoder", fail)
    clip = decode.read(film, frames=5, backend="torchcodec")
    assert torch.equal(pictures(clip)[1], pictures(decode.read(film, frames=5))[1])
    assert clip.note == "decoded by PyAV, since torchcodec failed (no such codec)"


def test_the_rule_and_what_is_not_installed(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert decode.choose().name == "pyav"
    missing = {"pyav": "av", "torchcodec": "no_such_library", "dali": "no_such.library"}
    monkeypatch.setattr(backends, "_NEEDS", missing)
    assert decode.available() == {"pyav": True, "torchcodec": False, "dali": False}
    with pytest.raises(MediaError, match=r"pip install 'ter_fast\[torchcodec\]'"):
        decode.read(film, backend="torchcodec")
    with pytest.raises(MediaError, match="sampling='nearest', expected one of"):
        decode.read(film, sampling="nearest")  # type: ignore[arg-type]
    with pytest.raises(MediaError, match="threads=0, expected at least 1"):
        decode.read(film, threads=0)


def test_a_backend_that_does_not_load_says_so_before_any_file(
    film: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "without_ffmpeg.py").write_text("raise RuntimeError('no libavcodec\\nand more')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(backends.BACKENDS, "torchcodec", "without_ffmpeg")
    monkeypatch.setitem(backends._NEEDS, "torchcodec", "av")
    said = r"torchcodec is installed but does not load \(no libavcodec\); install the FFmpeg"
    with pytest.raises(MediaError, match=said):
        decode.read(film, backend="torchcodec")
    assert [state.state for state in decode.states()[:2]] == ["loads", "does not load"]
    with pytest.raises(MediaError, match=said):
        decode.batches([film], backend="torchcodec")
    with pytest.raises(MediaError, match=said):
        tiny_model("audio").preprocessor(decode="torchcodec")


def test_batches_hold_what_read_gives(film: Path, tmp_path: Path) -> None:
    mute = write_media(tmp_path / "mute.mp4", frame_times=[0.0, 0.5, 1.0])
    sound = write_media(
        tmp_path / "a.flac", sound=[(0.0, tone(1.0, 16_000))], audio_codec="flac", rate=16_000
    )
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"\0" * 1000)
    paths = [film, bad, mute, sound, tmp_path / "nowhere.mp4"]
    loaded = list(decode.batches(paths, batch_size=2, frames=4, size=48, workers=2))
    assert [len(part.batch) for part in loaded] == [2, 2, 1]
    assert [path for part in loaded for path in part.paths] == [str(path) for path in paths]
    errors = [error for part in loaded for error in part.errors]
    assert [bool(error) for error in errors] == [False, True, False, False, True]
    assert str(bad) in errors[1]
    present = [part.batch.mask for part in loaded]
    assert torch.cat([mask["video"] for mask in present]).tolist() == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert torch.cat([mask["audio"] for mask in present]).tolist() == [
        True,
        False,
        False,
        True,
        False,
    ]
    clip = decode.read(film, frames=4, max_side=80)
    first = loaded[0].batch
    assert torch.equal(first.inputs["audio"][0], clip.audio)
    assert torch.equal(first.inputs["video"][0], resize_frames(pictures(clip)[1], 48))
    only = next(decode.batches([film], video=False))
    assert set(only.batch.inputs) == {"audio"}


@pytest.mark.parametrize(
    "backend",
    [
        "pyav",
        pytest.param("torchcodec", marks=needs_torchcodec),
        pytest.param("dali", marks=pytest.mark.extra("dali-cuda13")),
    ],
)
def test_batches_leave_no_thread_and_no_open_file(film: Path, backend: str) -> None:
    reading = decode.batches([film] * 12, batch_size=1, frames=2, size=32, workers=2)
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    decode.read(film, frames=2, backend=backend)
    assert not [each for each in threading.enumerate() if each.name.startswith("ter_fast_decode")]
    if sys.platform == "linux":
        links = [each for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
        assert not [link for link in links if link.exists() and link.resolve() == film.resolve()]


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"workers": 0}, {"audio": False, "video": False}]
)
def test_batches_refuse_what_makes_no_sense(film: Path, options: dict[str, int]) -> None:
    with pytest.raises(MediaError, match="expected numbers of at least 1"):
        decode.batches([film], **options)  # type: ignore[arg-type]


def test_sampling_that_there_is_not_is_refused_before_any_file(film: Path) -> None:
    with pytest.raises(MediaError, match="sampling='nearest', expected one of"):
        decode.batches([film], sampling="nearest")  # type: ignore[arg-type]
    with pytest.raises(MediaError, match="sampling='nearest', expected one of"):
        tiny_model("audio").predict([film], sampling="nearest")  # type: ignore[call-overload]
