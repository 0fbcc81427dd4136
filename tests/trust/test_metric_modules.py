"""The torchmetrics classes: each equals its function, over batches, collections and devices' dtypes."""

from __future__ import annotations

import math
import pickle
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics import Metric, MetricCollection, MetricTracker
from torchmetrics.classification import MulticlassAccuracy, MulticlassRecall

from ter_fast import Opinion, TerFastError, metrics
from ter_fast.errors import DataError
from ter_fast.trust.thresholds import BinnedSweep, Sweep, sweep

CLASSES = 4
THRESHOLD = 0.55
Batch = tuple[Tensor, Tensor, Tensor]

# What each class of trust is to equal, as a function of the exact sweep.
OF_SWEEP: dict[str, tuple[Callable[..., Metric], Callable[[Sweep], float]]] = {
    "TrustedPrecision": (
        lambda: metrics.TrustedPrecision(THRESHOLD),
        lambda s: s.at(THRESHOLD).precision,
    ),
    "TrustedRecall": (lambda: metrics.TrustedRecall(THRESHOLD), lambda s: s.at(THRESHOLD).recall),
    "TrustedF1": (lambda: metrics.TrustedF1(THRESHOLD), lambda s: s.at(THRESHOLD).f1),
    "TrustedF1Lift": (lambda: metrics.TrustedF1Lift(THRESHOLD), lambda s: s.at(THRESHOLD).lift),
    "AcceptAllF1": (metrics.AcceptAllF1, lambda s: s.accept_all_f1),
    "TrustedAccuracy": (
        lambda: metrics.TrustedAccuracy(THRESHOLD),
        lambda s: s.at(THRESHOLD).accuracy,
    ),
    "Coverage": (lambda: metrics.Coverage(THRESHOLD), lambda s: s.at(THRESHOLD).coverage),
    "SelectiveRisk": (lambda: metrics.SelectiveRisk(THRESHOLD), lambda s: s.at(THRESHOLD).risk),
    "AURC": (metrics.AURC, lambda s: s.aurc),
    "EAURC": (metrics.EAURC, lambda s: s.e_aurc),
    "AUGRC": (metrics.AUGRC, lambda s: s.augrc),
    "FailureAUROC": (metrics.FailureAUROC, lambda s: s.failure_auroc),
    "FPR95": (metrics.FPR95, lambda s: s.fpr95),
    "CoverageAtRisk": (lambda: metrics.CoverageAtRisk(0.3), lambda s: s.coverage_at_risk(0.3)),
    "RiskAtCoverage": (lambda: metrics.RiskAtCoverage(0.6), lambda s: s.risk_at_coverage(0.6)),
}
OF_PROBABILITIES: dict[str, tuple[Callable[..., Metric], Callable[..., float]]] = {
    "BrierScore": (metrics.BrierScore, metrics.brier),
    "NegativeLogLikelihood": (metrics.NegativeLogLikelihood, metrics.negative_log_likelihood),
    "EqualMassCalibrationError": (
        lambda: metrics.EqualMassCalibrationError(bins=7),
        lambda p, y: metrics.expected_calibration_error(p, y, bins=7, strategy="mass"),
    ),
    "ClasswiseCalibrationError": (
        lambda: metrics.ClasswiseCalibrationError(CLASSES, bins=7),
        lambda p, y: metrics.classwise_calibration_error(p, y, bins=7),
    ),
    "ClasswiseCalibrationError of mass": (
        lambda: metrics.ClasswiseCalibrationError(CLASSES, bins=7, strategy="mass"),
        lambda p, y: metrics.classwise_calibration_error(p, y, bins=7, strategy="mass"),
    ),
}
EVERY = {name: make for name, (make, _) in (OF_SWEEP | OF_PROBABILITIES).items()}
relaxed = settings(deadline=None, max_examples=30)


BINNED = ("AURC", "EAURC", "AUGRC", "FailureAUROC", "FPR95", "CoverageAtRisk", "RiskAtCoverage")
BINNED_MAKERS: dict[str, Callable[..., Metric]] = {
    name: getattr(metrics, name) for name in BINNED
} | {
    "CoverageAtRisk": lambda **settings: metrics.CoverageAtRisk(0.3, **settings),
    "RiskAtCoverage": lambda **settings: metrics.RiskAtCoverage(0.6, **settings),
}


