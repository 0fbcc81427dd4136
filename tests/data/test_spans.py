"""Spans of long files as samples: read, counted, stored, and what is wrong with them."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import pytest

from helpers import corpora
from helpers.media import number_of, numbered, write_media
from helpers.tiny import RATE, noisy_tone, tiny_model, write_manifest, write_wav
from ter_fast.cli import main
from ter_fast.data import Dataset, Sample, check_dataset, load_dataset, load_manifest
from ter_fast.data.shards import ShardSettings, load_shards, prepare_shards
from ter_fast.errors import DataError, MediaError
from ter_fast.media import decode
from ter_fast.predict.prepare import prepare
from ter_fast.predict.sources import dataset_sources

SECONDS = 6.0


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 s, a numbered picture every 0.1 s."""
    return write_media(
        tmp_path_factory.mktemp("spans") / "dialogue.mkv",
        frame_times=[i * 0.1 for i in range(60)], picture=numbered,
        sound=[(0.0, noisy_tone(500, SECONDS))], rate=RATE, audio_codec="pcm_s16le",
    )  # fmt: skip


@pytest.fixture(scope="module")
def manifest(film: Path) -> Path:
    spans = [("0.5", "2", "a"), ("2.0", "4.5", "b"), ("", "", "c")]
    return write_manifest(
        film.with_name("spans.csv"),
        [{"path": film.name, "label": label, "start": a, "end": b} for a, b, label in spans],
    )


def test_a_manifest_names_spans(manifest: Path, film: Path) -> None:
    data = load_dataset(str(manifest))
    assert [s.span for s in data] == [(0.5, 2.0), (2.0, 4.5), None]
    assert [s.name for s in data] == [f"{film}#t=0.5,2", f"{film}#t=2,4.5", str(film)]
    assert {s.path for s in data} == {str(film)}
    assert data.groups() == {str(film)}
    assert all("start" not in s.attributes for s in data)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (("1", ""), r"row 2: start '1' and end '' are no stretch of time"),
        (("2", "1"), "no stretch of time"),
        (("-1", "1"), "no stretch of time"),
        (("0", "inf"), "no stretch of time"),
        (("nan", "2"), "no stretch of time"),
        (("0:01", "0:02"), "Give both in seconds"),
    ],
)
def test_spans_that_are_none(tmp_path: Path, cells: tuple[str, str], message: str) -> None:
    (tmp_path / "a.wav").touch()
    row = {"path": "a.wav", "label": "x", "start": cells[0], "end": cells[1]}
    with pytest.raises(DataError, match=message):
        load_manifest(write_manifest(tmp_path / "t.csv", [row]))
    del row["end"]
    with pytest.raises(DataError, match="only one of the columns start and end"):
        load_manifest(write_manifest(tmp_path / "t.csv", [row]))


def test_a_span_twice_is_refused(manifest: Path, film: Path) -> None:
    samples = tuple(Sample(str(film), label, "", "g", span=(1.0, 2.0)) for label in "ab")
    with pytest.raises(DataError, match=r"names 1 path .*#t=1,2\) more than once"):
        Dataset("mine", ("a", "b"), samples, "CC0", ("video",)).check()
    wrong = (samples[0], Sample(str(film), "b", "", "g", span=(2.0, 2.0)))
    with pytest.raises(DataError, match="is no stretch of time"):
        Dataset("mine", ("a", "b"), wrong, "CC0", ("video",)).check()


def test_only_the_span_is_read(manifest: Path, film: Path) -> None:
    model = tiny_model("audio", "video", window_seconds=1.0)
    preprocessor = model.preprocessor()
    for sample, source in zip(load_dataset(str(manifest)), dataset_sources(
        load_dataset(str(manifest)), preprocessor), strict=True):  # fmt: skip
        start, end = sample.span or (0.0, SECONDS)
        windows = list(source.windows())
        assert source.name == sample.name
        assert windows[0].start == start
        assert windows[-1].end == pytest.approx(end, abs=0.05)
        whole = decode.read(film, start=start, end=min(end, start + 1.0), frames=4)
        first = windows[0]
        if first.end == whole.end:
            assert [number_of(x) for x in first.frames] == [number_of(x) for x in whole.frames]
            assert first.audio.equal(whole.audio)
        for clip in windows:
            assert clip.times.min() >= start - 0.11
            assert clip.times.max() < end


def test_spans_give_the_evidence_of_the_same_stretch_cut_out(manifest: Path, film: Path) -> None:
    model = tiny_model("audio", "video", window_seconds=1.0)
    found = prepare(model, load_dataset(str(manifest)).align("abc"), progress=False)
    for windows, (start, end) in zip(found.clips, [(0.5, 2.0), (2.0, 4.5), (0, 6.0)], strict=True):
        assert windows[0].start == start
        assert windows[-1].end == pytest.approx(end, abs=0.05)
    assert found.errors == ()


