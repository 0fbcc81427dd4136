"""`BinnedSweep` against the exact sweep: equal at its edges, and nowhere further than it says."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.trust.thresholds import BinnedSweep, Sweep, TrustedScores, sweep
from ter_fast.trust.thresholds.binned import bin_of, lower_edges

Samples = tuple[NDArray[Any], NDArray[np.bool_]]

relaxed = settings(deadline=None, max_examples=50)
ROUNDING = 1e-12
AREAS = ("aurc", "e_aurc", "augrc", "failure_auroc", "fpr95")


@st.composite
def samples(draw: st.DrawFn, least: int = 0) -> Samples:
    """Draw confidences in [0, 1] of either width: ties, both ends, numbers beside an edge, NaN."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    value = st.one_of(
        st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, math.nan]),
        st.floats(0, 1),
        st.floats(0, 1).map(lambda x: 1 - x**8),
        st.floats(0, 1).map(lambda x: x**8),
    )
    pairs = draw(st.lists(st.tuples(value, st.booleans()), min_size=least, max_size=60))
    confidence = np.array([c for c, _ in pairs], np.float64).astype(dtype)
    return confidence, np.array([right for _, right in pairs], np.bool_)


def binned(data: Samples, bins: int = 512) -> BinnedSweep:
    stream = BinnedSweep(bins)
    stream.update(*data)
    return stream


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bins", [1, 2, 512, 4096])
def test_bins_hold_what_their_edges_say(bins: int, dtype: type[np.floating[Any]]) -> None:
    edges = lower_edges(bins)
    assert (np.diff(edges) > 0).all()
    generator = np.random.default_rng(0)
    near = edges.astype(dtype)
    small = 10.0 ** generator.uniform(-50, 0, 20_000)
    confidence = np.concatenate(
        [
            *(near, np.nextafter(near, dtype(-1)), np.nextafter(near, dtype(2))),
            *(generator.random(20_000), small, 1 - small),
        ]
    ).astype(dtype)
    confidence = confidence[(confidence >= 0) & (confidence <= 1)]
    expected = np.searchsorted(edges, confidence.astype(np.float64), side="right") - 1
    np.testing.assert_array_equal(bin_of(confidence, bins), expected)


def test_the_guaranteed_number_of_bins() -> None:
    assert lower_edges(512).size == 23_555
    assert BinnedSweep(512).counts.shape == (2, 23_556)


@pytest.mark.slow
@relaxed
@given(samples(), st.sampled_from([1, 4, 512]), st.floats(-0.5, 1.5))
def test_counts_are_exact_at_the_threshold_that_is_named(
    data: Samples, bins: int, threshold: float
) -> None:
    exact, stream = sweep(*data), binned(data, bins)
    assert (stream.n, stream.n_correct) == (exact.n, exact.n_correct)
    assert stream.nan_count == exact.nan_count
    assert stream.accept_all == exact.accept_all
    assert stream.accept_all_f1 == exact.accept_all_f1
    named = [stream.at(t) for t in (threshold, *lower_edges(4).tolist())]
    named += [stream.best("balance") or named[0], stream.best("f1") or named[0]]
    named += [stream.at_precision(0.7) or named[0], stream.at_coverage(0.3) or named[0]]
    assert named[0].threshold >= threshold
    for scores in named:
        assert scores == exact.at(scores.threshold)
    coverage = stream.coverage_at_risk(0.2)
    assert coverage <= exact.coverage_at_risk(0.2)
    reached = stream.at_coverage(0.3)
    np.testing.assert_array_equal(
        stream.risk_at_coverage(0.3), math.nan if reached is None else reached.risk
    )


def covered(scores: TrustedScores | None) -> float:
    return 0.0 if scores is None else scores.coverage


