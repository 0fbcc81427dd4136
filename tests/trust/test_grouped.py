"""`sweep_by` against `sweep` on each group alone, to the bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.trust.thresholds import (
    Criterion,
    GroupedScores,
    GroupedSweep,
    Sweep,
    TrustedScores,
    sweep,
    sweep_by,
)

CRITERIA: tuple[Criterion, ...] = ("balance", "f1", "accuracy")
AREAS = ("aurc", "e_aurc", "augrc", "failure_auroc", "fpr95", "accept_all_f1")
LEVELS = (0.0, 0.2, 1 / 3, 0.5, 0.95, 1.0)

Samples = tuple[NDArray[Any], NDArray[np.bool_], NDArray[Any]]

relaxed = settings(deadline=None, max_examples=60)


@st.composite
def samples(draw: st.DrawFn, low: float = 0.0) -> Samples:
    """Draw confidences of either width, full of ties, in one to nine groups."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    value = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan]), st.floats(low, 1.0))
    size = draw(st.integers(0, 60))
    # A long tie takes the closed form.
    repeat = draw(st.sampled_from([1, 1, 50]))

    def listed(one: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(one, min_size=size, max_size=size))

    groups = np.array(listed(st.integers(-3, draw(st.integers(-3, 5)))), np.int64)
    confidence = np.array(listed(value), np.float64).astype(dtype)
    flags = np.array(listed(st.booleans()), np.bool_)
    return np.repeat(confidence, repeat), np.repeat(flags, repeat), np.repeat(groups, repeat)


def assert_same_bits(actual: Any, expected: Any) -> None:
    """Compare numbers, NaN equal to NaN."""
    np.testing.assert_array_equal(np.asarray(actual, float), np.asarray(expected, float))


def assert_is_each_group(curves: GroupedSweep, data: Samples) -> None:
    confidence, correct, groups = data
    assert list(curves) == sorted(set(groups.tolist()))
    alone = [sweep(confidence[groups == name], correct[groups == name]) for name in curves]
    for one, name in zip(alone, curves, strict=True):
        mine = curves[name]
        assert (mine.n, mine.n_correct, mine.nan_count) == (one.n, one.n_correct, one.nan_count)
        assert mine.threshold.dtype == one.threshold.dtype
        np.testing.assert_array_equal(mine.threshold, one.threshold)
        np.testing.assert_array_equal(mine.accepted, one.accepted)
        np.testing.assert_array_equal(mine.accepted_correct, one.accepted_correct)
    for area in AREAS:
        assert_same_bits(getattr(curves, area), [getattr(one, area) for one in alone])
    for criterion in CRITERIA:
        assert_same_scores(curves.best(criterion), [one.best(criterion) for one in alone], alone)
    for level in LEVELS:
        found = [one.at_precision(level) for one in alone]
        assert_same_scores(curves.at_precision(level), found, alone)
        found = [one.at_coverage(level) for one in alone]
        assert_same_scores(curves.at_coverage(level), found, alone)
        covered = [one.coverage_at_risk(level) for one in alone]
        assert_same_bits(curves.coverage_at_risk(level), covered)
        risks = [one.risk_at_coverage(level) for one in alone]
        assert_same_bits(curves.risk_at_coverage(level), risks)


def assert_same_scores(
    scores: GroupedScores, expected: Sequence[TrustedScores | None], alone: Sequence[Sweep]
) -> None:
    """Compare with what each group's own sweep answers; nothing is accepted where that is None."""
    listed = [best or one.at(math.inf) for best, one in zip(expected, alone, strict=True)]
    for field in fields(TrustedScores):
        assert_same_bits(
            getattr(scores, field.name), [getattr(best, field.name) for best in listed]
        )


@pytest.mark.slow
@relaxed
@given(samples())
def test_every_group_is_swept_as_if_alone(data: Samples) -> None:
    assert_is_each_group(sweep_by(*data), data)


@pytest.mark.slow
@relaxed
@given(samples(low=-1.0))
def test_confidences_of_any_sign(data: Samples) -> None:
    assert_is_each_group(sweep_by(*data), data)


@pytest.mark.slow
@relaxed
@given(samples(), st.lists(st.floats(-0.5, 1.5), min_size=9, max_size=9))
def test_at_one_threshold_and_at_one_for_each_group(data: Samples, thresholds: list[float]) -> None:
    confidence, correct, groups = data
    curves = sweep_by(*data)
    each = np.array(thresholds[: len(curves)])
    for given_, listed in ((each, each.tolist()), (thresholds[0], [thresholds[0]] * len(curves))):
        scores = curves.at(given_)
        for place, (name, t) in enumerate(zip(curves, listed, strict=True)):
            alone = sweep(confidence[groups == name], correct[groups == name]).at(t)
            for field in fields(TrustedScores):
                assert_same_bits(getattr(scores, field.name)[place], getattr(alone, field.name))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_group_beside_small_ones(dtype: type[np.floating[Any]]) -> None:
    """Radix sort, insertion sort, and sums in blocks, against one group at a time."""
    generator = np.random.default_rng(3)
    confidence = generator.random(120_000).astype(dtype)
    confidence[::997] = np.nan
    correct = generator.random(confidence.size) < 0.7
    groups = np.minimum(generator.geometric(0.6, confidence.size), 12)
    data = confidence, correct, groups
    assert_is_each_group(sweep_by(*data), data)


