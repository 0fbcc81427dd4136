"""Prepared shards: written once, whole or not at all, and read back by everyone as what was written."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from helpers.media import write_media
from helpers.tiny import film_corpus, noisy_tone, stripes, tiny_model, tone_corpus
from ter_fast import DataError, MediaError
from ter_fast.data import Dataset, Sample, check_dataset, load_dataset
from ter_fast.data.shards import (
    ShardSettings,
    load_shards,
    prepare_shards,
    shard_files,
    shard_windows,
    verify_shards,
)
from ter_fast.data.shards.codec import decode_sound, decode_strip, encode_sound, encode_strip
from ter_fast.data.shards.crops import smooth
from ter_fast.data.shards.folder import alone
from ter_fast.data.shards.plan import make_plan
from ter_fast.media import decode
from ter_fast.predict.prepare import prepare

SMALL = ShardSettings("centre", size=32, frames=4, window_seconds=2.0, clips_per_shard=3)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film_corpus(tmp_path_factory.mktemp("films"), {"train": 2, "validation": 1, "test": 1})


@pytest.fixture(scope="module")
def prepared(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards") / "out"
    prepare_shards(load_dataset(str(films)), out, SMALL)
    return out


def contents(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_a_dataset_comes_back(films: Path, prepared: Path) -> None:
    before, after = load_dataset(str(films)), load_dataset(f"shards:{prepared}")
    assert after.labels == before.labels
    assert after.modalities == before.modalities
    assert after.terms == before.terms

    def facts(sample: Sample, name: str) -> tuple[str, ...]:
        return name, sample.label, sample.split, sample.group

    assert {facts(s, Path(s.path).name) for s in before} == {
        facts(s, s.attributes["source"]) for s in after
    }
    assert verify_shards(prepared) == 4


def test_windows_are_those_of_the_film(films: Path, prepared: Path) -> None:
    originals = {Path(s.path).name: s.path for s in load_dataset(str(films))}
    for sample in load_shards(prepared):
        source = originals[sample.attributes["source"]]
        direct = list(decode.windows(source, seconds=2.0, frames=4))
        stored = list(shard_windows(sample.path))
        assert len(stored) == len(direct)
        for old, new in zip(direct, stored, strict=True):
            assert (new.start, new.end) == (old.start, old.end)
            assert old.times is not None
            assert new.times is not None
            assert old.audio is not None
            assert new.audio is not None
            assert new.frames is not None
            assert torch.equal(new.times, old.times)
            assert new.frames.shape == (len(old.times), 32, 32, 3)
            assert len(new.audio) == len(old.audio)
            assert float((new.audio - old.audio).abs().max()) <= 1 / 32768


def test_whole_pictures_keep_their_proportions(tmp_path: Path) -> None:
    film = write_media(
        tmp_path / "a.mp4", frame_times=[0, 0.1, 0.2, 0.3, 0.4, 0.5], sound=[(0, noisy_tone(300))]
    )
    clips = tuple(Sample(str(film), label, "", "1") for label in ("a",))
    data = Dataset("one", ("a", "b"), clips, "", ("audio", "video"))
    prepare_shards(data, tmp_path / "out", ShardSettings("whole", size=80, frames=2, quality=95))
    clip = next(shard_windows(load_shards(tmp_path / "out")[0].path))
    direct = decode.read(film, frames=2, max_side=80)
    assert clip.frames is not None
    assert direct.frames is not None
    assert clip.frames.shape == direct.frames.shape == (2, 48, 80, 3)
    assert float((clip.frames.float() - direct.frames.float()).abs().mean()) < 3


def test_same_input_same_bytes(films: Path, prepared: Path, tmp_path: Path) -> None:
    """Also from a copy of the corpus elsewhere, with another number of threads."""
    shutil.copytree(films.parent, tmp_path / "copy")
    copied = load_dataset(str(tmp_path / "copy" / films.name))
    prepare_shards(copied, tmp_path / "again", SMALL, workers=1)
    assert contents(tmp_path / "again") == contents(prepared)


SLOW_RUN = """
import sys, time
from ter_fast.data import load_dataset
from ter_fast.data import shards
from ter_fast.data.shards import writer
real = writer.encode_windows
def slow(*arguments):
    time.sleep(0.15)
    return real(*arguments)
