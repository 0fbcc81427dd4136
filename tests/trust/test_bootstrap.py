"""The bootstrap against what it guarantees, and its draws against rows that are written out."""

from __future__ import annotations

import math
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ter_fast import metrics
from ter_fast.errors import DataError
from ter_fast.trust.metrics import Bootstrap
from ter_fast.trust.metrics.resampled_trust import least_count
from ter_fast.trust.thresholds import Sweep, sweep

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

THRESHOLD, RISK, COVERAGE = 0.5, 0.29, 0.7

Plain = Callable[..., dict[str, float]]

OF_LABELS: dict[str, Callable[..., float]] = {
    "accuracy": metrics.accuracy,
    "uar": metrics.unweighted_average_recall,
    "macro_f1": metrics.macro_f1,
    "weighted_f1": metrics.weighted_f1,
}
OF_PROBABILITIES: dict[str, Callable[..., float]] = {
    "nll": metrics.negative_log_likelihood,
    "brier": metrics.brier,
    "ece": metrics.expected_calibration_error,
}
OF_CALIBRATION: dict[str, Callable[..., float]] = {
    "mce": lambda p, y: metrics.maximum_calibration_error(p, y, bins=5),
    "ece_mass": lambda p, y: metrics.expected_calibration_error(p, y, bins=5, strategy="mass"),
    "classwise_ece": lambda p, y: metrics.classwise_calibration_error(p, y, bins=5),
}
OF_SWEEP: dict[str, Callable[[Sweep], float]] = {
    "aurc": lambda s: s.aurc,
    "e_aurc": lambda s: s.e_aurc,
    "augrc": lambda s: s.augrc,
    "failure_auroc": lambda s: s.failure_auroc,
    "fpr95": lambda s: s.fpr95,
    "accept_all_f1": lambda s: s.accept_all_f1,
    f"coverage_at_risk_{RISK}": lambda s: s.coverage_at_risk(RISK),
    f"risk_at_coverage_{COVERAGE}": lambda s: s.risk_at_coverage(COVERAGE),
    "trusted_precision": lambda s: s.at(THRESHOLD).precision,
    "trusted_recall": lambda s: s.at(THRESHOLD).recall,
    "trusted_f1": lambda s: s.at(THRESHOLD).f1,
    "trusted_accuracy": lambda s: s.at(THRESHOLD).accuracy,
    "coverage": lambda s: s.at(THRESHOLD).coverage,
    "risk": lambda s: s.at(THRESHOLD).risk,
    "lift": lambda s: s.at(THRESHOLD).lift,
}

relaxed = settings(deadline=None, max_examples=40)
samples = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 0.5, 0.5000001, 0.9, 1.0, math.nan]),
        st.integers(0, 3),
        st.integers(0, 3),
        st.integers(0, 4),
    ),
    min_size=1,
    max_size=30,
)


def written_out(groups: NDArray[Any], resamples: int, seed: int) -> Iterator[Labels]:
    """Draw groups one after the other, and copy the rows of each."""
    generator = np.random.default_rng(seed)
    names = np.unique(groups)
    for _ in range(resamples):
        drawn = generator.integers(names.size, size=names.size, dtype=np.int32)
        yield np.concatenate([np.flatnonzero(groups == names[place]) for place in drawn])


def assert_equal_to_plain(
    found: dict[str, metrics.Replicates],
    plain: Plain,
    groups: NDArray[Any],
    *arrays: NDArray[Any],
) -> None:
    """Compare every resample with the plain functions of the rows written out."""
    resamples = next(iter(found.values())).draws.size
    alone = plain(*arrays)
    assert found.keys() == alone.keys()
    for name, value in alone.items():
        np.testing.assert_equal(found[name].value, value)
    if np.unique(groups).size < 2:
        assert all(np.isnan(each.draws).all() for each in found.values())
        return
    for i, rows in enumerate(written_out(groups, resamples, seed=5)):
        expected = plain(*(array[rows] for array in arrays))
        drawn = [found[name].draws[i] for name in expected]
        np.testing.assert_allclose(drawn, list(expected.values()), rtol=1e-9, atol=1e-11)


