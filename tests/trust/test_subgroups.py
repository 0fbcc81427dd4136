"""Trust by class and by group against the same figures on the rows of each group."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ter_fast import DataError
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.results import estimates_of
from ter_fast.trust.subgroups import MOST_GROUPS, by_subgroup


def made(n: int = 240, groups: int = 8, seed: int = 0) -> Outcomes:
    generator = np.random.default_rng(seed)
    probability = generator.dirichlet([1, 1, 1], n)
    target = np.where(generator.random(n) < 0.6, probability.argmax(1), generator.integers(0, 3, n))
    speaker = np.arange(n) % groups
    return Outcomes.from_arrays(
        probability,
        target,
        threshold=0.6,
        labels=("calm", "angry", "sad"),
        groups=[f"s{each}" for each in speaker],
        attributes={
            "sex": np.where(speaker % 2 == 0, "female", "male").tolist(),
            "age": [
                ("", "22", "29", "30", "44.5", "60", "71", "old")[each % 8] for each in speaker
            ],
            "take": [str(each % 2) for each in range(n)],
            "corpus": ["one"] * n,
        },
    )


def test_figures_are_those_of_the_groups_own_rows() -> None:
    answers = made()
    found = by_subgroup(answers, None, 20, 0)
    assert list(found) == ["class", "predicted class", "sex", "age", "group"]
    rows = np.array(answers.attributes["sex"]) == "female"
    part, row = estimates_of(answers.subset(rows), 20, 0), found["sex"]["female"]
    assert (row.samples, row.groups) == (rows.sum(), 4)
    for name, figure in row.figures.items():
        assert figure == part[name]
    right = answers.correct[rows] & (answers.confidence[rows] >= 0.6)
    accepted = answers.confidence[rows] >= 0.6
    assert row.figures["trusted_precision"].value == right.sum() / accepted.sum()
    assert row.figures["coverage"].value == accepted.mean()


def test_classes_come_in_the_models_order_and_their_accuracy_is_recall() -> None:
    answers = made()
    found = by_subgroup(answers, None, 5, 0)["class"]
    assert list(found) == ["calm", "angry", "sad"]
    for k, (name, row) in enumerate(found.items()):
        of_class = answers.target == k
        assert row.samples == of_class.sum(), name
        assert row.figures["accuracy"].value == (answers.prediction[of_class] == k).mean()


def test_ages_become_bands() -> None:
    found = by_subgroup(made(), None, 5, 0)["age"]
    assert {name: row.samples for name, row in found.items()} == {
        "unknown": 30, "0 to 29": 60, "30 to 44": 60, "60 and over": 60, "old": 30,
    }  # fmt: skip


def test_what_to_break_down_by_may_be_said() -> None:
    found = by_subgroup(made(), ["take"], 5, 0)
    assert list(found) == ["class", "predicted class", "take", "group"]
    with pytest.raises(
        DataError, match="no clip has the attribute mood; these are known: sex, age"
    ):
        by_subgroup(made(), ["mood"], 5, 0)


def test_too_many_groups_are_no_table() -> None:
    assert "group" not in by_subgroup(made(groups=MOST_GROUPS + 1), [], 5, 0)
    assert len(by_subgroup(made(groups=MOST_GROUPS), [], 5, 0)["group"]) == MOST_GROUPS
    assert "group" not in by_subgroup(made(n=20, groups=20), [], 5, 0)


def test_one_group_has_figures_and_no_interval() -> None:
    found = by_subgroup(made(), [], 5, 0)["group"]["s3"]
    figure = found.figures["accuracy"]
    assert found.groups == 1
    assert 0 < figure.value < 1
    assert math.isnan(figure.low)
    assert math.isnan(figure.high)


def test_empty_and_unknown_are_one_group() -> None:
    answers = Outcomes.from_arrays(
        [[0.8, 0.2]] * 6, [0, 1] * 3, attributes={"sex": ["", "unknown", "f"] * 2}
    )
    found = by_subgroup(answers, None, 5, 0)["sex"]
    assert {name: row.samples for name, row in found.items()} == {"unknown": 4, "f": 2}


@pytest.mark.parametrize("name", ["class", "predicted class", "group"])
def test_an_attribute_does_not_replace_a_table(name: str) -> None:
    answers = Outcomes.from_arrays(
        [[0.8, 0.2]] * 6, [0, 1] * 3, groups=[0, 1, 2] * 2, attributes={name: list("ab") * 3}
    )
    with pytest.raises(DataError, match=f"attribute {name} has the name"):
        by_subgroup(answers, [name], 5, 0)
