"""`Outcomes`: any classifier's answers, and what bad ones are told."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ter_fast import DataError
from ter_fast.trust.outcomes import ModalityOutcomes, Outcomes
from ter_fast.trust.thresholds import sweep

PROBABILITY = [[0.8, 0.2], [0.4, 0.6], [0.5, 0.5]]
TARGET = [0, 0, 1]


def answers(**options: Any) -> Outcomes:
    return Outcomes.from_arrays(PROBABILITY, TARGET, **options)


def test_answers_of_any_classifier() -> None:
    found = answers(threshold=0.55, labels=["calm", "tense"], groups=[7, 7, 8], name="mine")
    assert len(found) == 3
    assert found.prediction.tolist() == [0, 1, 0]
    assert found.correct.tolist() == [True, False, False]
    assert found.confidence.tolist() == [0.8, 0.6, 0.5]
    assert found.trusted is not None
    assert found.trusted.tolist() == [True, True, False]
    assert (found.groups, found.paths) == (("7", "7", "8"), ("0", "1", "2"))
    assert found.confidence_kind == "max_probability"
    assert list(found.confidences) == ["max_probability"]


def test_a_confidence_of_ones_own() -> None:
    found = answers(confidence=[0, 1, 1], threshold=1)
    assert found.confidence.dtype == np.float64
    assert found.confidence_kind == "confidence"
    assert found.trusted is not None
    assert found.trusted.tolist() == [False, True, True]
    single = answers(confidence=np.array([0.5, 0.25, 1], np.float32))
    assert single.confidence.dtype == np.float32
    assert single.trusted is None


def test_nan_is_never_trusted() -> None:
    found = Outcomes.from_arrays([[math.nan, math.nan], [0.3, 0.7]], [0, 1], threshold=0.0)
    assert found.trusted is not None
    assert found.trusted.tolist() == [False, True]
    assert found.prediction.tolist() == [0, 1]
    assert math.isnan(found.confidence[0])


def test_what_is_missing_of_an_attribute_is_empty() -> None:
    missing = {"sex": [None, "f", "nan"], "age": np.array([math.nan, 31, 32], np.float32)}
    found = answers(attributes=missing, groups=torch.tensor([7, 7, 8]))
    assert found.attributes == {"sex": ("", "f", "nan"), "age": ("", "31.0", "32.0")}
    assert found.groups == ("7", "7", "8")


def test_an_attribute_may_have_the_name_of_a_column() -> None:
    found = answers(groups=list("abb"), paths=list("xyz"), attributes={"groups": [1, 2, 3]})
    assert found.groups == ("a", "b", "b")
    assert found.attributes == {"groups": ("1", "2", "3")}


def test_confidences_are_compared_as_the_sweep_compares() -> None:
    found = answers(confidence=np.full(3, 0.7, np.float32), threshold=0.7)
    assert found.trusted is not None
    assert found.trusted.sum() == sweep(found.confidence, found.correct).at(0.7).accepted == 0


def test_a_class_without_a_probability_is_not_predicted() -> None:
    assert Outcomes.from_arrays([[math.nan, 0.3]], [0]).prediction.tolist() == [1]


def test_a_threshold_is_a_plain_number() -> None:
    threshold = answers(threshold=np.float32(0.5)).threshold  # type: ignore[arg-type]
    assert type(threshold) is float


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": [0.1, 0.2]}, "confidence has 2 entries for 3 samples"),
        ({"confidence": [[0.1, 0.2, 0.3]]}, "confidence has shape"),
        ({"confidence": ["a", "b", "c"]}, "confidence has dtype"),
        ({"groups": ["x"]}, "groups has 1 entries for 3 samples"),
        ({"paths": ["x"]}, "paths has 1 entries"),
        ({"attributes": {"sex": ["f"]}}, "sex has 1 entries"),
        ({"threshold": math.nan}, "threshold is NaN"),
        ({"groups": ["x", None, "y"]}, "groups holds None or NaN"),
        ({"groups": np.array([1, math.nan, 2])}, "groups holds None or NaN"),
        ({"labels": ["one"]}, "give 2 different names"),
        ({"labels": ["one", "one"]}, "give 2 different names"),
    ],
)
def test_columns_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        answers(**options)


@pytest.mark.parametrize(
    ("probability", "target", "message"),
    [
        (np.empty((0, 2)), [], "there are no samples"),
        ([[0.5, 0.5]], [0, 1], "for 2 targets"),
        ([[0.5, 0.5]], [2], "label 2"),
        ([[0.5, 0.5]], [-1], "label -1"),
        ([[3.0, 1.0]], [0], "not a distribution"),
        ([[0.55, 0.5]], [0], "not a distribution"),
        (np.array([[None, 1.0]]), [0], "dtype object"),
    ],
)
def test_answers_that_are_none(probability: Any, target: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Outcomes.from_arrays(probability, target)


def with_views() -> Outcomes:
    belief = np.array([[0.6, 0.1], [0.2, 0.5], [np.nan, np.nan]])
    views = {"audio": ModalityOutcomes(belief, 1 - belief.sum(axis=1))}
    plain = answers(threshold=0.5, attributes={"sex": ["f", "m", "f"]}, groups=list("xyz"))
    return Outcomes(
        **{name: getattr(plain, name) for name in plain.__dataclass_fields__}
        | {
            "modalities": views,
            "uncertainty": np.array([0.3, 0.3, 1.0]),
            "disagreement": np.array([0.1, 0.9, 0.2]),
            "disagreement_limit": 0.5,
        }
    )


def test_disagreement_forbids_trust_at_any_threshold() -> None:
    found = with_views()
    np.testing.assert_array_equal(found.ranked, [0.8, np.nan, 0.5])
    assert found.trusted is not None
    assert found.trusted.tolist() == [True, False, True]


def test_a_missing_modality_predicts_nothing() -> None:
    assert with_views().modalities["audio"].prediction.tolist() == [0, 1, -1]


def test_rows_hold_what_the_arrays_hold() -> None:
    first, second, third = with_views().rows()
    assert first == {
        "path": "0", "group": "x", "target": "0", "label": "0", "correct": True, "confidence": 0.8,
        "trusted": True, "uncertainty": 0.3, "disagreement": 0.1, "p_0": 0.8, "p_1": 0.2,
        "audio_label": "0", "audio_uncertainty": pytest.approx(0.3), "sex": "f",
    }  # fmt: skip
    assert (second["correct"], second["trusted"]) == (False, False)
    assert third["audio_label"] == ""
    assert all(row["trusted"] is None for row in answers().rows())


def test_a_subset_keeps_every_column_in_step() -> None:
    whole = with_views()
    part = whole.subset([2, 0])
    assert part.rows()[1] == whole.rows()[0]
    assert part.rows()[0]["path"] == "2"
    assert whole.subset(np.array([True, False, False])).rows() == whole.rows()[:1]


def test_rows_of_many_clips_take_no_time() -> None:
    generator = np.random.default_rng(0)
    probability = generator.dirichlet([1, 1], 20_000)
    belief = probability * 0.8
    plain = Outcomes.from_arrays(probability, [0] * 20_000)
    views = {name: ModalityOutcomes(belief, 1 - belief.sum(1)) for name in ("audio", "video")}
    start = time.perf_counter()
    rows = replace(plain, modalities=views).rows()
    assert len(rows) == 20_000
    # Half a minute where anything is worked out again for each clip.
    assert time.perf_counter() - start < 10


def test_an_attribute_does_not_take_a_columns_name() -> None:
    row = answers(attributes={"label": ["x", "y", "z"], "sex": ["f", "f", "m"]}).rows()[0]
    assert (row["label"], row["attribute_label"], row["sex"]) == ("0", "x", "f")
