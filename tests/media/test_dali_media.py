"""The backend dali gives the clips, batches and predictions of PyAV, or says what it left to it."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.media import number_of, numbered, tone, write_media
from helpers.tiny import noisy_tone, same_evidence, tiny_model, write_wav
from ter_fast import Clip, MediaError
from ter_fast.media import decode
from ter_fast.media.decode import dali_excerpt, dali_films, pyav
from ter_fast.media.decode.dali_sizes import stated_sizes

pytest.importorskip("nvidia.dali", reason="needs ter_fast[dali-cuda13]")

from ter_fast.media.decode import dali_media
from ter_fast.media.decode.pyav import PyAVMedia

pytestmark = pytest.mark.extra("dali-cuda13")

ON_GPU = torch.cuda.is_available()
NEEDS_CPU = pytest.mark.skipif(ON_GPU, reason="this machine has a GPU, where DALI decodes this")

UNSCALED = 3.0
"""Largest mean difference of two pictures in levels of 255: each has its own conversion from YUV."""
SCALED = 4.0
"""The same where pictures are scaled down, each by its own filter."""

CODECS = {
    "vp9": ("libvpx-vp9", "webm", {"g": "20", "deadline": "realtime", "cpu-used": "8"}),
    "vp8": ("libvpx", "webm", {"g": "20", "deadline": "realtime", "cpu-used": "8"}),
    "mjpeg": ("mjpeg", "mkv", {}),
}
VARIABLE = [round(0.03 * i + 0.01 * (i % 3) + 0.2 * (i // 20), 3) for i in range(90)]


def film(path: Path, codec: str, times: Sequence[float], **options: Any) -> Path:
    encoder, ending, settings = CODECS[codec]
    texture = np.random.default_rng(0).integers(0, 40, (96, 160, 3), np.uint8)
    return write_media(
        path.with_suffix(f".{ending}"), frame_times=times, video_codec=encoder,
        picture=lambda i: numbered(i) // 4 * 3 + np.roll(texture, 3 * i, 1),
        video_options=settings, sound=[(0.0, tone(times[-1], 48_000))], audio_codec="libopus",
        **options,
    )  # fmt: skip


def vp9_copy(source: Path, target: Path) -> Path:
    """Encode the pictures of a film again, and copy its sound."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        shown = old.streams.video[0]
        video = new.add_stream("libvpx-vp9", rate=shown.average_rate)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = shown.width, shown.height, "yuv420p"
        video.codec_context.time_base = shown.time_base
        video.codec_context.options = {"deadline": "realtime", "cpu-used": "8", "b": "2M"}
        audio = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux(shown, old.streams.audio[0]):
            if packet.stream.type == "audio":
                if packet.size:
                    packet.stream = audio
                    new.mux(packet)
                continue
            for frame in packet.decode():
                frame.pict_type = 0
                new.mux(video.encode(frame))
        new.mux(video.encode(None))
    return target


