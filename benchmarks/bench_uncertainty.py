"""Uncertainties of Dirichlets beside their textbook formulas in eager and compiled torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.cases import parameters
from benchmarks.problems import Problem, UncertaintyCase, copy, gradient, uncertainty_problem
from ter_fast.opinions.uncertainty import uncertainty

TWO = ("vacuity", "entropy")
CASES = [
    UncertaintyCase(rows=64),
    UncertaintyCase(rows=1_000_000),
    UncertaintyCase(rows=4_096, classes=101),
    UncertaintyCase(rows=64, fields=TWO),
    UncertaintyCase(rows=1_000_000, fields=TWO),
    UncertaintyCase(rows=64, backward=True),
    UncertaintyCase(rows=1_000_000, backward=True),
    UncertaintyCase(rows=1_000_000, fields=TWO, backward=True),
    UncertaintyCase(rows=10_000_000, gpu_only=True),
]

MAX_TABLE_BYTES = 4e9
"""The dissonance in eager torch takes tables `(B, K, K)`; beyond this size its row is left out."""


def ours(alpha: Tensor, fields: tuple[str, ...]) -> tuple[Tensor, ...]:
    """Return the fields that were asked for."""
    measures = uncertainty(alpha, fields)
    return tuple(getattr(measures, name) for name in fields)


def call_of(function: Callable[..., Any], problem: Problem) -> Callable[[], Any]:
    """Bind a function to a problem."""
    case: UncertaintyCase = problem.case  # type: ignore[assignment]
    alpha = problem.inputs["alpha"]
    if not case.backward:
        return partial(function, alpha, case.fields)
    upstream = [problem.inputs[f"upstream_{i}"] for i in range(len(case.fields))]
    return lambda: gradient(function(alpha, case.fields), alpha, upstream)


ROWS: dict[str, Callable[[Problem], Callable[[], Any]]] = {
    "ter_fast": partial(call_of, ours),
    "eager": partial(call_of, peers.uncertainty),
    "compiled": lambda p: call_of(torch.compile(peers.uncertainty, fullgraph=True), p),
    "copy": copy,
}


def rows_of(case: UncertaintyCase) -> Iterator[str]:
    """Choose the rows that fit in memory."""
    yield "ter_fast"
    if "dissonance" not in case.fields or 4 * case.rows * case.classes**2 <= MAX_TABLE_BYTES:
        yield "eager"
    yield from ("compiled", "copy")


@pytest.mark.parametrize(("case", "row"), parameters(CASES, rows_of))
@pytest.mark.benchmark(max_time=0.3, min_rounds=3)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_uncertainty(time_row: Callable[..., None], case: UncertaintyCase, row: str) -> None:
    time_row(case, row, uncertainty_problem, ROWS)
