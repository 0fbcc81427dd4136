"""Thresholds against what the predictions themselves say."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.tiny import QUIET, film_corpus, predicted, tone_corpus, with_threshold
from ter_fast import DataError, Model, ModelError
from ter_fast.data import Dataset, load_dataset
from ter_fast.experts.config import TrainingRecord
from ter_fast.opinions.opinion import CONFIDENCE_KINDS
from ter_fast.predict.evidence import Evidence
from ter_fast.predict.labelled_evidence import (
    LabelledEvidence,
    collect_evidence,
    outcomes,
    pair,
    subset,
)
from ter_fast.train import calibrate
from ter_fast.train.disagreement import mismatch_clips
from ter_fast.train.risk_control import RiskControl, seed_by_clips
from ter_fast.trust.criterion import between, by_criterion
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.thresholds import sweep
from ter_fast.trust.trusted_threshold import TrustedThreshold


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
    assert {threshold.samples for threshold in both.config.thresholds.values()} == {8}
    assert {threshold.pairing for threshold in both.config.thresholds.values()} == {""}
    sound = Model.from_experts(audio=both)
    sound.calibrate(films.split("validation"), progress=False)
    assert sound.config.thresholds["audio"].threshold == pytest.approx(
        both.config.thresholds["audio"].threshold, abs=1e-6
    )
    found = both.predict([sample.path for sample in films])
    assert all(each.trusted is not None for each in found)


@pytest.mark.slow
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


def labelled(name: str, view: int, labels: list[int], groups: list[str]) -> LabelledEvidence:
    values = torch.zeros(2, len(labels), 2)
    values[view] = torch.arange(1.0, len(labels) + 1)[:, None]
    mask = torch.zeros(2, len(labels), dtype=torch.bool)
    mask[view] = True
    paths = tuple(f"{name}{row}" for row in range(len(labels)))
    return LabelledEvidence(
        name,
        Evidence(values, mask),
        torch.tensor(labels),
        tuple(groups),
        paths,
        ({},) * len(labels),
    )


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


def test_held_out_clips_are_paired_with_held_out_clips() -> None:
    voices = labelled("v", 0, [0, 0, 0, 0, 1, 1], list("abcdef"))
    faces = labelled("f", 1, [0, 0, 0, 1, 1, 1], list("uvwxyz"))
    voices = replace(voices, held=(True, True, False, False, True, False))
    faces = replace(faces, held=(True, False, False, False, False, True))
    for seed in range(9):
        pairs = pair(voices, faces, seed)
        assert len(pairs.held) == len(pairs.labels) == 5
        for view, source in enumerate((voices, faces)):
            rows = (pairs.evidence.values[view, :, 0] - 1).long().tolist()
            assert [source.held[row] for row in rows] == list(pairs.held)
            assert [int(source.labels[row]) for row in rows] == pairs.labels.tolist()
    assert pair(replace(voices, held=()), replace(faces, held=())).held == ()


def test_who_stands_in_two_corpora_is_held_out_of_both_or_of_neither() -> None:
    everyone = [f"s{row:02d}" for row in range(40)]
    voices = labelled("v", 0, [0] * 40, everyone)
    faces = labelled("f", 1, [0] * 15, everyone[5:20])
    for seed in range(9):
        control = RiskControl(0.2, 0.1, "groups", 0.2, seed)
        found = control.hold_out([voices, faces])
        assert [each.name for each in found] == ["v", "f"]
        assert found[0].held[5:20] == found[1].held
        # A fifth of the 15, and of the 25 that are not among them.
        assert [sum(each.held) for each in found] == [3 + 5, 3]
    alone = control.hold_out([voices])[0].held
    assert alone == control.rows(voices, control.choose_held_out(voices))


def test_how_much_of_a_corpus_is_held_out_is_a_draw_though_names_tell_it() -> None:
    """With places drawn among the sorted names, it is the same in every set of so many speakers."""
    random = np.random.default_rng(0)
    control = RiskControl(0.2, 0.1, "groups", 0.2, 0)
    held = []
    for _ in range(200):
        number = random.permutation(10_000)[:50]
        names = [f"{'b' if row < 15 else 'a'}:{each:04d}" for row, each in enumerate(number)]
        chosen = control.choose_held_out(labelled("v", 0, [0] * 50, names))
        held.append(sum(name.startswith("b") for name in chosen))
    # Hypergeometric: 10 of 50, of which 15 are of the corpus.
    assert np.mean(held) == pytest.approx(3, abs=0.4)
    assert np.std(held) == pytest.approx(1.31, abs=0.25)


@pytest.mark.parametrize("unit", ["groups", "clips"])
def test_the_same_clips_have_the_same_held_out_in_any_order_and_folder(unit: str) -> None:
    random = np.random.default_rng(0)
    data = labelled("v", 0, [0, 1] * 20, [f"s{row // 2}" for row in range(40)])
    moved = replace(data, paths=tuple(f"/elsewhere/corpus/{path}.wav" for path in data.paths))
    data = replace(data, paths=tuple(f"/data/corpus/{path}.wav" for path in data.paths))
    control = RiskControl(0.2, 0.1, unit, 0.2, 3)
    first = np.array(control.hold_out([data])[0].held)
    assert np.array_equal(control.hold_out([moved])[0].held, first)
    rows = random.permutation(40)
    shuffled = replace(
        data,
        groups=tuple(data.groups[row] for row in rows),
        paths=tuple(data.paths[row] for row in rows),
    )
    assert np.array_equal(control.hold_out([shuffled])[0].held, first[rows])
    assert seed_by_clips(3, [data]) == seed_by_clips(3, [shuffled])
    other = RiskControl(0.2, 0.1, unit, 0.2, 4)
    assert not np.array_equal(other.hold_out([data])[0].held, first)
    assert seed_by_clips(4, [data]) != seed_by_clips(3, [data])


def test_a_set_that_meets_no_criterion_loses_its_older_threshold(
    both: Model, films: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    validation = films.split("validation")
    both.calibrate(validation, progress=False)
    assert set(both.config.thresholds) == {"audio", "video", "audio+video"}

    def but_not_alone(criterion: str, answers: Outcomes) -> TrustedThreshold:
        if set(answers.modalities) == {"audio"}:
            raise DataError("no threshold meets it")
        return by_criterion(criterion, answers)

    monkeypatch.setattr(calibrate, "by_criterion", but_not_alone)
    with pytest.warns(UserWarning, match="not calibrated for audio: no threshold meets it"):
        both.calibrate(validation, criterion="f1", progress=False)
    assert set(both.config.thresholds) == {"video", "audio+video"}


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


@pytest.mark.slow
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


# -- thresholds that keep a guarantee ---------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Sixty speakers with two tones each."""
    folder = tmp_path_factory.mktemp("many")
    return load_dataset(str(tone_corpus(folder, {"validation": 60})))