writer.encode_windows = slow
shards.prepare_shards(load_dataset(sys.argv[1]), sys.argv[2], shards.ShardSettings(
    "centre", size=32, frames=4, window_seconds=2.0, clips_per_shard=3), workers=1)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on(films: Path, prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    run = subprocess.Popen(
        [sys.executable, "-c", SLOW_RUN, str(films), str(out)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        deadline = time.monotonic() + 60
        while not list(out.glob("*-*.json")) and time.monotonic() < deadline:
            assert run.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    whole = {p.name: p.stat().st_mtime_ns for p in out.glob("*.tar")}
    assert 1 <= len(whole) < 4
    with pytest.raises(DataError, match=r"manifest\.json cannot be read"):
        load_shards(out)
    report = prepare_shards(load_dataset(str(films)), out, SMALL)
    assert report.resumed >= 1
    after = {p.name: p.stat().st_mtime_ns for p in out.glob("*.tar")}
    done = [name for name in whole if whole[name] == after[name]]
    assert len(done) == report.resumed
    assert contents(out) == contents(prepared)


def test_other_settings_are_refused(films: Path, prepared: Path) -> None:
    with pytest.raises(DataError, match="other data or with other settings"):
        prepare_shards(load_dataset(str(films)), prepared, ShardSettings("centre", size=48))


def test_two_runs_never_write_one_folder(films: Path, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="needs fcntl, which Windows lacks")
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="Another run is writing"):
            prepare_shards(load_dataset(str(films)), tmp_path, SMALL)


def test_the_lock_outlives_the_run_that_made_it(tmp_path: Path) -> None:
    """Who opened the lock during one run excludes, once it holds it, the run after."""
    fcntl = pytest.importorskip("fcntl", reason="needs fcntl, which Windows lacks")
    with alone(tmp_path):
        waiting = (tmp_path / ".lock").open("w")
    with waiting:
        fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(DataError, match="Another run is writing"), alone(tmp_path):
            pass
    with alone(tmp_path):
        pass


@pytest.mark.parametrize("size", [100, 300_000])
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_a_film_encoded_again_is_noticed(tmp_path: Path, size: int, place: float) -> None:
    content = np.random.default_rng(1).integers(0, 256, size, np.uint8)
    path = tmp_path / "a.mp4"
    clips = (Sample(str(path), "a", "", "1"),)
    data = Dataset("one", ("a", "b"), clips, "", ("audio",))

    def plan(values: npt.NDArray[np.uint8], date: int) -> str:
        path.write_bytes(values.tobytes())
        os.utime(path, (date, date))
        return make_plan(data, SMALL, "").digest

    first = plan(content, 1_000_000)
    assert plan(content, 2_000_000) == first
    again = np.random.default_rng(2).integers(0, 256, size, np.uint8)
    assert plan(again, 1_000_000) != first
    changed = content.copy()
    # A little, where both sizes are looked at.
    changed[round(place * (size - 1)) if size == 100 or place != 0.5 else 110_000] ^= 1
    assert plan(changed, 1_000_000) != first
    path.unlink()
    assert make_plan(data, SMALL, "").digest != first


def test_a_film_of_many_clips_is_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(
        "ter_fast.data.shards.plan.fingerprint", lambda path: looked.append(path) or ""
    )
    films = [str(tmp_path / name) for name in ("a.mp4", "b.mp4")]
    clips = tuple(
        Sample(film, "a", "", "1", span=(float(second), second + 1.0))
        for film in films
        for second in range(5)
    )
    make_plan(Dataset("two", ("a", "b"), clips, "", ("audio",)), SMALL, "")
    assert looked == films


def test_shards_of_changed_films_are_refused(films: Path, tmp_path: Path) -> None:
    shutil.copytree(films.parent, tmp_path / "copy")
    data = load_dataset(str(tmp_path / "copy" / films.name))
    prepare_shards(data, tmp_path / "out", SMALL)
    film = Path(data[0].path)
    film.write_bytes(film.read_bytes()[:-1] + b"!")
    with pytest.raises(DataError, match="or the data have changed since"):
        prepare_shards(data, tmp_path / "out", SMALL)


def test_shards_are_not_prepared_from_shards(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is prepared shards already \(.*\.tar#.*\)\. Train from"):
        prepare_shards(load_dataset(f"shards:{prepared}"), tmp_path / "out", SMALL)
    assert not (tmp_path / "out").exists()


def test_one_bad_clip_costs_only_itself(films: Path, tmp_path: Path) -> None:
    data = load_dataset(str(films))
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no film" * 100)
    broken = Dataset(
        data.name,
        data.labels,
        (*data.samples, Sample(str(bad), data.labels[0], "train", "train0")),
        data.terms,
        data.modalities,
    )
    report = prepare_shards(broken, tmp_path / "out", SMALL)
    assert report.clips == len(data)
    assert len(report.failed) == 1
    assert "bad.mp4" in report.failed[0]
    assert len(load_shards(tmp_path / "out")) == len(data)


def test_too_many_bad_clips_stop_the_run(tmp_path: Path) -> None:
    clips = tuple(Sample(str(tmp_path / f"{i}.wav"), "a", "", str(i)) for i in range(15))
    with pytest.raises(DataError, match=r"11 of the 15 clips .* the run stops") as caught:
        prepare_shards(Dataset("x", ("a", "b"), clips, "", ("audio",)), tmp_path / "o", workers=1)
    assert str(caught.value).count("does not exist") == 11
    few = Dataset("x", ("a", "b"), clips[:3], "", ("audio",))
    with pytest.raises(DataError, match="No clip of x could be used"):
        prepare_shards(few, tmp_path / "p", workers=1)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "index", "manifest"])
def test_damage_is_named(prepared: Path, tmp_path: Path, damage: str) -> None:
    out = tmp_path / "out"
    shutil.copytree(prepared, out)
    tar = sorted(out.glob("*.tar"))[0]
    path = next(s.path for s in load_shards(out) if tar.name in s.path)
    if damage == "flip":
        place = json.loads(tar.with_suffix(".json").read_bytes())["clips"][0]["windows"][0]
        content = bytearray(tar.read_bytes())
        content[place["parts"]["flac"][0] + 50] ^= 1
        tar.write_bytes(content)
        key = json.loads(tar.with_suffix(".json").read_bytes())["clips"][0]["key"]
        with pytest.raises(MediaError, match="not those written"):
            list(shard_windows(f"{tar}#{key}"))
        with pytest.raises(DataError, match="other bytes than were written"):
            verify_shards(out)
        return
    if damage == "cut":
        tar.write_bytes(tar.read_bytes()[:-1000])
    elif damage == "gone":
        tar.unlink()
        with pytest.raises(MediaError, match="cannot be read"):
            list(shard_windows(path))
    elif damage == "index":
        tar.with_suffix(".json").write_text("{")
    else:
        (out / "manifest.json").write_text('{"format": "another"}')
    named = "manifest" if damage == "manifest" else tar.stem
    with pytest.raises(DataError, match=named):
        load_shards(out)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("manifest.json", "shards"),
        ("manifest.json", "settings"),
        ("train-00000.json", "clips"),
        ("train-00000.json", "failed"),
        ("train-00000.json", "windows"),
        ("train-00000.json", "parts"),
    ],
)
def test_json_that_lacks_something_is_named(
    films: Path, prepared: Path, tmp_path: Path, name: str, lost: str
) -> None:
    """JSON that reads well, and yet is not what was written."""
    folder = tmp_path / "copy"
    shutil.copytree(prepared, folder)
    value = json.loads((folder / name).read_bytes())
    clip = value["clips"][0] if name != "manifest.json" else {}
    holder = {"windows": clip, "parts": clip.get("windows", [{}])[0]}.get(lost, value)
    del holder[lost]
    (folder / name).write_text(json.dumps(value))

    def read() -> None:
        for sample in load_shards(folder):
            list(shard_windows(sample.path))

    # The checksum finds what only a reader of that clip would miss.
    with pytest.raises(DataError, match=rf"{name} (is damaged|has other contents)"):
        verify_shards(folder)
    with pytest.raises(DataError, match=rf"{name} is damaged \(.*{lost}.*\)\. Remove it and run"):
        read()
    if lost in ("shards", "clips", "failed"):
        with pytest.raises(DataError, match=rf"{name} is damaged"):
            prepare_shards(load_dataset(str(films)), folder, SMALL)