def draw(n: int = 120, seed: int = 0) -> Batch:
    """Draw probabilities with ties, labels, and confidences with ties and NaN."""
    generator = torch.Generator().manual_seed(seed)
    probability = torch.softmax(2 * torch.randn(n, CLASSES, generator=generator), 1)
    probability[::3] = torch.tensor([0.5, 0.25, 0.25, 0.0])
    target = torch.multinomial(probability, 1, generator=generator).squeeze(1)
    confidence = torch.round(torch.rand(n, generator=generator) * 20) / 20
    confidence[::11] = math.nan
    return probability, target, confidence


def batches(batch: Batch, *sizes: int) -> list[tuple[Tensor, ...]]:
    return list(zip(*(each.split(list(sizes)) for each in batch), strict=True))


def result(metric: Metric) -> float:
    value = metric.compute()
    assert value.shape == ()
    assert value.device == metric.device
    return float(value)


def close(value: float) -> Any:
    return pytest.approx(value, rel=1e-6, abs=1e-7, nan_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_SWEEP)
@relaxed
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.3, 0.55, 0.550001, 0.8, 1.0, math.nan]) | st.floats(0, 1),
            st.booleans(),
        ),
        max_size=30,
    ),
    st.integers(0, 30),
    st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_trust_equals_the_sweep_over_batches(
    name: str, samples: list[tuple[float, bool]], cut: int, dtype: torch.dtype
) -> None:
    make, figure = OF_SWEEP[name]
    confidence = torch.tensor([c for c, _ in samples], dtype=dtype)
    correct = torch.tensor([right for _, right in samples], dtype=torch.bool)
    preds = torch.arange(len(samples)) % CLASSES
    target = torch.where(correct, preds, (preds + 1) % CLASSES)
    metric = make()
    for part in (slice(None, cut), slice(cut, None)):
        metric.update(preds[part], target[part], confidence[part])
    expected = figure(sweep(confidence, correct)) if samples else math.nan
    assert result(metric) == close(expected)


@pytest.mark.parametrize("name", OF_PROBABILITIES)
@pytest.mark.parametrize("sizes", [(120,), (1, 50, 69), (0, 120, 0)])
def test_probabilities_equal_their_functions_over_batches(
    name: str, sizes: tuple[int, ...]
) -> None:
    make, figure = OF_PROBABILITIES[name]
    probability, target, _ = draw()
    target[probability.gather(1, target[:, None])[:, 0] == 0] = 0
    metric = make()
    for part in batches((probability, target, target), *sizes):
        metric.update(*part[:2])
    assert result(metric) == close(figure(probability, target))


@pytest.mark.parametrize("name", BINNED)
@pytest.mark.parametrize("bins", [1, 64])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_bins_equal_the_binned_sweep_over_batches(name: str, bins: int, dtype: torch.dtype) -> None:
    probability, target, confidence = draw(500)
    confidence[::2] = torch.rand(250, generator=torch.Generator().manual_seed(2))
    confidence = confidence.to(dtype)
    metric = BINNED_MAKERS[name](bins=bins).to(torch.bfloat16)
    for part in batches((probability, target, confidence), 0, 200, 300):
        metric(*part)
    correct = probability.argmax(1) == target
    whole = BinnedSweep(bins)
    whole.update(confidence, correct)
    figure = OF_SWEEP[name][1]
    assert result(metric) == close(figure(whole.to_sweep()))
    bound = {"AURC": "aurc", "EAURC": "e_aurc", "AUGRC": "augrc", "FailureAUROC": "failure_auroc"}
    if name in bound:
        exact = figure(sweep(confidence, correct))
        assert abs(result(metric) - exact) <= getattr(whole.error_bound, bound[name]) + 1e-6


@pytest.mark.parametrize("name", BINNED)
def test_bins_keep_memory_constant(name: str) -> None:
    metric = BINNED_MAKERS[name](bins=64)
    sizes = []
    for seed in range(3):
        metric.update(*draw(seed=seed))
        sizes.append({key: len(state) for key, state in metric.metric_state.items()})
    assert sizes == [sizes[0]] * 3
    metric.reset()
    metric.update(torch.empty(0, CLASSES), torch.empty(0, dtype=torch.int64))
    assert math.isnan(result(metric))


def test_bins_refuse_confidences_that_have_none() -> None:
    with pytest.raises(DataError, match=r"bins are made for \[0, 1\]"):
        metrics.AURC(bins=64).update(LABELS, LABELS, SURE * 2)


