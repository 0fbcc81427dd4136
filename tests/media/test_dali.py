"""DALI's batches from shards are those of PyAV and torch, within stated tolerances."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.media import write_media
from helpers.tiny import film_corpus, noisy_tone, tiny_model, write_wav
from ter_fast import Clip, DataError, MediaError
from ter_fast.data import Dataset, Sample, load_dataset
from ter_fast.data.shards import ShardSettings, load_shards, prepare_shards, shard_windows
from ter_fast.data.shards.dali import ShardLoader
from ter_fast.media import decode
from ter_fast.media.decode import dali_films
from ter_fast.media.decode.dali import DaliBatch, DaliSettings
from ter_fast.media.decode.dali_films import FilmLoader
from ter_fast.media.decode.pyav import PyAVMedia
from ter_fast.media.features import LogMel, normalize_frames, resize_frames

pytestmark = pytest.mark.extra("dali-cuda13")

DEVICES = ["cpu", pytest.param("gpu", marks=pytest.mark.gpu)]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films, and sounds of several lengths without pictures, in tars of three clips."""
    folder = tmp_path_factory.mktemp("dali")
    films = load_dataset(str(film_corpus(folder / "films", {"train": 2, "test": 1})))
    sounds = tuple(
        Sample(
            str(write_wav(folder / f"{i}.wav", noisy_tone(300 * (i + 1), 0.3 + 0.4 * i, i))),
            "low", "train", f"s{i}",
        )
        for i in range(3)
    )  # fmt: skip
    data = Dataset("both", films.labels, (*films, *sounds), "", ("audio", "video"))
    settings = ShardSettings("whole", size=64, frames=3, clips_per_shard=3, quality=95)
    prepare_shards(data, folder / "out", settings)
    return folder / "out"


def stored(folder: Path) -> dict[str, Clip]:
    return {s.attributes["source"]: next(shard_windows(s.path)) for s in load_shards(folder)}


def rows(batches: list[DaliBatch]) -> list[tuple[dict[str, Any], DaliBatch, int]]:
    return [(record, b, i) for b in batches for i, record in enumerate(b.records)]


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("channels", [1, 3])
def test_batches_are_those_of_pyav(shards: Path, device: str, channels: int) -> None:
    clips = stored(shards)
    settings = DaliSettings(batch_size=4, size=32, channels=channels, device=device)
    loader = ShardLoader(shards, None, settings)
    read = rows(list(loader))
    assert sorted(record["source"] for record, _, _ in read) == sorted(clips)
    for record, dali, i in read:
        clip, batch = clips[record["source"]], dali.batch.to("cpu")
        frames, samples = (int(batch.lengths[name][i]) for name in ("video", "audio"))
        assert clip.audio is not None
        assert torch.equal(batch.inputs["audio"][i, :samples], clip.audio)
        assert not batch.inputs["audio"][i, samples:].any()
        assert not batch.inputs["video"][i, frames:].any()
        if clip.frames is None:
            assert frames == 0
            continue
        expected = resize_frames(clip.frames, 32, channels)
        error = (batch.inputs["video"][i, :frames].int() - expected.int()).abs()
        # Two JPEG decoders, each with its own inverse cosine transform.
        assert error.max() <= 6
        assert error.float().mean() < 0.5


@pytest.mark.parametrize("device", DEVICES)
def test_mel_is_that_of_the_encoders(shards: Path, device: str) -> None:
    clips, logmel = stored(shards), LogMel(40)
    loader = ShardLoader(shards, None, DaliSettings(batch_size=4, n_mels=40, device=device))
    for record, dali, i in rows(list(loader)):
        audio = clips[record["source"]].audio
        assert audio is not None
        assert dali.mel is not None
        expected = logmel.decibels(audio[None])[0]
        error = (dali.mel[i, :, : expected.shape[1]].cpu() - expected).abs()
        assert error.max() < 0.02
        assert error[expected > expected.max() - 60].max() < 0.003
        assert (dali.mel[i, :, expected.shape[1] :] == -100).all()