def plain_labels(prediction: Labels, target: Labels) -> dict[str, float]:
    return {name: statistic(prediction, target) for name, statistic in OF_LABELS.items()}


def plain_probabilities(probability: Floats, target: Labels) -> dict[str, float]:
    return {name: statistic(probability, target) for name, statistic in OF_PROBABILITIES.items()}


def plain_calibration(probability: Floats, target: Labels) -> dict[str, float]:
    return {name: statistic(probability, target) for name, statistic in OF_CALIBRATION.items()}


def plain_trust(confidence: Floats, correct: NDArray[Any]) -> dict[str, float]:
    curve = sweep(confidence, correct)
    return {name: read(curve) for name, read in OF_SWEEP.items()}


@pytest.mark.slow
@relaxed
@given(samples, st.booleans())
def test_every_resample_equals_the_sweep_of_its_rows(
    rows: list[tuple[float, int, int, int]], alone: bool
) -> None:
    confidence, prediction, target, groups = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    groups = np.arange(groups.size) if alone else groups
    draws = Bootstrap(len(rows), groups, resamples=8, seed=5)
    correct = prediction == target
    found = draws.trust(confidence, correct, THRESHOLD, risks=[RISK], coverages=[COVERAGE])
    assert_equal_to_plain(found, plain_trust, groups, confidence, correct)
    assert_equal_to_plain(
        draws.labels(prediction, target), plain_labels, groups, prediction, target
    )


@relaxed
@given(samples, st.booleans(), st.booleans())
def test_every_resample_has_the_calibration_errors_of_its_rows(
    rows: list[tuple[float, int, int, int]], alone: bool, nan: bool
) -> None:
    """Few different probabilities, so that bins of equal mass meet ties at their borders."""
    known = [row for row in rows if nan or not math.isnan(row[0])] or [(0.5, 0, 0, 0)]
    first, prediction, target, groups = (np.array(column) for column in zip(*known, strict=True))
    groups = np.arange(groups.size) if alone else groups
    probability = np.repeat((1 - first)[:, None] / 3, 4, axis=1)
    probability[np.arange(first.size), prediction] = first
    found = Bootstrap(first.size, groups, resamples=8, seed=5).calibration(
        probability, target, bins=5
    )
    assert_equal_to_plain(found, plain_calibration, groups, probability, target)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("speakers", [3, 40, 400])
def test_every_resample_equals_the_plain_functions_on_many_samples(
    dtype: str, speakers: int
) -> None:
    """More resamples than are counted side by side, so that blocks are joined as well."""
    generator = np.random.default_rng(speakers)
    n = 400
    groups = np.array([f"s{i}" for i in generator.permutation(np.arange(n) % speakers)])
    probability = generator.dirichlet(np.full(5, 0.4), n).astype(dtype)
    target = generator.integers(0, 5, n)
    prediction = probability.argmax(axis=1)
    confidence = probability.max(axis=1)
    confidence[: n // 3] = np.round(confidence[: n // 3], 1)
    confidence[-40:] = math.nan
    correct = prediction == target
    draws = Bootstrap(n, groups, resamples=100, seed=5)
    found = draws.figures(
        *(prediction, target, probability, confidence, THRESHOLD),
        risks=[RISK],
        coverages=[COVERAGE],
    )
    parts = (
        (plain_labels, (prediction, target)),
        (plain_probabilities, (probability, target)),
        (plain_trust, (confidence, correct)),
    )
    for plain, arrays in parts:
        part = {name: found.pop(name) for name in plain(*arrays)}
        assert_equal_to_plain(part, plain, groups, *arrays)
    assert not found


@relaxed
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.25, 1.0, math.nan]), st.integers(0, 3)), min_size=1)
)
def test_impossible_and_undefined_probabilities_count_only_where_drawn(
    rows: list[tuple[float, int]],
) -> None:
    """A class of probability 0 that came true makes the NLL infinite, a NaN makes all three NaN."""
    first, groups = (np.array(column) for column in zip(*rows, strict=True))
    probability = np.stack([first, 1 - first], axis=1)
    target = np.zeros(first.size, int)
    draws = Bootstrap(first.size, groups, resamples=8, seed=5)
    found = draws.probabilities(probability, target)
    assert_equal_to_plain(found, plain_probabilities, groups, probability, target)
    means = draws.means(first=first)
    assert_equal_to_plain(means, lambda x: {"first": float(np.mean(x))}, groups, first)


