"""Fusion against TMC's formula, the closed form in eager and compiled torch, and a copy.

Run with `pytest --benchmark benchmarks/bench_fusion.py`. Every row asserts its answer first, and
`extra_info` holds the time of the row over the time of `fuse`, medians of the same run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

import peers
from ter_fast.fusion import fuse

SHAPES = [(1, 6), (64, 6), (1024, 6), (1_000_000, 6), (65_536, 101)]
BASE = "fuse"
MEDIANS: dict[tuple[tuple[int, int], str], float] = {}


def copy(evidence: Tensor) -> Callable[[], Tensor]:
    """Return a copy of as many bytes as fusion reads and writes: half of them each way."""
    moved = evidence.shape[0] * evidence[0].numel() + evidence[0].numel() + 3 * evidence.shape[1]
    source = torch.rand((moved + 1) // 2)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


ROWS: dict[str, Callable[[Tensor], Callable[[], Any]]] = {
    BASE: lambda e: lambda: fuse(e).evidence,
    "TMC eager": lambda e: lambda: peers.tmc_combine(e),
    "closed form eager": lambda e: lambda: peers.closed_form(e),
    "closed form compiled": lambda e: partial(torch.compile(peers.closed_form), e),
    "all outputs eager": lambda e: lambda: peers.closed_form_opinion(e),
    "all outputs compiled": lambda e: partial(torch.compile(peers.closed_form_opinion), e),
    "copy of the bytes": copy,
}


@pytest.mark.parametrize("row", list(ROWS))
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"B{s[0]}-K{s[1]}")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fuse(benchmark: Any, shape: tuple[int, int], row: str) -> None:
    """Time one row of one shape."""
    benchmark.group = f"fuse V=2 B={shape[0]} K={shape[1]}"
    torch._dynamo.reset()
    generator = torch.Generator().manual_seed(0)
    evidence = torch.rand(2, *shape, generator=generator) * 10
    call = ROWS[row](evidence)
    with torch.no_grad():
        answer = call()
        answer = answer[0] if isinstance(answer, tuple) else answer
        if "copy" not in row:
            exact = peers.closed_form(evidence.double())
            torch.testing.assert_close(answer.double(), exact, rtol=1e-4, atol=1e-6 * shape[1])
        benchmark(call)
    if benchmark.stats is None:  # --benchmark-disable
        return
    median = benchmark.stats.stats.median
    MEDIANS[shape, row] = median
    if (shape, BASE) in MEDIANS:  # not when -k leaves the base row out
        benchmark.extra_info["times_fuse"] = round(median / MEDIANS[shape, BASE], 3)