def test_an_impossible_class_that_comes_true_costs_infinity() -> None:
    metric = metrics.NegativeLogLikelihood()
    metric.update(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    assert result(metric) == math.inf


@pytest.mark.parametrize("name", OF_SWEEP)
def test_the_largest_probability_is_the_confidence(name: str) -> None:
    make, figure = OF_SWEEP[name]
    probability, target, confidence = draw()
    largest, label = probability.max(1)
    for preds, given_confidence, expected in (
        (probability, None, largest),
        (probability, confidence, confidence),
        (label, confidence, confidence),
        (probability.log(), confidence, confidence),
    ):
        metric = make()
        metric.update(preds, target, given_confidence)
        assert result(metric) == close(figure(sweep(expected, label == target)))


@pytest.mark.parametrize("name", OF_SWEEP)
def test_an_opinion_brings_its_own_confidence(name: str) -> None:
    make, figure = OF_SWEEP[name]
    evidence = 5 * torch.rand(60, CLASSES, generator=torch.Generator().manual_seed(1))
    evidence[3] = math.nan
    target = torch.arange(60) % CLASSES
    for kind in ("one_minus_vacuity", "margin"):
        opinion = Opinion(evidence, confidence_kind=kind)
        metric = make()
        metric.update(opinion, target)
        expected = figure(sweep(opinion.confidence, opinion.prediction == target))
        assert result(metric) == close(expected)


def test_an_opinion_without_evidence_is_never_trusted() -> None:
    opinion = Opinion(torch.tensor([[0.0, 0.0], [3.0, 0.0]]), confidence_kind="max_probability")
    metric = metrics.Coverage(threshold=0.0)
    metric.update(opinion, torch.tensor([0, 0]))
    assert result(metric) == opinion.trusted(0.0).float().mean()


@pytest.mark.parametrize("name", OF_PROBABILITIES)
def test_probabilities_may_come_as_an_opinion(name: str) -> None:
    make, _ = OF_PROBABILITIES[name]
    opinion = Opinion(torch.rand(60, CLASSES, generator=torch.Generator().manual_seed(1)))
    target = torch.arange(60) % CLASSES
    first, second = make(), make()
    first.update(opinion, target)
    second.update(opinion.probability, target)
    assert result(first) == result(second)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_and_never_kept(name: str, dtype: torch.dtype) -> None:
    probability, target, _ = draw(4000)
    low = probability.to(dtype)
    halved, wide = EVERY[name]().to(torch.bfloat16), EVERY[name]()
    for metric, preds in ((halved, low), (wide, low.double())):
        for part in batches((preds, target, target), *[200] * 20):
            metric.update(*part[:2])
    assert result(halved) == close(result(wide))


@pytest.mark.parametrize("name", EVERY)
def test_forward_returns_the_batch_and_keeps_the_epoch(name: str) -> None:
    metric, whole = EVERY[name](), EVERY[name]()
    batch = draw()
    for part in batches(batch, 50, 70):
        alone = EVERY[name]()
        alone.update(*part[:2])
        assert float(metric(*part[:2])) == close(result(alone))
    whole.update(*batch[:2])
    assert result(metric) == close(result(whole))
    metric.reset()
    metric.update(*batches(batch, 50, 70)[0][:2])
    alone = EVERY[name]()
    alone.update(*batches(batch, 50, 70)[0][:2])
    assert result(metric) == close(result(alone))


@pytest.mark.parametrize("name", EVERY)
def test_pickle_clone_merge_and_state_dict_carry_the_states(name: str) -> None:
    probability, target, _ = draw()
    metric = EVERY[name]()
    metric.persistent(True)
    metric.update(probability, target)
    expected = result(metric)
    restored = EVERY[name]()
    restored.persistent(True)
    restored.load_state_dict(metric.state_dict())
    restored._update_count = 1
    for other in (pickle.loads(pickle.dumps(metric)), metric.clone(), restored):
        assert result(other) == close(expected)
    first, second = EVERY[name](), EVERY[name]()
    first.update(probability[:50], target[:50])
    second.update(probability[50:], target[50:])
    first.merge_state(second)
    assert result(first) == close(expected)


@pytest.mark.parametrize("name", EVERY)
def test_without_samples_there_is_no_figure(name: str) -> None:
    metric = EVERY[name]()
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        assert math.isnan(float(metric.compute()))
    metric = EVERY[name]()
    metric.update(torch.empty(0, CLASSES), torch.empty(0, dtype=torch.int64))
    assert math.isnan(result(metric))


@pytest.mark.parametrize("name", [name for name in EVERY if name != "AcceptAllF1"])
def test_higher_is_better_says_so(name: str) -> None:
    """A model that is right where it is sure beats one that is sure where it is wrong."""
    sure, unsure = torch.tensor([0.9, 0.04, 0.03, 0.03]), torch.tensor([0.4, 0.3, 0.2, 0.1])
    good, bad = EVERY[name](), EVERY[name]()
    good.update(torch.stack([sure] * 8 + [unsure] * 4), torch.tensor([0] * 8 + [1] * 4))
    bad.update(torch.stack([sure] * 4 + [unsure] * 8), torch.tensor([1] * 4 + [0] * 8))
    assert (result(good) > result(bad)) == good.higher_is_better
    assert result(good) != result(bad)
    for value in (result(good), result(bad)):
        assert good.plot_lower_bound is not None
        assert good.plot_lower_bound <= value <= (good.plot_upper_bound or math.inf)


def test_the_baseline_knows_no_confidence_and_is_what_the_lift_is_measured_from() -> None:
    preds, target, confidence = draw()
    baseline, score, lift = (
        metrics.AcceptAllF1(),
        metrics.TrustedF1(THRESHOLD),
        metrics.TrustedF1Lift(THRESHOLD),
    )
    for metric in (baseline, score, lift):
        metric.update(preds, target, confidence)
    accuracy = metrics.accuracy(preds.argmax(1), target)
    assert result(baseline) == close(2 * accuracy / (1 + accuracy))
    assert result(score) - result(baseline) == pytest.approx(result(lift), abs=1e-6)
    baseline.reset()
    baseline.update(preds, target, 1 - confidence)
    assert result(baseline) == close(2 * accuracy / (1 + accuracy))


def test_a_collection_holds_them_beside_torchmetrics() -> None:
    batch = draw(300)
    peers: dict[str, Metric] = {
        "accuracy": MulticlassAccuracy(CLASSES, average="micro"),
        "uar": MulticlassRecall(CLASSES, average="macro"),
    }
    ours: dict[str, Metric] = {name: make() for name, make in EVERY.items()}
    collection = MetricCollection(ours | peers)
    for preds, target, confidence in batches(batch, 100, 150, 50):
        collection.update(preds, target, confidence=confidence)
    together = collection.compute()
    assert float(together["accuracy"]) == close(metrics.accuracy(batch[0].argmax(1), batch[1]))
    for name, make in EVERY.items():
        alone = make()
        alone.update(*(batch[:2] if name in OF_PROBABILITIES else batch))
        assert float(together[name]) == close(result(alone))


def test_a_collection_shares_states_only_where_they_are_the_same() -> None:
    preds, target, _ = draw(200)
    # No confidence of the first batch lies between the thresholds, so its counts are equal there.
    first, later = torch.full((100,), 0.9), torch.linspace(0, 1, 100)
    collection = MetricCollection(
        {
            "low": metrics.TrustedF1(0.5),
            "precision": metrics.TrustedPrecision(0.5),
            "high": metrics.TrustedF1(0.7),
            "aurc": metrics.AURC(),
            "auroc": metrics.FailureAUROC(),
            "binned aurc": metrics.AURC(bins=64),
            "binned auroc": metrics.FailureAUROC(bins=64),
            "finer": metrics.AURC(bins=128),
            "mass": metrics.EqualMassCalibrationError(),
            "brier": metrics.BrierScore(),
            "nll": metrics.NegativeLogLikelihood(),
        }
    )
    collection.update(preds[:100], target[:100], confidence=first)
    collection.update(preds[100:], target[100:], confidence=later)
    groups = {frozenset(group) for group in collection.compute_groups.values()}
    assert groups == {
        frozenset({"low", "precision"}),
        frozenset({"high"}),
        frozenset({"aurc", "auroc"}),
        frozenset({"binned aurc", "binned auroc"}),
        frozenset({"finer"}),
        frozenset({"mass"}),
        frozenset({"brier"}),
        frozenset({"nll"}),
    }
    exact = sweep(torch.cat([first, later]), preds.argmax(1) == target)
    for name, threshold in (("low", 0.5), ("high", 0.7)):
        assert float(collection.compute()[name]) == close(exact.at(threshold).f1)


def test_a_tracker_finds_the_best_epoch() -> None:
    tracker = MetricTracker(metrics.AURC())
    preds, target, _ = draw()
    correct = preds.argmax(1) == target
    values = []
    for order in (correct.float(), 1 - correct.float()):
        tracker.increment()
        tracker.update(preds, target, order)
        values.append(sweep(order, correct).aurc)
    best, step = tracker.best_metric(return_step=True)
    assert best == close(min(values))
    assert step == int(np.argmin(values))


def test_the_curve_is_that_of_the_sweep() -> None:
    preds, target, confidence = draw()
    metric = metrics.RiskCoverageCurve()
    metric.update(preds, target, confidence)
    coverage, risk, threshold = metric.compute()
    exact = sweep(confidence, preds.argmax(1) == target)
    np.testing.assert_allclose(coverage, exact.coverage[::-1], rtol=1e-6)
    np.testing.assert_allclose(risk, exact.risk[::-1], rtol=1e-6)
    np.testing.assert_array_equal(threshold, exact.threshold[::-1])
    assert all(a > b for a, b in pairwise(threshold.tolist()))


@pytest.fixture
def headless() -> Any:
    with mpl.rc_context({"backend": "Agg"}):
        yield
    plt.close("all")


@pytest.mark.usefixtures("headless")
@pytest.mark.parametrize("name", EVERY)
def test_values_are_drawn_over_steps(name: str) -> None:
    metric = EVERY[name]()
    steps = [metric(*part[:2]) for part in batches(draw(), 40, 40, 40)]
    _, axes = metric.plot(steps)
    drawn = axes.get_lines()[0].get_ydata()
    np.testing.assert_allclose(drawn, torch.stack(steps))
    figure, axes = metric.plot()
    figure.canvas.draw()
    assert axes.get_ylabel() == type(metric).__name__


@pytest.mark.usefixtures("headless")
def test_the_curve_is_drawn_with_its_area() -> None:
    metric = metrics.RiskCoverageCurve()
    preds, target, _ = draw()
    metric.update(preds, target)
    figure, axes = metric.plot(score=True)
    figure.canvas.draw()
    coverage, risk, _ = metric.compute()
    np.testing.assert_allclose(axes.get_lines()[0].get_xdata(), coverage)
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), risk)
    area = sweep(preds.amax(1), preds.argmax(1) == target).aurc
    assert axes.get_legend().get_texts()[0].get_text() == f"AUC={area:.3f}"
    single = metrics.RiskCoverageCurve()
    single.update(torch.tensor([0, 1]), torch.tensor([0, 0]), torch.tensor([0.5, 0.5]))
    _, axes = single.plot()
    assert list(axes.get_lines()[0].get_ydata()) == [0.5]


