"""Evidential losses with their gradients beside TMC's code, the same formula and its compilation.

Sums over the batch, so that tolerances on gradients need no scale; a mean costs the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.cases import parameters
from benchmarks.problems import LossCase, Problem, copy, loss_problem
from ter_fast.opinions.losses import evidential_loss

MILLION = 1_000_000
CASES = [
    *(
        LossCase(rows=rows, kind=kind, kl_weight=weight, soft=soft)
        for kind, weight in (("digamma", 0.1), ("log", 0.0), ("mse", 0.0))
        for soft in (False, True)
        for rows in (64, MILLION)
    ),
    LossCase(rows=65_536, classes=101),
    LossCase(rows=10_000_000, gpu_only=True),
]


def with_gradient(
    function: Callable[..., Tensor], problem: Problem
) -> Callable[[], tuple[Tensor, Tensor]]:
    """Bind a loss to a problem: its value and its gradient."""
    case: LossCase = problem.case  # type: ignore[assignment]
    evidence, target = problem.inputs["evidence"], problem.inputs["target"]

    def run() -> tuple[Tensor, Tensor]:
        loss = function(evidence, target, kind=case.kind, kl_weight=case.kl_weight)
        return loss, torch.autograd.grad(loss, evidence)[0]

    return run


def tmc_loss(evidence: Tensor, target: Tensor, kind: str, kl_weight: float) -> Tensor:
    """Call TMC's loss, which is of one kind."""
    return peers.tmc_loss(evidence, target, kl_weight)


ROWS: dict[str, Callable[[Problem], Callable[[], Any]]] = {
    "ter_fast": partial(with_gradient, partial(evidential_loss, reduction="sum")),
    "TMC eager": partial(with_gradient, tmc_loss),
    "eager": partial(with_gradient, peers.evidential_loss),
    "compiled": lambda p: with_gradient(torch.compile(peers.evidential_loss, fullgraph=True), p),
    "copy": copy,
}


def rows_of(case: LossCase) -> Iterator[str]:
    """Choose the rows that tell something about a case."""
    yield "ter_fast"
    if case.kind == "digamma" and not case.soft:
        yield "TMC eager"
    yield "eager"
    if case.rows > 64 or (case.kind == "digamma" and not case.soft):
        yield "compiled"
    yield "copy"


@pytest.mark.parametrize(("case", "row"), parameters(CASES, rows_of))
@pytest.mark.benchmark(max_time=0.3, min_rounds=3)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_loss(time_row: Callable[..., None], case: LossCase, row: str) -> None:
    time_row(case, row, loss_problem, ROWS)
