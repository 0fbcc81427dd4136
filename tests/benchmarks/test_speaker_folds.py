"""The page of voices in folds: folds are put together by their own thresholds, and the page says its figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import speaker_folds
from helpers.tiny import tone_corpus
from ter_fast.data import kfold, load_dataset
from ter_fast.train.recipes import Recipe


def fold(number: int, threshold: float, confidence: list[float]) -> dict[str, Any]:
    """Return a fold of one speaker whose answers are all "a", each so sure, and right where even."""
    count = len(confidence)
    return {
        "labels": ["a", "b"],
        "threshold": threshold,
        "probability": [[sure, 1 - sure] for sure in confidence],
        "target": [i % 2 for i in range(count)],
        "groups": [f"speaker {number}"] * count,
        "paths": [f"{number}/{i}.ogg" for i in range(count)],
        "attributes": {"corpus": ["one" if number < 2 else "two"] * count},
    }


def test_each_answer_is_held_to_the_threshold_of_its_fold() -> None:
    folds = [fold(0, 0.6, [0.9, 0.7, 0.55]), fold(1, 0.8, [0.9, 0.7]), fold(2, 0.5, [0.5])]
    answers = speaker_folds.pooled(folds)
    assert answers.trusted is not None
    assert answers.trusted.tolist() == [True, True, False, True, False, True]
    assert answers.correct.tolist() == [True, False, True, True, False, True]
    rows = {row["name"]: row for row in speaker_folds.rows_of(answers, resamples=50)}
    assert list(rows) == ["all", "one", "two", "speaker 0", "speaker 1", "speaker 2"]
    assert rows["all"]["figures"]["accuracy"]["value"] == pytest.approx(4 / 6)
    assert rows["all"]["figures"]["coverage"]["value"] == pytest.approx(4 / 6)
    assert rows["one"]["figures"]["trusted_precision"]["value"] == pytest.approx(2 / 3)
    assert rows["one"]["recall"] == {"a": 1.0, "b": 0.0}
    assert (rows["one"]["clips"], rows["one"]["speakers"]) == (5, 2)
    assert rows["speaker 1"]["figures"]["accuracy"]["value"] == 0.5


def test_answers_of_another_recipe_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = load_dataset(str(tone_corpus(tmp_path / "tones", {"train": 8})))
    monkeypatch.setattr(speaker_folds, "load_dataset", lambda _: data)
    recipe = Recipe.read(speaker_folds.RECIPE)
    key = speaker_folds.key_of(recipe, kfold(data, speaker_folds.FOLDS)[0])
    (tmp_path / "fold-0.json").write_text(json.dumps({"key": key}))
    assert speaker_folds.answers_of(recipe, 0, tmp_path, tmp_path) == {"key": key}
    other = replace(recipe, calibrate={"confidence": "margin"})
    with pytest.raises(ValueError, match="of another recipe or other clips"):
        speaker_folds.answers_of(other, 0, tmp_path, tmp_path)


def test_a_clip_in_two_folds_is_refused() -> None:
    with pytest.raises(ValueError, match="tested in two folds"):
        speaker_folds.pooled([fold(0, 0.6, [0.9]), fold(0, 0.6, [0.9])])


def test_the_page_is_written_from_its_figures_and_its_recipe_is_read() -> None:
    results = speaker_folds.RESULTS
    found = json.loads((results / "speaker_folds.json").read_text(encoding="utf-8"))
    written = (results / "speaker_folds.md").read_text(encoding="utf-8")
    assert "\n".join(speaker_folds.page(found)) + "\n" == written
    members = Recipe.read(speaker_folds.RECIPE).experts["audio"]
    assert [f"{m.encoder} ({m.settings.epochs} epochs)" for m in members] == found["members"]
    speakers = [row for row in found["rows"] if row["part"] == "speaker"]
    assert len(speakers) == found["rows"][0]["speakers"] == 29
    assert sum(row["clips"] for row in speakers) == found["rows"][0]["clips"]
