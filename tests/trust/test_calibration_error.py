"""Calibration errors and reliability curves against literal loops and scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve

from ter_fast import metrics
from ter_fast.errors import DataError

Floats = NDArray[np.float64]
STRATEGIES = ("width", "mass")
ERRORS: tuple[Callable[..., float], ...] = (
    metrics.expected_calibration_error,
    metrics.maximum_calibration_error,
    metrics.classwise_calibration_error,
    lambda *args: metrics.brier_decomposition(*args).brier,
)

relaxed = settings(deadline=None, max_examples=60)
# Multiples of 1/20 lie on the borders of 1, 2, 4, 5, 10 and 20 bins, and tie.
tied = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=60)
some_bins = st.integers(1, 21)


def distributions(n: int, k: int = 4, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """Draw rows with ties inside and between them, and labels that follow them loosely."""
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(8, generator.dirichlet(np.full(k, 0.6), n))
    return counts / 8, generator.integers(0, k, n)


def bins_of(values: list[float], bins: int, strategy: str) -> list[list[int]]:
    """Sort positions into bins by the words of the definition, one value at a time."""
    if strategy == "width":
        edges = np.linspace(0, 1, bins + 1).tolist()
        found: list[list[int]] = [[] for _ in range(bins)]
        for i, value in enumerate(values):
            place = next(b for b in range(bins) if value <= edges[b + 1] or b == bins - 1)
            found[place].append(i)
        return found
    order = sorted(range(len(values)), key=values.__getitem__)
    found, current = [], []
    ends = {math.ceil(b * len(values) / bins) for b in range(1, bins + 1)}
    due = False
    for rank, i in enumerate(order, start=1):
        current.append(i)
        due = due or rank in ends
        last = rank == len(order) or values[order[rank]] > values[i]
        if due and last:
            found.append(current)
            current, due = [], False
    return found


def errors_of(
    values: list[float], outcome: list[bool], bins: int, strategy: str
) -> tuple[float, float]:
    gaps, shares = [], []
    for members in bins_of(values, bins, strategy):
        if members:
            sure = sum(values[i] for i in members) / len(members)
            right = sum(outcome[i] for i in members) / len(members)
            gaps.append(abs(right - sure))
            shares.append(len(members) / len(values))
    return sum(g * s for g, s in zip(gaps, shares, strict=True)), max(gaps)


@relaxed
@given(tied, some_bins, st.sampled_from(STRATEGIES))
def test_curves_equal_the_definition(pairs: list[tuple[int, bool]], bins: int, how: Any) -> None:
    values, outcome = [count / 20 for count, _ in pairs], [right for _, right in pairs]
    curve = metrics.calibration_curve(values, outcome, bins, how)
    ece, mce = errors_of(values, outcome, bins, how)
    assert curve.ece == pytest.approx(ece, abs=1e-12)
    assert curve.mce == pytest.approx(mce, abs=1e-12)
    members = bins_of(values, bins, how)
    assert curve.count.tolist() == [len(member) for member in members]
    assert len(curve.edges) == len(members) + 1
    np.testing.assert_array_equal(np.isnan(curve.gap), curve.count == 0)


@relaxed
@given(tied, some_bins)
def test_equal_confidences_share_a_bin_of_equal_mass(
    pairs: list[tuple[int, bool]], bins: int
) -> None:
    values = np.array([count / 20 for count, _ in pairs])
    curve = metrics.calibration_curve(values, [right for _, right in pairs], bins, "mass")
    assert curve.count.sum() == values.size
    assert curve.count.min() > 0
    assert len(curve.count) <= min(bins, np.unique(values).size)
    edges = curve.edges
    inside = (values[:, None] > edges[None, :-1]) & (values[:, None] <= edges[None, 1:])
    inside[:, 0] |= values == edges[0]
    assert (inside.sum(axis=1) == 1).all()
    np.testing.assert_array_equal(inside.sum(axis=0), curve.count)


def test_bins_of_equal_mass_are_equal_without_ties() -> None:
    generator = np.random.default_rng(3)
    curve = metrics.calibration_curve(
        generator.random(1005), generator.random(1005) < 0.5, 10, "mass"
    )
    assert sorted(set(curve.count.tolist())) == [100, 101]


@pytest.mark.parametrize(("how", "peer"), [("width", "uniform"), ("mass", "quantile")])
@pytest.mark.parametrize("bins", [1, 7, 15])
def test_curves_equal_scikit_learn(bins: int, how: Any, peer: str) -> None:
    """Without ties, and with a size that the bins divide, both lay the same quantiles."""
    generator = np.random.default_rng(bins)
    confidence = generator.random(105 * 4)
    correct = generator.random(confidence.size) < confidence**2
    observed, predicted = calibration_curve(correct, confidence, n_bins=bins, strategy=peer)
    curve = metrics.calibration_curve(confidence, correct, bins, how)
    full = curve.count > 0
    np.testing.assert_allclose(curve.accuracy[full], observed, rtol=1e-12)
    np.testing.assert_allclose(curve.confidence[full], predicted, rtol=1e-12)
    np.testing.assert_allclose(curve.gap[full], observed - predicted, atol=1e-12)


@pytest.mark.parametrize("how", STRATEGIES)
@pytest.mark.parametrize("bins", [1, 4, 15])
def test_figures_of_probabilities_equal_the_definition(bins: int, how: Any) -> None:
    probability, target = distributions(300)
    sure = probability.max(axis=1).tolist()
    right = (probability.argmax(axis=1) == target).tolist()
    ece, mce = errors_of(sure, right, bins, how)
    args = probability, target, bins, how
    assert metrics.expected_calibration_error(*args) == pytest.approx(ece, rel=1e-12)
    assert metrics.maximum_calibration_error(*args) == pytest.approx(mce, rel=1e-12)
    each = [
        errors_of(probability[:, k].tolist(), (target == k).tolist(), bins, how)[0]
        for k in range(probability.shape[1])
    ]
    assert metrics.classwise_calibration_error(*args) == pytest.approx(np.mean(each), rel=1e-12)
    assert metrics.calibration_curve(*args).ece == metrics.expected_calibration_error(*args)


def test_true_probabilities_are_calibrated_and_shifted_ones_are_not() -> None:
    generator = np.random.default_rng(0)
    probability = generator.dirichlet(np.ones(5), 40_000)
    target = (probability.cumsum(axis=1) > generator.random((40_000, 1))).argmax(axis=1)
    sharp = probability**3 / (probability**3).sum(axis=1, keepdims=True)
    for how in STRATEGIES:
        for error in (metrics.expected_calibration_error, metrics.classwise_calibration_error):
            # A bin of n samples strays by about sqrt(1 / 4 n); 15 bins of 40,000 in all.
            assert error(probability, target, 15, how) < 0.01
            assert error(sharp, target, 15, how) > 0.05
        curve = metrics.calibration_curve(sharp, target, 15, how)
        assert curve.gap[-1] < -0.05


@pytest.mark.parametrize("how", STRATEGIES)
def test_brier_parts_sum_to_the_score(how: Any) -> None:
    for seed in range(5):
        probability = np.random.default_rng(seed).dirichlet(np.full(4, 0.5), 300)
        target = np.random.default_rng(seed + 9).integers(0, 4, 300)
        parts = metrics.brier_decomposition(probability, target, 10, how)
        assert parts.brier == pytest.approx(metrics.brier(probability, target), rel=1e-12)
        assert parts.reliability > 0
        assert parts.resolution > 0
        share = np.bincount(target, minlength=4) / 300
        assert parts.uncertainty == pytest.approx(1 - np.square(share).sum(), rel=1e-12)
        assert abs(parts.within_bin) < 0.05
        assert parts.within_bin != 0


def test_brier_parts_are_murphys_where_a_bin_holds_one_probability() -> None:
    """Multiples of 1/8 lie apart in 16 bins; Murphy's sums run over the distinct forecasts."""
    probability, target = distributions(400)
    parts = metrics.brier_decomposition(probability, target, 16)
    assert parts.within_bin == pytest.approx(0, abs=1e-12)
    spread = gained = 0.0
    for k in range(4):
        rate = float(np.mean(target == k))
        for value in set(probability[:, k].tolist()):
            outcome = target[probability[:, k] == value] == k
            weight = outcome.size / target.size
            spread += weight * (value - outcome.mean()) ** 2
            gained += weight * (outcome.mean() - rate) ** 2
    assert parts.reliability == pytest.approx(spread, rel=1e-12)
    assert parts.resolution == pytest.approx(gained, rel=1e-12)