@given(st.floats(0, 1), st.integers(0, 10**9))
def test_least_count_is_the_first_whose_quotient_reaches(fraction: float, total: int) -> None:
    """Also where `fraction * total` rounds to the other side of a whole number."""
    count = int(least_count(fraction, np.array([total]))[0])
    assert count / max(total, 1) >= fraction or count > total
    assert count == 0 or (count - 1) / max(total, 1) < fraction


def test_the_same_interval_as_of_any_statistic() -> None:
    generator = np.random.default_rng(0)
    prediction, target = generator.integers(0, 4, (2, 300))
    groups = generator.integers(0, 30, 300)
    found = Bootstrap(300, groups, resamples=400, seed=3).labels(prediction, target)
    for name, statistic in OF_LABELS.items():
        assert found[name].interval(0.9) == pytest.approx(
            metrics.bootstrap_interval(
                statistic, prediction, target, groups=groups, resamples=400, seed=3, level=0.9
            ),
            rel=1e-12,
        )


def test_agrees_with_scipy_up_to_the_draws() -> None:
    values = np.random.default_rng(3).gamma(2.0, size=400)
    ours = Bootstrap(400, resamples=8000).means(value=values)["value"].interval()
    peer = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=8000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    # The ends of 8,000 draws scatter by about 2 % of the width.
    assert ours == pytest.approx((peer.low, peer.high), abs=0.08 * (peer.high - peer.low))


def speakers(
    generator: np.random.Generator, n: int, clips: int = 20
) -> tuple[Labels, NDArray[np.bool_]]:
    """Let speakers be right about their clips as often as each one's own skill allows."""
    skill = generator.beta(3.5, 1.5, n)
    group = np.repeat(np.arange(n), clips)
    return group, generator.random(group.size) < skill[group]


@pytest.mark.slow
def test_drawing_speakers_covers_the_truth_and_drawing_clips_does_not() -> None:
    """Of 400 data sets of 30 speakers: about 95 % against about 66 % of intervals said to be 95 %."""
    generator = np.random.default_rng(11)
    truth = 3.5 / (3.5 + 1.5)
    covered = np.zeros((400, 2), bool)
    for i in range(len(covered)):
        group, correct = speakers(generator, 30)
        for j, groups in enumerate((group, None)):
            draws = Bootstrap(group.size, groups, resamples=250, seed=i)
            low, high = draws.means(accuracy=correct)["accuracy"].interval()
            covered[i, j] = low <= truth <= high
    clustered, alone = covered.mean(axis=0)
    assert 0.90 <= clustered <= 0.98
    assert alone < 0.75


def test_p_values_of_equal_models_are_small_as_often_as_they_say() -> None:
    """Two models equally good on average, on the same clips of 40 speakers, 300 times."""
    generator = np.random.default_rng(12)
    p_values, unpaired = [], []
    for i in range(300):
        group, first = speakers(generator, 40)
        second = np.where(
            generator.random(first.size) < 0.9, first, generator.random(first.size) < 0.7
        )
        draws = Bootstrap(group.size, group, resamples=400, seed=i)
        found = draws.means(first=first, second=second)
        result = metrics.compare(found["first"], found["second"])
        p_values.append(result.p_value)
        assert result.difference == pytest.approx(first.mean() - second.mean())
        # The p-value is where the interval reaches 0.
        assert (result.p_value < 0.04) <= (not result.low <= 0 <= result.high)
        assert (result.p_value > 0.06) <= (result.low <= 0 <= result.high)
        unpaired.append(
            np.std(found["first"].draws) > np.std((found["first"] - found["second"]).draws)
        )
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.10
    assert np.mean(unpaired) > 0.95