@pytest.mark.parametrize("limit", [-0.1, 1.5, math.nan])
def test_a_limit_of_failures_is_a_share(films: Path, tmp_path: Path, limit: float) -> None:
    with pytest.raises(DataError, match=r"failed_limit is .*; give a share from 0 to 1"):
        prepare_shards(load_dataset(str(films)), tmp_path / "out", SMALL, failed_limit=limit)


@pytest.mark.slow
# The package leaves its tars to the garbage collector, which warns of them.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.extra("shards")
def test_webdataset_reads_them(prepared: Path) -> None:
    import webdataset

    tars, _ = shard_files(prepared, "train")
    read = webdataset.WebDataset(tars, shardshuffle=False, empty_check=False).decode("rgb8")
    by_key = {sample["__key__"]: sample for sample in read}
    assert len(by_key) == 4
    for sample in load_dataset(f"shards:{prepared}").split("train"):
        key = sample.path.rpartition("#")[2]
        found = by_key[f"{key}-0000"]
        clip = next(shard_windows(sample.path))
        assert clip.frames is not None
        assert clip.times is not None
        assert found["json"]["label"] == sample.label
        assert found["json"]["group"] == sample.group
        np.testing.assert_array_equal(found["times.npy"], clip.times.numpy())
        strip = found["jpg"].reshape(tuple(clip.frames.shape)).astype(int)
        # Another JPEG decoder rounds its inverse cosine transform another way.
        assert np.abs(strip - clip.frames.numpy()).max() <= 4
        assert clip.audio is not None
        assert torch.equal(decode_sound(found["flac"], "here"), clip.audio)
    del read
    gc.collect()