LABELS = torch.tensor([0, 1, 2])
UNIFORM = torch.full((3, CLASSES), 1 / CLASSES)
SURE = torch.tensor([0.2, 0.4, 0.6])


@pytest.mark.parametrize(
    ("preds", "target", "confidence", "message"),
    [
        (LABELS, LABELS, None, "give confidence with them"),
        (LABELS, LABELS[:2], SURE, "3 predictions, 2 targets and 3 confidences"),
        (LABELS, LABELS, SURE[:2], "3 predictions, 3 targets and 2 confidences"),
        (UNIFORM, torch.tensor([0, 1, CLASSES]), None, "the label 4, outside 0 … 3"),
        (UNIFORM, torch.tensor([0, -1, 2]), None, "the label -1, outside 0 …"),
        (torch.tensor([0, 1, -2]), LABELS, SURE, "the label -2"),
        (UNIFORM, LABELS.float(), None, "target has dtype torch.float32"),
        (UNIFORM[:, 0], LABELS, SURE, "preds has dtype torch.float32 and shape"),
        (UNIFORM * 4, LABELS, None, "not a distribution"),
        (UNIFORM.log(), LABELS, None, "not a distribution"),
        (torch.tensor([[1.5, -0.5]]), torch.tensor([0]), None, "not a distribution"),
        (UNIFORM.long(), LABELS, None, "give probabilities"),
        (torch.empty(3, 0), LABELS, None, "give probabilities"),
        (torch.empty(3, 0), LABELS, SURE, "with classes"),
        (UNIFORM[None], LABELS, SURE, r"give \(N,\)"),
        (UNIFORM, LABELS[:, None], None, r"give \(N,\)"),
        (LABELS, LABELS, SURE[:, None], r"give \(N,\)"),
        (LABELS, LABELS, LABELS, "floating-point"),
        (LABELS, LABELS, SURE / 0, "infinite confidence"),
        (np.array(["a", None, 1], dtype=object), LABELS, SURE, "preds is ndarray"),
        ([0, 1, 2], LABELS, SURE, "preds is list"),
        (LABELS, LABELS, [0.1, 0.2, 0.3], "confidence is list"),
        (Opinion(torch.ones(3, 1, CLASSES)), LABELS, None, r"give \(N, K\)"),
    ],
)
@pytest.mark.parametrize("name", ["TrustedF1", "AURC"])
def test_a_bad_batch_says_what_is_wrong(
    name: str, preds: Any, target: Any, confidence: Any, message: str
) -> None:
    metric = EVERY[name]()
    with pytest.raises(DataError, match=message):
        metric.update(preds, target, confidence)