def assert_within_bounds(stream: BinnedSweep, exact: Sweep) -> None:
    bound = stream.error_bound
    for area in AREAS:
        allowed, value, truth = (getattr(it, area) for it in (bound, stream, exact))
        assert math.isnan(value) == math.isnan(truth) == math.isnan(allowed)
        assert math.isnan(truth) or abs(value - truth) <= allowed + ROUNDING
    f1 = np.max(exact.f1, initial=0) - np.max(stream.to_sweep().f1, initial=0)
    accuracy = np.max(exact.accuracy, initial=0) - np.max(stream.to_sweep().accuracy, initial=0)
    assert -ROUNDING <= f1 <= bound.f1 + ROUNDING
    assert -ROUNDING <= accuracy <= bound.accuracy + ROUNDING
    for share in (0.0, 0.3, 0.95):
        mine, best = stream.at_coverage(share), exact.at_coverage(share)
        assert (mine is None) == (best is None)
        if mine is not None and best is not None:
            assert 0 <= mine.coverage - best.coverage <= bound.coverage + ROUNDING
    best, mine = exact.best("balance"), stream.best("balance")
    assert (mine is None) == (best is None)
    assert abs(covered(mine) - covered(best)) <= bound.balance + ROUNDING
    for level in (0.0, 0.1, 0.2, 1 / 3, 0.5, 0.9, 1.0):
        more = exact.coverage_at_risk(level) - stream.coverage_at_risk(level)
        assert 0 <= more <= bound.coverage_at_risk(level) + ROUNDING
        more = covered(exact.at_precision(level)) - covered(stream.at_precision(level))
        assert 0 <= more <= bound.at_precision(level) + ROUNDING
        truth, value = exact.risk_at_coverage(level), stream.risk_at_coverage(level)
        allowed = bound.risk_at_coverage(level)
        assert math.isnan(value) == math.isnan(truth) == math.isnan(allowed)
        assert math.isnan(truth) or abs(value - truth) <= allowed + ROUNDING


@relaxed
@given(samples(), st.sampled_from([1, 4, 512]))
def test_no_figure_is_further_off_than_its_bound(data: Samples, bins: int) -> None:
    assert_within_bounds(binned(data, bins), sweep(*data))


def test_the_bound_is_reached() -> None:
    """One bin holds all; the exact order is the worst, or the best, that it could be."""
    confidence = np.linspace(0.51, 0.74, 10)
    for correct in (np.arange(10) < 5, np.arange(10) >= 5):
        exact, stream = sweep(confidence, correct), binned((confidence, correct), bins=1)
        assert stream.to_sweep().threshold.tolist() == [0.5]
        for area in ("augrc", "failure_auroc"):
            error = abs(getattr(stream, area) - getattr(exact, area))
            assert error == pytest.approx(getattr(stream.error_bound, area), rel=1e-12)
            assert error > 0.1


def test_the_bound_of_fpr95_is_reached() -> None:
    data = np.linspace(0.51, 0.74, 10), np.arange(10) >= 7
    assert (sweep(*data).fpr95, binned(data, bins=1).fpr95) == (0.0, 1.0)
    assert binned(data, bins=1).error_bound.fpr95 == 1.0


def test_the_bound_of_a_coverage_counts_both_kinds() -> None:
    data = np.linspace(0.51, 0.74, 10), np.arange(10) >= 7
    asked = (each.at_coverage(0.1) for each in (sweep(*data), binned(data, bins=1)))
    assert [scores.coverage for scores in asked if scores] == [0.1, 1.0]
    assert binned(data, bins=1).error_bound.coverage == 1.0


@pytest.mark.slow
@relaxed
@example([True], 5e-324)
@given(st.lists(st.booleans(), min_size=1, max_size=9), st.floats(0, 1))
def test_the_bounds_at_a_level_are_reached_by_some_order_of_the_bin(
    correct: list[bool], level: float
) -> None:
    """One bin, no ties: of all orders, the one that is furthest off is as far off as the bound."""
    right = sum(correct)
    confidence = np.linspace(0.51, 0.74, len(correct))
    stream = binned((confidence, np.array(correct)), bins=1)
    bound = stream.error_bound
    # A level is met best with all correct ones first; then as many wrong ones as it bears.
    orders = [np.arange(len(correct)) >= len(correct) - right, np.arange(len(correct)) < right]
    exact = [sweep(confidence, order) for order in orders]
    most = max(each.coverage_at_risk(level) for each in exact)
    assert most - stream.coverage_at_risk(level) == bound.coverage_at_risk(level)
    most = max(covered(each.at_precision(level)) for each in exact)
    assert most - covered(stream.at_precision(level)) == bound.at_precision(level)
    risk = stream.risk_at_coverage(level)
    furthest = max(abs(each.risk_at_coverage(level) - risk) for each in exact)
    assert furthest <= bound.risk_at_coverage(level) + ROUNDING