def test_mel_of_real_speech(data_dir: Path, tmp_path: Path) -> None:
    """Opus speech has bands near silence, where float32 matters most."""
    files = sorted((data_dir / "ravdess").rglob("*.opus"))[::150]
    clips = tuple(Sample(str(f), "ab"[i % 2], "", str(i)) for i, f in enumerate(files))
    prepare_shards(Dataset("r", ("a", "b"), clips, "", ("audio",)), tmp_path / "o")
    audio, logmel = stored(tmp_path / "o"), LogMel()
    for record, dali, i in rows(list(ShardLoader(tmp_path / "o", None, DaliSettings(n_mels=64)))):
        sound = audio[record["source"]].audio
        assert sound is not None
        assert dali.mel is not None
        expected = logmel.decibels(sound[None])[0]
        error = (dali.mel[i, :, : expected.shape[1]] - expected).abs()
        assert error.max() < 0.02
        assert error[expected > expected.max() - 60].max() < 0.003


def test_normalized_pictures(shards: Path) -> None:
    plain = rows(list(ShardLoader(shards, "test", DaliSettings(size=32, channels=3))))
    scaled = rows(
        list(ShardLoader(shards, "test", DaliSettings(size=32, channels=3, normalized=True)))
    )
    for (one, a, i), (other, b, j) in zip(plain, scaled, strict=True):
        assert one == other
        expected = normalize_frames(a.batch.inputs["video"][i])
        torch.testing.assert_close(b.batch.inputs["video"][j], expected, rtol=1e-4, atol=1e-4)


def test_every_window_once_an_epoch_whatever_the_parts(shards: Path) -> None:
    every = sorted(r["source"] for r, _, _ in rows(list(ShardLoader(shards))))
    parts = [
        ShardLoader(shards, None, DaliSettings(batch_size=2, shard_id=i, num_shards=2))
        for i in range(2)
    ]
    seen = [[r["source"] for r, _, _ in rows(list(part))] for part in parts]
    assert sorted(seen[0] + seen[1]) == every
    assert [len(part) for part in parts] == [-(-len(each) // 2) for each in seen]
    assert [r["source"] for r, _, _ in rows(list(parts[0]))] == seen[0]


def test_an_epoch_left_early_begins_anew(shards: Path) -> None:
    loader = ShardLoader(shards, None, DaliSettings(batch_size=2))
    whole = [r["source"] for r, _, _ in rows(list(loader))]
    next(iter(loader))
    assert sorted(r["source"] for r, _, _ in rows(list(loader))) == sorted(whole)


def test_batches_stay_as_they_were(shards: Path) -> None:
    """Memory that torch holds must not be filled with the next batch."""
    loader = ShardLoader(shards, None, DaliSettings(batch_size=1))
    kept = [(b, b.batch.inputs["audio"].clone(), b.batch.inputs["video"].clone()) for b in loader]
    for batch, audio, video in kept:
        assert torch.equal(batch.batch.inputs["audio"], audio)
        assert torch.equal(batch.batch.inputs["video"], video)


def test_nothing_is_copied(shards: Path) -> None:
    from ter_fast.media.decode import dali

    loader = ShardLoader(shards, None, DaliSettings(batch_size=2))
    nodes = loader._run()[:-1]
    batch = dali.to_batch(list(nodes), 2, ())
    inside = np.asarray(nodes[2].as_tensor()).__array_interface__["data"][0]
    assert batch.batch.inputs["audio"].data_ptr() == inside


def test_a_model_reads_the_batches(shards: Path) -> None:
    model = tiny_model("audio", "video", labels=("high", "low"))
    for dali in ShardLoader(shards, "train", DaliSettings(batch_size=4, size=32)):
        evidence, mask = model.evidence(dali.batch)
        assert evidence.shape == (2, len(dali.records), 2)
        assert mask[1].tolist() == [not r["source"].endswith(".wav") for r in dali.records]


def test_damaged_shards_are_named(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no shards of split 'validation'"):
        ShardLoader(shards, "validation")
    with pytest.raises(DataError, match=re.escape(str(tmp_path))):
        ShardLoader(tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"device": "tpu"}, {"channels": 2}, {"batch_size": 0}, {"shard_id": 1}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MediaError, match=next(iter(wrong))):
        DaliSettings(**wrong)


def test_no_gpu_is_said(shards: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(MediaError, match="torch sees no GPU"):
        ShardLoader(shards, None, DaliSettings(device="gpu"))


def as_read(path: Path, size: int, device: str = "cpu") -> None:
    """Compare DALI's batch of one film with PyAV's clip."""
    clip = decode.read(path, frames=5)
    (dali,) = FilmLoader([path], 5, DaliSettings(size=size, channels=3, device=device))
    assert dali.records[0]["error"] == ""
    assert clip.times is not None
    assert clip.frames is not None
    np.testing.assert_allclose(dali.records[0]["times"], clip.times, atol=1e-6)
    batch = dali.batch.to("cpu")
    assert int(batch.lengths["video"][0]) == len(clip.times)
    expected = resize_frames(clip.frames, size, 3).int()
    # Each has its own conversion from YUV, with chroma scaled up in another way.
    assert (batch.inputs["video"][0].int() - expected).abs().float().mean() < 4
    samples = int(batch.lengths["audio"][0])
    assert samples == (0 if clip.audio is None else len(clip.audio))
    if clip.audio is not None:
        assert torch.equal(batch.inputs["audio"][0, :samples], clip.audio)


@pytest.mark.slow
@pytest.mark.parametrize(
    "times",
    [
        pytest.param([i * 0.04 for i in range(40)], id="constant"),
        pytest.param([0, 0.04, 0.3, 0.34, 0.9, 1.0, 1.04, 1.5], id="variable"),
        pytest.param([0.6 + i * 0.1 for i in range(10)], id="late"),
    ],
)
def test_films_on_a_cpu_are_those_of_pyav(tmp_path: Path, times: list[float]) -> None:
    film = write_media(
        tmp_path / "a.mkv", frame_times=times, video_codec="libvpx-vp9",
        sound=[(0.0, noisy_tone(300, 1.6))], audio_codec="libopus", rate=48_000,
    )  # fmt: skip
    as_read(film, 48)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.gpu)
        for name in ("obama_speech.mp4", "face_noface.mov", "test.mp4")
    ],
)
def test_films_through_nvdec_are_those_of_pyav(data_dir: Path, name: str) -> None:
    as_read(data_dir / "fixtures" / name, 96, "gpu")


