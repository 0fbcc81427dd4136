"""Conformal prediction sets: the promise over repeated draws, the definitions, and bad input."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ter_fast.errors import DataError, TerFastError
from ter_fast.trust.conformal import ConformalSets, Method

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
METHODS = get_args(Method)


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
@pytest.mark.parametrize(
    ("method", "k"),
    [("lac", 2), ("lac", 5), ("lac", 8), ("aps", 3), ("aps", 8), ("raps", 3), ("raps", 8)],
)
def test_coverage_is_kept_over_repeated_draws(method: Method, k: int, sharpness: float) -> None:
    size, draws, wanted = 150, 120, 0.9
    found = []
    for seed in range(draws):
        probability, target = draw(size + 300, k, seed, sharpness)
        sets = ConformalSets.fit(probability[:size], target[:size], wanted, method, seed=seed)
        found.append(sets.coverage(probability[size:], target[size:]))
    error = float(np.std(found, ddof=1)) / math.sqrt(draws)
    assert np.mean(found) >= wanted - 3 * error
    if method == "lac":
        # With scores that never tie, split conformal prediction is exact to 1 / (n + 1).
        assert np.mean(found) <= wanted + 1 / (size + 1) + 3 * error


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [0.5, 0.8, 0.95])
def test_other_coverages_are_kept(wanted: float) -> None:
    found = []
    for seed in range(100):
        probability, target = draw(400, 6, seed)
        sets = ConformalSets.fit(probability[:100], target[:100], wanted)
        found.append(sets.coverage(probability[100:], target[100:]))
    error = float(np.std(found, ddof=1)) / math.sqrt(len(found))
    assert wanted - 3 * error <= np.mean(found) <= wanted + 1 / 101 + 3 * error


@pytest.mark.parametrize("method", METHODS)
def test_an_overconfident_model_keeps_the_promise(method: Method) -> None:
    """Probabilities of exactly 0 and 1, right in 76 of 100 samples."""
    generator = np.random.default_rng(1)
    target = generator.integers(0, 5, 4000)
    answer = np.where(generator.random(4000) < 0.7, target, generator.integers(0, 5, 4000))
    probability = np.eye(5)[answer]
    assert np.mean(answer == target) < 0.8
    sets = ConformalSets.fit(probability[:2000], target[:2000], 0.9, method)
    assert sets.coverage(probability[2000:], target[2000:]) >= 0.9


def test_lac_is_its_definition() -> None:
    probability, target = draw(500, 4, 0)
    sets = ConformalSets.fit(probability[:200], target[:200], 0.8)
    scores = np.sort(1 - probability[np.arange(200), target[:200]])
    assert sets.quantile == pytest.approx(scores[math.ceil(201 * 0.8) - 1], rel=1e-12)
    rest = probability[200:]
    np.testing.assert_array_equal(sets.predict(rest), 1 - rest <= sets.quantile + 1e-8)


@pytest.mark.parametrize("method", ["aps", "raps"])
def test_adaptive_sets_are_their_definition(method: Method) -> None:
    """The most probable classes until their sum, with the penalty, reaches the quantile."""
    probability, target = draw(800, 6, 2)
    sets = ConformalSets.fit(probability[:400], target[:400], 0.8, method)
    assert (sets.penalty > 0) == (method == "raps")
    shown = sets.predict(probability[400:])
    for row, found in zip(probability[400:], shown, strict=True):
        total, held = 0.0, []
        for rank, k in enumerate(np.argsort(-row), start=1):
            held.append(k)
            total += row[k]
            if total + sets.penalty * max(0.0, rank - sets.free_classes) >= sets.quantile - 1e-5:
                break
        assert sorted(held) == np.flatnonzero(found).tolist()


def test_more_coverage_takes_larger_sets() -> None:
    probability, target = draw(600, 5, 3)
    for method in METHODS:
        sizes = [
            ConformalSets.fit(probability, target, wanted, method).mean_size(probability)
            for wanted in (0.6, 0.8, 0.95)
        ]
        assert sizes == sorted(sizes)
        assert sizes[0] < sizes[-1]


def test_lac_may_be_empty_and_adaptive_sets_are_not() -> None:
    generator = np.random.default_rng(0)
    target = generator.integers(0, 4, 400)
    probability = np.full((400, 4), 0.02)
    probability[np.arange(400), target] = 0.94
    unsure = [[0.25, 0.25, 0.25, 0.25]]
    empty = ConformalSets.fit(probability, target, 0.9)
    assert empty.predict(unsure).sum() == 0
    assert empty.mean_size(unsure) == 0
    assert empty.coverage(unsure, [0]) == 0
    for method in ("aps", "raps"):
        assert ConformalSets.fit(probability, target, 0.9, method).predict(unsure).any()


def test_nan_rows_are_left_out_counted_and_answered_with_every_class() -> None:
    probability, target = draw(300, 3, 4)
    spoilt = probability.copy()
    spoilt[::3] = math.nan
    kept = np.arange(300) % 3 > 0
    for method in METHODS:
        sets = ConformalSets.fit(spoilt, target, 0.8, method)
        clean = ConformalSets.fit(probability[kept], target[kept], 0.8, method)
        assert (sets.left_out, clean.left_out) == (100, 0)
        assert sets.quantile == clean.quantile
        answer = sets.predict(spoilt)
        assert answer[~kept].all()
        np.testing.assert_array_equal(answer[kept], clean.predict(probability[kept]))
    with pytest.raises(DataError, match="0 calibration samples"):
        ConformalSets.fit(np.full((300, 3), math.nan), target)


def test_no_samples_to_predict_give_no_sets_and_nan() -> None:
    probability, target = draw(200, 3, 5)
    for method in METHODS:
        sets = ConformalSets.fit(probability, target, 0.8, method)
        assert sets.predict(np.empty((0, 3))).shape == (0, 3)
        assert math.isnan(sets.coverage(np.empty((0, 3)), []))
        assert math.isnan(sets.mean_size(np.empty((0, 3))))


def test_constant_probabilities_and_ties_give_every_class() -> None:
    target = np.arange(300) % 3
    constant = np.full((300, 3), 1 / 3)
    for method in METHODS:
        sets = ConformalSets.fit(constant, target, 0.9, method)
        assert sets.coverage(constant, target) == 1
        assert sets.mean_size(constant) == 3


def test_classes_without_calibration_samples_are_no_fault_of_lac() -> None:
    """All samples of one class, all right: the promise is about such clips and is kept for them."""
    probability, _ = draw(200, 3, 6)
    chosen = probability.argmax(axis=1) == 0
    sets = ConformalSets.fit(probability[chosen], np.zeros(chosen.sum(), int), 0.8)
    assert sets.coverage(probability[chosen], np.zeros(chosen.sum(), int)) >= 0.8


def test_the_same_seed_gives_the_same_sets_and_global_randomness_is_left_alone() -> None:
    probability, target = draw(300, 4, 7)
    np.random.seed(0)
    before = np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
    for method in METHODS:
        first = ConformalSets.fit(probability, target, 0.8, method, seed=3)
        assert first == ConformalSets.fit(probability, target, 0.8, method, seed=3)
        assert (first == ConformalSets.fit(probability, target, 0.8, method, seed=4)) == (
            method == "lac"
        )
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # type: ignore[index]


def test_saved_sets_answer_the_same(tmp_path: Path) -> None:
    probability, target = draw(400, 5, 8)
    for method in METHODS:
        sets = ConformalSets.fit(probability[:200], target[:200], 0.85, method)
        sets.save(tmp_path / "sets.json")
        again = ConformalSets.load(tmp_path / "sets.json")
        assert again == sets
        np.testing.assert_array_equal(
            again.predict(probability[200:]), sets.predict(probability[200:])
        )
        assert ConformalSets.from_dict(json.loads(json.dumps(asdict(sets)))) == sets


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[1, 2]", "no conformal sets"),
        ("{}", "no conformal sets .*missing.*expected the entries method"),
        ('{"colour": 1}', "'colour'.*expected the entries method"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "sets.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        ConformalSets.load(path)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"quantile": math.nan}, "quantile nan"),
        ({"quantile": "much"}, "could not convert"),
        ({"classes": 1}, "1 classes"),
        ({"method": "best"}, "unknown method 'best'"),
        ({"target_coverage": 2}, "coverage is 2"),
    ],
)
def test_impossible_numbers_are_refused(entry: dict[str, Any], message: str) -> None:
    values = asdict(ConformalSets("lac", 0.9, 3, 100, 0, 0.7))
    assert ConformalSets.from_dict(values).quantile == 0.7
    with pytest.raises(DataError, match=message):
        ConformalSets.from_dict({**values, **entry})


def test_tensors_and_half_precision_are_welcome() -> None:
    values, labels = draw(300, 4, 9)
    probability, target = torch.from_numpy(values), torch.from_numpy(labels)
    for method in METHODS:
        sets = ConformalSets.fit(probability, target, 0.8, method)
        assert sets == ConformalSets.fit(values, labels, 0.8, method)
        half = ConformalSets.fit(probability.bfloat16(), target, 0.8, method)
        assert half.quantile == pytest.approx(sets.quantile, abs=0.02)
        assert half.coverage(probability.half(), target) == pytest.approx(0.8, abs=0.2)


EVEN = np.full((100, 3), 1 / 3)
THREE = np.arange(100) % 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ConformalSets.fit(EVEN[:9], THREE[:9]), "9 calibration samples .* at least 10"),
        (lambda: ConformalSets.fit(EVEN, THREE, 0.999), "100 calibration .* at least 1000"),
        (lambda: ConformalSets.fit(EVEN[:99], THREE[:99], method="raps"), "at least 100"),
        (lambda: ConformalSets.fit(EVEN, THREE, 1.0), "coverage is 1.0"),
        (lambda: ConformalSets.fit(EVEN, THREE, math.nan), "coverage is nan"),
        (lambda: ConformalSets.fit(EVEN, THREE, method="best"), "choose one of lac, aps, raps"),  # type: ignore[arg-type]
        (lambda: ConformalSets.fit(EVEN, THREE % 2, method="aps"), "2 classes, .* use lac"),
        (lambda: ConformalSets.fit(EVEN, np.maximum(THREE, 1) - 1, method="raps"), "use lac"),
        (
            lambda: ConformalSets.fit(EVEN, [2, *([0, 1] * 50)][:100], method="raps"),
            "class 2 has one calibration sample",
        ),
        (lambda: ConformalSets.fit([], []), r"shape \(0,\)"),
        (lambda: ConformalSets.fit(np.empty((0, 3)), []), "0 calibration samples"),
        (lambda: ConformalSets.fit(EVEN, THREE[:50]), "for 50 targets"),
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
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()


def test_without_mapie_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "mapie"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mapie", None)
    with pytest.raises(TerFastError, match=r"pip install 'ter_fast\[conformal\]'"):
        ConformalSets.fit(EVEN, THREE)