def surely(monkeypatch: pytest.MonkeyPatch, wrong: int) -> None:
    """Make the experts right about all clips but the first `wrong`, and surer where right."""

    def rigged(model_: Model, data: Dataset, **options: object) -> LabelledEvidence:
        found = collect_evidence(model_, data, **options)
        rows = torch.arange(len(found.labels))
        guess = torch.where(rows < wrong, 1 - found.labels, found.labels)
        size = torch.where(rows < wrong, 1.0, 20.0) + rows / len(rows)
        evidence = torch.nn.functional.one_hot(guess, 2) * size[:, None]
        values = torch.where(found.evidence.mask[..., None], evidence[None], 0)
        return replace(found, evidence=Evidence(values, found.evidence.mask))

    monkeypatch.setattr("ter_fast.train.calibrate.collect_evidence", rigged)


@pytest.mark.slow
@pytest.mark.parametrize(("guarantee_for", "unit"), [(None, "groups"), ("clips", "clips")])
def test_a_controlled_risk_is_stored_and_said(
    voice: Model, many: Dataset, monkeypatch: pytest.MonkeyPatch, guarantee_for: str | None, unit: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    surely(monkeypatch, 12)
    voice.calibrate(many, risk=0.2, delta=0.1, guarantee_for=guarantee_for, progress=False)
    record = voice.config.thresholds["audio"]
    assert record.criterion == "risk=0.2"
    kept = record.guarantee
    assert (kept["unit"], kept["risk"], kept["delta"]) == (unit, 0.2, 0.1)
    # A fifth of the units chose the levels.
    assert (record.samples, kept["held_out"]) == (96, 24)
    assert kept["groups"] == (48 if unit == "groups" else None)
    assert record.scores["precision"] == 1 - kept["errors"] / kept["accepted"]  # type: ignore[operator]
    assert record.scores["coverage"] == kept["accepted"] / 96  # type: ignore[operator]
    whom = (
        "new speakers or sources drawn like the 48"
        if unit == "groups"
        else "clips drawn like the 96"
    )
    assert record.guarantee_text.startswith(f"for {whom}")
    assert "at most 0.2 of the trusted predictions (audio) are wrong" in record.guarantee_text
    assert "with probability 0.9" in record.guarantee_text
    voice.save_pretrained(tmp_path)
    assert Model.from_pretrained(tmp_path).config == voice.config
    found = with_threshold_of(voice, 0.0).predict([sample.path for sample in many][:2])
    assert [each.guarantee for each in found] == [record.guarantee_text] * 2
    found = with_threshold_of(voice, 1.0).predict([sample.path for sample in many][:2])
    assert [each.guarantee for each in found] == ["", ""]


def with_threshold_of(model: Model, threshold: float) -> Model:
    """Move the model's threshold and keep what else its record says."""
    record = model.config.thresholds["audio"]
    model.config = model.config.with_thresholds({"audio": replace(record, threshold=threshold)})
    return model


@pytest.mark.slow
def test_the_clips_that_are_held_out_are_not_tested(
    voice: Model, many: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is guaranteed does not change with the answers of the held-out clips."""
    surely(monkeypatch, 0)
    inner = calibrate.collect_evidence
    voice.calibrate(many, risk=0.2, delta=0.1, guarantee_for="clips", progress=False)
    first = voice.config.thresholds["audio"]
    held = RiskControl(0.2, 0.1, "clips", 0.2, 0)

    def spoiled(model_: Model, data: Dataset, **options: object) -> LabelledEvidence:
        found = inner(model_, data, **options)
        rows = torch.tensor(held.rows(found, held.choose_held_out(found)))
        return replace(found, labels=torch.where(rows, 1 - found.labels, found.labels))

    monkeypatch.setattr("ter_fast.train.calibrate.collect_evidence", spoiled)
    voice.calibrate(many, risk=0.2, delta=0.1, guarantee_for="clips", progress=False)
    second = voice.config.thresholds["audio"]
    assert (second.threshold, second.guarantee) == (first.threshold, first.guarantee)
    assert second.aurc_by_confidence != first.aurc_by_confidence


def test_too_few_speakers_are_told_how_many_would_do(
    voice: Model, tones: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    surely(monkeypatch, 0)
    with_threshold(voice, 0.3, "audio")
    before = voice.config
    with pytest.raises(DataError) as raised:
        voice.calibrate(tones.split("validation"), risk=0.1, progress=False)
    message = str(raised.value)
    assert "from 5 groups: without a single error it takes 29; about " in message
    assert "besides 1 that were held out" in message
    assert "guarantee_for='clips' asks for less" in message
    assert voice.config == before


@pytest.mark.slow
def test_a_set_of_modalities_without_a_guarantee_has_no_threshold(
    both: Model, many: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = load_dataset(str(film_corpus(tmp_path, {"validation": 4}, sound=False, name="mute")))
    surely(monkeypatch, 0)
    with_threshold(both, 0.3, "video", "audio+video")
    with pytest.warns(UserWarning, match="not calibrated for") as caught:
        both.calibrate(many, mute, risk=0.2, guarantee_for="groups", progress=False)
    messages = [str(each.message) for each in caught]
    assert any(m.startswith("not calibrated for video: no threshold") for m in messages)
    assert any("audio+video: label-matched pairs cross the speakers" in m for m in messages)
    assert set(both.config.thresholds) == {"audio"}


@pytest.mark.slow
def test_pairs_guarantee_with_a_proviso(
    both: Model, many: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = load_dataset(str(film_corpus(tmp_path, {"validation": 30}, sound=False, name="mute")))
    surely(monkeypatch, 0)
    both.calibrate(many, mute, risk=0.3, delta=0.1, guarantee_for="clips", progress=False)
    record = both.config.thresholds["audio+video"]
    assert record.pairing == "label-matched"
    assert record.guarantee_text.endswith("as the modalities are independent given the emotion")
    assert "independent" not in both.config.thresholds["audio"].guarantee_text


@pytest.mark.slow
def test_a_guarantee_is_kept_only_with_the_limit_that_it_was_made_with(
    both: Model, many: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    surely(monkeypatch, 0)
    both.calibrate(many, risk=0.2, progress=False)
    with_threshold(both, 0.3, "audio+video")
    mute = load_dataset(str(film_corpus(tmp_path, {"validation": 4}, sound=False, name="mute")))
    both.calibrate(mute, progress=False)
    assert set(both.config.thresholds) == {"audio", "video", "audio+video"}
    both.calibrate(mute, disagreement_limit=0.5, progress=False)
    assert set(both.config.thresholds) == {"video", "audio+video"}


def joint(views: int, labels: list[int], held: tuple[bool, ...] = ()) -> LabelledEvidence:
    """Return clips of some modalities whose evidence is the number of the clip."""
    count = len(labels)
    values = torch.arange(1.0, count + 1)[None, :, None].repeat(views, 1, 3)
    names = tuple(f"clip {i}" for i in range(count))
    mask = torch.ones(views, count, dtype=torch.bool)
    return LabelledEvidence(
        "clips",
        Evidence(values, mask),
        torch.tensor(labels),
        names,
        names,
        ({},) * count,
        held=held,
    )


@pytest.mark.parametrize("views", [2, 3])
def test_a_mismatched_clip_has_one_modality_of_another_label(views: int) -> None:
    data = joint(views, [0, 0, 1, 2, 2, 2, 2, 2])
    found = mismatch_clips(data, seed=3)
    times = 1 if views == 2 else 3
    assert len(found.labels) == len(found.paths) == times * len(data.labels)
    own = torch.arange(len(data.labels))
    seen = set()
    for part, view in enumerate([1] if views == 2 else range(3)):
        rows = slice(part * len(own), (part + 1) * len(own))
        clip = found.evidence.values[:, rows, 0].long() - 1
        assert not bool((data.labels[clip[view]] == found.labels[rows]).any())
        others = [v for v in range(views) if v != view]
        assert torch.equal(clip[others], own.expand(len(others), -1))
        seen |= set(clip[view].tolist())
    # The one of label 1 finds partners, and not one alone: they are drawn, not dealt out.
    assert len(seen) > 3
    assert found.paths[: len(own)] == data.paths
    with pytest.raises(DataError, match="have one label"):
        mismatch_clips(joint(2, [1, 1]))


def test_the_limit_of_youden_is_the_best_of_all(both: Model, films: Dataset) -> None:
    data = films.split("validation")
    both.calibrate(data, disagreement_limit="youden", seed=5, progress=False)
    limit = both.config.disagreement_limit
    assert limit is not None
    clips = collect_evidence(both, data, progress=False)
    same, other = outcomes(both, clips), outcomes(both, mismatch_clips(clips, 5))
    assert same.disagreement is not None
    assert other.disagreement is not None
    right = same.disagreement[same.correct]

    def gain(at: float) -> float:
        return float(np.mean(right <= at) - np.mean(other.disagreement <= at))  # type: ignore[operator]

    every = [gain(each) for each in np.concatenate([right, other.disagreement])]
    assert gain(limit) == max(every) > 0
    with pytest.raises(DataError, match="0 or more, or youden"):
        both.calibrate(data, disagreement_limit="youdn", progress=False)  # type: ignore[arg-type]


def test_the_limit_of_youden_is_chosen_on_what_is_held_out(both: Model) -> None:
    held = tuple(i % 3 == 0 for i in range(60))
    data = joint(2, [i % 2 for i in range(60)], held)
    sure = torch.nn.functional.one_hot(data.labels, 2) * 3.0
    random = torch.rand(2, 60, 2, generator=torch.Generator().manual_seed(0)) * 4
    data = replace(data, evidence=Evidence(sure + random, data.evidence.mask))
    alone = replace(subset(data, np.array(held)), held=())
    rest = replace(data, held=())
    limits = [chosen(both, each) for each in (data, alone, rest)]
    assert limits[0] == limits[1] != limits[2]


def chosen(model: Model, data: LabelledEvidence) -> float | None:
    """Return the limit that `calibrate` sets on data that are labelled already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrate, "collect_evidence", lambda *_, **__: data)
        model.calibrate(None, disagreement_limit="youden")  # type: ignore[arg-type]
    return model.config.disagreement_limit


@pytest.mark.parametrize("limit", [-1.0, math.nan])
def test_a_limit_below_nothing_is_refused(both: Model, films: Dataset, limit: float) -> None:
    with pytest.raises(DataError, match="expected a number of 0 or more"):
        both.calibrate(films.split("validation"), disagreement_limit=limit, progress=False)
    with pytest.raises(ModelError, match="expected a number of 0 or more"):
        replace(both.config, disagreement_limit=limit)


@pytest.mark.slow
def test_a_disagreement_limit_is_part_of_what_is_guaranteed(both: Model, films: Dataset) -> None:
    data = films.split("validation")
    limits = [0.01, 0.02, 0.05, 0.2]
    both.calibrate(data, criterion="coverage=1", progress=False)
    for limit in limits:
        with contextlib.suppress(DataError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            both.calibrate(
                data,
                risk=0.9,
                delta=0.5,
                guarantee_for="clips",
                disagreement_limit=limit,
                progress=False,
            )
            record = both.config.thresholds.get("audio+video")
            if record is not None:
                found = both.predict([sample.path for sample in data])
                within = sum(each.disagreement <= limit for each in found)
                assert record.guarantee["accepted"] <= within  # type: ignore[operator]


@pytest.mark.slow
def test_a_limit_is_never_chosen_on_clips_that_are_tested(
    both: Model, many: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no clip of several modalities is held out, there is nothing to choose a limit on."""
    few = load_dataset(str(film_corpus(tmp_path, {"validation": 1})))
    mixed = replace(many, samples=(*many.samples, *few.samples))
    surely(monkeypatch, 0)
    found = calibrate.collect_evidence(both, mixed, progress=False)
    films = {sample.path for sample in few}
    seed = next(
        seed
        for seed in range(99)
        if not films & RiskControl(0.2, 0.1, "clips", 0.2, seed).choose_held_out(found)
    )
    settings = {
        "risk": 0.2,
        "delta": 0.1,
        "guarantee_for": "clips",
        "seed": seed,
        "progress": False,
    }
    with pytest.raises(DataError, match="no validation clip has several modalities"):
        both.calibrate(mixed, disagreement_quantile=0.9, **settings)
    with pytest.warns(UserWarning, match="none of the 0 clips that were held out"):
        both.calibrate(mixed, **settings)
    assert set(both.config.thresholds) == {"audio"}


# -- which confidence ranks errors best -----------------------------------------------------------


def test_the_kinds_of_confidence_are_compared(voice: Model, tones: Dataset) -> None:
    data = tones.split("validation")
    voice.calibrate(data, progress=False)
    record = voice.config.thresholds["audio"]
    found, _, correct = predicted(voice, data)
    for kind in CONFIDENCE_KINDS:
        ranks = np.array([float(each.opinion.confidence_of(kind)) for each in found], np.float32)
        assert record.aurc_by_confidence[kind] == pytest.approx(
            sweep(ranks, correct).aurc, abs=0.02
        )
    assert record.best_confidence == min(
        CONFIDENCE_KINDS, key=record.aurc_by_confidence.__getitem__
    )


def test_the_best_confidence_may_be_taken(both: Model, films: Dataset) -> None:
    both.calibrate(films.split("validation"), confidence="best", progress=False)
    areas = [record.aurc_by_confidence for record in both.config.thresholds.values()]
    assert len(areas) == 3
    mean = {kind: sum(area[kind] for area in areas) for kind in CONFIDENCE_KINDS}
    assert mean[both.config.confidence] == min(mean.values())


@pytest.mark.slow
def test_with_a_risk_the_best_confidence_is_chosen_on_another_half(
    voice: Model, many: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    surely(monkeypatch, 0)
    voice.calibrate(many, risk=0.2, delta=0.1, confidence="best", progress=False)
    kept = voice.config.thresholds["audio"].guarantee
    assert (kept["groups"], kept["held_out"]) == (30, 60)


@pytest.mark.slow
def test_what_chooses_the_confidence_of_a_guarantee_is_in_no_pair_that_is_tested(
    both: Model, many: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a pair that is held out holds a clip that is tested, alone or in another pair."""
    mute = load_dataset(str(film_corpus(tmp_path, {"validation": 30}, sound=False, name="mute")))
    surely(monkeypatch, 0)
    chose: set[str] = set()
    tested: set[str] = set()
    best, record = calibrate._best_confidence, RiskControl.record

    def files(paths: Iterable[str]) -> set[str]:
        return {file for path in paths for file in path.split(" + ")}

    def choosing(model: Model, parts: list[calibrate._Part], limit: float | None) -> str:
        assert [part.name for part in parts] == ["audio", "video", "audio+video"]
        for part in parts:
            chose.update(files(part.to_choose(model).paths))
        return best(model, parts, limit)

    def testing(
        self: RiskControl, name: str, answers: Outcomes, held: np.ndarray
    ) -> TrustedThreshold:
        tested.update(files(answers.subset(~held).paths))
        return record(self, name, answers, held)

    monkeypatch.setattr(calibrate, "_best_confidence", choosing)
    monkeypatch.setattr(RiskControl, "record", testing)
    both.calibrate(
        many, mute, risk=0.3, delta=0.1, guarantee_for="clips", confidence="best", progress=False
    )
    assert chose
    assert tested
    assert not chose & tested
    assert chose | tested == {sample.path for sample in (*many, *mute)}
    joint = both.config.thresholds["audio+video"]
    assert joint.pairing == "label-matched"
    # Half of thirty films of each class, with as many of the tones.
    assert joint.samples + int(joint.guarantee["held_out"]) <= 60  # type: ignore[arg-type]
    assert joint.guarantee_text.endswith("as the modalities are independent given the emotion")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "samples", "seen"),
    [
        ("others+many", {"train": 5, "validation": 5}, True),
        ("many", {"train": 5}, False),
        ("others", {"train": 5, "validation": 5}, False),
    ],
)
def test_a_guarantee_on_clips_that_stopped_the_training_is_warned_of(
    voice: Model, many: Dataset, monkeypatch: pytest.MonkeyPatch, data: str,
    samples: dict[str, int], seen: bool,
) -> None:  # fmt: skip
    surely(monkeypatch, 0)
    record = TrainingRecord(("audio",), data, "", samples, {})
    voice.config = replace(voice.config, training=(record,))
    named = replace(many, name="many")
    told = pytest.warns(
        UserWarning, match="trained or stopped by many validation: a guarantee needs"
    )
    with told if seen else contextlib.nullcontext():
        voice.calibrate(named, risk=0.2, progress=False)
    voice.calibrate(named, progress=False)


@pytest.mark.parametrize("below", [0.5, 0.74999994, 0.75, 1 - 2**-23])
def test_a_threshold_between_neighbours_means_the_same_in_either_precision(below: float) -> None:
    low = np.float32(below)
    high = np.nextafter(low, np.float32(2))
    found = between(sweep(np.array([low, high]), np.array([False, True])), float(high))
    assert float(low) < found <= float(high)
    assert float(np.float32(found)) == found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"risk": 0.1, "criterion": "f1"}, "a risk and the criterion 'f1' both choose"),
        ({"delta": 0.1}, "give risk as well"),
        ({"guarantee_for": "clips"}, "give risk as well"),
        ({"risk": 0.0}, r"risk is 0.0; give a share inside \(0, 1\)"),
        ({"risk": 0.1, "delta": 1.0}, "delta is 1.0"),
        (
            {"risk": 0.1, "guarantee_for": "people"},
            "guarantee_for is 'people'; expected one of groups, clips",
        ),
    ],
)
def test_options_that_do_not_go_together(
    voice: Model, tones: Dataset, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        voice.calibrate(tones.split("validation"), progress=False, **options)


@pytest.mark.slow
def test_speakers_must_be_named_and_more_than_one(
    voice: Model, many: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    surely(monkeypatch, 0)
    for name, message in (("", "some clips name no group"), ("x", "1 groups, of which some must")):
        alone = replace(many, samples=tuple(replace(s, group=name) for s in many))
        with pytest.raises(DataError, match=message):
            voice.calibrate(alone, risk=0.1, progress=False)
        voice.calibrate(alone, risk=0.1, guarantee_for="clips", progress=False)


@pytest.mark.parametrize("settings", [{"confidence": "luck"}, {"criterion": "luck"}])
def test_what_cannot_be_is_said_before_anything_is_decoded(
    voice: Model, tones: Dataset, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    def decoded(*_: object, **__: object) -> None:
        pytest.fail("decoded first")

    monkeypatch.setattr("ter_fast.train.calibrate.collect_evidence", decoded)
    with pytest.raises((DataError, ModelError), match="is 'luck'; expected"):
        voice.calibrate(tones.split("validation"), **settings)


def test_data_of_one_modality_go_before_a_part_of_richer_data(
    both: Model, films: Dataset, tones: Dataset
) -> None:
    both.calibrate(films.split("validation"), tones.split("validation"), progress=False)
    records = both.config.thresholds
    assert set(records) == {"audio", "video", "audio+video"}
    assert records["audio"].data == "tones validation"
    assert records["video"].data == records["audio+video"].data == "films validation"
    first = records["audio"]
    both.calibrate(tones.split("validation"), films.split("validation"), progress=False)
    assert both.config.thresholds["audio"] == first