def test_a_film_that_cannot_be_read_costs_only_itself(tmp_path: Path) -> None:
    good = write_media(tmp_path / "a.avi", frame_times=[0, 0.1, 0.2], video_codec="mjpeg")
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no film")
    h264 = write_media(tmp_path / "h.mp4", frame_times=[0, 0.1, 0.2])
    wav = write_wav(tmp_path / "s.wav", noisy_tone(300))
    loader = FilmLoader(
        [good, bad, h264, wav, tmp_path / "gone.mp4"], 2, DaliSettings(batch_size=2, n_mels=8)
    )
    read = rows(list(loader))
    errors = [record["error"] for record, _, _ in read]
    assert len(loader) == 3
    assert [bool(error) for error in errors] == [False, True, False, False, True]
    assert [record["note"] for record, _, _ in read] == [
        "", "", "decoded by PyAV, since DALI needs a GPU for h264", "", ""
    ]  # fmt: skip
    assert [int(b.batch.lengths["video"][i]) for _, b, i in read] == [2, 0, 2, 0, 0]
    assert [int(b.batch.lengths["audio"][i]) > 0 for _, b, i in read] == [
        False,
        False,
        False,
        True,
        False,
    ]


def test_films_are_divided_among_processes(tmp_path: Path) -> None:
    names = [f"{i}.mp4" for i in range(5)]
    parts = [FilmLoader(names, settings=DaliSettings(shard_id=i, num_shards=2)) for i in range(2)]
    assert sorted(parts[0].paths + parts[1].paths) == names


def test_a_decoders_own_complaint_costs_one_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"frame_times": [0, 0.1, 0.2], "video_codec": "mjpeg"}
    paths = [write_media(tmp_path / f"{name}.mkv", **options) for name in "ab"]  # type: ignore[arg-type]
    cut = dali_films.excerpt

    def complain(media: PyAVMedia, *given: Any) -> Any:
        if media.info.path == str(paths[0]):
            raise IndexError("no such stream")
        return cut(media, *given)

    monkeypatch.setattr(dali_films, "excerpt", complain)
    (batch,) = FilmLoader(paths, 2, DaliSettings(batch_size=2, size=16))
    assert [record["error"] for record in batch.records] == [
        f"{paths[0]} could not be read (IndexError: no such stream); check the file", ""
    ]  # fmt: skip
    assert batch.batch.lengths["video"].tolist() == [0, 2]