def test_the_bounds_of_a_risk_and_a_balance_are_reached() -> None:
    data = np.linspace(0.51, 0.74, 10), np.arange(10) >= 7
    exact, stream = sweep(*data), binned(data, bins=1)
    assert (exact.risk_at_coverage(0.3), stream.risk_at_coverage(0.3)) == (0.0, 0.7)
    assert stream.error_bound.risk_at_coverage(0.3) == 0.7
    data = np.linspace(0.51, 0.74, 10), np.arange(10) >= 4
    asked = [covered(each.best("balance")) for each in (sweep(*data), binned(data, bins=1))]
    assert asked == [0.6, 1.0]
    assert binned(data, bins=1).error_bound.balance >= 0.4


def test_the_bounds_at_a_level_shrink_with_the_bins() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.random(100_000)
    data = confidence, generator.random(confidence.size) < confidence
    few, many = (binned(data, bins).error_bound for bins in (16, 512))
    for level in (0.1, 0.3):
        assert 0 < many.coverage_at_risk(level) < few.coverage_at_risk(level) / 4 < 0.01
        assert 0 < many.at_precision(1 - level) < few.at_precision(1 - level) / 4 < 0.01
        assert 0 < many.risk_at_coverage(level) < few.risk_at_coverage(level) / 4 < 0.02


@pytest.mark.parametrize("level", [-0.1, 1.1, math.nan])
def test_levels_outside_zero_to_one_are_named(level: float) -> None:
    bound = binned(([0.5], [True])).error_bound
    for ask in (bound.coverage_at_risk, bound.at_precision, bound.risk_at_coverage):
        with pytest.raises(DataError, match=r"give a fraction in \[0, 1\]"):
            ask(level)


def test_saturated_confidences_cost_nothing() -> None:
    correct = np.arange(1000) % 3 > 0
    data = np.where(np.arange(1000) % 2, 1.0, 0.25), correct
    stream, exact = binned(data), sweep(*data)
    assert stream.aurc == exact.aurc
    assert stream.failure_auroc == exact.failure_auroc
    alone = binned((np.ones(1000), correct)).error_bound
    assert (alone.aurc, alone.failure_auroc, alone.f1, alone.coverage) == (0, 0, 0, 0)
    assert (alone.balance, alone.at_precision(0.9), alone.risk_at_coverage(0.5)) == (0, 0, 0)


@pytest.mark.slow
def test_ten_million_samples_in_five_streams() -> None:
    generator = np.random.default_rng(0)
    evidence = generator.standard_gamma(2, 10_000_000, np.float32)
    confidence = 1 - 6 / (6 + 50 * evidence)
    correct = generator.random(confidence.size, np.float32) < confidence
    parts = []
    for part in range(5):
        parts.append(BinnedSweep())
        parts[-1].update(confidence[part::5], correct[part::5])
    stream = parts[0] + parts[1] + parts[2] + parts[3] + parts[4]
    exact = sweep(confidence, correct)
    assert_within_bounds(stream, exact)
    for threshold in (0.5, 0.75, 1 - 2**-5, 1.0):
        assert stream.at(threshold) == exact.at(threshold)
    bound = stream.error_bound
    assert max(bound.aurc, bound.augrc, bound.failure_auroc, bound.f1) < 1e-3
    # Errors inside a bin mostly cancel, unless the order within bins is a trap.
    assert stream.aurc == pytest.approx(exact.aurc, abs=1e-6)


@pytest.mark.slow
@relaxed
@given(samples(), samples(), samples())
def test_merging_is_exact_and_in_any_order(a: Samples, b: Samples, c: Samples) -> None:
    one, two, three = binned(a), binned(b), binned(c)
    whole = BinnedSweep()
    for data in (a, b, c):
        whole.update(*data)
    for merged in ((one + two) + three, one + (two + three), three + one + two):
        np.testing.assert_array_equal(merged.counts, whole.counts)
    np.testing.assert_array_equal(one.counts, binned(a).counts)
    one.merge(two)
    np.testing.assert_array_equal((one + three).counts, whole.counts)


def test_answers_follow_what_is_added() -> None:
    stream = binned(([0.9, 0.2], [True, False]))
    assert stream.failure_auroc == 1.0
    stream.update([0.99], [False])
    assert stream.failure_auroc == 0.5
    stream.merge(binned(([0.1], [False])))
    assert stream.failure_auroc == pytest.approx(2 / 3)


@relaxed
@given(samples())
def test_json_and_back(data: Samples) -> None:
    stream = binned(data, 64)
    back = BinnedSweep.from_dict(json.loads(json.dumps(stream.to_dict())))
    assert back.bins == 64
    np.testing.assert_array_equal(back.counts, stream.counts)
    np.testing.assert_array_equal(BinnedSweep(64, stream.counts).counts, stream.counts)