def test_a_hundred_thousand_groups_of_ten() -> None:
    generator = np.random.default_rng(0)
    groups = generator.permutation(np.repeat(np.arange(100_000), 10))
    confidence = generator.random(groups.size).astype(np.float32)
    correct = generator.random(groups.size) < confidence
    curves = sweep_by(confidence, correct, groups)
    scores = curves.at(0.5)
    trusted = confidence >= 0.5
    np.testing.assert_array_equal(scores.accepted, np.bincount(groups[trusted], minlength=100_000))
    np.testing.assert_array_equal(
        scores.accepted_correct, np.bincount(groups[trusted & correct], minlength=100_000)
    )
    aurc, balance = curves.aurc, curves.best().threshold
    for name in range(0, 100_000, 9_999):
        alone = sweep(confidence[groups == name], correct[groups == name])
        best = alone.best()
        assert aurc[name] == alone.aurc
        assert balance[name] == (math.inf if best is None else best.threshold)


def test_best_can_be_applied_again() -> None:
    curves = sweep_by([0.9, 0.8, 0.7, 0.6], [1, 0, 0, 0], ["a", "a", "b", "b"])
    best = curves.best()
    assert best.threshold.tolist() == [0.9, math.inf]
    assert best.accepted.tolist() == curves.at(best.threshold).accepted.tolist() == [1, 0]
    assert best.precision.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("groups", "names"),
    [
        (["m", "f", "m"], ["f", "m"]),
        (np.array(["m", "f", "m"]), ["f", "m"]),
        (np.array(["m", "f", "m"], object), ["f", "m"]),
        (pd.Series(["m", "f", "m"]), ["f", "m"]),
        (pd.Series(["m", "f", "m"], dtype="category"), ["f", "m"]),
        ((7, -2, 7), [-2, 7]),
        (torch.tensor([7, -2, 7]), [-2, 7]),
        (np.array([7, 2, 7], np.uint8), [2, 7]),
        (np.array([2**63 - 1, -(2**63), 2**63 - 1]), [-(2**63), 2**63 - 1]),
        (np.array([2**64 - 1, 2, 2**64 - 1], np.uint64), [2, 2**64 - 1]),
        ([True, False, True], [False, True]),
    ],
)
def test_names_and_integers_of_every_kind(groups: Any, names: list[Any]) -> None:
    curves = sweep_by([0.9, 0.8, 0.4], [True, False, True], groups)
    assert list(curves) == names
    assert len(curves) == 2
    assert names[0] in curves
    assert "nobody" not in curves
    assert [curve.threshold.tolist() for curve in curves.values()] == [[0.8], [0.4, 0.9]]
    assert curves.names.dtype.kind != "O"


def test_a_group_shares_memory_with_all() -> None:
    curves = sweep_by([0.9, 0.8, 0.4], [True, False, True], ["m", "f", "m"])
    assert np.shares_memory(curves["m"].threshold, curves.threshold)
    with pytest.raises(KeyError, match="x"):
        curves["x"]


def test_no_samples() -> None:
    curves = sweep_by([], [], [])
    assert len(curves) == 0
    assert curves.at(0.5).precision.shape == curves.best().f1.shape == curves.aurc.shape == (0,)
    assert repr(curves) == "GroupedSweep(0 groups, 0 samples)"


def test_a_group_of_nothing_but_nan() -> None:
    curves = sweep_by([math.nan, 0.5, math.nan], [True, True, False], ["a", "b", "a"])
    assert curves.nan_count.tolist() == [2, 0]
    assert curves.best().threshold.tolist() == [math.inf, 0.5]
    assert curves.at(-math.inf).accepted.tolist() == [0, 1]
    assert_same_bits(curves.fpr95, [1.0, math.nan])


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["a"], "2 confidences but 1 groups"),
        ([["a", "b"]], r"groups has shape \(1, 2\)"),
        (["a", None], r'groups holds NoneType, str; .*"unknown"'),
        (["a", math.nan], "groups holds float, str"),
        (["a", 1], "groups holds int, str"),
        (np.array(["a", None], object), "groups holds NoneType, str"),
        (pd.Series(["a", None]), "groups holds .*str"),
        ([0.5, 1.0], "groups has dtype float64"),
        (np.array([b"a", b"b"]), "groups has dtype |S1"),
    ],
)
def test_bad_groups_are_named(groups: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        sweep_by([0.1, 0.2], [True, False], groups)


def test_bad_samples_are_named_as_in_sweep() -> None:
    with pytest.raises(DataError, match="2 confidences but 1 correct flags"):
        sweep_by([0.1, 0.2], [True], [0, 1])
    with pytest.raises(DataError, match="infinite confidence"):
        sweep_by([0.1, math.inf], [True, False], [0, 1])


def test_bad_questions_are_named() -> None:
    curves = sweep_by([0.1, 0.2, 0.3], [True, False, True], [0, 1, 2])
    with pytest.raises(DataError, match="threshold is NaN"):
        curves.at([0.1, math.nan, 0.2])
    with pytest.raises(DataError, match=r"threshold has shape \(2,\); .* 3 groups"):
        curves.at([0.1, 0.2])
    with pytest.raises(DataError, match="balance, f1, accuracy"):
        curves.best("recall")  # type: ignore[arg-type]
    for ask in (
        curves.at_precision,
        curves.at_coverage,
        curves.coverage_at_risk,
        curves.risk_at_coverage,
    ):
        with pytest.raises(DataError, match=r"is 1\.5; give a fraction in \[0, 1\]"):
            ask(1.5)


def test_one_is_equal_to_itself_and_can_be_a_key() -> None:
    first, second = (sweep_by([0.9, 0.4], [1, 0], ["a", "b"]) for _ in range(2))
    assert first == first  # noqa: PLR0124
    assert len({first, second}) == 2
