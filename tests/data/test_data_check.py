"""`ter-fast data check`: counts, files that cannot be used, and splits that are refused."""

from __future__ import annotations

import json
import statistics
import wave
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.corpora import touch
from ter_fast.cli import app
from ter_fast.data import Dataset, Sample, check_dataset, load_dataset
from ter_fast.errors import DataError
from ter_fast.media.decode import probe

runner = CliRunner()


def sound(file: Path, seconds: float = 0.5) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(bytes(2 * round(16_000 * seconds)))
    return file


def clip(path: Path, label: str, split: str, group: str) -> Sample:
    return Sample(str(path), label, split, group)


def dataset(*samples: Sample) -> Dataset:
    return Dataset("mine", ("fear", "joy"), samples, "CC0", ("audio",))


def test_counts_and_durations(tmp_path: Path) -> None:
    seconds = [0.25, 0.5, 2.0, 4.0]
    files = [sound(tmp_path / f"{i}.wav", each) for i, each in enumerate(seconds)]
    seen = []
    found = check_dataset(
        dataset(
            clip(files[0], "joy", "train", "a"),
            clip(files[1], "fear", "train", "a"),
            clip(files[2], "joy", "test", "b"),
            clip(files[3], "joy", "test", "c"),
        ),
        on_file=lambda: seen.append(1),
    )
    assert found.ok
    assert len(seen) == 4
    assert [(s.name, s.samples, s.groups) for s in found.splits] == [
        ("train", 2, {"a": 2}),
        ("test", 2, {"b": 1, "c": 1}),
    ]
    assert [s.classes for s in found.splits] == [{"fear": 1, "joy": 1}, {"fear": 0, "joy": 2}]
    assert found.durations is not None
    assert found.durations.shortest == pytest.approx(min(seconds))
    assert found.durations.median == pytest.approx(statistics.median(seconds))
    assert found.durations.longest == pytest.approx(max(seconds))
    assert found.durations.total == pytest.approx(sum(seconds))
    assert json.loads(json.dumps(found.to_dict()))["splits"][0]["classes"]["fear"] == 1


def test_bad_files_cost_only_themselves(tmp_path: Path) -> None:
    good = sound(tmp_path / "good.wav")
    text = touch(tmp_path, "empty.wav") / "text.wav"
    text.write_text("this is no sound")
    short = tmp_path / "short.wav"
    short.write_bytes(good.read_bytes()[:20])
    folder = tmp_path / "folder.wav"
    folder.mkdir()
    names = ["good.wav", "empty.wav", "text.wav", "short.wav", "absent.wav", "folder.wav"]
    samples = [clip(tmp_path / n, "fj"[i % 2], "", n) for i, n in enumerate(names)]
    found = check_dataset(Dataset("mine", ("f", "j"), tuple(samples), "CC0", ("audio",)))
    assert not found.ok
    assert [Path(each).name for each in found.missing] == ["absent.wav", "folder.wav"]
    assert len(found.unreadable) == 3
    for name, message in zip(("empty", "text", "short"), found.unreadable, strict=True):
        assert f"{name}.wav" in message
    assert found.durations is not None
    assert found.durations.total == pytest.approx(0.5)
    quick = check_dataset(Dataset("mine", ("f", "j"), tuple(samples), "", ()), open_files=False)
    assert (quick.missing, quick.unreadable, quick.durations) == (found.missing, (), None)


def test_films_without_sound_are_named(data_dir: Path) -> None:
    films = [data_dir / "fixtures" / name for name in ("test.mp4", "single_face.mp4")]
    samples = [clip(film, label, "", film.name) for film, label in zip(films, "ab", strict=True)]
    found = check_dataset(Dataset("mine", ("a", "b"), tuple(samples), "CC0", ("video",)))
    silent = [film for film in films if not probe(film).has_audio]
    assert films[0] in silent
    assert found.lacking == tuple(f"{film} has no sound" for film in silent)
    assert found.ok
    promised = Sample(str(films[0]), "a", "", "g", attributes={"modality": "video"})
    assert not check_dataset(Dataset("m", ("a",), (promised,), "", ("video",))).lacking


def test_sound_beside_a_film_is_looked_for(tmp_path: Path, data_dir: Path) -> None:
    film = str(data_dir / "fixtures" / "test.mp4")
    beside = Sample(film, "fear", "", "g", attributes={"audio_path": str(tmp_path / "x.wav")})
    assert check_dataset(dataset(beside)).missing == (str(tmp_path / "x.wav"),)
    sound(tmp_path / "x.wav")
    found = check_dataset(dataset(beside))
    assert (found.missing, found.unreadable, found.lacking) == ((), (), ())