@pytest.fixture(scope="module")
def vp9(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return three seconds of variable frame rate, with sound."""
    return film(tmp_path_factory.mktemp("vp9") / "film", "vp9", VARIABLE)


def same_clip(mine: Clip, other: Clip, levels: float) -> None:
    assert (mine.frames is None) == (other.frames is None)
    if mine.frames is not None and other.frames is not None:
        assert mine.times is not None
        assert other.times is not None
        np.testing.assert_allclose(other.times, mine.times, atol=1e-9)
        assert other.frames.shape == mine.frames.shape
        error = (other.frames.cpu().int() - mine.frames.int()).abs().float().mean((1, 2, 3))
        assert float(error.max()) < levels
    assert (mine.audio is None) == (other.audio is None)
    if mine.audio is not None and other.audio is not None:
        assert torch.equal(mine.audio, other.audio)


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
def test_clips_are_those_of_pyav(tmp_path: Path, codec: str) -> None:
    path = film(tmp_path / "film", codec, VARIABLE)
    for side in (None, 100):
        other = decode.read(path, frames=9, max_side=side, backend="dali")
        mine = decode.read(path, frames=9, max_side=side)
        assert other.note == ""
        same_clip(mine, other, UNSCALED if side is None else SCALED)
        assert mine.frames is not None
        assert other.frames is not None
        assert [number_of(a) for a in other.frames.cpu()] == [number_of(a) for a in mine.frames]
    part = {"start": 0.5, "end": 1.7, "frames": 4, "audio": False}
    same_clip(decode.read(path, **part), decode.read(path, **part, backend="dali"), UNSCALED)


@pytest.mark.parametrize(
    "times",
    [
        pytest.param([2.0 + i * 0.04 for i in range(30)], id="late"),
        pytest.param([i * 0.04 for i in (*range(20), *range(200, 220))], id="gap"),
    ],
)
def test_windows_are_those_of_pyav(tmp_path: Path, times: list[float]) -> None:
    path = film(tmp_path / "film", "vp9", times)
    # Sound after a seek is within Matroska's milliseconds, wherever the seek came from.
    options = {"seconds": 1.0, "hop": 0.7, "frames": 3, "audio": False}
    windows = zip(
        decode.windows(path, **options),
        decode.windows(path, **options, backend="dali"),
        strict=True,
    )
    for mine, other in windows:
        assert other.note == ""
        same_clip(mine, other, UNSCALED)


def test_only_what_the_pictures_depend_on_is_cut_out(vp9: Path) -> None:
    with PyAVMedia(str(vp9)) as media:
        whole = dali_excerpt.excerpt(media, [0.1, 1.5, 2.7], "cpu")
        first = dali_excerpt.excerpt(media, [0.1], "cpu")
        assert dali_excerpt.excerpt(media, [900.0], "cpu") is None
    assert whole is not None
    assert first is not None
    assert len(whole.film) < 0.8 * vp9.stat().st_size
    assert len(first.film) < 0.2 * vp9.stat().st_size
    with av.open(str(vp9)) as container:
        shown = np.array([frame.time for frame in container.decode(video=0)])
    begins = shown[np.searchsorted(shown, np.array([0.1, 1.5, 2.7]) + 1e-6) - 1]
    np.testing.assert_allclose(whole.times, begins, atol=1e-9)


def test_the_first_picture_is_decoded_once_a_file(
    vp9: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, first = [], pyav.first_frame
    monkeypatch.setattr(pyav, "first_frame", lambda each: seen.append(1) or first(each))
    assert len(list(decode.windows(vp9, seconds=0.5, frames=2, backend="dali"))) > 3
    assert len(seen) == 1


def test_what_does_not_fit_into_an_excerpt_is_left_to_pyav(
    vp9: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packets = dali_excerpt._Film._packets
    monkeypatch.setattr(
        dali_excerpt._Film, "_packets", lambda cut: reversed(list(packets(cut)))
    )  # no muxer takes times that run backwards
    clip = decode.read(vp9, frames=3, backend="dali")
    assert clip.note.startswith("decoded by PyAV, since its packets do not fit into Matroska (")
    same_clip(decode.read(vp9, frames=3), clip, 1e-6)


def test_too_large_an_excerpt_is_left_to_pyav(vp9: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dali_excerpt, "MAX_BYTES", 3 << 20)
    assert decode.read(vp9, frames=3, backend="dali").note == ""
    monkeypatch.setattr(dali_excerpt, "MAX_BYTES", 1 << 10)
    clip = decode.read(vp9, frames=3, backend="dali")
    assert clip.note == "decoded by PyAV, since more than 0 MB are needed at once"
    same_clip(decode.read(vp9, frames=3), clip, 1e-6)


@NEEDS_CPU
def test_h264_on_a_cpu_is_left_to_pyav_and_said(data_dir: Path) -> None:
    path = data_dir / "fixtures" / "obama_speech.mp4"
    clip = decode.read(path, frames=4, backend="dali")
    assert clip.note == "decoded by PyAV, since DALI needs a GPU for h264"
    same_clip(decode.read(path, frames=4), clip, 1e-6)


def test_what_is_no_film_is_left_to_pyav_without_a_word(tmp_path: Path) -> None:
    photograph = write_media(
        tmp_path / "a.jpg", frame_times=[0.0], video_codec="mjpeg",
        container_options={"update": "1"},
    )  # fmt: skip
    clip = decode.read(photograph, backend="dali")
    assert clip.note == ""
    same_clip(decode.read(photograph), clip, 1e-6)
    sound = write_wav(tmp_path / "a.wav", noisy_tone(300))
    same_clip(decode.read(sound), decode.read(sound, backend="dali"), 1e-6)


def test_turned_pictures_are_left_to_pyav(tmp_path: Path) -> None:
    turned = write_media(
        tmp_path / "a.mp4", frame_times=[0.0, 0.04], video_codec="mjpeg", rotation=90
    )
    clip = decode.read(turned, backend="dali")
    assert "stored turned" in clip.note
    same_clip(decode.read(turned), clip, 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["vp9", "vp8", "mjpeg"])
@pytest.mark.parametrize("sizes", [((160, 96), (320, 192)), ((320, 192), (160, 96))])
def test_a_film_that_changes_size_is_left_to_pyav(
    tmp_path: Path, codec: str, sizes: tuple[tuple[int, int], ...]
) -> None:
    encoder, ending, _ = CODECS[codec]
    joined = tmp_path / f"joined.{ending}"
    with av.open(str(joined), "w") as out:
        track: Any = None
        for part, (width, height) in enumerate(sizes):
            path = write_media(
                tmp_path / f"{part}.{ending}", frame_times=[i * 0.04 for i in range(10)],
                picture=lambda i, w=width, h=height: numbered(i, w, h), video_codec=encoder,
            )  # fmt: skip
            with av.open(str(path)) as source:
                track = track or out.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.pts = packet.dts = int(packet.pts or 0) + 400 * part
                        packet.stream = track
                        out.mux(packet)
    clip = decode.read(joined, frames=6, backend="dali")
    assert clip.note == "decoded by PyAV, since its pictures change size"
    same_clip(decode.read(joined, frames=6), clip, 1e-6)


@pytest.mark.parametrize(
    ("encoder", "codec", "pixels"),
    [
        ("libvpx-vp9", "vp9", "yuv420p"), ("libvpx-vp9", "vp9", "yuv444p"),
        ("libvpx-vp9", "vp9", "gbrp"),
        ("libvpx", "vp8", "yuv420p"), ("mjpeg", "mjpeg", "yuvj420p"),
    ],
)  # fmt: skip
def test_sizes_are_read_from_key_frames(encoder: str, codec: str, pixels: str) -> None:
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 178, 94, pixels
    context.time_base = Fraction(1, 25)
    context.options = {"g": "10", "lag-in-frames": "5"} if "vp" in codec else {}
    packets = []
    for index in range(20):
        frame = av.VideoFrame.from_ndarray(numbered(index, 178, 94), format="rgb24")
        packets += context.encode(frame.reformat(format=pixels))
    packets += context.encode(None)
    for packet in packets:
        stated = stated_sizes(codec, bytes(packet))
        assert stated == {(178, 94)} if packet.is_keyframe else stated <= {(178, 94)}
    assert any(packet.is_keyframe for packet in packets)
    assert stated_sizes("h264", bytes(packets[0])) == set()


@given(
    codec=st.sampled_from(["vp8", "vp9", "mjpeg", "h264"]),
    head=st.sampled_from([b"", b"\xff\xd8\xff", b"\x82\x49\x83\x42", b"\x10\0\0\x9d\x01\x2a"]),
    data=st.binary(max_size=60),
)
@settings(max_examples=200, deadline=None)
def test_no_bytes_upset_the_reading_of_sizes(codec: str, head: bytes, data: bytes) -> None:
    assert all(len(size) == 2 and min(size) >= 0 for size in stated_sizes(codec, head + data))


def test_damage_costs_no_more_than_it_does_with_pyav(vp9: Path, tmp_path: Path) -> None:
    data = np.frombuffer(vp9.read_bytes(), np.uint8)
    for seed in range(12):
        chance = np.random.default_rng(seed)
        spoilt = data.copy()
        at = chance.integers(400, len(data), int(chance.integers(1, 60)))
        spoilt[at] = chance.integers(0, 256, len(at))
        path = tmp_path / f"{seed}.webm"
        path.write_bytes(spoilt[: int(chance.integers(len(data) // 2, len(data)))].tobytes())
        clips = []
        for backend in ("pyav", "dali"):
            try:
                clips.append(decode.read(path, frames=5, backend=backend))
            except MediaError as error:
                clips.append(str(error))  # type: ignore[arg-type]
        if isinstance(clips[0], str):
            assert clips[1] == clips[0]
        else:
            assert isinstance(clips[1], Clip)
            assert (clips[1].audio is None) == (clips[0].audio is None)


def test_what_dali_fails_on_is_decoded_by_pyav(vp9: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = dali_media.excerpt
    spoilt = []

    def spoil(*given: Any) -> Any:
        found = cut(*given)
        assert found is not None
        if not spoilt:
            spoilt.append(1)
            return dali_excerpt.Excerpt(found.film[:50], found.numbers, found.times)
        return found

    monkeypatch.setattr(dali_media, "excerpt", spoil)
    clips = list(decode.windows(vp9, seconds=1.0, frames=3, backend="dali"))
    assert clips[0].note.startswith("decoded by PyAV, since DALI failed (")
    # The pipeline that failed is not used again.
    assert [clip.note for clip in clips[1:]] == [""] * (len(clips) - 1)
    for mine, other in zip(decode.windows(vp9, seconds=1.0, frames=3), clips, strict=True):
        same_clip(mine, other, UNSCALED)


def test_key_frames_are_refused(vp9: Path) -> None:
    with pytest.raises(MediaError, match=r"dali samples exactly only.*use the backend pyav"):
        decode.read(vp9, backend="dali", sampling="keyframe")


def test_files_are_read_side_by_side_and_closed(vp9: Path) -> None:
    expected = decode.read(vp9, frames=4, backend="dali")
    tasks = _tasks()
    with ThreadPoolExecutor(4) as pool:
        clips = pool.map(lambda _: decode.read(vp9, frames=4, backend="dali"), range(12))
        for clip in clips:
            same_clip(expected, clip, 1e-6)
    _end_down_to(tasks)
    if sys.platform == "linux":
        links = [each for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
        assert not [link for link in links if link.exists() and link.resolve() == vp9.resolve()]


def _tasks() -> int:
    return len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 0


def _end_down_to(tasks: int) -> None:
    """Wait for threads that were told to end; a few seconds are plenty."""
    for _ in range(50):
        if _tasks() <= tasks:
            return
        time.sleep(0.1)
    pytest.fail(f"{_tasks()} threads are left of {tasks}")


def mixed(folder: Path, vp9: Path) -> list[Path]:
    """Files of every kind: for DALI, for PyAV, sound alone, damaged, missing."""
    h264 = write_media(folder / "h.mp4", frame_times=[0, 0.1, 0.2], picture=numbered)
    bad = folder / "bad.mp4"
    bad.write_bytes(b"\0" * 1000)
    wav = write_wav(folder / "s.wav", noisy_tone(300))
    return [vp9, bad, h264, wav, folder / "gone.mp4", film(folder / "m", "mjpeg", [0, 0.1, 0.3])]


@pytest.mark.parametrize(
    "asked", [{}, {"audio": False}, {"video": False}], ids=["both", "pictures", "sound"]
)
def test_batches_are_those_of_pyav(vp9: Path, tmp_path: Path, asked: dict[str, bool]) -> None:
    paths = mixed(tmp_path, vp9)
    options = {"batch_size": 4, "frames": 4, "size": 96, "workers": 2, **asked}
    made = zip(
        decode.batches(paths, **options),
        decode.batches(paths, **options, backend="dali"),
        strict=True,
    )
    for mine, other in made:
        assert other.paths == mine.paths
        assert other.errors == mine.errors
        assert mine.notes == ("",) * len(mine.paths)
        by_pyav = "decoded by PyAV, since DALI needs a GPU for h264"
        left = not ON_GPU and asked.get("video", True)
        assert other.notes == tuple(
            by_pyav if left and Path(path).name == "h.mp4" else "" for path in other.paths
        )
        batch = other.batch.to("cpu")
        assert set(batch.inputs) == set(mine.batch.inputs)
        for name, length in mine.batch.lengths.items():
            assert torch.equal(batch.lengths[name], length)
            values, expected = batch.inputs[name], mine.batch.inputs[name]
            assert values.dtype == expected.dtype
            assert values.shape == expected.shape
            error = (values.float() - expected.float()).abs().flatten(1).mean(1)
            assert float(error.max()) < (SCALED if name == "video" else 1e-9)


def test_turned_pictures_and_long_films_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turned pictures lie in memory in another order than DALI takes."""
    turned = write_media(
        tmp_path / "t.mp4", frame_times=[0.0, 0.04], picture=numbered, video_codec="mjpeg",
        rotation=90,
    )  # fmt: skip
    made, mine = (
        next(iter(decode.batches([turned], frames=2, size=32, backend=backend)))
        for backend in ("dali", "pyav")
    )
    assert made.errors == ("",)
    assert "stored turned" in made.notes[0]
    shown = made.batch.to("cpu").inputs["video"].float()
    assert (shown - mine.batch.inputs["video"].float()).abs().mean() < SCALED
    monkeypatch.setattr(dali_films, "_LONGEST", 0.05)
    (refused,) = decode.batches([turned], frames=2, size=32, backend="dali")
    assert refused.errors[0].startswith(f"{turned}: 0 s are too long for a batch through DALI")


def test_batches_say_that_a_file_is_cut_short(tmp_path: Path) -> None:
    path = film(tmp_path / "m", "mjpeg", [i * 0.04 for i in range(50)])
    cut = tmp_path / "cut.mp4"
    with (
        av.open(str(path)) as old,
        av.open(str(cut), "w", options={"movflags": "faststart"}) as new,
    ):
        track = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = track
                new.mux(packet)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    for backend in ("pyav", "dali"):
        (made,) = decode.batches([cut], frames=2, size=32, backend=backend)
        assert made.errors == ("",)
        assert made.notes[0].startswith("the file is cut short after ")
        assert made.batch.lengths["video"].tolist() == [2]
    (keys,) = decode.batches([path], frames=2, size=32, sampling="keyframe")
    assert keys.notes == ("pictures are the nearest key frames",)


def test_a_film_that_dali_stops_at_costs_only_its_batch(
    vp9: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "bad.webm"
    bad.write_bytes(vp9.read_bytes())
    cut = dali_films.excerpt

    def spoil(media: PyAVMedia, *given: Any) -> Any:
        found = cut(media, *given)
        if found is None or media.info.path != str(bad):
            return found
        return dali_excerpt.Excerpt(found.film[:50], found.numbers, found.times)

    monkeypatch.setattr(dali_films, "excerpt", spoil)
    wav = write_wav(tmp_path / "s.wav", noisy_tone(300))
    paths = [vp9, vp9, bad, wav, vp9, vp9, bad, tmp_path / "gone.mp4", vp9]
    loader = dali_films.FilmLoader(
        paths, 3, dali_films.DaliSettings(batch_size=2, size=96, channels=3)
    )
    batches = list(loader)
    records = [record for batch in batches for record in batch.records]
    assert [record["path"] for record in records] == [str(path) for path in paths]
    assert [bool(record["note"]) for record in records] == [path == bad for path in paths]
    assert [bool(record["error"]) for record in records] == [i == 7 for i in range(9)]
    counts = torch.cat([batch.batch.lengths["video"].cpu() for batch in batches])
    assert counts.tolist() == [3, 3, 3, 0, 3, 3, 3, 0, 3]
    pictures = batches[0].batch.inputs["video"][0].float()
    for batch, row in ((1, 0), (2, 1), (3, 0), (4, 0)):
        error = (batches[batch].batch.inputs["video"][row].float() - pictures).abs().mean()
        assert float(error) < SCALED


def test_batches_left_early_leave_no_thread(vp9: Path) -> None:
    tasks = _tasks()
    reading = decode.batches([vp9] * 9, batch_size=1, frames=2, size=32, workers=2, backend="dali")
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    del reading
    assert not [each for each in threading.enumerate() if each.name.startswith("ter_fast_decode")]
    _end_down_to(tasks)


@pytest.mark.slow
def test_predictions_are_those_of_pyav(data_dir: Path, tmp_path: Path) -> None:
    copy = vp9_copy(data_dir / "fixtures" / "obama_speech.mp4", tmp_path / "speech.mkv")
    model = tiny_model("audio", "video")
    paths = [copy, film(tmp_path / "m", "mjpeg", VARIABLE)]
    assert [decode.read(path, backend="dali").note for path in paths] == ["", ""]
    for mine, other in zip(
        model.predict(paths, workers=2), model.predict(paths, workers=2, decode="dali"), strict=True
    ):
        assert other.label == mine.label
        assert len(other.windows) == len(mine.windows)
        same_evidence(mine, other, 0.05)


def test_states_say_what_is_decoded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    from ter_fast.media.decode import backends

    states = {state.name: state for state in decode.states()}
    assert list(states) == list(decode.BACKENDS)
    assert states["dali"].state == "loads"
    assert ("h264" in states["dali"].detail) == ON_GPU
    assert "vp9" in states["dali"].detail
    monkeypatch.setitem(backends._NEEDS, "dali", "no_such_package.dali")
    missing = decode.states()[-1]
    assert missing.state == "not installed"
    assert "pip install 'ter_fast[dali-cuda13]'" in missing.detail
    with pytest.raises(MediaError, match=r"pip install 'ter_fast\[dali-cuda13\]'"):
        tiny_model("audio").predict("a.mp4", decode="dali")
    with pytest.raises(MediaError, match=r"pip install 'ter_fast\[dali-cuda13\]'"):
        decode.batches(["a.mp4"], backend="dali")


NVDEC = ["fixtures/obama_speech.mp4", "fixtures/face_noface.mov", "fixtures/test.mp4",
         "decode/music_video_1.mp4"]  # fmt: skip


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.gpu) for name in NVDEC])
def test_nvdec_gives_the_clip_that_pyav_gives(data_dir: Path, name: str) -> None:
    for side in (None, 224):
        other = decode.read(data_dir / name, frames=8, max_side=side, backend="dali")
        assert other.note == ""
        mine = decode.read(data_dir / name, frames=8, max_side=side)
        same_clip(mine, other, 2 * (UNSCALED if side is None else SCALED))


@pytest.mark.parametrize("name", [pytest.param(NVDEC[0], marks=pytest.mark.gpu)])
def test_predictions_through_nvdec_are_those_of_pyav(data_dir: Path, name: str) -> None:
    model = tiny_model("audio", "video")
    mine, other = (model.predict(data_dir / name, decode=each) for each in ("pyav", "dali"))
    assert other.label == mine.label
    same_evidence(mine, other, 0.1)


@pytest.mark.parametrize("name", [pytest.param(NVDEC[0], marks=pytest.mark.gpu)])
def test_batches_through_nvdec_stay_on_the_gpu(data_dir: Path, name: str) -> None:
    (other,) = decode.batches([data_dir / name], frames=8, size=96, backend="dali")
    assert other.batch.inputs["video"].is_cuda
    assert other.batch.lengths["video"].is_cuda
    (mine,) = decode.batches([data_dir / name], frames=8, size=96)
    values: npt.NDArray[np.float32] = other.batch.inputs["video"].cpu().float().numpy()
    assert abs(values - mine.batch.inputs["video"].float().numpy()).mean() < 2 * SCALED
