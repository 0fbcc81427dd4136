"""Temperature and evidence scale against scikit-learn, exhaustive search, and what they guarantee."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from ter_fast.errors import DataError
from ter_fast.trust.metrics import expected_calibration_error, negative_log_likelihood
from ter_fast.trust.scaling import fit_evidence_scale, fit_temperature

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
FITS: tuple[Callable[..., float], ...] = (fit_temperature, fit_evidence_scale)


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def expected(evidence: Floats, scale: float) -> Floats:
    alpha = scale * evidence + 1
    return alpha / alpha.sum(axis=1, keepdims=True)


def drawn(probability: Floats, seed: int = 0) -> Labels:
    chance = np.random.default_rng(seed).random((len(probability), 1))
    return (probability.cumsum(axis=1) > chance).argmax(axis=1)


def logits_of(n: int, k: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(0, 2, (n, k))


class Logits(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted classifier whose inputs are its logits."""

    def fit(self, x: Floats, y: Labels) -> Logits:
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, x: Floats) -> Floats:
        return x

    def predict(self, x: Floats) -> Labels:
        return self.classes_[x.argmax(axis=1)]


def test_temperature_equals_scikit_learn() -> None:
    for k, true_temperature in ((3, 2.5), (7, 0.6)):
        logits = logits_of(800, k)
        target = drawn(softmax(logits / true_temperature))
        peer = CalibratedClassifierCV(
            FrozenEstimator(Logits().fit(logits, target)), method="temperature"
        ).fit(logits, target)
        temperature = fit_temperature(logits, target)
        np.testing.assert_allclose(
            softmax(logits / temperature), peer.predict_proba(logits), atol=1e-5
        )
        # Its standard error at 800 samples is about a twentieth.
        assert temperature == pytest.approx(true_temperature, rel=0.2)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 8), st.floats(0.2, 5), st.integers(2, 60))
def test_no_other_temperature_is_likelier(seed: int, k: int, sharpness: float, n: int) -> None:
    logits = logits_of(n, k, seed)
    target = drawn(softmax(sharpness * logits), seed)
    target[:2] = 0, 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        temperature = fit_temperature(logits, target, bounds=(0.05, 20))
    assert 0.05 <= temperature <= 20

    def nll(each: float) -> float:
        return negative_log_likelihood(softmax(logits / each), target)

    assert nll(temperature) <= min(map(nll, np.geomspace(0.05, 20, 300))) + 1e-9


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 8), st.floats(0.01, 100), st.integers(2, 60))
def test_no_other_evidence_scale_is_likelier(seed: int, k: int, loud: float, n: int) -> None:
    evidence = np.random.default_rng(seed).gamma(0.3, 10, (n, k))
    target = drawn(expected(evidence, 1), seed)
    target[:2] = 0, 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        scale = fit_evidence_scale(loud * evidence, target)
    assert 0.01 <= scale <= 100

    def nll(each: float) -> float:
        return negative_log_likelihood(expected(loud * evidence, each), target)

    # What the docstring guarantees of the grid.
    assert nll(scale) <= min(map(nll, np.geomspace(0.01, 100, 600))) + 0.15**2 / 32


def test_of_several_minima_the_deepest_is_found() -> None:
    """Loud evidence that is mostly wrong wants s small; quiet evidence that is right, s large."""
    evidence = np.array([[1e4, 0.0]] * 30 + [[0.0, 0.02]] * 60 + [[3.0, 0.0]] * 10)
    target = np.array([0] * 20 + [1] * 10 + [1] * 60 + [0] * 10)
    grid = np.geomspace(1e-6, 1e3, 4000)
    losses = np.array([negative_log_likelihood(expected(evidence, s), target) for s in grid])
    minima = (losses[1:-1] < losses[:-2]) & (losses[1:-1] < losses[2:])
    assert minima.sum() == 2
    scale = fit_evidence_scale(evidence, target, bounds=(1e-6, 1e3))
    assert scale == pytest.approx(grid[losses.argmin()], rel=0.01)
    assert negative_log_likelihood(expected(evidence, scale), target) <= losses.min()


def test_a_scale_undoes_a_scale() -> None:
    evidence = np.random.default_rng(4).gamma(0.4, 20, (3000, 5))
    target = drawn(expected(evidence, 1))
    scale = fit_evidence_scale(evidence, target)
    assert scale == pytest.approx(1, rel=0.15)
    assert fit_evidence_scale(7 * evidence, target) == pytest.approx(scale / 7, rel=1e-4)
    logits = np.log(expected(evidence, 1))
    temperature = fit_temperature(logits, target)
    assert temperature == pytest.approx(1, rel=0.15)
    assert fit_temperature(7 * logits, target) == pytest.approx(7 * temperature, rel=1e-4)


def test_audio_expert_that_shouts_is_turned_down() -> None:
    """Fit on validation clips, apply to test clips: better likelihood and calibration, same labels."""
    generator = np.random.default_rng(5)
    calm = generator.gamma(0.5, 4, (4000, 7))
    target = drawn(expected(calm, 1))
    shouted = 25 * calm
    scale = fit_evidence_scale(shouted[:2000], target[:2000])
    before, after = expected(shouted[2000:], 1), expected(shouted[2000:], scale)
    unseen = target[2000:]
    assert scale == pytest.approx(1 / 25, rel=0.2)
    assert negative_log_likelihood(after, unseen) < negative_log_likelihood(before, unseen) - 0.1
    assert expected_calibration_error(before, unseen) > 0.1
    assert expected_calibration_error(after, unseen) < 0.05
    np.testing.assert_array_equal(after.argmax(axis=1), before.argmax(axis=1))


