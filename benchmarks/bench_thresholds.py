"""The exact threshold sweep beside scikit-learn's curve and beside sorting alone.

`sweep` counts what is accepted at every threshold; `sweep_and_curves` goes on to the arrays that
`precision_recall_curve` returns, and to the best threshold, so that both rows do the same work.

By group, `sweep_by` stands beside loops in Python over samples that one stable sort has brought
together. `BinnedSweep` stands beside the exact sweep; both give AURC in the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from sklearn.metrics import precision_recall_curve

from ter_fast.trust.thresholds import BinnedSweep, Sweep, sweep, sweep_by

SIZES = (100_000, 1_000_000, 10_000_000)
DTYPES = ("float32", "float64")
ROUNDS = {"sweep": 5, "sweep_and_curves": 5, "sklearn.precision_recall_curve": 3, "numpy.sort": 5}
"""scikit-learn takes seconds, and varies least."""
SMOKE_SIZE = 100_000
"""What a size shrinks to where rows are only run, not timed."""


@cache
def samples(n: int, dtype: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Draw confidences as one minus vacuity gives them, right as often as they say."""
    generator = np.random.default_rng(0)
    confidence = (1 - 6 / (6 + generator.gamma(2, 5, n))).astype(dtype)
    return confidence, generator.random(n) < confidence


@cache
def check(n: int, dtype: str) -> None:
    """Assert that the sweep's curves are scikit-learn's before anything is timed."""
    confidence, correct = samples(n, dtype)
    curve = sweep(confidence, correct)
    precision, recall, threshold = precision_recall_curve(correct, confidence)
    np.testing.assert_array_equal(curve.threshold, threshold)
    np.testing.assert_array_equal(curve.precision, precision[:-1])
    np.testing.assert_array_equal(curve.recall, recall[:-1])
    best = curve.best("f1")
    assert best is not None
    assert best.f1 == curve.f1.max()


def sweep_and_curves(confidence: NDArray[Any], correct: NDArray[np.bool_]) -> Sweep:
    curve = sweep(confidence, correct)
    assert curve.precision.size == curve.recall.size
    assert curve.best() is not None
    return curve


ROWS = {
    "sweep": sweep,
    "sweep_and_curves": sweep_and_curves,
    "sklearn.precision_recall_curve": lambda c, right: precision_recall_curve(right, c),
    "numpy.sort": lambda c, _: np.sort(c),
}


def group(n: int, dtype: str) -> str:
    """Name the rows that sweep the same confidences."""
    return f"threshold sweep N={n:,} {dtype}"


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_sweep(
    request: pytest.FixtureRequest, benchmark: BenchmarkFixture, n: int, dtype: str, row: str
) -> None:
    benchmark.group = group(n, dtype)
    if request.config.getoption("benchmark_disable"):
        n = min(n, SMOKE_SIZE)
    check(n, dtype)
    # The first rounds touch memory that the machine has yet to hand out.
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        ROWS[row],
        args=samples(n, dtype),
        rounds=ROUNDS[row],
        warmup_rounds=min(2, ROUNDS[row] - 2),
        iterations=1,
    )


GROUPED_SIZES = ((100_000, 24), (1_000_000, 24), (10_000_000, 24), (1_000_000, 10_000))
GROUPED_ROUNDS = {"ter_fast": 5, "loop over sweep": 3, "loop over sklearn": 1}


@cache
def groups_of(n: int, groups: int) -> NDArray[np.int64]:
    """Draw a speaker for each sample."""
    return np.random.default_rng(1).integers(0, groups, n)


def parted(
    confidence: NDArray[Any], correct: NDArray[np.bool_], groups: NDArray[np.int64]
) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
    """Yield each group's samples, after one stable sort by group."""
    order = np.argsort(groups, kind="stable")
    ends = np.cumsum(np.bincount(groups))[:-1]
    yield from zip(np.split(confidence[order], ends), np.split(correct[order], ends), strict=True)


GROUPED_ROWS = {
    "ter_fast": sweep_by,
    "loop over sweep": lambda *samples: [sweep(*group) for group in parted(*samples)],
    "loop over sklearn": lambda *samples: [
        precision_recall_curve(right, c) for c, right in parted(*samples)
    ],
}


@cache
def check_grouped(n: int, count: int) -> None:
    """Assert that groups are swept as if alone, and a few as scikit-learn does."""
    data = (*samples(n, "float32"), groups_of(n, count))
    curves = sweep_by(*data)
    alone = [sweep(*group) for group in parted(*data)]
    assert len(alone) == len(curves)
    for mine, one in zip(curves.values(), alone, strict=True):
        np.testing.assert_array_equal(mine.threshold, one.threshold)
        np.testing.assert_array_equal(mine.accepted, one.accepted)
        np.testing.assert_array_equal(mine.accepted_correct, one.accepted_correct)
    np.testing.assert_array_equal(curves.aurc, [one.aurc for one in alone])
    for place, (confidence, correct) in zip(range(3), parted(*data), strict=False):
        precision, _, threshold = precision_recall_curve(correct, confidence)
        np.testing.assert_array_equal(curves[place].threshold, threshold)
        np.testing.assert_array_equal(curves[place].precision, precision[:-1])


@pytest.mark.parametrize("row", GROUPED_ROWS)
@pytest.mark.parametrize(("n", "count"), GROUPED_SIZES)
def test_sweep_by(
    request: pytest.FixtureRequest, benchmark: BenchmarkFixture, n: int, count: int, row: str
) -> None:
    benchmark.group = f"threshold sweep by group N={n:,} G={count:,}"
    if request.config.getoption("benchmark_disable"):
        n, count = min(n, SMOKE_SIZE), min(count, SMOKE_SIZE // 1000)
    check_grouped(n, count)
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        GROUPED_ROWS[row],
        args=(*samples(n, "float32"), groups_of(n, count)),
        rounds=GROUPED_ROUNDS[row],
        warmup_rounds=min(2, GROUPED_ROUNDS[row] - 1),
        iterations=1,
    )


def binned(confidence: NDArray[Any], correct: NDArray[np.bool_]) -> float:
    stream = BinnedSweep()
    stream.update(confidence, correct)
    return stream.aurc


BINNED_ROWS = {"ter_fast": binned, "exact sweep": lambda *samples: sweep(*samples).aurc}


@cache
def check_binned(n: int, dtype: str) -> None:
    """Assert that no area is further from the exact one than the stream says."""
    confidence, correct = samples(n, dtype)
    stream, exact = BinnedSweep(), sweep(confidence, correct)
    stream.update(confidence, correct)
    for area in ("aurc", "augrc", "failure_auroc", "fpr95"):
        error = abs(getattr(stream, area) - getattr(exact, area))
        assert error <= getattr(stream.error_bound, area) + 1e-12
    assert stream.at(0.75) == exact.at(0.75)


@pytest.mark.parametrize("row", BINNED_ROWS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_binned(
    request: pytest.FixtureRequest, benchmark: BenchmarkFixture, n: int, dtype: str, row: str
) -> None:
    benchmark.group = f"threshold sweep in bins, and AURC N={n:,} {dtype}"
    if request.config.getoption("benchmark_disable"):
        n = min(n, SMOKE_SIZE)
    check_binned(n, dtype)
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        BINNED_ROWS[row], args=samples(n, dtype), rounds=5, warmup_rounds=2, iterations=1
    )
