"""`ter_fast.metrics` against scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve

from ter_fast import metrics, thresholds
from ter_fast.errors import DataError

Labels = NDArray[np.int64]
OF_LABELS = (
    metrics.accuracy,
    metrics.unweighted_average_recall,
    metrics.macro_f1,
    metrics.weighted_f1,
)
OF_PROBABILITIES: tuple[Callable[[Any, Any], float], ...] = (
    metrics.negative_log_likelihood,
    metrics.brier,
    metrics.expected_calibration_error,
)

relaxed = settings(deadline=None)
label_pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60)


def distributions(n: int = 500, k: int = 6, seed: int = 0) -> tuple[NDArray[np.float64], Labels]:
    generator = np.random.default_rng(seed)
    probability = generator.dirichlet(np.full(k, 0.5), n).clip(1e-6)
    probability /= probability.sum(axis=1, keepdims=True)
    return probability, generator.integers(0, k, n)


@relaxed
@given(label_pairs)
def test_labels_equal_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    prediction, target = np.array(pairs).T
    peer = sklearn.metrics
    assert metrics.accuracy(prediction, target) == pytest.approx(
        peer.accuracy_score(target, prediction)
    )
    assert metrics.unweighted_average_recall(prediction, target) == pytest.approx(
        peer.recall_score(target, prediction, average="macro", labels=np.unique(target))
    )
    assert metrics.macro_f1(prediction, target) == pytest.approx(
        peer.f1_score(target, prediction, average="macro", zero_division=0)
    )
    assert metrics.weighted_f1(prediction, target) == pytest.approx(
        peer.f1_score(target, prediction, average="weighted", zero_division=0)
    )
    np.testing.assert_array_equal(
        metrics.confusion_matrix(prediction, target, 7),
        peer.confusion_matrix(target, prediction, labels=range(7)),
    )


def test_likelihood_and_brier_equal_scikit_learn() -> None:
    probability, target = distributions()
    labels = range(6)
    assert metrics.negative_log_likelihood(probability, target) == pytest.approx(
        sklearn.metrics.log_loss(target, probability, labels=labels), rel=1e-12
    )
    assert metrics.brier(probability, target) == pytest.approx(
        sklearn.metrics.brier_score_loss(target, probability, labels=labels, scale_by_half=False),
        rel=1e-12,
    )


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_error_equals_the_gaps_of_scikit_learn(bins: int) -> None:
    probability, target = distributions()
    probability[:60] = np.round(probability[:60], 1)
    probability[:60, 0] += 1 - probability[:60].sum(axis=1)
    probability = probability[(probability >= 0).all(axis=1)]
    target = target[: len(probability)]
    largest = probability.max(axis=1)
    right = probability.argmax(axis=1) == target
    observed, predicted = calibration_curve(right, largest, n_bins=bins)
    share = np.histogram(largest, bins=_edges(bins))[0]
    share = share[share > 0] / target.size
    assert metrics.expected_calibration_error(probability, target, bins) == pytest.approx(
        float(np.sum(share * np.abs(observed - predicted))), rel=1e-12
    )


def _edges(bins: int) -> NDArray[np.float64]:
    """Close the bins on the right, where NumPy's histogram closes them on the left."""
    edges = np.linspace(0, 1, bins + 1)
    edges[1:] = np.nextafter(edges[1:], 2)
    return edges


def test_known_calibration_errors() -> None:
    sure = np.eye(2)[[0, 0, 0, 0]]
    assert metrics.expected_calibration_error(sure, [0, 0, 0, 0]) == 0.0
    assert metrics.expected_calibration_error(sure, [1, 1, 1, 1]) == 1.0
    assert metrics.expected_calibration_error(sure, [0, 0, 0, 1]) == 0.25


def test_bins_are_closed_on_the_right() -> None:
    """One half belongs to the lower of two bins, with 0.4: |(1 - 0.5) + (0 - 0.4)| / 2."""
    probability = [[0.5, 0.25, 0.25], [0.4, 0.3, 0.3]]
    assert metrics.expected_calibration_error(probability, [0, 1], 2) == pytest.approx(0.05)


