"""The exact threshold sweep beside scikit-learn's curve and beside sorting alone.

`sweep` counts what is accepted at every threshold; `sweep_and_curves` goes on to the arrays that
`precision_recall_curve` returns, and to the best threshold, so that both rows do the same work.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from sklearn.metrics import precision_recall_curve

from ter_fast.thresholds import Sweep, sweep

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
