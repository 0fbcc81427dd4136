"""Reliabilities of a model: learned, kept, and used wherever it fuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from helpers.tiny import AUDIO, LABELS, QUIET, VIDEO, WHOLE, film_corpus, predicted, tiny_model
from ter_fast import DataError, Model, ModelConfig, ModelError, fuse
from ter_fast.cli import app
from ter_fast.cli.console import thresholds_table
from ter_fast.cli.information import model_table
from ter_fast.data import Dataset, load_dataset
from ter_fast.media.features import collate
from ter_fast.predict.labelled_evidence import collect_evidence, fit_reliabilities

WEIGHTS = {"audio": 0.25, "video": 0.8}


def discounted(model: Model, weights: dict[str, float] = WEIGHTS) -> Model:
    model.config = model.config.with_reliability(weights)
    return model


def text_of(table: Any) -> str:
    console = Console(width=200)
    with console.capture() as found:
        console.print(table)
    return found.get()


def test_it_is_stored_and_read(both: Model, tmp_path: Path) -> None:
    discounted(both).save_pretrained(tmp_path)
    found = Model.from_pretrained(tmp_path).config
    assert {name: expert.reliability for name, expert in found.experts.items()} == WEIGHTS
    assert found.discount == (0.25, 0.8)


def test_a_configuration_without_it_believes_everyone(both: Model) -> None:
    values = json.loads(both.config.to_json())
    for expert in values["experts"].values():
        del expert["reliability"]
    found = ModelConfig.from_dict(values)
    assert found == ModelConfig.from_dict(json.loads(both.config.to_json()))
    assert found.discount is None


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), "much"])
def test_what_is_no_reliability_is_refused(both: Model, value: Any) -> None:
    values = json.loads(both.config.to_json())
    values["experts"]["audio"]["reliability"] = value
    with pytest.raises(ModelError, match=r"expected a number from 0 to 1|wrong form"):
        ModelConfig.from_dict(values)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["dempster", "weighted"])
@torch.no_grad()
def test_every_way_to_predict_discounts_alike(both: Model, films: Dataset, rule: str) -> None:
    model = Model(replace(discounted(both).config, rule=rule))
    model.load_state_dict(both.state_dict())
    model.eval()
    paths = [sample.path for sample in films]
    plain = replace(
        model.config, experts=tiny_model("audio", "video", labels=LABELS).config.experts
    )
    for found in model.predict(paths):
        views = [found.opinions[name].evidence[None] for name in WEIGHTS]  # type: ignore[union-attr]
        expected = fuse(views, rule, discount=list(WEIGHTS.values()))
        assert found.opinion is not None
        torch.testing.assert_close(found.opinion.evidence[None], expected.evidence)
        assert found.disagreement == pytest.approx(float(expected.disagreement))
        assert not torch.allclose(found.opinion.evidence, fuse(views, rule).evidence)
        # The window of a clip that was not cut is the clip.
        assert found.windows[0].confidence == found.confidence
    # What each modality says by itself is not discounted.
    bare = Model(plain)
    bare.load_state_dict(model.state_dict())
    for mine, theirs in zip(model.predict(paths), bare.eval().predict(paths), strict=True):
        for name in WEIGHTS:
            mine_says, they_say = mine.opinions[name], theirs.opinions[name]
            assert mine_says is not None
            assert they_say is not None
            torch.testing.assert_close(mine_says.evidence, they_say.evidence)


@torch.no_grad()
def test_tensors_evaluation_and_predictions_agree(both: Model, films: Dataset) -> None:
    model = discounted(both)
    test = films.split("test")
    _, confidence, correct = predicted(model, test)
    answers = model.evaluate(test, **QUIET).outcomes
    assert answers.confidence == pytest.approx(confidence, abs=1e-6)
    assert answers.correct.tolist() == correct.tolist()
    sound = torch.randn(2, 8000) * 0.1
    batch = collate(
        [{"audio": each} for each in sound], {"audio": torch.zeros(0), "video": torch.zeros(0, 1, 32, 32).byte()}
    )  # fmt: skip
    decision, alone = model.decide(batch), model.predict({"audio": sound})
    # A modality that is alone is discounted as well.
    expected = fuse(model.evidence(batch)[0][:1], discount=[0.25])
    torch.testing.assert_close(decision.confidence, 1 - expected.uncertainty)
    assert [each.confidence for each in alone] == pytest.approx(
        decision.confidence.tolist(), abs=1e-5
    )
    torch.testing.assert_close(model(batch).evidence, expected.evidence)


def test_long_clips_and_their_windows_are_discounted(both: Model, tmp_path: Path) -> None:
    films = load_dataset(str(film_corpus(tmp_path, {"test": 1})))
    found = discounted(both).predict(films[0].path, window=0.25)
    assert len(found.windows) > 1
    for piece in [found, *found.windows]:
        views = {name: each.evidence for name, each in piece.opinions.items() if each is not None}
        assert piece.opinion is not None
        expected = fuse(
            [v[None] for v in views.values()], discount=[WEIGHTS[name] for name in views]
        )
        torch.testing.assert_close(piece.opinion.evidence[None], expected.evidence)


@pytest.mark.slow
def test_calibration_learns_it_first(both: Model, films: Dataset) -> None:
    data = films.split("validation")
    expected = fit_reliabilities(both, [collect_evidence(both, data, progress=False)])
    both.calibrate(data, progress=False)
    before = both.config
    both.calibrate(data, reliability=True, progress=False)
    assert both.config.discount == pytest.approx(tuple(expected.values()))
    assert min(expected.values()) < 1
    # The thresholds are of discounted predictions: they accept what they say that they accept.
    _, confidence, _ = predicted(both, data)
    record = both.config.thresholds["audio+video"]
    assert (confidence >= record.threshold).mean() == pytest.approx(record.scores["coverage"])
    assert record.threshold != before.thresholds["audio+video"].threshold


@pytest.mark.slow
def test_thresholds_set_before_do_not_outlive_it(both: Model, films: Dataset) -> None:
    data = films.split("validation")
    both.calibrate(data, unit="window", progress=False)
    both.calibrate(data, progress=False)
    assert both.config.window_thresholds
    both.calibrate(data, reliability=True, progress=False)
    assert both.config.thresholds
    assert not both.config.window_thresholds


def test_data_of_one_modality_teach_nothing(both: Model, tones: Dataset) -> None:
    before = both.config
    with pytest.raises(
        DataError, match=r"clips that have several modalities.*leave reliability out"
    ):
        both.calibrate(tones.split("validation"), reliability=True, progress=False)
    assert both.config == before


def test_two_corpora_teach_by_their_pairs(both: Model, tones: Dataset, tmp_path: Path) -> None:
    mute = film_corpus(tmp_path, {"validation": 4}, sound=False, name="mute")
    faces = load_dataset(str(mute)).split("validation")
    both.calibrate(tones.split("validation"), faces, reliability=True, progress=False)
    assert both.config.discount is not None
    assert set(both.config.thresholds) == {"audio", "video", "audio+video"}


@pytest.mark.slow
def test_with_a_guarantee_only_what_is_held_out_teaches(both: Model, films: Dataset) -> None:
    found = collect_evidence(both, films, progress=False)
    half = tuple(row % 4 < 2 for row in range(len(found.labels)))
    held = fit_reliabilities(both, [replace(found, held=half)])
    spoiled = replace(
        found, held=half, labels=torch.where(torch.tensor(half), found.labels, 1 - found.labels)
    )
    assert fit_reliabilities(both, [spoiled]) == held
    assert held != fit_reliabilities(both, [found])


def test_it_is_shown(both: Model) -> None:
    assert "Reliability" not in text_of(thresholds_table(both.config))
    discounted(both)
    assert "Reliability, by which fusion discounts: audio 0.250, video 0.800" in text_of(
        thresholds_table(both.config)
    )
    shown = text_of(model_table(both))
    assert "evidence scale 1, reliability 0.250" in shown
    assert "reliability=0.8" in repr(both.config)


@pytest.mark.slow
def test_the_command_line_learns_and_says_it(both: Model, tmp_path: Path) -> None:
    manifest = film_corpus(tmp_path / "films", {"validation": 4})
    both.save_pretrained(tmp_path / "model")
    command = [
        "calibrate",
        "-d",
        str(manifest),
        "-m",
        str(tmp_path / "model"),
        "--reliability",
        "-q",
    ]
    found = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert found.exit_code == 0, found.output
    assert "Reliability, by which fusion discounts: audio" in found.output
    assert Model.from_pretrained(tmp_path / "model").config.discount is not None


def learner(seed: int = 0) -> Model:
    return Model.build(
        LABELS, {"audio": AUDIO, "video": VIDEO}, video=WHOLE, seed=seed, window_seconds=2.0
    )


def mixed(folder: Path, counts: dict[str, int]) -> Dataset:
    """Films whose pictures say the class and whose sound is another film's."""
    films = load_dataset(str(film_corpus(folder, counts)))
    strangers = {
        sample.path: films[(index + 1) % len(films)].path if index % 4 < 2 else sample.path
        for index, sample in enumerate(films)
    }
    samples = tuple(
        replace(sample, attributes={**sample.attributes, "audio_path": strangers[sample.path]})
        for sample in films
    )
    return replace(films, samples=samples)


@pytest.mark.slow
def test_training_learns_it(tmp_path: Path) -> None:
    data = mixed(tmp_path, {"train": 8, "validation": 4})
    how: dict[str, Any] = {
        "epochs": 8, "learning_rate": 3e-2, "batch_size": 4, "annealing": 2, "progress": False, "ema": 0.5,
        "patience": 8,
    }  # fmt: skip
    model = learner().fit(data, learn_reliability=True, **how)
    heard, seen = (model.config.experts[name].reliability for name in ("audio", "video"))
    # The sound is right half of the time, and so says nothing; the pictures always are.
    assert heard < 0.85
    assert seen > 0.95
    assert model.config.training[0].settings["learn_reliability"] is True
    again = learner().fit(data, learn_reliability=True, **how)
    assert again.config.discount == model.config.discount
    assert learner().fit(data, **{**how, "epochs": 1}).config.discount is None


def test_one_modality_has_nothing_to_be_weighed_against(tones: Dataset) -> None:
    alone = Model.build(LABELS, {"audio": AUDIO}, window_seconds=2.0)
    with pytest.raises(DataError, match="the model has one; leave it out"):
        alone.fit(tones, tones, learn_reliability=True, progress=False)
