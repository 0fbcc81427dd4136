"""Thresholds and figures against what the predictions themselves say."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

from ter_fast import DataError, Model, ModelError, Predictions
from ter_fast.data import Dataset, load_dataset
from ter_fast.inference import Evidence
from ter_fast.labelled import Labelled, pair
from ter_fast.opinion import CONFIDENCE_KINDS
from ter_fast.thresholds import sweep
from tiny import film_corpus, tiny_model, tone_corpus, with_threshold

LABELS = ("high", "low")
QUIET = {"progress": False, "resamples": 20}


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("tones")
    return load_dataset(str(tone_corpus(folder, {"validation": 6, "test": 4})))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("films")
    return load_dataset(str(film_corpus(folder, {"validation": 4, "test": 3})))


@pytest.fixture
def voice() -> Model:
    return tiny_model("audio", labels=LABELS)


@pytest.fixture
def both() -> Model:
    return tiny_model("audio", "video", labels=LABELS)


def predicted(model: Model, dataset: Dataset) -> tuple[Predictions, np.ndarray, np.ndarray]:
    found = model.predict([sample.path for sample in dataset])
    correct = np.array([p.label == s.label for p, s in zip(found, dataset, strict=True)])
    return found, np.array([p.confidence for p in found], np.float32), correct


# -- calibration ----------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", ["balance", "f1", "coverage=0.5"])
def test_the_threshold_is_the_sweeps_on_the_predictions(
    voice: Model, tones: Dataset, criterion: str
) -> None:
    data = tones.split("validation")
    _, confidence, correct = predicted(voice, data)
    result = sweep(confidence, correct)
    chosen = result.at_coverage(0.5) if "=" in criterion else result.best(criterion)  # type: ignore[arg-type]
    assert chosen is not None
    assert voice.calibrate(data, criterion=criterion, progress=False) is voice
    record = voice.config.thresholds["audio"]
    # Halfway to the next confidence below, so that it accepts the very same clips.
    assert result.at(record.threshold).accepted == chosen.accepted
    below = result.threshold[result.threshold < chosen.threshold].max(initial=-np.inf)
    middle = (chosen.threshold + below) / 2 if np.isfinite(below) else chosen.threshold
    assert record.threshold == pytest.approx(middle, abs=1e-7)
    assert (record.criterion, record.samples, record.pairing) == (criterion, 12, "")
    assert record.data == "tones validation"
    for name in ("precision", "recall", "f1", "accuracy", "coverage"):
        assert record.scores[name] == pytest.approx(getattr(chosen, name))
    accuracy = correct.mean()
    assert record.scores["accept_all_f1"] == pytest.approx(2 * accuracy / (1 + accuracy))


def test_films_calibrate_each_modality_and_both(both: Model, films: Dataset) -> None:
    both.calibrate(films.split("validation"), progress=False)
    assert set(both.config.thresholds) == {"audio", "video", "audio+video"}
    assert {each.samples for each in both.config.thresholds.values()} == {8}
    assert {each.pairing for each in both.config.thresholds.values()} == {""}
    sound = Model.from_experts(audio=both)
    sound.calibrate(films.split("validation"), progress=False)
    assert sound.config.thresholds["audio"].threshold == pytest.approx(
        both.config.thresholds["audio"].threshold, abs=1e-6
    )
    found = both.predict([sample.path for sample in films])
    assert all(each.trusted is not None for each in found)


def test_two_corpora_are_paired_by_label(both: Model, tones: Dataset, tmp_path: Path) -> None:
    mute = film_corpus(tmp_path, {"validation": 4}, sound=False, name="mute")
    faces = load_dataset(str(mute)).split("validation")
    both.calibrate(tones.split("validation"), faces, progress=False)
    records = both.config.thresholds
    assert set(records) == {"audio", "video", "audio+video"}
    assert [records[name].samples for name in ("audio", "video", "audio+video")] == [12, 8, 8]
    assert records["audio+video"].pairing == "label-matched"
    assert records["audio"].pairing == records["video"].pairing == ""
    assert records["audio+video"].data == "tones validation with mute validation"
    figures = both.evaluate(tones.split("validation"), faces, **QUIET)
    assert (figures.pairing, figures.samples) == ("label-matched", 8)
    assert figures.figures["coverage"].value == pytest.approx(
        records["audio+video"].scores["coverage"]
    )


def labelled(name: str, view: int, labels: list[int], groups: list[str]) -> Labelled:
    values = torch.zeros(2, len(labels), 2)
    values[view] = torch.arange(1.0, len(labels) + 1)[:, None]
    mask = torch.zeros(2, len(labels), dtype=torch.bool)
    mask[view] = True
    return Labelled(name, Evidence(values, mask), torch.tensor(labels), tuple(groups))


def test_pairs_have_one_label_and_use_each_clip_once() -> None:
    voices = labelled("v", 0, [0, 0, 0, 1, 1], ["x", "x", "y", "y", "y"])
    faces = labelled("f", 1, [1, 1, 1, 0, 0], list("abcde"))
    pairs = pair(voices, faces)
    assert pairs.pairing == "label-matched"
    assert sorted(pairs.labels.tolist()) == [0, 0, 1, 1]
    assert pairs.evidence.mask.all()
    for view, source in enumerate((voices, faces)):
        rows = (pairs.evidence.values[view, :, 0] - 1).long()
        assert len(set(rows.tolist())) == 4
        assert torch.equal(source.labels[rows], pairs.labels)
    left = (pairs.evidence.values[0, :, 0] - 1).long().tolist()
    assert pairs.groups == tuple(voices.groups[row] for row in left)
    assert pair(voices, faces, 1).labels.tolist() == pairs.labels.tolist()
    draws = {
        tuple(pair(voices, faces, seed).evidence.values.flatten().tolist()) for seed in range(9)
    }
    assert len(draws) > 1


def test_corpora_without_a_class_in_common_are_not_paired() -> None:
    with pytest.raises(DataError, match="v and f have no class in common"):
        pair(labelled("v", 0, [0], ["x"]), labelled("f", 1, [1], ["y"]))


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        ("best", "criterion is 'best'; expected balance, f1, accuracy, precision=P or coverage=Q"),
        ("precision", "criterion is 'precision'; expected"),
        ("f1=3", "criterion is 'f1=3'; expected"),
        ("precision=high", "expected a number after precision="),
        ("precision=1.5", "precision"),
    ],
)
def test_a_criterion_that_is_none_changes_nothing(
    voice: Model, tones: Dataset, criterion: str, message: str
) -> None:
    with_threshold(voice, 0.3, "audio")
    before = voice.config
    with pytest.raises(DataError, match=message):
        voice.calibrate(
            tones.split("validation"), criterion=criterion, confidence="margin", progress=False
        )
    assert voice.config == before


def test_without_data_there_is_nothing_to_calibrate_on(voice: Model) -> None:
    with pytest.raises(DataError, match="needs validation data"):
        voice.calibrate()


def test_another_confidence_drops_the_other_thresholds(both: Model, tones: Dataset) -> None:
    with_threshold(both, 0.3, "video", "audio+video")
    both.calibrate(tones.split("validation"), progress=False)
    assert set(both.config.thresholds) == {"audio", "video", "audio+video"}
    both.calibrate(tones.split("validation"), confidence="margin", progress=False)
    assert set(both.config.thresholds) == {"audio"}
    assert both.config.confidence == "margin"
    with pytest.raises(ModelError, match="confidence is 'luck'"):
        both.calibrate(tones.split("validation"), confidence="luck", progress=False)


# -- evaluation -----------------------------------------------------------------------------------


def test_figures_are_those_of_the_predictions(voice: Model, tones: Dataset) -> None:
    data = tones.split("test")
    voice.calibrate(tones.split("validation"), progress=False)
    found, confidence, correct = predicted(voice, data)
    figures = voice.evaluate(data, **QUIET)
    true = [sample.label for sample in data]
    guess = [each.label for each in found]
    chances = np.array([[each.probabilities[name] for name in LABELS] for each in found])
    value = {name: figure.value for name, figure in figures.figures.items()}
    assert value["accuracy"] == pytest.approx(correct.mean())
    assert value["uar"] == pytest.approx(balanced_accuracy_score(true, guess))
    assert value["macro_f1"] == pytest.approx(f1_score(true, guess, average="macro"))
    assert value["weighted_f1"] == pytest.approx(f1_score(true, guess, average="weighted"))
    assert value["nll"] == pytest.approx(
        log_loss(true, chances / chances.sum(1, keepdims=True), labels=LABELS), abs=1e-5
    )
    hot = np.array([[name == label for name in LABELS] for label in true])
    assert value["brier"] == pytest.approx(((chances - hot) ** 2).sum(1).mean(), abs=1e-5)
    assert value["aurc"] == pytest.approx(sweep(confidence, correct).aurc, abs=1e-6)
    trusted = np.array([bool(each.trusted) for each in found])
    right = int((trusted & correct).sum())
    assert value["coverage"] == pytest.approx(trusted.mean())
    assert value["trusted_recall"] == pytest.approx(right / max(1, correct.sum()))
    assert value["trusted_precision"] == pytest.approx(
        right / trusted.sum() if trusted.any() else 1
    )
    assert value["trusted_accuracy"] == pytest.approx((trusted == correct).mean())
    assert value["trusted_f1"] == pytest.approx(2 * right / (trusted.sum() + correct.sum()))
    assert value["lift"] == pytest.approx(value["trusted_f1"] - value["accept_all_f1"])
    assert figures.threshold == voice.config.thresholds["audio"].threshold
    assert (figures.samples, figures.groups, figures.name) == (8, 4, "tones test")
    counts = [
        [sum(t == a and g == b for t, g in zip(true, guess, strict=True)) for b in LABELS]
        for a in LABELS
    ]
    assert [list(row) for row in figures.confusion] == counts
    assert figures.recall_by_class == {
        name: pytest.approx(counts[k][k] / sum(counts[k])) for k, name in enumerate(LABELS)
    }
    for kind in CONFIDENCE_KINDS:
        ranks = np.array([float(each.opinion.confidence_of(kind)) for each in found], np.float32)
        assert figures.aurc_by_confidence[kind] == pytest.approx(
            sweep(ranks, correct).aurc, abs=0.02
        )


def test_intervals_hold_the_value_and_repeat(voice: Model, tones: Dataset) -> None:
    first = voice.evaluate(tones.split("test"), progress=False, resamples=200)
    again = voice.evaluate(tones.split("test"), progress=False, resamples=200)
    assert first == again
    for name, figure in first.figures.items():
        assert figure.low <= figure.high, name
    assert first.figures["nll"].low <= first.figures["nll"].value <= first.figures["nll"].high
    assert str(first.figures["nll"]).startswith(f"{first.figures['nll'].value:.3f} [")


def test_an_uncalibrated_model_has_no_trusted_figures(voice: Model, tones: Dataset) -> None:
    figures = voice.evaluate(tones.split("test"), **QUIET)
    assert figures.threshold is None
    assert not any(name.startswith("trusted") for name in figures.figures)


def test_modalities_may_be_left_out(both: Model, films: Dataset) -> None:
    data = films.split("test")
    joint = both.evaluate(data, **QUIET)
    assert joint.modalities == "audio+video"
    for name in ("audio", "video"):
        alone = Model.from_experts(**{name: both}).evaluate(data, **QUIET)
        part = both.evaluate(data, modalities=[name], **QUIET)
        assert part.modalities == name
        assert part.figures["nll"].value == pytest.approx(alone.figures["nll"].value, abs=1e-5)


def test_modalities_that_are_not_there_are_refused(both: Model, tones: Dataset) -> None:
    with pytest.raises(DataError, match="no clip of tones test has video; choose other"):
        both.evaluate(tones.split("test"), modalities=["video"], **QUIET)
    with pytest.raises((DataError, ModelError), match="no modality smell; it has audio, video"):
        both.evaluate(tones.split("test"), modalities=["smell"], **QUIET)
    with pytest.raises(DataError, match="one dataset, or two to pair; given 0"):
        both.evaluate(**QUIET)


def test_nothing_above_the_disagreement_limit_counts_as_trusted(
    both: Model, films: Dataset
) -> None:
    data = films.split("validation")
    disagreement = sorted(each.disagreement for each in predicted(both, data)[0])
    limit = (disagreement[3] + disagreement[4]) / 2
    both.calibrate(data, disagreement_limit=limit, criterion="coverage=0.5", progress=False)
    assert both.config.disagreement_limit == limit
    found = both.predict([sample.path for sample in data])
    trusted = [bool(each.trusted) for each in found]
    assert trusted == [
        each.confidence >= each.threshold and each.disagreement <= limit for each in found
    ]
    assert any(trusted)
    figures = both.evaluate(data, **QUIET)
    assert figures.figures["coverage"].value == pytest.approx(np.mean(trusted))
    scores = both.config.thresholds["audio+video"].scores
    assert scores["coverage"] == pytest.approx(np.mean(trusted))


def test_bad_files_are_reported_and_left_out(voice: Model, tones: Dataset, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"")
    samples = list(tones.split("test"))
    samples[0] = replace(samples[0], path=str(broken))
    figures = voice.evaluate(replace(tones, samples=tuple(samples)), **QUIET)
    assert figures.samples == 7
    assert len(figures.errors) == 1
    assert "broken.wav is empty" in figures.errors[0]


def test_figures_are_valid_json_even_where_one_has_no_value(
    voice: Model, tones: Dataset, tmp_path: Path
) -> None:
    """Where every prediction is right there is no failure to rank, so that figure is empty."""
    data = tones.split("test")
    with torch.no_grad():
        voice.experts["audio"].head.bias.copy_(torch.tensor([500.0, -500.0]))
    only = replace(data, samples=tuple(s for s in data if s.label == "high"))
    figures = voice.evaluate(only, **QUIET)
    assert figures.figures["accuracy"].value == 1
    assert math.isnan(figures.figures["failure_auroc"].value)
    figures.to_json(tmp_path / "f.json")

    def refuse(name: str) -> None:
        pytest.fail(f"{name} is not JSON")

    back = json.loads((tmp_path / "f.json").read_text(), parse_constant=refuse)
    assert back["figures"]["failure_auroc"]["value"] is None
    assert back["figures"]["accuracy"]["value"] == 1
    assert back["labels"] == list(LABELS)


def test_the_disagreement_limit_may_be_a_quantile(both: Model, films: Dataset) -> None:
    data = films.split("validation")
    both.calibrate(data, disagreement_quantile=0.5, progress=False)
    limit = both.config.disagreement_limit
    assert limit is not None
    shown = [both.predict(sample.path) for sample in data]
    right = [p for p, sample in zip(shown, data, strict=True) if p.label == sample.label]
    within = [p for p in right if p.disagreement <= limit + 1e-6]
    assert len(right) / 2 <= len(within) <= len(right) / 2 + 1
    both.calibrate(data, progress=False)
    assert both.config.disagreement_limit == limit
    both.calibrate(data, disagreement_limit=math.inf, progress=False)
    assert both.config.disagreement_limit is None
    with pytest.raises(DataError, match="not both"):
        both.calibrate(data, disagreement_limit=0.5, disagreement_quantile=0.5, progress=False)