@pytest.mark.parametrize("fit", FITS)
def test_votes_of_raters_are_labels_with_weights(fit: Callable[..., float]) -> None:
    scores = np.random.default_rng(6).gamma(0.5, 3, (200, 4))
    chances = softmax(scores) if fit is fit_temperature else expected(scores, 1)
    first, second = drawn(chances, 1), drawn(chances, 2)
    votes = (np.eye(4)[first] + np.eye(4)[second]) / 2
    twice = fit(np.concatenate([scores, scores]), np.concatenate([first, second]))
    assert fit(scores, votes) == pytest.approx(twice, rel=1e-5)
    assert fit(scores, np.eye(4)[first]) == pytest.approx(fit(scores, first), rel=1e-5)


@pytest.mark.parametrize("fit", FITS)
def test_a_bound_is_returned_with_a_warning(fit: Callable[..., float]) -> None:
    apart = np.array([[5.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 5.0]])
    sharp, blunt = (0.1, 100.0) if fit is fit_temperature else (100.0, 0.1)
    with pytest.warns(UserWarning, match="separated too well"):
        assert fit(apart, [0, 1, 2], bounds=(0.1, 100.0)) == sharp
    with pytest.warns(UserWarning, match=f"reached its bound {blunt:g}"):
        assert fit(apart, [1, 2, 0], bounds=(0.1, 100.0)) == blunt


def test_extreme_values_stay_finite() -> None:
    logits = logits_of(300, 5)
    target = drawn(softmax(logits))
    plain = fit_temperature(logits, target)
    huge = fit_temperature(1e6 * logits, target, bounds=(1, 1e9))
    assert huge == pytest.approx(1e6 * plain, rel=1e-4)
    evidence = np.random.default_rng(0).gamma(0.4, 20, (300, 5))
    labels = drawn(expected(evidence, 1))
    quiet = fit_evidence_scale(1e-9 * evidence, labels, bounds=(1e3, 1e12))
    assert quiet == pytest.approx(1e9 * fit_evidence_scale(evidence, labels), rel=1e-4)


def test_tensors_of_every_precision_are_welcome() -> None:
    logits = torch.randn(200, 4, generator=torch.Generator().manual_seed(0)).exp()
    target = torch.arange(200) % 4
    target[:120] = logits[:120].argmax(1)
    for fit in FITS:
        value = fit(logits.numpy().tolist(), target.tolist())
        assert math.isfinite(value)
        assert fit(logits.clone().requires_grad_(), target) == pytest.approx(value, rel=1e-6)
        assert fit(logits.bfloat16(), target) == pytest.approx(value, rel=0.05)


GOOD = [[2.0, 1.0], [1.0, 3.0]]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    ("scores", "target", "message"),
    [
        (np.empty((0, 3)), [], r"shape \(0, 3\).*at least one sample"),
        ([], [], r"shape \(0,\)"),
        ([[1.0], [2.0]], [0, 0], "two classes"),
        ([2.0, 1.0], [0, 1], r"shape \(2,\)"),
        ([[2.0, math.nan], [1.0, 3.0]], [0, 1], "row 0 of .* 1 of 2 rows are not finite"),
        ([[2.0, math.inf], [1.0, 3.0]], [0, 1], "not finite"),
        ([["a", "b"]], [0], "dtype <U1"),
        ([[1.0, None]], [0], "dtype object"),
        (GOOD, [0], "1 labels up to 0 for 2 samples"),
        (GOOD, [0, 2], "labels up to 2 .* give one label in 0 … 1"),
        (GOOD, [0, -1], "label -1"),
        (GOOD, [0.0, 1.0], "give integer labels"),
        (GOOD, [1, 1], "every sample is of class 1"),
        (GOOD, [[1.0, 0.0], [1.0, 0.0]], "every sample is of class 0"),
        (GOOD, [[1.0, 0.0], [0.5, 0.1]], "rows are 0 or more and sum to 1"),
        (GOOD, [[1.0, 0.0], [math.nan, 1.0]], "rows are 0 or more and sum to 1"),
        (GOOD, [[1.0, 0.0]], r"target has shape \(1, 2\) for 2 samples"),
    ],
)
def test_bad_input_is_named(
    fit: Callable[..., float], scores: Any, target: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        fit(scores, target)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("bounds", [(0, 1), (2, 1), (1, 1), (-1, 1), (1, math.inf), (math.nan, 1)])
def test_bounds_are_an_interval_above_zero(fit: Callable[..., float], bounds: Any) -> None:
    with pytest.raises(DataError, match="bounds are"):
        fit(GOOD, [0, 1], bounds=bounds)


def test_scores_that_say_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="each row of logits is constant"):
        fit_temperature([[1.0, 1.0], [4.0, 4.0]], [0, 1])
    with pytest.raises(DataError, match="all evidence is 0"):
        fit_evidence_scale(np.zeros((2, 3)), [0, 1])
    with pytest.raises(DataError, match=r"evidence holds -1\.0"):
        fit_evidence_scale([[1.0, -1.0], [0.0, 2.0]], [0, 1])