@pytest.mark.extra("dali-cuda13")
def test_the_index_is_that_of_dali(prepared: Path, tmp_path: Path) -> None:
    import wds2idx

    for tar in sorted(prepared.glob("*.tar")):
        own = tar.with_suffix(".idx").read_text()
        with wds2idx.IndexCreator(str(tar), str(tmp_path / "x.idx"), verbose=False) as creator:
            creator.create_index()
        assert (tmp_path / "x.idx").read_text().split() == own.split()


def test_a_tar_is_plain(prepared: Path) -> None:
    with tarfile.open(sorted(prepared.glob("*.tar"))[0]) as tar:
        members = tar.getmembers()
        assert {m.mtime for m in members} == {0}
        assert {m.name.partition(".")[2] for m in members} == {"jpg", "times.npy", "flac", "json"}


def test_a_model_reads_shards_as_films(films: Path, prepared: Path) -> None:
    model = tiny_model("audio", "video", labels=("high", "low"))
    direct = prepare(model, load_dataset(str(films)), progress=False)
    stored = prepare(model, load_dataset(f"shards:{prepared}"), progress=False)
    assert not stored.errors
    windows = {s.attributes["source"]: w for s, w in zip(stored.samples, stored.clips, strict=True)}
    for sample, originals in zip(direct.samples, direct.clips, strict=True):
        for old, new in zip(originals, windows[Path(sample.path).name], strict=True):
            assert old.values.keys() == new.values.keys()
            sound, pictures = old.values["audio"], old.values["video"]
            assert sound is not None
            assert pictures is not None
            torch.testing.assert_close(new.values["audio"], sound, rtol=0, atol=1 / 32768)
            # JPEG lies between: near, not equal.
            kept = new.values["video"]
            assert kept is not None
            assert kept.shape == pictures.shape
            assert float((kept.float() - pictures.float()).abs().mean()) < 6