@pytest.mark.parametrize("name", OF_PROBABILITIES)
@pytest.mark.parametrize(
    ("preds", "target"),
    [
        (LABELS, LABELS),
        (UNIFORM, LABELS[:2]),
        (UNIFORM[:0], LABELS),
        (UNIFORM, LABELS + 2),
        (UNIFORM, LABELS - 1),
        (UNIFORM, LABELS.float()),
        (UNIFORM * 2, LABELS),
        (UNIFORM.tolist(), LABELS),
    ],
)
def test_bad_probabilities_are_refused(name: str, preds: Any, target: Any) -> None:
    metric = EVERY[name]()
    with pytest.raises(DataError):
        metric.update(preds, target)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.TrustedF1(math.nan), "threshold is NaN"),
        (lambda: metrics.CoverageAtRisk(1.5), "risk is 1.5"),
        (lambda: metrics.RiskAtCoverage(math.nan), "coverage is nan"),
        (lambda: metrics.EqualMassCalibrationError(bins=0), "bins is 0"),
        (lambda: metrics.AURC(bins=100), "bins is 100; give a power of two"),
        (lambda: metrics.ClasswiseCalibrationError(0), "num_classes is 0"),
        (lambda: metrics.ClasswiseCalibrationError(3, strategy="size"), "unknown strategy"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], Metric], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(DataError, match=r"give \(N, 5\)"):
        metrics.ClasswiseCalibrationError(5).update(UNIFORM, LABELS)


