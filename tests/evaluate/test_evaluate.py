"""Figures against what the predictions themselves say."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

from helpers.tiny import LABELS, QUIET, predicted, tiny_model, with_threshold
from ter_fast import DataError, Model, ModelError
from ter_fast.data import Dataset
from ter_fast.evaluate.evaluate import measure
from ter_fast.opinions.opinion import CONFIDENCE_KINDS
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.results import differences
from ter_fast.trust.thresholds import sweep

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
    for k, name in enumerate(LABELS):
        row = figures.subgroups["class"][name]
        assert row.figures["accuracy"].value == pytest.approx(counts[k][k] / sum(counts[k]))
        assert row.samples == sum(counts[k])
    assert figures.trusted_confusion is not None
    assert np.sum(figures.trusted_confusion) == trusted.sum()
    assert np.trace(figures.trusted_confusion) == right
    for kind in CONFIDENCE_KINDS:
        ranks = np.array([float(each.opinion.confidence_of(kind)) for each in found], np.float32)
        assert figures.aurc_by_confidence[kind] == pytest.approx(
            sweep(ranks, correct).aurc, abs=0.02
        )


def test_intervals_hold_the_value_and_repeat(voice: Model, tones: Dataset) -> None:
    first = voice.evaluate(tones.split("test"), progress=False, resamples=200)
    again = voice.evaluate(tones.split("test"), progress=False, resamples=200)
    assert json.dumps(first.to_dict()) == json.dumps(again.to_dict())
    for name, figure in first.figures.items():
        assert figure.low <= figure.high, name
    assert first.figures["nll"].low <= first.figures["nll"].value <= first.figures["nll"].high
    assert str(first.figures["nll"]).startswith(f"{first.figures['nll'].value:.3f} [")


def test_an_uncalibrated_model_has_no_trusted_figures(voice: Model, tones: Dataset) -> None:
    figures = voice.evaluate(tones.split("test"), **QUIET)
    assert figures.threshold is None
    assert not any(name.startswith("trusted") for name in figures.figures)


@pytest.mark.slow
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


def test_kinds_of_confidence_are_compared_under_the_limit(both: Model, films: Dataset) -> None:
    data = films.split("validation")
    both.calibrate(data, disagreement_quantile=0.5, progress=False)
    figures = both.evaluate(data, **QUIET)
    assert np.isnan(figures.outcomes.ranked).any()
    kind = both.config.confidence
    assert figures.aurc_by_confidence[kind] == figures.figures["aurc"].value


def test_an_opinion_without_evidence_is_never_trusted(tones: Dataset) -> None:
    """`relu` may leave nothing at all, where one minus vacuity is 0 and reaches a threshold of 0."""
    silent = tiny_model("audio", labels=LABELS, activation="relu")
    with torch.no_grad():
        silent.experts["audio"].head.weight.zero_()
        silent.experts["audio"].head.bias.fill_(-1)
    figures = with_threshold(silent, 0.0, "audio").evaluate(tones.split("test"), **QUIET)
    assert figures.figures["coverage"].value == 0
    assert figures.without_confidence == figures.samples


# -- two models, and anyone's answers -------------------------------------------------------------


def test_a_model_does_not_differ_from_itself(voice: Model, tones: Dataset) -> None:
    data = tones.split("test")
    figures = voice.evaluate(data, **QUIET)
    found = figures.compare(voice.evaluate(data, **QUIET), resamples=50)
    assert found["accuracy"] == (0, 0, 0, 1)
    assert "trusted_f1" not in found


def test_differences_are_those_of_the_figures(both: Model, films: Dataset) -> None:
    data = films.split("test")
    both.calibrate(films.split("validation"), progress=False)
    joint = both.evaluate(data, **QUIET)
    alone = both.evaluate(data, modalities=["video"], **QUIET)
    found = joint.compare(alone, resamples=50)
    assert found.keys() == joint.figures.keys() & alone.figures.keys()
    for name, each in found.items():
        expected = joint.figures[name].value - alone.figures[name].value
        assert each.difference == pytest.approx(expected, nan_ok=True), name


def test_other_clips_have_no_paired_difference(voice: Model, tones: Dataset) -> None:
    test, validation = (voice.evaluate(tones.split(s), **QUIET) for s in ("test", "validation"))
    with pytest.raises(DataError, match="8 and 12 clips that are not the same"):
        test.compare(validation)
    relabelled = replace(test.outcomes, groups=("other",) * 8)
    with pytest.raises(DataError, match="different labels or groups"):
        differences(test.outcomes, relabelled)


def test_a_file_name_that_is_no_text_is_written_all_the_same(tmp_path: Path) -> None:
    found = measure(Outcomes.from_arrays([[0.8, 0.2]], [0]), resamples=2, errors=["\udcff.wav bad"])
    found.to_json(tmp_path / "f.json")
    assert json.loads((tmp_path / "f.json").read_text("utf-8"))["errors"] == ["\udcff.wav bad"]


@pytest.mark.parametrize("case", ["right", "wrong", "one class", "constant", "nan", "one clip"])
def test_lopsided_answers_are_measured(case: str) -> None:
    size = 1 if case == "one clip" else 40
    generator = np.random.default_rng(0)
    probability = generator.dirichlet([1, 1, 1], size)
    target = probability.argmax(1)
    confidence = generator.random(size)
    if case == "wrong":
        target = (target + 1) % 3
    elif case == "one class":
        target = np.zeros(size, int)
    elif case == "constant":
        confidence = np.full(size, 0.5)
    elif case == "nan":
        confidence[::2] = np.nan
    answers = Outcomes.from_arrays(probability, target, confidence=confidence, threshold=0.5)
    found = measure(answers, resamples=20)
    value = {name: figure.value for name, figure in found.figures.items()}
    trusted = confidence >= 0.5
    assert value["accuracy"] == (target == probability.argmax(1)).mean()
    assert value["coverage"] == trusted.mean()
    assert found.without_confidence == np.isnan(confidence).sum()
    assert math.isnan(value["failure_auroc"]) == (case not in ("one class",))
    json.dumps(found.to_dict(), allow_nan=False)
    if case == "wrong":
        assert (value["trusted_f1"], value["risk"], value["accept_all_f1"]) == (0, 1, 0)
    if case == "one clip":
        assert "no intervals" in found.note
        assert math.isnan(found.figures["accuracy"].low)
