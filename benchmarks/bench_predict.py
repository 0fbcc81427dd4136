"""Logits to trusted predictions beside the same steps one after another, eager and compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.cases import parameters
from benchmarks.problems import LIMIT, THRESHOLD, DecideCase, Problem, copy, decide_problem
from ter_fast import fuse
from ter_fast.opinions.decision import decide
from ter_fast.opinions.opinion import evidence_from_logits

CASES = [
    DecideCase(rows=1),
    DecideCase(rows=16),
    DecideCase(rows=1_000_000),
    DecideCase(rows=65_536, classes=101),
    DecideCase(rows=10_000_000, gpu_only=True),
]


def in_one_pass(logits: Tensor) -> tuple[Tensor | None, ...]:
    """Call `decide`."""
    d = decide(logits, threshold=THRESHOLD, disagreement_limit=LIMIT)
    scalars = (d.confidence, d.uncertainty, d.conflict, d.disagreement, d.trusted)
    return d.probability, d.prediction, *scalars


def step_by_step(logits: Tensor) -> tuple[Tensor | None, ...]:
    """Fuse, and ask the opinion for the rest."""
    opinion = fuse(evidence_from_logits(logits))
    return (
        opinion.probability,
        opinion.prediction,
        opinion.confidence_of("one_minus_vacuity"),
        opinion.uncertainty,
        opinion.conflict,
        opinion.disagreement,
        opinion.trusted(THRESHOLD, LIMIT),
    )


ROWS: dict[str, Callable[[Problem], Callable[[], Any]]] = {
    "ter_fast": lambda p: partial(in_one_pass, p.inputs["logits"]),
    "fuse, then Opinion": lambda p: partial(step_by_step, p.inputs["logits"]),
    "eager": lambda p: partial(peers.decide, p.inputs["logits"], THRESHOLD, LIMIT),
    "compiled": lambda p: partial(
        torch.compile(peers.decide, fullgraph=True), p.inputs["logits"], THRESHOLD, LIMIT
    ),
    "copy": copy,
}


@pytest.mark.parametrize(("case", "row"), parameters(CASES, lambda case: ROWS))
@pytest.mark.benchmark(max_time=0.3, min_rounds=3)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_decide(time_row: Callable[..., None], case: DecideCase, row: str) -> None:
    time_row(case, row, decide_problem, ROWS)
