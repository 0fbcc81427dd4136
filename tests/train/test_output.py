"""Where training puts its model: what it replaces, and what it refuses to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helpers.tiny import tiny_model
from ter_fast import Model, ModelError
from ter_fast.data import Dataset
from ter_fast.experts.target import check_target
from ter_fast.train import train_model
from ter_fast.train.output import Output
from ter_fast.train.recipes import Recipe, train


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    tiny_model("audio").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_model_is_replaced_only_where_that_is_allowed(saved: Path) -> None:
    before = (saved / "config.json").read_bytes()
    message = r"model holds a model already \(config\.json and model\.safetensors\); give another folder.*--overwrite"
    with pytest.raises(ModelError, match=message):
        tiny_model("video").save_pretrained(saved, exist_ok=False)
    assert (saved / "config.json").read_bytes() == before
    tiny_model("video").save_pretrained(saved)
    assert Model.from_pretrained(saved).config.modalities == ("video",)
    tiny_model("audio").save_pretrained(saved.parent / "new", exist_ok=False)


def test_it_is_refused_before_the_work_starts(saved: Path, tones: Dataset) -> None:
    for call in (
        lambda: train_model(tones, saved, exist_ok=False),
        lambda: train(Recipe.read("default"), tones, out=saved, exist_ok=False, progress=False),
    ):
        with pytest.raises(ModelError, match="holds a model already"):
            call()


def test_what_is_in_the_way_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for place in ("file", "file/below/model"):
        with pytest.raises(ModelError, match=r"file is a file; give another folder"):
            check_target(tmp_path / place)
    check_target(tmp_path / "not" / "there" / "yet", exist_ok=False)
    # The only file that a model would replace is enough.
    (tmp_path / "config.json").touch()
    with pytest.raises(ModelError, match=r"\(config\.json\)"):
        check_target(tmp_path, exist_ok=False)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ModelError, match="cannot be written to; give another folder"):
        check_target(tmp_path / "closed")


def test_a_run_may_replace_what_it_saved_itself(tmp_path: Path) -> None:
    mine = Output(tmp_path / "model", exist_ok=False, state=tmp_path / "state")
    mine.check()
    mine.save(tiny_model("audio"))
    mine.check()
    with pytest.raises(ModelError, match="already"):
        Output(tmp_path / "model", exist_ok=False, state=tmp_path / "other").check()
    with pytest.raises(ModelError, match="already"):
        Output(tmp_path / "model", exist_ok=False).check()
    # Calibrated since, it is no longer what the run saved.
    tiny_model("video").save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match="already"):
        mine.check()
