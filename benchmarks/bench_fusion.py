"""Fusion beside TMC's formula, the closed form in eager and compiled torch, and a copy.

Two kinds of closed form: its fused evidence alone, and all four outputs that `fuse` gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.cases import parameters
from benchmarks.problems import FuseCase, Problem, copy, fuse_problem, gradient
from ter_fast import fuse
from ter_fast.opinions.opinion import evidence_from_logits

MILLION = FuseCase(rows=1_000_000)
TEN_MILLION = FuseCase(rows=10_000_000, gpu_only=True)
FORWARD = [
    *(FuseCase(rows=rows) for rows in (1, 64, 1024)),
    MILLION,
    TEN_MILLION,
    FuseCase(rows=65_536, classes=101),
    FuseCase(rows=4_096, classes=1000),
    FuseCase(rows=200_000, views=4),
    FuseCase(rows=50_000, views=16),
]
VARIANTS = [
    replace(MILLION, masked=True),
    replace(MILLION, discounted=True),
    *(replace(MILLION, rule=rule) for rule in ("cumulative", "averaging", "weighted")),
    replace(MILLION, dtype=torch.float64),
    replace(MILLION, dtype=torch.bfloat16),
]
GRADIENT = [
    replace(case, backward=True)
    for case in (FuseCase(rows=64), MILLION, TEN_MILLION, FuseCase(rows=65_536, classes=101))
]
LOGITS = [replace(c, activation="softplus") for c in (FuseCase(rows=64), MILLION, TEN_MILLION)]
CASES = [*FORWARD, *VARIANTS, *LOGITS, *GRADIENT]

MAX_TABLE_BYTES = 4e9
"""TMC multiplies out a table `(B, K, K)`; beyond this size its row is left out."""


def outputs(evidence: Tensor, **options: Any) -> tuple[Tensor, ...]:
    """Return the four outputs of `fuse`."""
    opinion = fuse(evidence, **options)
    assert opinion.conflict is not None
    assert opinion.disagreement is not None
    return opinion.evidence, opinion.uncertainty, opinion.conflict, opinion.disagreement


def evidence_alone(evidence: Tensor) -> Tensor:
    """Fuse and read the fused evidence only: all that TMC's formula and its closed form give."""
    return fuse(evidence).evidence


def call_of(function: Callable[..., Any], problem: Problem) -> Callable[[], Any]:
    """Bind a fusion function to a problem."""
    case: FuseCase = problem.case  # type: ignore[assignment]
    evidence = problem.inputs["evidence"]
    options: dict[str, Any] = {"rule": case.rule}
    options |= {k: problem.inputs[k] for k in ("mask", "discount") if k in problem.inputs}
    if case.activation is not None:
        options["activation"] = case.activation
    if not case.backward:
        return partial(function, evidence, **options)
    upstream = [problem.inputs[f"upstream_{i}"] for i in range(4)]
    return lambda: gradient(function(evidence, **options), evidence, upstream)


def two_steps(logits: Tensor, activation: str, **options: Any) -> tuple[Tensor, ...]:
    """Turn logits into evidence first, and fuse it then."""
    return outputs(evidence_from_logits(logits, activation), **options)


ROWS: dict[str, Callable[[Problem], Callable[[], Any]]] = {
    "ter_fast": partial(call_of, outputs),
    "activation, then fuse": partial(call_of, two_steps),
    "ter_fast, evidence": lambda p: partial(evidence_alone, p.inputs["evidence"]),
    "TMC eager": lambda p: partial(peers.tmc_combine, p.inputs["evidence"]),
    "evidence eager": lambda p: partial(peers.closed_form, p.inputs["evidence"]),
    "evidence compiled": lambda p: partial(
        torch.compile(peers.closed_form, fullgraph=True), p.inputs["evidence"]
    ),
    "eager": partial(call_of, peers.fuse),
    "compiled": lambda p: call_of(torch.compile(peers.fuse, fullgraph=True), p),
    "copy": copy,
}


def rows_of(case: FuseCase) -> Iterator[str]:
    """Choose the rows that tell something about a case."""
    yield "ter_fast"
    if case.activation is not None:
        yield "activation, then fuse"
    elif replace(case, device="cpu") in FORWARD:
        yield "ter_fast, evidence"
        if 4 * case.rows * case.classes**2 <= MAX_TABLE_BYTES:
            yield "TMC eager"
        yield "evidence eager"
        if case.views == 2:
            yield "evidence compiled"
    yield from ("eager", "compiled", "copy")


@pytest.mark.parametrize(("case", "row"), parameters(CASES, rows_of))
@pytest.mark.benchmark(max_time=0.3, min_rounds=3)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fuse(time_row: Callable[..., None], case: FuseCase, row: str) -> None:
    time_row(case, row, fuse_problem, ROWS)
