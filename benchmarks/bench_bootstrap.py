"""Intervals of every figure, beside writing each resample's rows out, and beside SciPy.

`loop` applies the package's plain functions to the rows of the same resamples; at 100,000 samples
it takes minutes, and only ours is timed. SciPy resamples single samples, and here only their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from ter_fast import metrics
from ter_fast.trust.metrics import Bootstrap, Replicates
from ter_fast.trust.thresholds import sweep

RESAMPLES = 2000
THRESHOLD = 0.6
SIZES = (2_000, 100_000)
LOOP_SIZE = 2_000
"""The most samples that the peers resample."""
SPEAKERS = (None, 100)
SMOKE_SIZE, SMOKE_RESAMPLES = 500, 100
"""What a case shrinks to where rows are only run, not timed."""

Draws = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Samples:
    """Answers of a model to clips of speakers: (N,) each, `probability` (N, 7)."""

    groups: NDArray[np.int64] | None
    probability: NDArray[np.float64]
    target: NDArray[np.int64]
    prediction: NDArray[np.int64]
    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]


@cache
def samples(n: int, speakers: int | None) -> Samples:
    """Draw probabilities that come true as often as they say."""
    generator = np.random.default_rng(0)
    probability = generator.dirichlet(np.full(7, 0.4), n)
    target = (probability.cumsum(axis=1) > generator.random((n, 1))).argmax(axis=1)
    prediction, confidence = probability.argmax(axis=1), probability.max(axis=1)
    groups = None if speakers is None else generator.integers(0, speakers, n)
    return Samples(groups, probability, target, prediction, confidence, prediction == target)


def of_labels(draws: Bootstrap, data: Samples) -> dict[str, Replicates]:
    return draws.labels(data.prediction, data.target)


def of_probabilities(draws: Bootstrap, data: Samples) -> dict[str, Replicates]:
    return draws.probabilities(data.probability, data.target)


def of_trust(draws: Bootstrap, data: Samples) -> dict[str, Replicates]:
    return draws.trust(data.confidence, data.correct, THRESHOLD)


def of_everything(draws: Bootstrap, data: Samples) -> dict[str, Replicates]:
    return draws.figures(data.prediction, data.target, data.probability, data.confidence, THRESHOLD)


def of_mean(draws: Bootstrap, data: Samples) -> dict[str, Replicates]:
    return draws.means(accuracy=data.correct)


def plain_labels(data: Samples, rows: NDArray[np.int64]) -> dict[str, float]:
    pair = data.prediction[rows], data.target[rows]
    return {
        "accuracy": metrics.accuracy(*pair),
        "uar": metrics.unweighted_average_recall(*pair),
        "macro_f1": metrics.macro_f1(*pair),
        "weighted_f1": metrics.weighted_f1(*pair),
    }


def plain_probabilities(data: Samples, rows: NDArray[np.int64]) -> dict[str, float]:
    pair = data.probability[rows], data.target[rows]
    return {
        "nll": metrics.negative_log_likelihood(*pair),
        "brier": metrics.brier(*pair),
        "ece": metrics.expected_calibration_error(*pair),
    }


def plain_trust(data: Samples, rows: NDArray[np.int64]) -> dict[str, float]:
    curve = sweep(data.confidence[rows], data.correct[rows])
    at = curve.at(THRESHOLD)
    areas = ("aurc", "e_aurc", "augrc", "failure_auroc", "fpr95", "accept_all_f1")
    trusted = ("precision", "recall", "f1", "accuracy")
    return (
        {name: getattr(curve, name) for name in areas}
        | {f"trusted_{name}": getattr(at, name) for name in trusted}
        | {name: getattr(at, name) for name in ("coverage", "risk", "lift")}
    )


def plain_everything(data: Samples, rows: NDArray[np.int64]) -> dict[str, float]:
    parts = (plain_labels, plain_probabilities, plain_trust)
    return {name: value for part in parts for name, value in part(data, rows).items()}


def plain_mean(data: Samples, rows: NDArray[np.int64]) -> dict[str, float]:
    return {"accuracy": float(data.correct[rows].mean())}


Ours = Callable[[Bootstrap, Samples], dict[str, Replicates]]
Plain = Callable[[Samples, NDArray[np.int64]], dict[str, float]]
FAMILIES: dict[str, tuple[Ours, Plain]] = {
    "mean": (of_mean, plain_mean),
    "labels": (of_labels, plain_labels),
    "probabilities": (of_probabilities, plain_probabilities),
    "trust": (of_trust, plain_trust),
    "everything": (of_everything, plain_everything),
}


def ours(family: str, data: Samples, resamples: int) -> Draws:
    draws = Bootstrap(data.target.size, data.groups, resamples=resamples)
    return {name: each.draws for name, each in FAMILIES[family][0](draws, data).items()}


def loop(family: str, data: Samples, resamples: int) -> Draws:
    draws = Bootstrap(data.target.size, data.groups, resamples=resamples)
    found = [FAMILIES[family][1](data, rows) for rows in draws.rows()]
    return {name: np.array([each[name] for each in found]) for name in found[0]}


def with_scipy(family: str, data: Samples, resamples: int) -> Draws:
    result = scipy.stats.bootstrap(
        *((data.correct,), np.mean),
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return {"accuracy": result.bootstrap_distribution}


ROWS = {"ter_fast": ours, "loop": loop, "scipy.stats.bootstrap": with_scipy}


def check(family: str, data: Samples, resamples: int, row: str, found: Draws) -> None:
    """Assert that a row's resamples are those of the loop, or, with other draws, alike."""
    expected = loop(family, data, resamples)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        if row == "scipy.stats.bootstrap":
            assert abs(found[name].mean() - values.mean()) < values.std()
            assert 0.7 < found[name].std() / values.std() < 1.4
        else:
            np.testing.assert_allclose(found[name], values, rtol=1e-9, atol=1e-12)


def group(family: str, n: int, speakers: int | None) -> str:
    """Name the rows that resample the same figures of the same samples."""
    unit = "single" if speakers is None else f"{speakers} speakers"
    return f"bootstrap {family} N={n:,} {unit}"


def cases() -> Iterator[Any]:
    for family in FAMILIES:
        for n in SIZES:
            for speakers in SPEAKERS:
                rows = ["ter_fast"] if n > LOOP_SIZE else ["ter_fast", "loop"]
                if n <= LOOP_SIZE and family == "mean" and speakers is None:
                    rows.append("scipy.stats.bootstrap")
                for row in rows:
                    yield pytest.param(family, n, speakers, row)


@pytest.mark.parametrize(("family", "n", "speakers", "row"), list(cases()))
def test_bootstrap(
    request: pytest.FixtureRequest,
    benchmark: BenchmarkFixture,
    family: str,
    n: int,
    speakers: int | None,
    row: str,
) -> None:
    benchmark.group = group(family, n, speakers)
    smoke = request.config.getoption("benchmark_disable")
    small = samples(SMOKE_SIZE, speakers)
    check(family, small, SMOKE_RESAMPLES, row, ROWS[row](family, small, SMOKE_RESAMPLES))
    data = small if smoke else samples(n, speakers)
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        partial(ROWS[row], family, data, SMOKE_RESAMPLES if smoke else RESAMPLES),
        rounds=2 if row == "loop" else 5,
        iterations=1,
    )