@pytest.mark.parametrize("how", STRATEGIES)
def test_nan_confidences_are_counted_and_never_flatter(how: Any) -> None:
    curve = metrics.calibration_curve([0.5, math.nan, 0.5, math.nan], [1, 0, 0, 1], 4, how)
    assert curve.nan_count == 2
    assert curve.count.sum() == 2
    assert math.isnan(curve.ece)
    assert math.isnan(curve.mce)
    np.testing.assert_array_equal(curve.gap[curve.count > 0], [0])
    probability = [[0.5, 0.5], [math.nan, 0.5]]
    assert metrics.calibration_curve(probability, [0, 1], 4, how).nan_count == 1
    for error in ERRORS:
        assert math.isnan(error(probability, [0, 1], 4, how))


@pytest.mark.parametrize("how", STRATEGIES)
def test_no_samples_give_empty_bins_and_nan(how: Any) -> None:
    for curve in (
        metrics.calibration_curve([], [], 5, how),
        metrics.calibration_curve(np.empty((0, 3)), [], 5, how),
        metrics.calibration_curve([math.nan], [True], 5, how),
    ):
        assert curve.count.sum() == 0
        assert np.isnan(curve.gap).all()
        assert math.isnan(curve.ece)
        assert math.isnan(curve.mce)
    for error in ERRORS:
        assert math.isnan(error(np.empty((0, 3)), [], 5, how))


