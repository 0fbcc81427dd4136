"""A model's configuration survives JSON, and says what is wrong with one that does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ter_fast import ExpertConfig, ModelConfig, ModelError, TrustedThreshold, VideoInput
from ter_fast.experts.config import TrainingRecord

LABELS = ("anger", "neutral")


def config(**changes: Any) -> ModelConfig:
    values: dict[str, Any] = {
        "labels": LABELS,
        "experts": {
            "audio": ExpertConfig("logmel_cnn", {"widths": [4, 6, 8, 16]}, LABELS, 1.5),
            "video": ExpertConfig("frame_cnn", {"channels": 3}, ("neutral",)),
        },
        "video": VideoInput(8, 32, 3, "whole"),
        "rule": "weighted",
        "activation": "exp",
        "confidence": "margin",
        "disagreement_limit": 0.3,
        "window_seconds": 4.0,
        "thresholds": {
            "audio": TrustedThreshold(0.25, "f1", "corpus validation", 12, "", {"f1": 0.9}),
            "audio+video": TrustedThreshold(0.5, "balance", "a with b", 9, "label-matched"),
            "video": TrustedThreshold(
                0.75,
                "risk=0.1",
                "corpus validation",
                400,
                "",
                {"f1": 0.5},
                "for new speakers, …",
                {"risk": 0.1, "unit": "groups", "groups": 40, "bound": 0.0625},
                {"margin": 0.25, "max_belief": 0.125},
            ),
        },
        "training": (
            TrainingRecord(("audio",), "corpus", "CC0", {"train": 3}, {"epochs": 2}),
            TrainingRecord(("video",), "faces", "research use", {"train": 4}, {}),
            TrainingRecord(
                ("video",),
                "faces",
                "research use",
                {"train": 5},
                {},
                {"train": ("a", "b"), "validation": 300},
            ),
        ),
    }
    return ModelConfig(**{**values, **changes})


@pytest.mark.parametrize(
    "changes", [{}, {"disagreement_limit": None, "thresholds": {}, "training": ()}]
)
def test_json_round_trip(changes: dict[str, Any]) -> None:
    first = config(**changes)
    values = json.loads(first.to_json(weights_sha256="0123"))
    assert values["weights_sha256"] == "0123"
    assert ModelConfig.from_dict(values) == first


def test_a_model_of_sound_alone_has_no_video_entry() -> None:
    first = ModelConfig(LABELS, {"audio": ExpertConfig("logmel_cnn", {}, LABELS)})
    assert ModelConfig.from_dict(json.loads(first.to_json())) == first


def test_entries_with_a_default_may_be_left_out() -> None:
    experts = {"audio": {"encoder": "logmel_cnn", "options": {}, "labels": list(LABELS)}}
    found = ModelConfig.from_dict({"labels": list(LABELS), "experts": experts})
    assert (found.rule, found.activation) == ("dempster", "softplus")
    assert found.confidence == "one_minus_vacuity"
    assert found.experts["audio"].evidence_scale == 1.0


def test_terms_are_named_once_and_thresholds_are_replaced_by_name() -> None:
    first = config()
    assert first.terms == ("CC0", "research use")
    assert first.modalities == ("audio", "video")
    second = first.with_thresholds({"audio": TrustedThreshold(0.9, "f1", "other", 3)})
    assert second.thresholds["audio"].threshold == 0.9
    assert second.thresholds["audio+video"] == first.thresholds["audio+video"]
    assert first.thresholds["audio"].threshold == 0.25


def test_a_record_without_a_guarantee_is_read_as_before() -> None:
    values = json.loads(config().to_json())
    for record in values["thresholds"].values():
        for name in ("guarantee_text", "guarantee", "aurc_by_confidence"):
            del record[name]
    found = ModelConfig.from_dict(values).thresholds["audio"]
    assert found == config().thresholds["audio"]
    assert (found.guarantee_text, found.guarantee, found.best_confidence) == ("", {}, "")


def test_the_best_confidence_is_the_one_of_the_lowest_area() -> None:
    record = config().thresholds["video"]
    assert record.best_confidence == "max_belief"
    areas = {"margin": float("nan"), "max_belief": 0.5}
    assert replace(record, aurc_by_confidence=areas).best_confidence == "max_belief"


def without(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        for name in path[:-1]:
            values = values[name]
        del values[path[-1]]

    return change


def put(value: Any, *path: str | int) -> Callable[[dict[str, Any]], None]:
    def change(values: Any) -> None:
        for name in path[:-1]:
            values = values[name]
        values[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("labels"), "the entry 'labels' is missing"),
        (without("experts"), "the entry 'experts' is missing"),
        (without("experts", "audio", "labels"), "the entry 'labels' is missing"),
        (without("experts", "audio", "encoder"), "encoder"),
        (without("thresholds", "audio", "threshold"), "threshold"),
        (put(1, "experts", "audio", "scale"), "unknown entries in ExpertConfig: scale"),
        (put(1, "video", "fps"), "unknown entries in VideoInput: fps"),
        (put(1, "thresholds", "audio", "x"), "unknown entries in TrustedThreshold: x"),
        (put(1, "training", 0, "x"), "unknown entries in TrainingRecord: x"),
        (put("anna", "training", 2, "groups", "train"), "wrong form"),
        (put([1], "training", 2, "groups", "train"), "wrong form"),
        (put(["anna"], "training", 2, "groups"), "wrong form"),
        (put("cumulative", "fusion"), "unknown entries in ModelConfig: fusion"),
        (put(None, "labels"), "wrong form"),
        (put("ab", "labels"), "wrong form"),
        (put(["a"], "labels"), "at least two different class names"),
        (put([1, 2], "labels"), "wrong form"),
        (put({}, "experts"), "at least one modality"),
        (put([], "experts"), "wrong form"),
        (put(["smell"], "experts", "video", "labels"), "'video' knows classes that the model lacks: smell"),
        (put("loud", "experts", "audio", "evidence_scale"), "wrong form"),
        (put(None, "video"), "needs `video`"),
        (put("big", "video", "size"), "wrong form"),
        (put(8, "video", "size"), "16 pixels"),
        (put("ears", "video", "faces"), "faces is 'ears'; expected one of detect, whole"),
        (put("yager", "rule"), "rule is 'yager'; expected one of dempster"),
        (put("sigmoid", "activation"), "activation is 'sigmoid'"),
        (put("guess", "confidence"), "confidence is 'guess'"),
        (put("high", "thresholds", "audio", "threshold"), "wrong form"),
        (put("long", "window_seconds"), "wrong form"),
        (put(0, "window_seconds"), "window_seconds is 0.*expected seconds above 0"),
        (put("much", "disagreement_limit"), "wrong form"),
        (put(99, "ter_fast"), "format 99"),
    ],
)  # fmt: skip
def test_entries_that_are_missing_unknown_or_wrong(
    change: Callable[[dict[str, Any]], None], message: str
) -> None:
    values = json.loads(config().to_json())
    change(values)
    with pytest.raises(ModelError, match=message):
        ModelConfig.from_dict(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frames": 0}, "frames=0"),
        ({"size": 15}, "size=15"),
        ({"channels": 2}, "channels=2"),
        ({"faces": "no"}, "faces is 'no'"),
    ],
)
def test_pictures_that_cannot_be_taken_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        VideoInput(**values)