@pytest.mark.parametrize("right", [True, False])
def test_one_kind_only_and_one_confidence_are_defined(right: bool) -> None:
    preds = torch.zeros(50, dtype=torch.int64)
    confidence = torch.full((50,), 0.75)
    target = preds if right else preds + 1
    exact = sweep(confidence, torch.full((50,), right))
    for make, figure in OF_SWEEP.values():
        metric = make()
        metric.update(preds, target, confidence)
        assert result(metric) == close(figure(exact))


def test_gradients_are_not_kept() -> None:
    probability = UNIFORM.clone().requires_grad_()
    for make in EVERY.values():
        metric = make()
        assert not metric(probability, LABELS).requires_grad
        assert not any(
            each.requires_grad
            for state in metric.metric_state.values()
            for each in (state if isinstance(state, list) else [state])
        )


@pytest.mark.gpu
def test_on_a_gpu_they_stay_there() -> None:
    batch = draw(300)
    every: dict[str, Metric] = {name: make() for name, make in EVERY.items()}
    every |= {f"binned {name}": make(bins=64) for name, make in BINNED_MAKERS.items()}
    here, there = MetricCollection(every), MetricCollection(every).clone().to("cuda")
    for preds, target, _ in batches(batch, 100, 200):
        here.update(preds, target)
        there.update(preds.cuda(), target.cuda())
    for name, metric in there.items():
        assert metric.compute().device.type == "cuda"
        assert float(metric.compute()) == close(result(here[name]))


def test_without_torchmetrics_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("ter_fast.trust.metrics.modules")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(metrics, "modules", raising=False)
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(TerFastError, match=r"pip install 'ter_fast\[metrics\]'"):
        _ = metrics.AURC


def test_names_are_listed_and_misspelt_ones_refused() -> None:
    assert set(metrics.__all__) <= set(dir(metrics))
    assert all(issubclass(getattr(metrics, name), Metric) for name in EVERY if " " not in name)
    with pytest.raises(AttributeError, match="AUCR"):
        _ = metrics.AUCR  # type: ignore[attr-defined]