def test_an_impossible_class_that_came_true() -> None:
    assert metrics.negative_log_likelihood([[1.0, 0.0]], [1]) == math.inf
    assert metrics.brier([[1.0, 0.0]], [1]) == 2.0


def test_nan_probability_gives_nan_and_not_a_flattering_figure() -> None:
    probability = [[0.5, 0.5], [math.nan, math.nan]]
    for figure in OF_PROBABILITIES:
        assert math.isnan(figure(probability, [0, 0]))


def test_no_samples_give_nan() -> None:
    for figure in OF_LABELS:
        assert math.isnan(figure([], []))
    for of_probability in OF_PROBABILITIES:
        assert math.isnan(of_probability(np.empty((0, 3)), []))
    assert metrics.confusion_matrix([], [], 2).tolist() == [[0, 0], [0, 0]]
    assert metrics.confusion_matrix([], []).shape == (0, 0)


def test_tensors_are_welcome() -> None:
    probability = torch.softmax(torch.randn(64, 5, generator=torch.Generator().manual_seed(0)), 1)
    target = torch.arange(64) % 5
    for figure in OF_PROBABILITIES:
        expected = figure(probability.numpy(), target.numpy())
        assert figure(probability, target) == expected
        assert figure(probability.bfloat16(), target) == pytest.approx(expected, rel=0.02)
    assert metrics.accuracy(probability.argmax(1), target) == metrics.accuracy(
        probability.argmax(1).tolist(), target.tolist()
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.accuracy([0, 1], [0]), "2 predictions but 1 targets"),
        (lambda: metrics.accuracy([0.2, 0.8], [0, 1]), "integer labels, not probabilities"),
        (lambda: metrics.accuracy([0, -1], [0, 1]), "prediction holds the label -1"),
        (lambda: metrics.accuracy(["joy"], [0]), "prediction has dtype <U3"),
        (lambda: metrics.confusion_matrix([0, 3], [0, 1], 3), r"label 3 is outside 0 … 2"),
        (lambda: metrics.confusion_matrix([0, 10**7], [0, 1]), "10000001 x 10000001 counts"),
        (lambda: metrics.accuracy(np.array([2**63], np.uint64), [0]), "label 9223372036854775808"),
        (lambda: metrics.brier([[math.inf, -math.inf]], [0]), "not a distribution over classes"),
        (
            lambda: metrics.expected_calibration_error([[1.0]], [0], bins=2.5),  # type: ignore[arg-type]
            r"bins is 2\.5; give a whole number",
        ),
        (lambda: metrics.brier([[0.5, 0.5]], [2]), "label 2, but probability has 2 classes"),
        (lambda: metrics.brier([0.5, 0.5], [0, 1]), r"shape \(2,\) for 2 targets"),
        (lambda: metrics.brier([[2.0, -1.0]], [0]), "not a distribution over classes"),
        (lambda: metrics.brier([[2.0, 3.0]], [0]), "not logits or evidence"),
        (lambda: metrics.expected_calibration_error([[1.0]], [0], bins=0), "at least one"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()


@pytest.mark.parametrize("largest", [60_000, 2**31 - 1, 2**62])
def test_sparse_labels_cost_no_square_of_memory(largest: int) -> None:
    prediction, target = [largest, largest, 7], [largest, 7, 7]
    assert metrics.unweighted_average_recall(prediction, target) == 0.75
    assert metrics.macro_f1(prediction, target) == pytest.approx(2 / 3)
    assert metrics.weighted_f1(prediction, target) == pytest.approx(2 / 3)


def test_masked_values_do_not_come_back() -> None:
    hidden = np.ma.masked_array([0.9, 0.2, 0.8], [False, True, False])
    swept = thresholds.sweep(hidden, [1, 0, 1])
    assert swept.nan_count == 1
    with pytest.raises(DataError, match=r"correct has masked values of dtype int64.*compressed"):
        thresholds.sweep([0.9, 0.2], np.ma.masked_array([1, 0], [False, True]))
