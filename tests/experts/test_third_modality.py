"""The example of a third modality runs, and does what its page says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import ter_fast
from ter_fast.data import load_dataset

EXAMPLE = Path(__file__).parents[2] / "examples" / "third_modality.py"


@pytest.fixture
def example() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("third_modality", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_example_trains_predicts_and_prints(
    example: ModuleType,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Fewer emotions and actors than the example's, so that it takes seconds.
    monkeypatch.setattr(example, "EMOTIONS", {"03": "happy", "05": "angry"})
    few = {"train": range(1, 5), "validation": range(13, 15), "test": range(17, 19)}
    actors = {actor for part in few.values() for actor in part}
    monkeypatch.setattr(example, "ACTORS", few)
    monkeypatch.setenv("TER_FAST_DATA", str(only(data_dir, actors, tmp_path / "data")))
    model = example.main(tmp_path / "out", epochs=2)
    printed = capsys.readouterr().out
    assert model.config.modalities == ("audio", "text", "face")
    assert set(model.config.thresholds) >= {"audio", "text", "face", "audio+text+face"}
    assert "audio+text+face: accuracy" in printed
    assert "8 clips: " in printed
    assert "face: not given" in printed
    data = load_dataset(str(tmp_path / "out" / "clips.csv"))
    assert data.modalities == ("audio", "face", "text")
    assert {sample.group for sample in data} == {f"{actor:02}" for actor in actors}
    again = ter_fast.Model.from_pretrained(tmp_path / "out" / "model")
    assert [each.label for each in again.predict(data)] == [
        each.label for each in model.predict(data)
    ]


def only(data: Path, actors: set[int], folder: Path) -> Path:
    """Link to the sound of some actors, and to the table of faces."""
    sounds = folder / "ravdess" / "speech_opus16k"
    sounds.mkdir(parents=True)
    for sound in (data / "ravdess" / "speech_opus16k").glob("*.opus"):
        if int(sound.stem[-2:]) in actors:
            (sounds / sound.name).symlink_to(sound)
    name = "ravdess_au35_logmelstats181.npz"
    (folder / "ravdess" / name).symlink_to(data / "ravdess" / name)
    return folder


def test_ngrams_are_buckets_of_the_text(example: ModuleType) -> None:
    found = example.ngrams("Ab")
    # " ab ": three of two characters, two of three, one of four.
    assert len(found) == 6
    assert all(0 <= each < example.BUCKETS for each in found)
    assert found == example.ngrams("aB") != example.ngrams("ac")
