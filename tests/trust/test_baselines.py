"""What a model has to be better than."""

from __future__ import annotations

import pytest

from ter_fast.trust.baselines import baselines_of
from ter_fast.trust.outcomes import Outcomes

LABELS = ("calm", "joy", "tense")


def answers(predicted: list[int], target: list[int]) -> Outcomes:
    probability = [[0.8 if k == said else 0.1 for k in range(3)] for said in predicted]
    return Outcomes.from_arrays(probability, target, labels=LABELS)


def test_chance_and_the_most_frequent_class() -> None:
    found = baselines_of(answers([0, 1, 1, 1], [0, 1, 1, 0]))
    assert (found.label, found.share, found.accuracy, found.beaten) == ("calm", 0.5, 0.75, True)
    assert found.chance == pytest.approx(1 / 3)
    assert found.constant_recall == 0.5
    assert found.never_predicted == ()


def test_a_constant_is_no_better_than_itself() -> None:
    found = baselines_of(answers([1, 1, 1, 1], [1, 1, 0, 2]))
    assert (found.label, found.share, found.accuracy, found.beaten) == ("joy", 0.5, 0.5, False)
    assert found.never_predicted == ("calm", "tense")


def test_clips_of_one_class_have_nothing_to_beat() -> None:
    assert baselines_of(answers([1, 0], [1, 1])).beaten
