"""`ter_fast.thresholds` against its definitions, taken literally, and against scikit-learn."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_auc_score

from ter_fast.errors import DataError
from ter_fast.trust.thresholds import Criterion, Sweep, counting, sweep

Samples = tuple[NDArray[Any], NDArray[np.bool_]]

WIDTHS: list[tuple[type[np.floating[Any]], Literal[32, 64]]] = [(np.float32, 32), (np.float64, 64)]

# The first example of a test may compile.
relaxed = settings(deadline=None)


@st.composite
def samples(draw: st.DrawFn, low: float = 0.0, nan: bool = True, least: int = 0) -> Samples:
    """Draw confidences of either width, full of ties, beside correct flags."""
    dtype, width = draw(st.sampled_from(WIDTHS))
    value = st.one_of(
        st.sampled_from([0.0, 0.25, 0.5, 1.0] + [math.nan] * nan),
        st.floats(low, 1.0, width=width),
    )
    pairs = draw(st.lists(st.tuples(value, st.booleans()), min_size=least, max_size=40))
    confidence = np.array([c for c, _ in pairs], dtype)
    return confidence, np.array([right for _, right in pairs], np.bool_)


def counts_at(confidence: NDArray[Any], correct: NDArray[np.bool_], t: float) -> list[int]:
    """Count TP, FP, FN, TN one sample at a time."""
    counts = [0, 0, 0, 0]
    for c, right in zip(confidence.tolist(), correct.tolist(), strict=True):
        trusted = c >= t
        counts[(0 if trusted else 2) if right else (1 if trusted else 3)] += 1
    return counts


def by_definition(tp: int, fp: int, fn: int, tn: int) -> dict[str, float]:
    n = tp + fp + fn + tn
    return {
        "precision": tp / (tp + fp) if tp + fp else 1.0,
        "recall": tp / (tp + fn) if tp + fn else 0.0,
        "f1": 2 * tp / (2 * tp + fp + fn) if tp + fn else 0.0,
        "accuracy": (tp + tn) / n if n else math.nan,
        "coverage": (tp + fp) / n if n else math.nan,
        "risk": fp / (tp + fp) if tp + fp else 0.0,
    }


def same(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


@relaxed
@given(samples(), st.floats(-0.5, 1.5))
def test_at_any_threshold_is_the_definition(data: Samples, t: float) -> None:
    confidence, correct = data
    curve = sweep(confidence, correct)
    for threshold in (t, *confidence[~np.isnan(confidence)].tolist(), -math.inf, math.inf, 1e300):
        scores = curve.at(threshold)
        tp, fp, fn, tn = counts_at(confidence, correct, threshold)
        assert (scores.accepted, scores.accepted_correct, scores.n) == (
            tp + fp,
            tp,
            confidence.size,
        )
        for name, value in by_definition(tp, fp, fn, tn).items():
            same(getattr(scores, name), value)
        same(scores.lift, scores.f1 - curve.accept_all_f1)


@relaxed
@given(samples(low=-1.0))
def test_curves_visit_every_distinct_threshold_once(data: Samples) -> None:
    confidence, correct = data
    curve = sweep(confidence, correct)
    assert curve.threshold.dtype == confidence.dtype
    assert curve.threshold.tolist() == sorted(set(confidence[~np.isnan(confidence)].tolist()))
    assert curve.nan_count == np.isnan(confidence).sum()
    assert (curve.n, curve.n_correct) == (correct.size, correct.sum())
    for i, threshold in enumerate(curve.threshold.tolist()):
        scores = curve.at(threshold)
        for name in (*by_definition(0, 0, 0, 0), "accepted", "accepted_correct"):
            assert getattr(curve, name)[i] == getattr(scores, name)


def test_float64_is_not_rounded_to_float32() -> None:
    confidence = [0.5, np.nextafter(0.5, 1), np.nextafter(0.5, 0)]
    curve = sweep(confidence, [True, False, True])
    assert curve.accepted.tolist() == [3, 2, 1]
    assert curve.accepted_correct.tolist() == [2, 1, 0]
    assert curve.at(np.nextafter(0.5, 1)).accepted == 1


def test_a_threshold_between_two_float32_neighbours() -> None:
    low = np.float32(0.1)
    high = np.nextafter(low, np.float32(1))
    curve = sweep(np.array([low, high]), [True, True])
    assert curve.at((float(low) + float(high)) / 2).accepted == 1
    assert curve.at(float(low)).accepted == 2
    assert curve.at(np.nextafter(float(low), 1)).accepted == 1
    assert curve.at(np.nextafter(float(high), 0)).accepted == 1
    assert curve.at(np.nextafter(float(high), 1)).accepted == 0
    assert curve.at(0.1).accepted == 2  # The double 0.1 lies just under the float 0.1.


@relaxed
@given(samples())
def test_the_fast_way_equals_the_general_way(data: Samples) -> None:
    confidence, correct = data
    fast = sweep(confidence, correct)
    general = sweep(np.append(confidence, confidence.dtype.type(-1)), np.append(correct, False))
    assert fast.threshold.tolist() == general.threshold.tolist()[1:]
    assert fast.accepted.tolist() == general.accepted.tolist()[1:]
    assert fast.accepted_correct.tolist() == general.accepted_correct.tolist()[1:]


def test_sums_of_many_blocks_lose_no_precision() -> None:
    generator = np.random.default_rng(5)
    confidence = generator.random(50_000)
    correct = generator.random(confidence.size) < 0.8
    order = np.argsort(-confidence)
    risk = np.cumsum(~correct[order]) / np.arange(1, confidence.size + 1)
    aurc = sweep(confidence, correct).aurc
    assert aurc == pytest.approx(math.fsum(risk) / confidence.size, rel=1e-14)


@pytest.mark.parametrize(
    ("sizes", "right"),
    [
        ((1_000,), (990,)),
        ((20, 33, 70_000), (20, 30, 100)),
        ((60_000, 40, 300), (59_999, 0, 299)),
        ((31, 5_000, 31), (31, 5_000, 30)),
    ],
)
def test_long_ties_are_summed_in_closed_form(
    sizes: tuple[int, ...], right: tuple[int, ...]
) -> None:
    """Against the definition: j of a tie's members hold j times its error rate."""
    confidence = np.repeat(np.linspace(0.9, 0.1, len(sizes)), sizes)
    correct = np.concatenate([np.arange(n) < good for n, good in zip(sizes, right, strict=True)])
    risks: list[float] = []
    seen = wrong = 0
    for n, good in zip(sizes, right, strict=True):
        risks += [(wrong + (n - good) * j / n) / (seen + j) for j in range(1, n + 1)]
        seen, wrong = seen + n, wrong + n - good
    aurc = sweep(confidence, correct).aurc
    assert aurc == pytest.approx(math.fsum(risks) / seen, rel=1e-14)


