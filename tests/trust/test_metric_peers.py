"""The torchmetrics classes against scikit-learn, torchmetrics and torch-uncertainty's formulas.

torch-uncertainty itself cannot be installed beside what the package is tested with (it needs a
torchvision of the same build as torch), so its published definitions of version 0.13 are restated
here, literally and for one list of samples. Its own classes gave the same to 1e-7 on random data
without ties; with them they depend on what an unstable sort makes of the order, here on that of
arrival.
"""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import (
    BinaryAUROC,
    BinaryCalibrationError,
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassF1Score,
    MulticlassRecall,
)

from ter_fast import metrics

CLASSES = 5
SIZES = [1, 2, 40, 1000]
Floats = NDArray[np.float64]
relaxed = settings(deadline=None, max_examples=30)


def draw(n: int, seed: int, ties: bool = True) -> tuple[Tensor, Tensor]:
    """Draw confidences and whether they are right, more often where they are high."""
    generator = np.random.default_rng(seed)
    confidence = generator.permutation(np.linspace(0.01, 0.99, n))
    if ties:
        confidence = np.round(confidence * 8) / 8
    return torch.tensor(confidence), torch.tensor(generator.random(n) < confidence)


def draw_probabilities(n: int, seed: int = 0, classes: int = CLASSES) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, classes, generator=generator, dtype=torch.float64)
    probability = torch.softmax(logits, 1)
    return probability, torch.multinomial(probability, 1, generator=generator).squeeze(1)


def value(metric: Metric, confidence: Tensor, correct: Tensor) -> float:
    metric.update(torch.zeros(len(correct), dtype=torch.int64), (~correct).long(), confidence)
    return float(metric.compute())


def close(expected: float) -> object:
    return pytest.approx(float(expected), rel=1e-5, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.875])
@pytest.mark.parametrize("seed", range(3))
def test_thresholds_equal_scikit_learn(threshold: float, seed: int) -> None:
    confidence, correct = draw(300, seed)
    trusted = confidence >= threshold
    peer = sklearn.metrics
    for metric, expected in (
        (metrics.TrustedPrecision(threshold), peer.precision_score(correct, trusted)),
        (metrics.TrustedRecall(threshold), peer.recall_score(correct, trusted)),
        (metrics.TrustedF1(threshold), peer.f1_score(correct, trusted)),
        (metrics.TrustedAccuracy(threshold), peer.accuracy_score(correct, trusted)),
        (metrics.Coverage(threshold), trusted.double().mean()),
        (metrics.SelectiveRisk(threshold), 1 - peer.precision_score(correct, trusted)),
        (
            metrics.TrustedF1Lift(threshold),
            peer.f1_score(correct, trusted) - peer.f1_score(correct, torch.ones_like(correct)),
        ),
    ):
        assert value(metric, confidence, correct) == close(expected)


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_ranking_equals_scikit_learn(ties: bool, seed: int) -> None:
    confidence, correct = draw(300, seed, ties)
    auroc = value(metrics.FailureAUROC(), confidence, correct)
    assert auroc == close(sklearn.metrics.roc_auc_score(correct, confidence))
    assert auroc == close(BinaryAUROC()(confidence, correct.long()))
    fpr, tpr, _ = sklearn.metrics.roc_curve(correct, confidence, drop_intermediate=False)
    assert value(metrics.FPR95(), confidence, correct) == close(fpr[np.argmax(tpr >= 0.95)])


def test_probabilities_equal_scikit_learn() -> None:
    probability, target = draw_probabilities(500)
    brier, likelihood = metrics.BrierScore(), metrics.NegativeLogLikelihood()
    labels = range(CLASSES)
    assert float(brier(probability, target)) == close(
        sklearn.metrics.brier_score_loss(target, probability, labels=labels, scale_by_half=False)
    )
    assert float(likelihood(probability, target)) == close(
        sklearn.metrics.log_loss(target, probability, labels=labels)
    )


def test_torchmetrics_computes_what_the_docs_send_there() -> None:
    probability, target = draw_probabilities(500)
    predicted = probability.argmax(1)
    assert float(MulticlassAccuracy(CLASSES, average="micro")(probability, target)) == close(
        metrics.accuracy(predicted, target)
    )
    assert float(MulticlassRecall(CLASSES, average="macro")(probability, target)) == close(
        metrics.unweighted_average_recall(predicted, target)
    )
    for average, function in (("macro", metrics.macro_f1), ("weighted", metrics.weighted_f1)):
        peer = MulticlassF1Score(CLASSES, average=average)
        assert float(peer(probability, target)) == close(function(predicted, target))
    assert float(MulticlassCalibrationError(CLASSES, n_bins=15)(probability, target)) == close(
        metrics.expected_calibration_error(probability, target)
    )
    one_against_rest = [
        float(BinaryCalibrationError(n_bins=15)(probability[:, k], (target == k).long()))
        for k in range(CLASSES)
    ]
    classwise = metrics.ClasswiseCalibrationError(CLASSES)(probability, target)
    assert float(classwise) == close(np.mean(one_against_rest))


def test_a_class_that_is_only_predicted_counts_in_torchmetrics_alone() -> None:
    predicted, target = torch.tensor([0, 1, 1]), torch.tensor([0, 0, 0])
    ours = metrics.unweighted_average_recall(predicted, target)
    assert float(MulticlassRecall(2, average="macro")(predicted, target)) == close(ours / 2)


def risks(confidence: Tensor, correct: Tensor) -> Floats:
    """Return the error rate among the k most confident, k = 1 … N, in the order of arrival."""
    order = np.argsort(-confidence.numpy(), kind="stable")
    return np.cumsum(~correct.numpy()[order]) / np.arange(1, len(order) + 1)