def test_a_model_learns_from_shards(prepared: Path) -> None:
    data = load_dataset(f"shards:{prepared}")
    model = tiny_model("audio", labels=("high", "low"))
    model.fit(data.split("train"), validation=data.split("validation"), epochs=1, progress=False)
    assert model.predict([next(shard_windows(data[0].path))])[0].label in data.labels


@pytest.mark.parametrize("built_in", [True, False])
def test_faces_are_cropped_and_not_sought_again(
    data_dir: Path, face_model: Path, tmp_path: Path, built_in: bool
) -> None:
    clips = tuple(
        Sample(str(data_dir / "fixtures" / name), label, "", name)
        for name, label in (("single_face.mp4", "a"), ("no_face.mp4", "b"))
    )
    data = Dataset("faces", ("a", "b"), clips, "", ("audio", "video"))
    settings_ = ShardSettings("face", size=64, frames=3)
    report = prepare_shards(
        data, tmp_path / "out", settings_, face_model=None if built_in else face_model
    )
    stored = {s.attributes["source"]: s for s in load_shards(tmp_path / "out")}
    sample = stored["single_face.mp4"]
    assert sample.attributes["crop"] == "face"
    clip = next(shard_windows(sample.path))
    assert clip.frames is not None
    assert clip.frames.shape[1:] == (64, 64, 3)
    without = [r for r in report.failed if "no_face" in r]
    silent = "no_face.mp4" not in stored
    if silent:
        assert "no face found in 3 sampled frames" in without[0]
    else:
        lacking = next(shard_windows(stored["no_face.mp4"].path))
        assert lacking.frames is None
        assert "no face found" in lacking.note


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 4), st.just(16), st.just(24), st.just(3))),
)
@settings(max_examples=20, deadline=None)
def test_no_frame_leaks_into_the_next(frames: npt.NDArray[np.uint8]) -> None:
    """A strip holds each frame exactly as a strip of that frame alone would."""
    pictures = torch.from_numpy(frames)
    together = decode_strip(encode_strip(pictures, 80), len(frames), "here")
    alone = [decode_strip(encode_strip(picture[None], 80), 1, "here")[0] for picture in pictures]
    assert torch.equal(together, torch.stack(alone))


@given(st.integers(1, 20_000), st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_sound_survives_flac(count: int, seed: int) -> None:
    sound = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, count).astype(np.float32))
    back = decode_sound(encode_sound(sound), "here")
    assert back.shape == sound.shape
    assert float((back - sound).abs().max()) <= 1 / 32768


@pytest.mark.parametrize("content", [b"", b"fLaC", b"RIFF" + bytes(100)])
def test_what_is_no_media_is_refused(content: bytes) -> None:
    with pytest.raises(MediaError, match="here: its sound"):
        decode_sound(content, "here")
    with pytest.raises(MediaError, match="here: its pictures"):
        decode_strip(content, 2, "here")


def test_smoothing_is_a_weighted_mean() -> None:
    generator = np.random.default_rng(0)
    boxes, times = generator.uniform(7, 9, (7, 4)), np.sort(generator.uniform(0, 2, 7))
    for i, row in enumerate(smooth(boxes, times, 0.3)):
        weights = [np.exp(-((times[i] - t) ** 2) / (2 * 0.3**2)) for t in times]
        np.testing.assert_allclose(row, np.average(boxes, axis=0, weights=weights))
    np.testing.assert_array_equal(smooth(boxes, times, 0.0), boxes)


def test_faces_on_both_sides_of_a_cut_are_not_averaged() -> None:
    generator = np.random.default_rng(1)
    times = np.arange(6) * 0.1
    left, right = (generator.uniform(0, 1, (3, 4)) + np.array([x, 40, 30, 30]) for x in (20, 90))
    both = smooth(np.concatenate([left, right]), times, 0.25)
    np.testing.assert_allclose(both[:3], smooth(left, times[:3], 0.25))
    np.testing.assert_allclose(both[3:], smooth(right, times[3:], 0.25))
    assert both[:3, 0].max() < 22
    # A face that comes back is not the one that was shown meanwhile, nor the one from before.
    back = smooth(np.concatenate([left, right, left]), np.arange(9) * 0.1, 0.25)
    np.testing.assert_allclose(back[6:], both[:3])