@pytest.mark.slow
def test_numba_is_imported_by_the_first_sweep_alone() -> None:
    """Importing it costs more than importing the package."""
    code = """
import sys
import ter_fast
from ter_fast.trust.thresholds import sweep
assert "numba" not in sys.modules
sweep([0.9, 0.4], [True, False])
assert "numba" in sys.modules
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=300).returncode == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_input_equals_a_plain_sort(dtype: type[np.floating[Any]]) -> None:
    generator = np.random.default_rng(0)
    confidence = (1 / (1 + generator.gamma(2, 1, 200_000))).astype(dtype)
    confidence[::1000] = np.nan
    correct = generator.random(confidence.size) < confidence
    curve = sweep(confidence, correct)
    threshold, count = np.unique(confidence[~np.isnan(confidence)], return_counts=True)
    np.testing.assert_array_equal(curve.threshold, threshold)
    np.testing.assert_array_equal(curve.accepted, count[::-1].cumsum()[::-1])
    for i in range(0, threshold.size, threshold.size // 50):
        assert curve.accepted_correct[i] == (correct & (confidence >= threshold[i])).sum()


@relaxed
@given(samples(nan=False, least=2))
def test_curves_equal_scikit_learn(data: Samples) -> None:
    confidence, correct = data
    correct[:2] = True, False
    curve = sweep(confidence, correct)
    precision, recall, thresholds = precision_recall_curve(correct, confidence)
    np.testing.assert_array_equal(curve.threshold, thresholds)
    same(curve.precision, precision[:-1])
    same(curve.recall, recall[:-1])
    same(curve.failure_auroc, roc_auc_score(correct, confidence))


def best_of(
    confidence: NDArray[Any], correct: NDArray[np.bool_], score: Callable[..., float]
) -> float | None:
    """Return the lowest distinct threshold with the largest value, by trying all of them."""
    candidates: list[float] = sorted({c for c in confidence.tolist() if not math.isnan(c)})
    if not candidates or not correct[~np.isnan(confidence)].any():
        return None
    scores = [score(*counts_at(confidence, correct, t)) for t in candidates]
    return candidates[scores.index(max(scores))]


def test_f1_scores_that_float64_cannot_tell_apart() -> None:
    c = 2**30
    accepted, right = np.array([2 * c - 1, 2 * c - 4]), np.array([c, c - 1])
    # Multiplied out, the second is larger by 1.
    assert c * (3 * c - 4) + 1 == (c - 1) * (3 * c - 1)
    assert c / (3 * c - 1) == (c - 1) / (3 * c - 4)
    chosen = counting.choose(accepted, right, np.array([0, 2]), np.array([c]))
    assert chosen[1, 0] == 1


@relaxed
@given(samples())
def test_best_is_the_best_of_all_thresholds(data: Samples) -> None:
    confidence, correct = data
    curve = sweep(confidence, correct)
    criteria: dict[Criterion, Callable[[int, int, int, int], float]] = {
        "balance": lambda tp, fp, fn, tn: -abs((tp + fp) - (tp + fn)),
        "f1": lambda tp, fp, fn, tn: 2 * tp / (2 * tp + fp + fn),
        "accuracy": lambda tp, fp, fn, tn: tp + tn,
    }
    for name, value in criteria.items():
        threshold = best_of(confidence, correct, value)
        scores = curve.best(name)
        nothing = curve.at(math.inf)
        if threshold is not None and name == "accuracy":
            everything_worse = curve.at(threshold).accuracy < nothing.accuracy
            threshold = None if everything_worse else threshold
        assert (scores and scores.threshold) == threshold
        assert scores is None or scores == curve.at(scores.threshold)


@relaxed
@given(samples(), st.floats(0, 1))
def test_thresholds_for_a_precision_a_coverage_and_a_risk(data: Samples, level: float) -> None:
    confidence, correct = data
    curve = sweep(confidence, correct)
    points = [curve.at(t) for t in curve.threshold.tolist()]
    precise = [point for point in points if point.precision >= level]
    assert curve.at_precision(level) == (precise[0] if precise else None)
    covering = [point for point in points if point.coverage >= level]
    assert curve.at_coverage(level) == (covering[-1] if covering else None)
    same(curve.risk_at_coverage(level), covering[-1].risk if covering else math.nan)
    safe = [point.coverage for point in points if point.risk <= level]
    assert curve.coverage_at_risk(level) == max(safe, default=0.0)


def in_every_order(confidence: NDArray[Any], correct: NDArray[np.bool_]) -> list[list[bool]]:
    """List the correct flags in every order that runs from sure to unsure, NaN last."""
    keys = [math.inf if math.isnan(c) else -c for c in confidence.tolist()]
    orders = itertools.permutations(zip(keys, correct.tolist(), strict=True))
    return [
        [right for _, right in order]
        for order in orders
        if all(a[0] <= b[0] for a, b in itertools.pairwise(order))
    ]


def area_under_risk(order: list[bool]) -> float:
    risks = [order[: i + 1].count(False) / (i + 1) for i in range(len(order))]
    return sum(risks) / len(risks)


@settings(relaxed, max_examples=60)
@given(samples(least=1))
def test_aurc_is_the_mean_over_every_order_of_the_ties(data: Samples) -> None:
    confidence, correct = data[0][:6], data[1][:6]
    curve = sweep(confidence, correct)
    orders = in_every_order(confidence, correct)
    same(curve.aurc, np.mean([area_under_risk(order) for order in orders]))
    optimum = min(area_under_risk(list(o)) for o in itertools.permutations(correct.tolist()))
    same(curve.e_aurc, curve.aurc - optimum)


@relaxed
@given(samples(least=1))
def test_augrc_and_failure_auroc_by_definition(data: Samples) -> None:
    confidence, correct = data
    curve = sweep(confidence, correct)
    rank = np.where(np.isnan(confidence), -1.0, confidence).astype(np.float64)
    coverage, generalized = [0.0], [0.0]
    for t in sorted(set(rank.tolist()), reverse=True):
        coverage.append(float(np.mean(rank >= t)))
        generalized.append(float(np.mean((rank >= t) & ~correct)))
    heights = [(a + b) / 2 for a, b in itertools.pairwise(generalized)]
    same(curve.augrc, np.dot(heights, np.diff(coverage)))
    pairs = [float(a > b) + 0.5 * (a == b) for a in rank[correct] for b in rank[~correct]]
    same(curve.failure_auroc, np.mean(pairs) if pairs else math.nan)


@relaxed
@given(samples(least=1))
def test_fpr95_by_definition(data: Samples) -> None:
    confidence, correct = data
    curve = sweep(confidence, correct)
    if correct.all() or not correct.any():
        assert math.isnan(curve.fpr95)
        return
    rates = [
        (confidence[~correct] >= t).mean()
        for t in curve.threshold
        if (confidence[correct] >= t).mean() >= 0.95
    ]
    same(curve.fpr95, min(rates, default=1.0))


def test_fpr95_at_exactly_95_percent() -> None:
    """Nineteen of twenty correct ones are enough, before the two wrong ones come in."""
    confidence = [*np.linspace(0.9, 0.5, 19), 0.4, 0.3, 0.2]
    correct = [True] * 19 + [False, True, False]
    assert sweep(confidence, correct).fpr95 == 0.0
    correct[0] = False
    assert sweep(confidence, correct).fpr95 == 2 / 3


def test_a_perfect_order_has_no_excess() -> None:
    correct = np.arange(1000) < 700
    curve = sweep(np.linspace(1, 0, 1000), correct)
    assert curve.e_aurc == 0.0
    assert (curve.failure_auroc, curve.fpr95) == (1.0, 0.0)


def test_published_pair_of_accuracy_and_trusted_f1() -> None:
    correct = np.arange(10_000) < 8240
    curve = sweep(np.full(10_000, 0.5), correct)
    assert round(curve.accept_all_f1, 4) == 0.9035
    assert curve.accept_all.f1 == curve.accept_all_f1
    assert curve.accept_all.lift == 0.0
    best = curve.best("f1")
    assert best is not None
    assert best.coverage == 1.0


def test_nan_is_never_trusted_but_stays_in_the_denominators() -> None:
    curve = sweep([math.nan, 0.9, -math.nan, 0.1], [True, True, False, False])
    assert (curve.n, curve.n_correct, curve.nan_count) == (4, 2, 2)
    everything = curve.at(-math.inf)
    assert (everything.accepted, everything.recall, everything.coverage) == (2, 0.5, 0.5)
    assert curve.accept_all.coverage == 1.0
    assert curve.at_coverage(0.75) is None
    assert math.isnan(curve.risk_at_coverage(0.75))
    assert curve.fpr95 == 1.0


def check_empty(curve: Sweep) -> None:
    assert curve.threshold.size == curve.accepted.size == curve.precision.size == 0
    nothing = curve.at(0.5)
    assert (nothing.precision, nothing.recall, nothing.f1) == (1.0, 0.0, 0.0)
    assert curve.best() is None
    assert curve.at_precision(0.0) is None
    assert curve.at_coverage(0.0) is None
    assert curve.coverage_at_risk(1.0) == 0.0


def test_no_samples() -> None:
    curve = sweep([], [])
    check_empty(curve)
    assert curve.accept_all_f1 == 0.0
    figures = (curve.at(0.5).accuracy, curve.at(0.5).coverage, curve.aurc, curve.e_aurc)
    assert all(map(math.isnan, (*figures, curve.augrc, curve.failure_auroc, curve.fpr95)))


def test_nothing_but_nan() -> None:
    curve = sweep([math.nan, math.nan], [True, False])
    check_empty(curve)
    assert (curve.nan_count, curve.aurc, curve.failure_auroc) == (2, 0.5, 0.5)


def test_all_right() -> None:
    curve = sweep([0.2, 0.4, 0.9], [True, True, True])
    for scores in (curve.best("balance"), curve.best("f1"), curve.best("accuracy")):
        assert scores is not None
        assert (scores.threshold, scores.f1, scores.lift) == (0.2, 1.0, 0.0)
    assert (curve.aurc, curve.e_aurc, curve.augrc) == (0.0, 0.0, 0.0)
    assert math.isnan(curve.failure_auroc)


def test_all_wrong() -> None:
    curve = sweep([0.2, 0.4, 0.9], [False, False, False])
    assert curve.best("balance") is curve.best("f1") is curve.best("accuracy") is None
    assert curve.at_precision(0.01) is None
    assert curve.f1.tolist() == curve.recall.tolist() == [0.0, 0.0, 0.0]
    assert (curve.aurc, curve.e_aurc, curve.augrc) == (1.0, 0.0, 0.5)
    assert curve.coverage_at_risk(0.99) == 0.0


def test_constant_confidence_accepts_all_or_nothing() -> None:
    curve = sweep(np.full(1_000_000, 0.3), np.arange(1_000_000) % 4 == 0)
    assert curve.threshold.tolist() == [0.3]
    scores = curve.best()
    assert scores is not None
    assert (scores.coverage, scores.precision) == (1.0, 0.25)
    assert curve.best("accuracy") is None
    assert curve.failure_auroc == 0.5
    same(curve.aurc, 0.75)


def test_signed_zeros_are_equal() -> None:
    for dtype in (np.float32, np.float64):
        curve = sweep(np.array([0.25, -0.0, 0.0, np.nan], dtype), [True, True, False, False])
        assert curve.accepted.tolist() == [3, 1]
        assert curve.accepted_correct.tolist() == [2, 1]
        assert curve.nan_count == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_of_every_precision(dtype: torch.dtype) -> None:
    confidence = torch.tensor([0.9, 0.8, 0.8, 0.3], dtype=dtype, requires_grad=True)
    curve = sweep(confidence, torch.tensor([1, 0, 1, 0]))
    assert curve.threshold.tolist() == [confidence[i].item() for i in (3, 1, 0)]
    assert curve.accepted_correct.tolist() == [2, 2, 1]


def test_the_arguments_stay_as_they_are() -> None:
    confidence = np.array([0.9, 0.1, 0.5, 0.3], np.float32)
    expected = confidence.copy()
    strided = sweep(confidence[::-2], [True, False])
    sweep(confidence, [True, False, True, False])
    np.testing.assert_array_equal(confidence, expected)
    np.testing.assert_array_equal(strided.threshold, np.array([0.1, 0.3], np.float32))


def test_foreign_byte_order() -> None:
    confidence = np.array([0.9, 0.1], ">f4")
    np.testing.assert_array_equal(
        sweep(confidence, [1, 0]).threshold, np.array([0.1, 0.9], np.float32)
    )


@pytest.mark.parametrize(
    ("confidence", "correct", "message"),
    [
        ([0.1, 0.2], [True], "2 confidences but 1 correct flags"),
        ([[0.1, 0.2]], [True, False], r"confidence has shape \(1, 2\)"),
        ([0.1, 0.2], [True, 2], "correct holds 2"),
        ([0.1, 0.2], [1.0, math.nan], "correct holds nan"),
        ([0.1, math.inf], [True, False], "infinite confidence"),
        ([0.1, -math.inf], [True, False], "infinite confidence"),
        (["a", "b"], [True, False], "confidence has dtype <U1"),
        ([0.1, None], [True, False], "confidence has dtype object"),
        ([[0.1], [0.1, 0.2]], [True, False], "confidence is no array of numbers"),
        (np.zeros(2, np.complex64), [True, False], "confidence has dtype complex64"),
        (np.zeros(2, np.longdouble), [True, False], "floats of up to 64 bits"),
    ],
)
def test_bad_input_is_named(confidence: Any, correct: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        sweep(confidence, correct)


def test_bad_questions_are_named() -> None:
    curve = sweep([0.5], [True])
    with pytest.raises(DataError, match="threshold is NaN"):
        curve.at(math.nan)
    with pytest.raises(DataError, match="balance, f1, accuracy"):
        curve.best("recall")  # type: ignore[arg-type]
    for ask in (
        curve.at_precision,
        curve.at_coverage,
        curve.coverage_at_risk,
        curve.risk_at_coverage,
    ):
        for level in (-0.1, 1.1, math.nan):
            with pytest.raises(DataError, match=r"\[0, 1\]"):
                ask(level)
