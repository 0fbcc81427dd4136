"""Cards: what the hub reads of them, and that they tell what was measured and nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from sklearn.metrics import accuracy_score, recall_score

from helpers.tiny import QUIET, tiny_model, tone_corpus, with_threshold
from ter_fast import DataError, Model
from ter_fast.data import Dataset, Sample, load_dataset
from ter_fast.evaluate.evaluate import measure
from ter_fast.evaluate.evaluation import Evaluation
from ter_fast.experts.card import (
    MOST_LISTED,
    CardFacts,
    card_text,
    figures_in,
    splits_of,
    trends_in,
)
from ter_fast.experts.config import TrainingRecord
from ter_fast.experts.saving import write_card
from ter_fast.trust.outcomes import Outcomes

LABELS = ("high", "low", "other")


@pytest.fixture(scope="module")
def answers() -> Outcomes:
    """Answers about three classes; the last is in no clip, and the second mostly missed."""
    chances = np.random.default_rng(0).dirichlet([3, 1, 1], 60)
    return replace(
        Outcomes.from_arrays(
            chances,
            np.arange(60) % 2,
            threshold=0.5,
            labels=LABELS,
            groups=[f"s{i // 10}" for i in range(60)],
            attributes={"sex": ["f", "m"] * 30},
            name="mine | test",
        )
    )


@pytest.fixture(scope="module")
def measured(answers: Outcomes) -> Evaluation:
    return measure(answers, resamples=20, modalities="audio")


def data() -> Dataset:
    clips = [
        Sample(f"{split}{i}.wav", LABELS[i % 2], split, f"{split}:{i // 4}")
        for split, size in (("train", 12), ("test", 4 * MOST_LISTED + 4))
        for i in range(size)
    ]
    return Dataset("mine", LABELS, tuple(clips), "Mine: CC0", ("audio",))


@pytest.fixture
def model() -> Model:
    model = with_threshold(tiny_model("audio", labels=LABELS), 0.25, "audio")
    record = TrainingRecord(
        ("audio",), "mine", "Mine: CC0; Yours: CC BY", {"train": 12}, {"epochs": 3}
    )
    model.config = replace(model.config, training=(record,))
    return model


def table_under(card: str, column: str) -> dict[str, list[str]]:
    """Return the rows of the table whose head begins with a column, by their first cell."""
    lines = card.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {column} |"))
    rows = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        first, *rest = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
        rows[first] = rest
    return rows


def test_the_hub_reads_the_metadata_and_every_figure(model: Model, measured: Evaluation) -> None:
    facts = CardFacts(title="Mine: a #1", evaluations=(figures_in(measured.to_dict()),))
    card = ModelCard(card_text(model.config, facts))
    found = card.data
    assert (found.license, found.library_name) == ("other", "ter_fast")
    assert re.fullmatch(r"[a-z0-9.-]+", found.license_name)
    assert found.pipeline_tag == "audio-classification"
    assert {"emotion-recognition", "audio"} <= set(found.tags)
    assert found.model_name == "Mine: a #1"
    assert {(result.metric_name, result.metric_value) for result in found.eval_results} == {
        (name, measured.figures[key].value)
        for name, key in (
            ("Accuracy", "accuracy"),
            ("Unweighted average recall", "uar"),
            ("Macro F1", "macro_f1"),
            ("Area under the risk-coverage curve", "aurc"),
            ("Trusted precision", "trusted_precision"),
            ("Coverage at the trusted threshold", "coverage"),
        )
    }
    assert {result.dataset_name for result in found.eval_results} == {"mine | test (audio)"}
    # Written again by the hub's library, it is the same metadata.
    assert ModelCard(str(card)).data.to_dict() == found.to_dict()


@pytest.mark.parametrize("modalities", [("audio",), ("video",), ("audio", "video"), ("text",)])
def test_a_model_that_was_not_measured_says_so(modalities: tuple[str, ...]) -> None:
    config = tiny_model(*modalities).config
    text = card_text(config)
    known = ModelCard(text).data
    assert known.eval_results is None
    assert ("text" in modalities) == (known.pipeline_tag is None)
    for sentence in ("Not measured with", "Not calibrated", "No terms of", "No training is"):
        assert sentence in text


def test_the_sections_that_a_card_must_have(model: Model) -> None:
    text = card_text(model.config)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == [
        *("Terms", "Data and splits", "Trusted thresholds", "Figures", "Limits", "Uses"),
        "Training",
    ]
    assert "never what a person feels" in text
    assert "Article 5(1)(f)" in text
    assert "- Mine: CC0\n- Yours: CC BY\n" in text
    assert json.loads(text.split("```json\n")[1].split("\n```")[0]) == {"epochs": 3}


def test_figures_in_the_tables_are_those_of_independent_definitions(
    model: Model, measured: Evaluation, answers: Outcomes
) -> None:
    text = card_text(model.config, CardFacts(evaluations=(figures_in(measured.to_dict()),)))
    name = r"audio: mine \| test"
    row = table_under(text, "data | clips")[name]
    assert row[:2] == ["60", "6"]
    assert row[2].startswith(f"{accuracy_score(answers.target, answers.prediction):.3f} [")
    recalls = recall_score(answers.target, answers.prediction, labels=[0, 1], average=None)
    assert table_under(text, "recall by class")[name] == [*(f"{r:.2f}" for r in recalls), "–"]
    trusted = answers.probability.max(1) >= 0.5
    right = answers.prediction == answers.target
    row = table_under(text, "data | threshold")[name]
    assert row[0] == "0.500"
    assert row[1].startswith(f"{right[trusted].mean():.3f} [")
    assert row[-1].startswith(f"{trusted.mean():.3f} [")
    for place, sex in enumerate("fm"):
        part = table_under(text, "sex")[sex]
        assert part[0] == "30"
        assert part[1].startswith(f"{right[place::2].mean():.3f} [")


def test_limits_follow_from_the_figures(model: Model, measured: Evaluation) -> None:
    evaluation = figures_in(measured.to_dict())
    text = card_text(
        model.config,
        CardFacts(evaluations=(evaluation,), splits=(splits_of(data()),), notes="- Only indoors."),
    )
    limits = text.split("## Limits\n")[1].split("## Uses")[0]
    assert r"audio: mine \| test: 6 speakers or sources, so that its intervals" in limits
    assert "fewer than half are found of low." in limits
    assert "mine has no training clip of other." in limits
    assert "not measured by age, ethnicity, language of people" in limits
    assert "were not measured: `ter-fast evaluate --corrupt suite`" in limits
    assert "No threshold carries a guarantee" in limits
    assert limits.endswith("- Only indoors.\n\n")
    many = card_text(model.config, CardFacts(evaluations=({**evaluation, "groups": 40},)))
    assert "intervals are themselves rough" not in many


def test_pairs_are_called_pairs(model: Model, measured: Evaluation) -> None:
    pairs = {**figures_in(measured.to_dict()), "pairing": "label-matched"}
    text = card_text(model.config, CardFacts(evaluations=(pairs,)))
    assert "no person's own voice and face" in text
    assert r"audio: mine \| test, label-matched pairs" in table_under(text, "data | clips")


def test_whom_an_expert_learned_from_is_named_or_counted(model: Model) -> None:
    groups = {"train": ("a|b", "c"), "validation": 1234, "other": ("x",) * (MOST_LISTED + 1)}
    record = replace(model.config.training[0], groups=groups)
    text = card_text(replace(model.config, training=(record,)))
    rows = [line for line in text.splitlines() if line.startswith("| audio | mine, ")]
    assert [re.split(r"(?<!\\)\|", row)[3].strip() for row in rows] == [
        r"2: a\|b, c",
        "1,234",
        str(MOST_LISTED + 1),
    ]
    assert "learned from" not in card_text(model.config)


def test_figures_on_speakers_of_the_training_say_so(model: Model, measured: Evaluation) -> None:
    evaluation = figures_in(replace(measured, known_groups=("s1", "s2")).to_dict())
    text = card_text(model.config, CardFacts(evaluations=(evaluation,)))
    assert "learned from 2 of its speakers or sources, going by their names" in text
    old = {name: value for name, value in evaluation.items() if name != "known_groups"}
    assert "going by their names" not in card_text(model.config, CardFacts(evaluations=(old,)))


def test_splits_name_few_speakers_and_count_many(model: Model) -> None:
    text = card_text(model.config, CardFacts(splits=(splits_of(data()),)))
    rows = [line for line in text.splitlines() if line.startswith("| mine | t")]
    assert "| mine | train | 12 | 3: train:0, train:1, train:2 | high 6, low 6, other 0 |" in rows
    assert any(f"| {4 * MOST_LISTED + 4} | {MOST_LISTED + 1} |" in row for row in rows)


def test_corruptions_that_it_is_blind_to_stand_under_limits(model: Model) -> None:
    cells = [
        {"corruption": name, "severity": s, "accuracy": a, "coverage": c, "trusted_precision": a}
        for name, s, a, c in (("clean", 0, 0.9, 0.5), ("hum", 1, 0.8, 0.5), ("hum", 5, 0.2, 0.0))
    ]
    trend = {"uncertainty": "fell", "blind": True}
    found = {
        **{"name": "mine test", "modalities": "audio", "samples": 9, "cells": cells},
        "trends": {"hum": trend},
    }
    text = card_text(model.config, CardFacts(robustness=(trends_in(found),)))
    rows = table_under(text, "")
    assert rows["clean"] == ["0.900", "0.900", "0.500", ""]
    assert rows["hum, severity 5"] == ["0.200", "–", "0.000", "fell (blind)"]
    assert "**Blind to hum**" in text
    assert "were not measured: `ter-fast" not in text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a|b", "line\nbreak", "<script>", "#: 'x' \"y\"", "\x85", "名"])
def test_names_break_neither_tables_nor_metadata(
    model: Model, answers: Outcomes, name: str
) -> None:
    evaluation = measure(replace(answers, name=name), resamples=5, modalities="audio")
    text = card_text(model.config, CardFacts(evaluations=(figures_in(evaluation.to_dict()),)))
    [result] = {each.dataset_name for each in ModelCard(text).data.eval_results}
    assert result == f"{name} (audio)"
    assert "<script>" not in text.split("\n---\n", 1)[1]
    [row] = table_under(text, "data | clips").values()
    assert row[:2] == ["60", "6"]


def test_figures_without_a_value_are_dashes_and_no_metadata(
    model: Model, answers: Outcomes
) -> None:
    one = measure(answers.subset([0]), resamples=5, modalities="audio")
    text = card_text(model.config, CardFacts(evaluations=(figures_in(one.to_dict()),)))
    values = [result.metric_value for result in ModelCard(text).data.eval_results]
    assert values
    assert np.isfinite(values).all()
    assert "None" not in text
    assert "nan" not in text


@pytest.mark.parametrize("read", [figures_in, trends_in])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"{}", b"\xff\x00", None])
def test_files_that_hold_no_figures_are_named(
    tmp_path: Path, read: Any, content: bytes | None
) -> None:
    file = tmp_path / "x.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.json"):
        read(file)
    with pytest.raises(DataError, match="what was given holds no"):
        read({})


def test_from_training_to_card_and_back(tmp_path: Path) -> None:
    manifest = tone_corpus(tmp_path / "data", {"train": 3, "validation": 2, "test": 2})
    tones = load_dataset(str(manifest))
    model = tiny_model("audio", labels=tones.labels)
    model.calibrate(tones.split("validation"), progress=False)
    model.save_pretrained(tmp_path / "m")
    figures = model.evaluate(tones.split("test"), **QUIET)
    figures.to_json(tmp_path / "test.json")
    harm = model.evaluate_corrupted(tones.split("test"), "white_noise", severities=[5], **QUIET)
    card = write_card(tmp_path / "m", [tmp_path / "test.json"], [harm], [tones])
    text = card.read_text(encoding="utf-8")
    assert f"{model.config.thresholds['audio'].threshold:.3f}" in text
    assert str(figures.figures["accuracy"]) in text
    assert "white_noise, severity 5" in text
    assert sum(parameter.numel() for parameter in model.state_dict().values()) == int(
        table_under(text, "modality")["audio"][1].replace(",", "")
    )
    # Nothing of it need be given again, by another process either.
    Model.from_pretrained(tmp_path / "m").save_pretrained(tmp_path / "m")
    assert card.read_text(encoding="utf-8") == text
    assert write_card(tmp_path / "m", title="Tones").read_text(encoding="utf-8") != text
    assert yaml.safe_load(card.read_text(encoding="utf-8").split("---\n")[1])["model-index"]


def test_members_of_an_expert_are_named_and_what_they_share_is_said_once() -> None:
    member = tiny_model("audio")
    record = TrainingRecord(
        ("audio",), "mine", "CC0", {"train": 9, "validation": 3}, {"seed": 0}, {"train": ("anna",)}
    )
    other = replace(record, settings={"seed": 1})
    member.config = replace(member.config, training=(record,))
    second = tiny_model("audio")
    second.config = replace(second.config, training=(other,))
    card = card_text(Model.from_experts(audio=[member, second]).config)
    name = member.config.experts["audio"].encoder
    assert f"| audio | mean of `{name}`, `{name}` |" in card
    assert card.count("| audio | mine | 9 | 3 |") == 1
    assert card.count("anna") == 1
    assert card.count('{"seed": ') == 2