def test_a_span_behind_the_end_costs_only_itself(film: Path) -> None:
    spans = [(0.5, 2.0), (5.0, 9.0), (7.0, 8.0)]
    samples = tuple(
        Sample(str(film), label, "", "g", span=span)
        for label, span in zip("abc", spans, strict=True)
    )
    data = Dataset("mine", ("a", "b", "c"), samples, "CC0", ("audio", "video"))
    found = check_dataset(data)
    assert found.durations is not None
    assert found.durations.total == pytest.approx(1.5 + 1.0, abs=0.05)
    assert found.durations.longest == pytest.approx(1.5)
    [behind] = found.unreadable
    assert "#t=7,8 begins behind the end of the file, which lasts 6.0" in behind
    [short] = found.lacking
    assert "#t=5,9 has no end: its file lasts 6.0" in short
    model = tiny_model("audio", "video", window_seconds=1.0)
    read = prepare(model, data, progress=False, max_unreadable=1)
    assert len(read.clips) == 2
    assert "no stretch from 7.0 to 8.0" in read.unreadable[0]
    with pytest.raises(MediaError, match=r"no stretch from 7\.0"):
        next(decode.windows(film, start=7.0, end=8.0))


def test_sound_of_its_own_begins_with_the_span(film: Path, tmp_path: Path) -> None:
    turn = write_wav(tmp_path / "turn.wav", noisy_tone(900, 1.5, seed=3))
    sample = Sample(str(film), "a", "", "g", attributes={"audio_path": str(turn)}, span=(2.0, 3.0))
    data = Dataset("mine", ("a",), (sample,), "CC0", ("audio", "video"))
    model = tiny_model("audio", "video", window_seconds=1.0)
    first, second = dataset_sources(data, model.preprocessor())[0].windows()
    alone = decode.read(turn, video=False)
    assert first.audio.equal(alone.audio[:16_000])
    assert [number_of(x) for x in first.frames] == [21, 23, 26, 28]
    # The sound is longer than the span, and goes on where the film would have.
    assert (second.start, second.end, second.frames) == (3.0, 3.5, None)
    sound_alone = tiny_model("audio", window_seconds=2.0)
    [only] = dataset_sources(data, sound_alone.preprocessor())[0].windows()
    assert only.audio.equal(alone.audio)


def test_the_note_of_the_sound_is_kept_beside_that_of_the_film(film: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    write_media(
        whole := tmp_path / "whole.mp4", frame_times=[i * 0.1 for i in range(40)],
        container_options={"movflags": "faststart"}, video_options={"g": "5"},
    )  # fmt: skip
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    sound = write_media(
        tmp_path / "whole.m4a", sound=[(0.0, noisy_tone(400, 4.0))], rate=RATE,
        container_options={"movflags": "faststart"},
    )  # fmt: skip
    half = tmp_path / "half.m4a"
    half.write_bytes(sound.read_bytes()[: sound.stat().st_size // 2])
    notes = {path: decode.read(path).note for path in (cut, half)}
    assert all(notes.values())
    preprocessor = tiny_model("audio", "video", window_seconds=1.0).preprocessor()
    first = next(preprocessor.read(cut, half))
    assert first.note == f"{notes[cut]}; the sound: {notes[half]}"


def test_commands_take_spans_and_say_what_a_corpus_lacks(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ter-fast", "data", "check", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    code, out, _ = run(str(manifest), "--json")
    assert code == 0
    found = json.loads(out)["durations"]
    assert [found["shortest"], found["median"]] == [1.5, 2.5]
    assert found["total"] == pytest.approx(10.0, abs=0.05)
    rows = [(0, 0, "Ross", "joy"), (0, 1, "Joey", "anger")]
    corpora.meld(tmp_path, {"test": rows})
    next(tmp_path.rglob("dia0_utt1.mp4")).unlink()
    with warnings.catch_warnings():
        # Warnings are errors in these tests; to a user they are sentences.
        warnings.simplefilter("default")
        code, out, err = run(f"meld:{tmp_path}", "--quick")
    assert code == 1
    assert "1 missing:" in out
    assert "warning: " in err
    assert "test_sent_emo.csv lacks 1 clip (dia0_utt1) of 2." in err
    assert "UserWarning" not in err


def test_shards_hold_spans(manifest: Path, tmp_path: Path) -> None:
    data = load_dataset(str(manifest))
    settings = ShardSettings("whole", size=64, frames=4, window_seconds=1.0)
    report = prepare_shards(data, tmp_path / "shards", settings, progress=False)
    assert not report.failed
    again = load_shards(tmp_path / "shards")
    model = tiny_model("audio", "video", window_seconds=1.0)
    windows = {
        sample.label: list(source.windows())
        for sample, source in zip(again, dataset_sources(again, model.preprocessor()), strict=True)
    }
    assert [windows["a"][0].start, windows["b"][0].start, windows["c"][0].start] == [0.5, 2, 0]
    assert windows["b"][-1].end == pytest.approx(4.5)
    lengths = check_dataset(again).durations
    assert lengths is not None
    assert [lengths.shortest, lengths.median] == pytest.approx([1.5, 2.5], abs=0.05)
