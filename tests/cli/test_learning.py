"""`train`, `join`, `calibrate` and `evaluate`: what they replace, and labels under other names."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.command import Run
from helpers.tiny import tiny_model, tone_corpus
from ter_fast import Model, TerFastError
from ter_fast.cli.common import renamed


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tiny_model("audio", labels=("happiness", "sadness")).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pitches = {"Happy": 2400.0, "blue": 300.0}
    return tone_corpus(tmp_path_factory.mktemp("tones"), {"dev": 4, "eval": 3}, pitches)


def other(folder: Path) -> Path:
    tiny_model("audio", labels=("x", "y")).save_pretrained(folder)
    return folder


def test_no_command_replaces_a_model_unasked(
    run: Run, model: Path, corpus: Path, tmp_path: Path
) -> None:
    kept = other(tmp_path / "kept")
    before = (kept / "config.json").read_bytes()
    rename = ("--rename", "blue=sadness")
    for command in (
        ("train", "-d", corpus, "-o", kept),
        ("train", "-d", corpus, "-o", kept, "--recipe", "default"),
        ("join", "--audio", model, "-o", kept),
        ("calibrate", "-d", corpus, "-m", model, "-o", kept, *rename),
    ):
        found = run(*command)
        assert found.code == 1
        assert "kept holds a model already" in "".join(found.err.split("\n"))
        assert "--overwrite" in found.err
        assert (kept / "config.json").read_bytes() == before
    assert run("join", "--audio", model, "-o", kept, "--overwrite").code == 0
    assert Model.from_pretrained(kept).config.labels == ("happiness", "sadness")


@pytest.mark.filterwarnings("always:tones")
def test_a_model_is_calibrated_in_its_own_folder_and_labels_are_renamed(
    run: Run, model: Path, corpus: Path
) -> None:
    command = ("calibrate", "-d", corpus, "-m", model, "-o", model, "--split", "dev", "-q")
    found = run(*command)
    assert found.code == 1
    assert "unknown label 'blue' (7 clips, such as" in found.err
    assert "--rename blue=NAME" in found.err
    found = run(*command, "--rename", "blue=sadness")
    assert found.code == 0, found.err
    assert "tones: labels are taken as other spellings of the same: Happy as happiness" in found.err
    assert Model.from_pretrained(model).config.thresholds["audio"].samples == 8


@pytest.mark.filterwarnings("always:tones")
def test_evaluate_says_what_guessing_would_give(
    run: Run, model: Path, corpus: Path, tmp_path: Path
) -> None:
    record = tmp_path / "clips.json"
    record.write_text("{}", encoding="utf-8")
    command = ("evaluate", "-d", corpus, "-m", model, "--split", "eval", "-q", "-o", record)
    refused = run(*command, "--rename", "blue=sadness")
    assert refused.code == 1
    assert "holds no figures of ter_fast" in refused.err
    record.unlink()
    found = run(*command, "--rename", "blue=sadness")
    assert found.code == 0, found.err
    said = " ".join(found.out.split())
    assert "against 0.5000 by chance and 0.5000 by always guessing happiness" in said
    assert "intervals from 3 groups mean nothing for other speakers or sources" in said
    assert '"date": "' in record.read_text(encoding="utf-8")


@pytest.mark.parametrize("entry", ["joy", "=happiness", "joy=", "="])
def test_a_name_without_another_is_refused(entry: str) -> None:
    with pytest.raises(TerFastError, match="expected OLD=NEW, such as joy=happiness"):
        renamed([entry])


def test_one_label_gets_one_name() -> None:
    assert renamed(["a=b", " c = d "]) == {"a": "b", "c": "d"}
    with pytest.raises(TerFastError, match="two names, 'b' and 'c'; give one"):
        renamed(["a=b", "a=c"])