def test_a_clear_difference_has_the_smallest_p_value_and_none_has_one() -> None:
    draws = Bootstrap(60, resamples=199)
    right, wrong = np.ones(60), np.zeros(60)
    found = draws.means(right=right, wrong=wrong)
    assert metrics.compare(found["right"], found["wrong"]) == (1.0, 1.0, 1.0, 2 / 200)
    assert metrics.compare(found["wrong"], found["right"]).p_value == 2 / 200
    assert metrics.compare(found["right"], found["right"]) == (0.0, 0.0, 0.0, 1.0)
    lone = Bootstrap(60, groups=np.zeros(60, int)).means(right=right, wrong=wrong)
    result = metrics.compare(lone["right"], lone["wrong"])
    assert result.difference == 1.0
    assert np.isnan(result[1:]).all()


@pytest.mark.parametrize("risk", [0.0, 0.25, 0.5])
def test_a_risk_that_is_met_exactly_is_met(risk: float) -> None:
    confidence, correct = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    draws = Bootstrap(4, resamples=50)
    found = draws.trust(confidence, correct, risks=[risk])[f"coverage_at_risk_{risk:g}"]
    for value, rows in zip(found.draws, draws.rows(), strict=True):
        assert value == sweep(confidence[rows], correct[rows]).coverage_at_risk(risk)


def test_two_perfect_orders_do_not_differ_by_rounding() -> None:
    generator = np.random.default_rng(5)
    draws = Bootstrap(300, generator.integers(0, 30, 300), resamples=200)
    e_aurc = []
    for accuracy in (0.7, 0.6):
        right = generator.random(300) < accuracy
        e_aurc.append(draws.trust((right + generator.random(300)) / 2, right)["e_aurc"])
    assert metrics.compare(*e_aurc) == (0.0, 0.0, 0.0, 1.0)


def test_differences_of_different_draws_are_refused() -> None:
    values = np.arange(10.0)
    first, second = (Bootstrap(10, seed=seed).means(value=values)["value"] for seed in (0, 1))
    with pytest.raises(DataError, match="different draws"):
        metrics.compare(first, second)


