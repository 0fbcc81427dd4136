"""Conformal prediction sets: the coverage over repeated draws, the definition, MAPIE's result, and bad input."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.trust.conformal import ConformalSets
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.results import differences, estimates_of
from ter_fast.trust.subgroups import by_subgroup

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def draw(n: int, k: int, seed: int, sharpness: float = 1.0) -> tuple[Floats, Labels]:
    """Draw labels from known probabilities, and show those of a model that sharpens them."""
    generator = np.random.default_rng(seed)
    truth = generator.dirichlet(np.full(k, 0.6), n).clip(1e-9)
    truth /= truth.sum(axis=1, keepdims=True)
    target = (truth.cumsum(axis=1) > generator.random((n, 1))).argmax(axis=1)
    shown = truth**sharpness
    return shown / shown.sum(axis=1, keepdims=True), target


@pytest.mark.slow
@pytest.mark.parametrize("sharpness", [1.0, 4.0])
@pytest.mark.parametrize("k", [2, 5, 8])
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.5])
def test_coverage_is_kept_over_repeated_draws(alpha: float, k: int, sharpness: float) -> None:
    size, draws = 150, 120
    found = []
    for seed in range(draws):
        probability, target = draw(size + 300, k, seed, sharpness)
        sets = ConformalSets.fit(probability[:size], target[:size], alpha)
        found.append(sets.coverage(probability[size:], target[size:]))
    error = float(np.std(found, ddof=1)) / math.sqrt(draws)
    # With scores that never tie, split conformal prediction is exact to 1 / (n + 1).
    assert 1 - alpha - 3 * error <= np.mean(found) <= 1 - alpha + 1 / (size + 1) + 3 * error


@pytest.mark.slow
@pytest.mark.parametrize("by_clip", [True, False])
def test_windows_are_covered_where_each_clip_counts_alike(by_clip: bool) -> None:
    """Windows of one clip are alike, and clips that are hard are short: counting windows covers too little."""
    found = []
    for seed in range(300):
        generator = np.random.default_rng(seed)
        hard = generator.random(140) < 0.3
        length = np.where(hard, 1, 12)
        owner = np.repeat(np.arange(140), length)
        sure = np.repeat(
            np.where(hard, generator.uniform(0, 0.5, 140), generator.uniform(0.5, 1, 140)), length
        )
        probability = np.stack([sure, 1 - sure], 1)
        first = owner < 40
        sets = ConformalSets.fit(
            probability[first],
            np.zeros(first.sum(), int),
            0.2,
            groups=owner[first] if by_clip else None,
        )
        hit = sets.predict(probability)[:, 0]
        # Of each further clip, the share of its windows whose set holds the label.
        found.append(np.mean([hit[owner == clip].mean() for clip in range(40, 140)]))
    error = float(np.std(found, ddof=1)) / math.sqrt(len(found))
    assert (np.mean(found) >= 0.8 - 3 * error) == by_clip


def test_groups_of_one_are_no_groups() -> None:
    probability, target = draw(200, 4, 0)
    alone = ConformalSets.fit(probability, target, 0.2)
    named = ConformalSets.fit(probability, target, 0.2, groups=[f"clip {i}" for i in range(200)])
    assert named == alone
    assert (alone.samples, alone.groups) == (200, 200)
    halves = ConformalSets.fit(probability, target, 0.2, groups=np.arange(200) // 2)
    assert (halves.samples, halves.groups) == (200, 100)
    assert "windows of clips" in halves.guarantee
    with pytest.raises(DataError, match=r"3 calibration groups .* at least 4"):
        ConformalSets.fit(probability, target, 0.2, groups=np.arange(200) % 3)


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.3, 0.7])
@pytest.mark.parametrize("n", [99, 100, 237])
def test_the_quantile_is_its_definition(n: int, alpha: float) -> None:
    probability, target = draw(n, 4, n)
    scores = np.sort(1 - probability[np.arange(n), target])
    rank = math.ceil(round((n + 1) * (1 - alpha), 9))
    sets = ConformalSets.fit(probability, target, alpha)
    assert sets.quantile == scores[rank - 1]
    fresh = draw(500, 4, 1)[0]
    np.testing.assert_array_equal(sets.predict(fresh), 1 - fresh <= sets.quantile + 1e-6)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("k", [2, 3, 7])
def test_mapie_finds_the_same_sets(k: int, alpha: float) -> None:
    classification = pytest.importorskip("mapie.classification", reason="needs ter_fast[test]")

    class Shown:
        """A fitted classifier whose inputs are its probabilities."""

        classes_ = np.arange(k)

        def fit(self, x: Floats, y: Labels) -> Shown:
            return self

        def predict_proba(self, x: Floats) -> Floats:
            return x

        def predict(self, x: Floats) -> NDArray[np.intp]:
            return np.asarray(x.argmax(axis=1))

    probability, target = draw(700, k, k)
    theirs = classification.SplitConformalClassifier(
        Shown(), 1 - alpha, "lac", prefit=True
    ).conformalize(probability[:200], target[:200])
    ours = ConformalSets.fit(probability[:200], target[:200], alpha)
    np.testing.assert_array_equal(
        ours.predict(probability[200:]), theirs.predict_set(probability[200:])[1][:, :, 0]
    )


def test_the_smallest_number_of_samples_is_taken_and_one_less_is_refused() -> None:
    probability, target = draw(99, 3, 0)
    for alpha, needed in ((0.1, 9), (0.05, 19), (0.01, 99), (0.3, 3), (0.9, 1)):
        sets = ConformalSets.fit(probability[:needed], target[:needed], alpha)
        assert sets.samples == needed
        with pytest.raises(DataError, match=f"{needed - 1} calibration .* at least {needed}, or"):
            ConformalSets.fit(probability[: needed - 1], target[: needed - 1], alpha)


def test_more_coverage_takes_larger_sets() -> None:
    probability, target = draw(600, 5, 3)
    sizes = [
        ConformalSets.fit(probability, target, alpha).mean_size(probability)
        for alpha in (0.4, 0.2, 0.05)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_a_set_may_be_empty() -> None:
    generator = np.random.default_rng(0)
    target = generator.integers(0, 4, 400)
    probability = np.full((400, 4), 0.02)
    probability[np.arange(400), target] = 0.94
    unsure = [[0.25, 0.25, 0.25, 0.25]]
    sets = ConformalSets.fit(probability, target)
    assert sets.predict(unsure).sum() == 0
    assert sets.mean_size(unsure) == 0
    assert sets.coverage(unsure, [0]) == 0


def test_nan_rows_are_left_out_and_answered_with_every_class() -> None:
    probability, target = draw(300, 3, 4)
    spoilt = probability.copy()
    spoilt[::3] = math.nan
    kept = np.arange(300) % 3 > 0
    sets = ConformalSets.fit(spoilt, target, 0.2)
    assert sets == ConformalSets.fit(probability[kept], target[kept], 0.2)
    assert sets.samples == 200
    answer = sets.predict(spoilt)
    assert answer[~kept].all()
    np.testing.assert_array_equal(answer[kept], sets.predict(probability[kept]))
    with pytest.raises(DataError, match="0 calibration samples"):
        ConformalSets.fit(np.full((300, 3), math.nan), target)


def test_no_samples_to_predict_give_no_sets_and_nan() -> None:
    sets = ConformalSets.fit(*draw(200, 3, 5), 0.2)
    assert sets.predict(np.empty((0, 3))).shape == (0, 3)
    assert math.isnan(sets.coverage(np.empty((0, 3)), []))
    assert math.isnan(sets.mean_size(np.empty((0, 3))))


def test_ties_give_every_class_also_in_single_precision() -> None:
    target = np.arange(300) % 3
    constant = np.full((300, 3), 1 / 3)
    sets = ConformalSets.fit(constant, target)
    for shown in (constant, constant.astype(np.float32), torch.full((300, 3), 1 / 3)):
        assert sets.coverage(shown, target) == 1
        assert sets.mean_size(shown) == 3


def test_tensors_and_half_precision_are_welcome() -> None:
    values, labels = draw(300, 4, 9)
    probability, target = torch.from_numpy(values), torch.from_numpy(labels)
    sets = ConformalSets.fit(probability, target, 0.2)
    assert sets == ConformalSets.fit(values, labels, 0.2)
    half = ConformalSets.fit(probability.bfloat16(), target, 0.2)
    assert half.quantile == pytest.approx(sets.quantile, abs=0.02)
    assert half.coverage(probability.half(), target) == pytest.approx(0.8, abs=0.2)


def test_sets_are_plain_values_for_json() -> None:
    sets = ConformalSets.fit(*draw(200, 3, 5), 0.2, data="corpus test", pairing="label-matched")
    assert ConformalSets(**json.loads(json.dumps(asdict(sets)))) == sets
    assert sets.guarantee.startswith("the label sets of at least 80 % of clips hold the true label")
    for said in ("200 clip pairs (label-matched) of corpus test", "not new speakers"):
        assert said in sets.guarantee


# -- figures --------------------------------------------------------------------------------------


def test_figures_are_those_of_the_sets() -> None:
    probability, target = draw(400, 4, 1)
    sets = ConformalSets.fit(probability[:100], target[:100], 0.3)
    plain = Outcomes.from_arrays(
        probability, target, groups=np.arange(400) // 8, attributes={"sex": ["f", "m"] * 200}
    )
    answers = replace(plain, conformal=sets)
    held = sets.predict(probability)
    found = estimates_of(answers, resamples=50)
    assert found["conformal_coverage"].value == sets.coverage(probability, target)
    assert found["conformal_size"].value == sets.mean_size(probability)
    assert found["conformal_singletons"].value == np.mean(held.sum(1) == 1)
    assert found["conformal_empty"].value == np.mean(held.sum(1) == 0)
    for name in ("conformal_coverage", "conformal_size"):
        assert found[name].low < found[name].value < found[name].high
    without = estimates_of(plain, resamples=50)
    assert {name: each for name, each in found.items() if name in without} == without
    assert not any("conformal" in name for name in without)
    by_sex = by_subgroup(answers, ["sex"], 20, 0)["sex"]
    assert by_sex["f"].figures["conformal_coverage"].value == sets.coverage(
        probability[::2], target[::2]
    )
    tighter = replace(plain, conformal=ConformalSets.fit(probability[:100], target[:100], 0.05))
    assert differences(tighter, answers, 50)["conformal_size"].difference > 0


def test_a_clips_table_names_the_set_in_order() -> None:
    answers = Outcomes.from_arrays([[0.3, 0.7], [0.9, 0.1]], [0, 0], labels=["calm", "tense"])
    assert "label_set" not in answers.rows()[0]
    sets = ConformalSets(0.1, 0.75, 2, 9, 9)
    assert [row["label_set"] for row in replace(answers, conformal=sets).rows()] == [
        "tense; calm",
        "calm",
    ]


# -- bad input ------------------------------------------------------------------------------------

EVEN = np.full((100, 3), 1 / 3)
THREE = np.arange(100) % 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ConformalSets.fit(EVEN[:8], THREE[:8]), "8 calibration samples .* at least 9"),
        (lambda: ConformalSets.fit(EVEN, THREE, 0.001), "100 calibration .* at least 999"),
        (lambda: ConformalSets.fit(EVEN, THREE, 0.0), "is 0.0; give a share"),
        (lambda: ConformalSets.fit(EVEN, THREE, math.nan), "is nan"),
        (lambda: ConformalSets.fit([], []), r"shape \(0,\)"),
        (lambda: ConformalSets.fit(np.empty((0, 3)), []), "0 calibration samples"),
        (lambda: ConformalSets.fit(EVEN, THREE[:50]), "for 50 targets"),
        (lambda: ConformalSets.fit(EVEN, THREE, groups=[1, 2]), "2 groups for 100 samples"),
        (lambda: ConformalSets.fit(EVEN, THREE + 1), "label 3, but probability has 3"),
        (lambda: ConformalSets.fit(10 * EVEN, THREE), "not a distribution"),
        (lambda: ConformalSets.fit(EVEN.astype(object), THREE), "dtype object"),
        (lambda: ConformalSets.fit(EVEN, ["joy"] * 100), "dtype <U3"),
        (lambda: ConformalSets.fit(np.ones((100, 1)), np.zeros(100, int)), "1 classes"),
        (lambda: ConformalSets.fit(EVEN, THREE).predict([[0.5, 0.5]]), r"give \(N, 3\)"),
        (lambda: ConformalSets.fit(EVEN, THREE).predict([0.5, 0.5]), r"shape \(2,\)"),
        (lambda: ConformalSets.fit(EVEN, THREE).predict([[3.0, 1.0, 0.0]]), "not a distribution"),
        (lambda: ConformalSets.fit(EVEN, THREE).coverage(EVEN, [0]), "for 1 targets"),
        (
            lambda: ConformalSets.fit(EVEN, THREE).coverage(EVEN[:1], [3]),
            "label 3, but probability",
        ),
        (lambda: ConformalSets(0.1, math.nan, 3, 9, 9), "quantile of nan"),
        (lambda: ConformalSets(2.0, 0.5, 3, 9, 9), "is 2.0"),
        (lambda: ConformalSets(0.1, 0.5, 1, 9, 9), "1 classes"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()