def test_no_samples() -> None:
    stream = BinnedSweep()
    stream.update([], [])
    assert (stream.n, stream.best(), stream.at_precision(0.5)) == (0, None, None)
    assert stream.at(0.5).precision == 1.0
    assert all(math.isnan(getattr(stream, area)) for area in AREAS)
    assert repr(stream) == "BinnedSweep(bins=512, 0 samples)"
    assert_within_bounds(stream, sweep([], []))


@pytest.mark.parametrize("right", [True, False])
def test_one_kind_alone(right: bool) -> None:
    data = np.linspace(0, 1, 20), np.full(20, right)
    assert_within_bounds(binned(data), sweep(*data))


@pytest.mark.parametrize("bins", [0, -2, 3, 100, 8192, 2.5, "many"])
def test_bins_come_in_powers_of_two(bins: Any) -> None:
    with pytest.raises(DataError, match=f"bins is {bins}; give a power of two from 1 to 4096"):
        BinnedSweep(bins)


@pytest.mark.parametrize(
    ("confidence", "correct", "message"),
    [
        ([0.5, 1.1], [True, True], r"confidence holds 1\.1; .*\[0, 1\]"),
        ([0.5, -0.1], [True, True], r"confidence holds -0\.1"),
        ([0.5], [True, True], "1 confidences but 2 correct flags"),
        ([math.inf], [True], "infinite confidence"),
        ([0.5], [2], "correct holds 2"),
        (["a"], [True], "confidence has dtype"),
    ],
)
def test_bad_samples_change_nothing(confidence: Any, correct: Any, message: str) -> None:
    stream = binned(([0.5], [True]))
    with pytest.raises(DataError, match=message):
        stream.update(confidence, correct)
    assert stream.n == 1


@pytest.mark.parametrize(
    "counts", [np.zeros((2, 5), int), -np.ones((2, 50), int), np.zeros((2, 50)), [[0], [0]]]
)
def test_bad_counts_are_named(counts: Any) -> None:
    with pytest.raises(DataError, match=r"give non-negative integers of shape \(2, 50\)"):
        BinnedSweep(1, counts)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_counts_whose_sum_would_wrap_are_refused(dtype: type[np.integer[Any]]) -> None:
    counts = np.zeros((2, 50), dtype)
    counts[:, :2] = 2**62
    with pytest.raises(DataError, match="a bin counts 2147483647 samples at most"):
        BinnedSweep(1, counts)


def test_only_equal_bins_merge() -> None:
    with pytest.raises(DataError, match="cannot merge 8 bins a halving into 512"):
        BinnedSweep().merge(BinnedSweep(8))


def test_more_samples_than_sums_can_hold() -> None:
    counts = np.zeros((2, 50), np.int64)
    counts[1, 3] = 2**31 - 1
    full = BinnedSweep(1, counts)
    for add in (lambda: full.update([0.5], [True]), lambda: full.merge(full)):
        with pytest.raises(DataError, match="more than 2147483647"):
            add()


@pytest.mark.parametrize(
    "change",
    [
        {"format": "histogram"},
        {"version": 2},
        {"bins": "many"},
        {"bins": 5},
        {"bin": [10**9]},
        {"bin": [-1]},
        {"bin": [3, 3], "wrong": [1, 1], "correct": [1, 1]},
        {"wrong": [-1]},
        {"wrong": [0.5]},
        {"wrong": [10**30]},
        {"wrong": [2**62], "correct": [2**62]},
        {"correct": [1, 2, 3]},
        {"correct": None},
    ],
)
def test_a_dictionary_that_is_none_of_ours(change: dict[str, Any]) -> None:
    values = binned(([0.5], [True])).to_dict() | change
    with pytest.raises(DataError):
        BinnedSweep.from_dict(values)


@pytest.mark.parametrize("value", [None, [], "text"])
def test_what_is_no_dictionary(value: Any) -> None:
    with pytest.raises(DataError, match=f"dictionary of to_dict, not {type(value).__name__}"):
        BinnedSweep.from_dict(value)


def test_a_dictionary_with_a_part_missing() -> None:
    values = binned(([0.5], [True])).to_dict()
    del values["correct"]
    with pytest.raises(DataError, match="correct"):
        BinnedSweep.from_dict(values)