def test_infinite_draws_bound_an_interval_without_a_warning() -> None:
    """One impossible clip in 30 is drawn in 64 % of the resamples: the upper end is infinite."""
    probability = np.array([[0.5, 0.5]] * 29 + [[0.0, 1.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nll = Bootstrap(30).probabilities(probability, np.zeros(30, int))["nll"]
        assert nll.interval() == (pytest.approx(math.log(2)), math.inf)
        assert (nll - nll).interval() == (0.0, 0.0)
        finite = metrics.Replicates(0.0, np.zeros(2000), nll.source)
        assert (finite - nll).interval() == (-math.inf, pytest.approx(-math.log(2)))


@pytest.mark.parametrize("n", [0, 1, 5])
def test_without_two_groups_there_are_values_but_no_intervals(n: int) -> None:
    groups = ["one"] * n
    draws = Bootstrap(n, groups)
    labels, probability = np.zeros(n, int), np.tile([0.75, 0.25], (n, 1))
    found = draws.figures(
        *(labels, labels, probability, probability[:, 0], THRESHOLD), risks=[RISK], coverages=[0.7]
    )
    plain = sweep(probability[:, 0], np.ones(n, bool))
    for name, read in OF_SWEEP.items():
        np.testing.assert_equal(found[name].value, read(plain))
    for name, statistic in OF_PROBABILITIES.items():
        np.testing.assert_equal(found[name].value, statistic(probability, labels))
    for each in (*found.values(), *draws.means(x=labels).values()):
        assert np.isnan(each.interval()).all()
        assert math.isnan(metrics.compare(each, each).p_value)
    assert draws.note.startswith("no intervals")
    assert [rows.tolist() for rows in Bootstrap(n, groups, resamples=2).rows()] == [[*range(n)]] * 2


def test_few_groups_are_noted() -> None:
    assert "3 groups" in Bootstrap(9, groups=list("aabbbcccc")).note
    assert "19 groups" in Bootstrap(19).note
    assert not Bootstrap(20).note
    assert not Bootstrap(100).note


@pytest.mark.parametrize(
    ("confidence", "correct"),
    [
        ([0.9, 0.5, 0.2], [1, 1, 1]),
        ([0.9, 0.5, 0.2], [0, 0, 0]),
        ([0.5, 0.5, 0.5], [1, 0, 1]),
        ([math.nan] * 3, [1, 0, 1]),
        ([-2.0, -0.0, 0.0], [1, 0, 1]),
    ],
)
def test_one_sided_and_constant_answers(confidence: list[float], correct: list[int]) -> None:
    arrays = np.array(confidence), np.array(correct)
    draws = Bootstrap(3, resamples=60, seed=5)
    found = draws.trust(*arrays, THRESHOLD, risks=[RISK], coverages=[COVERAGE])
    assert_equal_to_plain(found, plain_trust, np.arange(3), *arrays)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_resamples() -> None:
    n = 20_000
    confidence = np.random.default_rng(0).random(n)
    peaks = []
    for resamples in (250, 250, 1000):  # the first loads and compiles
        tracemalloc.start()
        Bootstrap(n, resamples=resamples).trust(confidence, confidence > 0.4, 0.5)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] + 10**6


def test_names_of_any_kind_are_groups() -> None:
    values = np.arange(6.0)
    names: list[Any] = [
        ["b", "b", "a", "a", "c", "c"],
        np.array(["b", "b", "a", "a", "c", "c"], dtype=object),
        [1, 1, 0, 0, 2, 2],
        np.array([5, 5, -1, -1, 7, 7]),
    ]
    draws = [Bootstrap(6, name).means(value=values)["value"].draws for name in names]
    for other in draws[1:]:
        np.testing.assert_array_equal(draws[0], other)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.bootstrap_interval(np.mean), "one row per sample"),
        (lambda: metrics.bootstrap_interval(np.mean, 3.0), "one row per sample"),
        (lambda: metrics.bootstrap_interval(np.mean, [1, 2], [1]), "one row per sample"),
        (lambda: metrics.bootstrap_interval(np.mean, [1, 2], groups=[1]), "one row per sample"),
        (lambda: metrics.bootstrap_interval(np.mean, [1, 2], resamples=0), "0 resamples"),
        (lambda: metrics.bootstrap_interval(np.mean, [1, 2], level=1.0), "level 1.0"),
        (lambda: Bootstrap(3, groups=[0, 1]), "one row per sample"),
        (lambda: Bootstrap(2, groups=np.array(["a", 1], dtype=object)), "groups holds int, str"),
        (lambda: Bootstrap(2, groups=["a", float("nan")]), "groups holds float, str"),
        (lambda: Bootstrap(2, groups=[1, None]), "groups holds NoneType, int"),
        (lambda: Bootstrap(2, groups=[1.0, math.nan]), "groups has dtype float64"),
        (lambda: Bootstrap(-1), "got -1 samples"),
        (lambda: Bootstrap(2, resamples=0), "0 resamples"),
        (lambda: Bootstrap(2.0), "got 2.0 samples"),  # type: ignore[arg-type]
        (lambda: Bootstrap(2, resamples=1e3), "1000.0 resamples"),  # type: ignore[arg-type]
        (lambda: Bootstrap(2).means(x=[1, 2])["x"].interval(0.0), "level 0.0"),
        (lambda: Bootstrap(2).means(x=[1, 2, 3]), "x has 3 rows, but .* made for 2 samples"),
        (lambda: Bootstrap(2).means(x=["a", "b"]), "x has dtype"),
        (lambda: Bootstrap(2).labels([0], [0]), "prediction has 1 rows"),
        (lambda: Bootstrap(2).labels([0, 1], [0]), "2 predictions but 1 targets"),
        (lambda: Bootstrap(2).labels([0.5, 0.5], [0, 1]), "integer labels"),
        (lambda: Bootstrap(2).probabilities([[1.0, 0.0]], [0]), "probability has 1 rows"),
        (lambda: Bootstrap(1).probabilities([[1.0, 0.0]], [2]), "label 2"),
        (lambda: Bootstrap(1).probabilities([[1.0, 0.0]], [0], bins=0), "at least one"),
        (lambda: Bootstrap(2).calibration([[1.0, 0.0]], [0]), "probability has 1 rows"),
        (lambda: Bootstrap(1).calibration([[1.0, 0.0]], [0], bins=0), "at least one"),
        (lambda: Bootstrap(2).trust([0.5], [1]), "confidence has 1 rows"),
        (lambda: Bootstrap(2).trust([0.5, 0.5], [1]), "2 confidences but 1 correct"),
        (lambda: Bootstrap(2).trust([0.5, 0.5], [1, 2]), "correct holds 2"),
        (lambda: Bootstrap(2).trust([0.5, math.inf], [1, 0]), "infinite confidence"),
        (lambda: Bootstrap(1).trust([0.5], [1], math.nan), "threshold is NaN"),
        (lambda: Bootstrap(1).trust([0.5], [1], risks=[1.5]), "risk is 1.5"),
        (lambda: Bootstrap(1).trust([0.5], [1], coverages=[-1]), "coverage is -1"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()


def mean(values: NDArray[Any]) -> float:
    return float(values.mean())


def test_bootstrap_equals_the_normal_interval_of_a_mean() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 1000)
    low, high = metrics.bootstrap_interval(mean, values, resamples=4000)
    half = 1.96 * values.std() / math.sqrt(values.size)
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_clusters_widen_the_interval() -> None:
    """Twenty clips that are all alike within a speaker are worth one."""
    speaker = np.repeat([f"s{i}" for i in range(50)], 20)
    values = np.repeat(np.random.default_rng(2).normal(size=50), 20)
    alone = metrics.bootstrap_interval(mean, values)
    clustered = metrics.bootstrap_interval(mean, values, groups=speaker)
    ratio = (clustered.high - clustered.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(math.sqrt(20), rel=0.1)


def test_groups_are_drawn_whole() -> None:
    groups = np.array([0, 1, 0, 2, 2, 2])
    sizes = {0: 2, 1: 1, 2: 3}

    def whole(drawn: NDArray[np.int64]) -> float:
        labels, counts = np.unique(drawn, return_counts=True)
        wholes = [
            n % sizes[group] == 0 for group, n in zip(labels.tolist(), counts.tolist(), strict=True)
        ]
        draws = sum(
            n // sizes[group] for group, n in zip(labels.tolist(), counts.tolist(), strict=True)
        )
        return float(all(wholes) and draws == 3)

    interval = metrics.bootstrap_interval(whole, groups, groups=groups, resamples=200)
    assert interval == (1.0, 1.0)


def test_bootstrap_repeats_with_its_seed_and_resamples_rows_together() -> None:
    prediction = np.arange(200) % 3
    target = np.arange(200) % 4 % 3

    def both(a: Labels, b: Labels) -> float:
        return metrics.accuracy(a, b)

    first = metrics.bootstrap_interval(both, prediction, target, seed=7, resamples=300)
    assert first == metrics.bootstrap_interval(both, prediction, target, seed=7, resamples=300)
    assert first != metrics.bootstrap_interval(both, prediction, target, seed=8, resamples=300)
    assert metrics.bootstrap_interval(both, target, target, resamples=50) == (1.0, 1.0)


def test_an_interval_that_cannot_be_had_is_nan() -> None:
    for interval in (
        metrics.bootstrap_interval(mean, [1.0]),
        metrics.bootstrap_interval(mean, []),
        metrics.bootstrap_interval(mean, [1.0, 2.0], groups=["a", "a"]),
        metrics.bootstrap_interval(lambda _: math.nan, [1.0, 2.0], resamples=10),
    ):
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)


def test_draws_without_the_statistic_are_left_out() -> None:
    def only_when_mixed(values: NDArray[Any]) -> float:
        return 5.0 if len(set(values.tolist())) > 1 else math.nan

    assert metrics.bootstrap_interval(only_when_mixed, [1, 2], resamples=100) == (5.0, 5.0)