def trapezoid(heights: Floats, places: Floats) -> float:
    return float(torch.trapezoid(torch.from_numpy(heights), torch.from_numpy(places)))


def uncertainty_aurc(confidence: Tensor, correct: Tensor) -> float:
    risk, n = risks(confidence, correct), len(correct)
    return trapezoid(risk, np.arange(1, n + 1) / n) / (1 - 1 / n) if n > 1 else math.nan


def uncertainty_augrc(confidence: Tensor, correct: Tensor) -> float:
    risk, n = risks(confidence, correct), len(correct)
    coverage = np.arange(1, n + 1) / n
    return trapezoid(risk * coverage, coverage) / (1 - 1 / n) if n > 1 else math.nan


def uncertainty_coverage_at_risk(confidence: Tensor, correct: Tensor, risk: float) -> float:
    reached = np.flatnonzero(risks(confidence, correct) <= risk)
    return float(reached[-1] + 1) / len(correct) if reached.size else math.nan


def uncertainty_risk_at_coverage(confidence: Tensor, correct: Tensor, coverage: float) -> float:
    return float(risks(confidence, correct)[math.ceil(len(correct) * coverage) - 1])


def uncertainty_adaptive_error(confidence: Tensor, correct: Tensor, bins: int) -> float:
    order = torch.argsort(confidence, stable=True)
    parts = zip(
        confidence[order].tensor_split(bins), correct[order].tensor_split(bins), strict=True
    )
    gaps = [abs(float(c.sum() - right.sum())) for c, right in parts]
    return sum(gaps) / len(correct)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_areas_relate_to_torch_uncertainty_as_the_docs_say(n: int, seed: int) -> None:
    confidence, correct = draw(n, seed, ties=False)
    risk = risks(confidence, correct)
    aurc, augrc = metrics.AURC(), metrics.AUGRC()
    area, generalized = (value(each, confidence, correct) for each in (aurc, augrc))
    if n == 1:
        assert math.isnan(uncertainty_aurc(confidence, correct))
        assert not math.isnan(area)
        return
    theirs = uncertainty_aurc(confidence, correct)
    assert theirs == close((n * area - (risk[0] + risk[-1]) / 2) / (n - 1))
    first = risk[0] / n
    theirs = uncertainty_augrc(confidence, correct)
    assert theirs == close((n * generalized - first / 2) / (n - 1))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", [0.05, 0.2, 0.8])
def test_points_equal_torch_uncertainty_without_ties(n: int, seed: int, level: float) -> None:
    confidence, correct = draw(n, seed, ties=False)
    coverage = value(metrics.CoverageAtRisk(level), confidence, correct)
    theirs = uncertainty_coverage_at_risk(confidence, correct, level)
    assert coverage == close(0.0 if math.isnan(theirs) else theirs)
    risk = value(metrics.RiskAtCoverage(level), confidence, correct)
    assert risk == close(uncertainty_risk_at_coverage(confidence, correct, level))


@relaxed
@given(st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.9]), st.booleans()), min_size=2, max_size=6))
def test_ties_are_the_mean_over_their_orders(samples: list[tuple[float, bool]]) -> None:
    """Averaged over every order of arrival, its area is ours: order is all that tells them apart."""
    pairs = [
        (torch.tensor([c for c, _ in order]), torch.tensor([right for _, right in order]))
        for order in permutations(samples)
    ]
    means = [float(np.mean(risks(*pair))) for pair in pairs]
    assert value(metrics.AURC(), *pairs[0]) == close(np.mean(means))
    coverage = np.arange(len(samples) + 1) / len(samples)
    areas = [trapezoid(np.append(0.0, risks(*pair)) * coverage, coverage) for pair in pairs]
    assert value(metrics.AUGRC(), *pairs[0]) == close(np.mean(areas))


def test_with_ties_torch_uncertainty_depends_on_the_order_of_arrival() -> None:
    confidence = torch.tensor([0.5, 0.5, 0.5, 0.5])
    first, last = torch.tensor([True, True, False, False]), torch.tensor([False, False, True, True])
    assert uncertainty_aurc(confidence, first) < uncertainty_aurc(confidence, last)
    assert uncertainty_coverage_at_risk(confidence, first, 0.2) == 0.5
    assert uncertainty_risk_at_coverage(confidence, last, 0.5) == 1.0
    for correct in (first, last):
        assert value(metrics.AURC(), confidence, correct) == 0.5
        assert value(metrics.CoverageAtRisk(0.2), confidence, correct) == 0.0
        assert value(metrics.RiskAtCoverage(0.5), confidence, correct) == 0.5


@pytest.mark.parametrize("bins", [1, 5, 15])
def test_equal_mass_equals_torch_uncertainty_without_ties_or_rest(bins: int) -> None:
    probability, target = draw_probabilities(20 * bins)
    top, correct = probability.amax(1), probability.argmax(1) == target
    assert len(top.unique()) == len(top)
    assert float(metrics.EqualMassCalibrationError(bins)(probability, target)) == close(
        uncertainty_adaptive_error(top, correct, bins)
    )


def test_equal_mass_keeps_ties_together_where_torch_uncertainty_splits_them() -> None:
    probability = torch.tensor([[0.75, 0.25]] * 4)
    sorted_target, shuffled = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    split = [
        uncertainty_adaptive_error(probability[:, 0], target == 0, 2)
        for target in (sorted_target, shuffled)
    ]
    assert split == [0.5, 0.25]
    for target in (sorted_target, shuffled):
        assert float(metrics.EqualMassCalibrationError(2)(probability, target)) == 0.25