@pytest.mark.parametrize(
    "wrong",
    [
        *({"crop": "nose"}, {"size": 50}, {"size": 8}, {"frames": 0}, {"frames": 9000}),
        *({"quality": 0}, {"window_seconds": 0.0}, {"clips_per_shard": 0}, {"smoothing": -1.0}),
        {"window_seconds": float("nan")},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=next(iter(wrong))):
        ShardSettings(**wrong)


def test_pictures_of_a_table_are_stored(tmp_path: Path) -> None:
    import cv2

    samples = []
    for i, label in enumerate("ab"):
        picture = cv2.imencode(".png", stripes(label == "a", i)[..., ::-1])[1].tobytes()
        samples.append(
            Sample(f"t.parquet#{i}", label, "", "", (0.5, 0.5), picture, {"crop": "face"})
        )
    data = Dataset("table", ("a", "b"), tuple(samples), "", ("video",))
    prepare_shards(data, tmp_path / "out", ShardSettings("face", size=48, quality=95))
    stored = load_shards(tmp_path / "out")
    assert {s.target for s in stored} == {(0.5, 0.5)}
    assert all(s.attributes["crop"] == "face" for s in stored)
    clip = next(shard_windows(stored[0].path))
    assert clip.frames is not None
    assert clip.frames.shape == (1, 48, 48, 3)


def test_nothing_stays_open(tmp_path: Path, prepared: Path) -> None:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("needs Linux, which lists open files in /proc")
    data = load_dataset(str(tone_corpus(tmp_path / "t", {"train": 2})))
    before = len(list(folder.iterdir()))
    prepare_shards(data, tmp_path / "out", SMALL)
    for sample in load_shards(prepared):
        next(shard_windows(sample.path))
    assert len(list(folder.iterdir())) == before


def test_shards_are_checked_by_what_lies_in_them(prepared: Path, tmp_path: Path) -> None:
    found = check_dataset(load_shards(prepared))
    assert (found.missing, found.unreadable, found.lacking) == ((), (), ())
    assert found.durations is not None
    ends = [list(shard_windows(sample.path))[-1].end for sample in load_shards(prepared)]
    assert found.durations.total == pytest.approx(sum(ends))
    copy = tmp_path / "copy"
    shutil.copytree(prepared, copy)
    data = load_shards(copy)
    tar, key = data[0].path.split("#")
    entries = json.loads(Path(tar).with_suffix(".json").read_bytes())["clips"]
    [entry] = [each for each in entries if each["key"] == key]
    content = bytearray(Path(tar).read_bytes())
    content[next(iter(entry["windows"][0]["parts"].values()))[0]] ^= 255
    Path(tar).write_bytes(content)
    [reason] = check_dataset(data).unreadable
    assert "its bytes are not those written" in reason
    Path(tar).unlink()
    gone = [sample.path for sample in data if sample.path.startswith(f"{tar}#")]
    assert list(check_dataset(data, open_files=False).missing) == gone


def test_the_command_prepares(films: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from ter_fast.cli import app

    arguments = ["data", "prepare", str(films), "--out", str(tmp_path / "o"), "--crop", "centre"]
    result = CliRunner().invoke(app, [*arguments, "--size", "32", "--frames", "2", "--quiet"])
    assert result.exit_code == 0, result.output
    assert "8 clips in 8 windows" in result.output
    assert len(load_dataset(f"shards:{tmp_path / 'o'}")) == 8


def test_an_array_in_a_tar_is_numpy(prepared: Path) -> None:
    tar = sorted(prepared.glob("*.tar"))[0]
    entry = json.loads(tar.with_suffix(".json").read_bytes())["clips"][0]["windows"][0]
    offset, size, _ = entry["parts"]["times.npy"]
    content = tar.read_bytes()[offset : offset + size]
    assert np.load(io.BytesIO(content)).tolist() == entry["times"]