@pytest.mark.parametrize("how", STRATEGIES)
def test_all_right_all_wrong_and_constant(how: Any) -> None:
    constant = np.full(10, 0.75)
    assert metrics.calibration_curve(constant, np.ones(10), 5, how).ece == pytest.approx(0.25)
    assert metrics.calibration_curve(constant, np.zeros(10), 5, how).ece == pytest.approx(0.75)
    assert (metrics.calibration_curve(constant, np.ones(10), 5, how).count > 0).sum() == 1
    assert metrics.calibration_curve([0.0, 1.0], [False, True], 5, how).ece == 0
    assert metrics.calibration_curve([0.0, 1.0], [True, False], 5, how).mce == 1
    # One class, always said with certainty.
    sure = np.eye(3)[[1, 1, 1]]
    assert metrics.classwise_calibration_error(sure, [1, 1, 1], 5, how) == 0
    assert metrics.brier_decomposition(sure, [1, 1, 1], 5, how) == (0, 0, 0, 0)


def test_a_million_ties() -> None:
    curve = metrics.calibration_curve(np.full(1_000_000, 0.5), np.arange(1_000_000) % 2, 15, "mass")
    assert curve.count.tolist() == [1_000_000]
    assert curve.ece == 0


def test_tensors_and_half_precision_are_welcome() -> None:
    probability = torch.softmax(torch.randn(64, 5, generator=torch.Generator().manual_seed(0)), 1)
    target = torch.arange(64) % 5
    for error in ERRORS:
        expected = error(probability.numpy(), target.numpy())
        assert error(probability, target) == expected
        assert math.isfinite(error(probability.bfloat16(), target))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: metrics.calibration_curve([0.5], [True, False]),
            "1 confidences but 2 correct flags",
        ),
        (lambda: metrics.calibration_curve([1.5], [True]), "a confidence is 1.5"),
        (lambda: metrics.calibration_curve([math.inf], [True]), "a confidence is inf"),
        (lambda: metrics.calibration_curve([0.5, 0.5], [0, 2]), r"correct holds 2.*labels go with"),
        (lambda: metrics.calibration_curve([0.5, 0.5], [0.0, math.nan]), "correct holds nan"),
        (lambda: metrics.calibration_curve([0.5], ["yes"]), "correct has dtype <U3"),
        (lambda: metrics.calibration_curve([0.5, None], [0, 1]), "prediction has dtype object"),
        (lambda: metrics.calibration_curve(np.ones((2, 2, 2)), [0, 1]), r"shape \(2, 2, 2\)"),
        (lambda: metrics.calibration_curve([[0.5, 0.5]], [2]), "label 2, but probability has 2"),
        (lambda: metrics.calibration_curve([0.5], [True], bins=0), "bins is 0"),
        (lambda: metrics.calibration_curve([0.5], [True], 5, "area"), "unknown strategy 'area'"),  # type: ignore[arg-type]
        (lambda: metrics.expected_calibration_error([0.5, 0.5], [0, 1]), r"shape \(2,\)"),
        (lambda: metrics.maximum_calibration_error([[2.0, 1.0]], [0]), "not a distribution"),
        (lambda: metrics.classwise_calibration_error([[1.0]], [0], 0), "bins is 0"),
        (lambda: metrics.classwise_calibration_error([[0.5, 0.5]], [-1]), "label -1"),
        (lambda: metrics.brier_decomposition([[0.5, 0.5]], [0], 5, "area"), "'area'"),  # type: ignore[arg-type]
        (lambda: metrics.brier_decomposition([[0.5, 0.5]], [0, 1]), "for 2 targets"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()