def test_pictures_in_a_table_are_opened() -> None:
    good = b"P5 2 2 255\n\x00\x01\x02\x03"
    samples = [
        Sample(f"t#{i}", "fj"[i % 2], "", str(i), image=image)
        for i, image in enumerate((good, b"no picture", b""))
    ]
    found = check_dataset(Dataset("t", ("f", "j"), tuple(samples), "", ("video",)))
    assert [each.split()[0] for each in found.unreadable] == ["t#1", "t#2"]
    assert found.durations is None


def test_a_group_on_both_sides_is_refused(tmp_path: Path) -> None:
    files = [sound(tmp_path / f"{i}.wav") for i in range(2)]
    data = dataset(clip(files[0], "joy", "train", "anna"), clip(files[1], "fear", "test", "anna"))
    found = check_dataset(data)
    assert not found.ok
    assert "'anna' in test and train" in found.problems[0]
    with pytest.raises(DataError, match="'anna' in test and train"):
        data.check()


def test_notes_on_groups_and_splits(tmp_path: Path) -> None:
    touch(tmp_path, "joy/1.wav", "fear/2.wav")
    found = check_dataset(load_dataset(f"folders:{tmp_path}"), open_files=False)
    assert found.ok
    assert "every file is its own group" in found.warnings[0]
    assert "without a split" in found.warnings[1]


def test_an_empty_dataset_is_refused_not_a_crash() -> None:
    found = check_dataset(dataset())
    assert "has no samples" in found.problems[0]


def music_video(root: Path) -> Path:
    for name in ("Train/Tension/video/s-1-of-2", "Validation/Tension/video/s-2-of-2"):
        sound(root / f"{name}.mp4")
    sound(root / "Train/Sad/video/t.mp4")
    return root


def test_command_warns_of_published_overlap_and_offers_the_clean_split(tmp_path: Path) -> None:
    spec = f"music_video:{music_video(tmp_path)}"
    official = runner.invoke(app, ["data", "check", spec, "--quick"])
    assert official.exit_code == 0, official.output
    assert "'music_video:tension/s' in test and train, as published" in official.output
    assert "music_video:PATH?split=clean" in official.output
    assert "none was opened" in official.output
    clean = runner.invoke(app, ["data", "check", f"{spec}?split=clean", "--quick"])
    assert "as published" not in clean.output


def test_command_prints_and_exits_as_it_says(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav")
    table = tmp_path / "mine.csv"
    table.write_text("path,label,split,group\na.wav,joy,train,anna\nb.wav,fear,test,anna\n")
    shown = runner.invoke(app, ["data", "check", str(table), "--quiet"])
    assert shown.exit_code == 1
    assert "1 missing" in shown.output
    assert "refused: mine: 1 group(s) stand in more than one split" in shown.output
    printed = runner.invoke(app, ["data", "check", str(table), "--json"])
    assert printed.exit_code == 1
    found = json.loads(printed.stdout)
    assert found["missing"] == [str(tmp_path / "b.wav")]
    assert (found["ok"], len(found["problems"])) == (False, 1)
    table.write_text("path,label,group\na.wav,joy,anna\n")
    sound(tmp_path / "b.wav")
    table.write_text("path,label,split,group\na.wav,joy,train,anna\nb.wav,fear,test,bert\n")
    fine = runner.invoke(app, ["data", "check", str(table)])
    assert fine.exit_code == 0, fine.output
    assert "every file opens" in fine.output
    assert "groups of train: anna 1" in fine.output


def test_command_names_ten_files_and_counts_the_rest(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    rows = [f"{i}.wav,{'ab'[i % 2]}" for i in range(13)]
    table.write_text("path,label\n" + "\n".join(rows) + "\n")
    shown = runner.invoke(app, ["data", "check", str(table)])
    assert "13 missing" in shown.output
    assert "and 3 more" in shown.output


@pytest.mark.slow
def test_command_on_every_real_corpus(data_dir: Path) -> None:
    counts = {"ravdess": 1200, "nemo": 4481, "music_video": 100}
    for corpus, count in counts.items():
        run = runner.invoke(
            app, ["data", "check", f"{corpus}:{data_dir / corpus}", "--json", "--quick"]
        )
        assert run.exit_code == 0, run.output
        found = json.loads(run.stdout)
        assert sum(split["samples"] for split in found["splits"]) == count
        assert found["missing"] == []


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "a.avi"])
def test_a_file_without_samples_is_unreadable(tmp_path: Path, name: str) -> None:
    import av

    with av.open(str(tmp_path / name), "w") as out:
        codec = {"a.flac": "flac", "a.aiff": "pcm_s16be"}.get(name, "pcm_s16le")
        stream = out.add_stream(codec, rate=16_000)
        out.start_encoding()
        out.mux(stream.encode(None))
    found = check_dataset(
        dataset(
            clip(tmp_path / name, "joy", "", "a"), clip(sound(tmp_path / "b.wav"), "fear", "", "b")
        )
    )
    assert not found.ok
    assert len(found.unreadable) == 1
    assert name in found.unreadable[0]
    assert found.durations is not None
    assert found.durations.shortest == 0.5
