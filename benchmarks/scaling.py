"""Sweep time against samples, views and classes, and write it as JSON.

`python -m benchmarks.scaling results.json`; `--quick` takes a few small points, to see that it runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import bench_fusion, bench_loss, bench_uncertainty, machine
from benchmarks.cases import DEVICES
from benchmarks.problems import (
    Case,
    FuseCase,
    LossCase,
    Problem,
    UncertaintyCase,
    clone,
    fuse_problem,
    loss_problem,
    uncertainty_problem,
)

BATCHES = [10**n for n in range(8)]
VIEWS = [2, 3, 4, 6, 8, 12, 16]
CLASSES = [2, 4, 6, 8, 10, 12, 16, 20, 32, 64, 101, 256, 512, 1000]
COMPILED_AT = {
    "B": {1, 100, 10_000, 1_000_000, 10_000_000},
    "V": {2, 4, 8, 16},
    "K": {2, 6, 16, 101, 1000},
}
"""Where the compiled peer is timed: each point costs seconds of compilation."""

TARGET_SECONDS = 0.2
MIN_ROUND_SECONDS = 2e-3
MIN_ROUNDS, MAX_ROUNDS = 3, 100
PEER_LIMIT_SECONDS = 0.25
"""A peer that took longer than this at one point is not timed at larger ones."""

Rows = dict[str, Callable[[Problem], Callable[[], Any]]]
Operation = tuple[str, Callable[..., Case], Callable[[Any], Problem], Rows]


@dataclass(frozen=True)
class Sweep:
    """One operation against one of its sizes."""

    operation: str
    size: str
    values: list[int]
    case_of: Callable[[int], Case]
    problem_of: Callable[[Any], Problem]
    rows: Rows

    @property
    def title(self) -> str:
        """Name the sweep by what stays fixed: `fuse V=2 K=6`."""
        first = self.case_of(self.values[0])
        sizes = {"V": getattr(first, "views", None), "B": first.rows, "K": first.classes}
        fixed = [f"{k}={v:,}" for k, v in sizes.items() if v is not None and k != self.size]
        return " ".join([self.operation, *fixed])


def sweeps(device: str) -> list[Sweep]:
    """Return what is swept: V only where there are views."""

    def against(size: str, values: list[int], operation: Operation, **fixed: int) -> Sweep:
        name, case_type, problem_of, rows = operation
        attribute = {"B": "rows", "V": "views", "K": "classes"}[size]

        def case_of(value: int) -> Case:
            return case_type(**{"device": device, **fixed, attribute: value})

        return Sweep(name, size, values, case_of, problem_of, rows)

    fuse: Operation = ("fuse", FuseCase, fuse_problem, bench_fusion.ROWS)
    loss: Operation = ("loss + gradient", LossCase, loss_problem, bench_loss.ROWS)
    uncertainty: Operation = (
        "uncertainty, all six",
        UncertaintyCase,
        uncertainty_problem,
        bench_uncertainty.ROWS,
    )
    return [
        against("B", BATCHES, fuse),
        against("B", BATCHES, loss),
        against("B", BATCHES, uncertainty),
        against("V", VIEWS, fuse, rows=100_000),
        against("K", CLASSES, fuse, rows=20_000),
        against("K", CLASSES, loss, rows=2_000),
        # Few samples: the compiled peer may hold tables (B, K, K).
        against("K", CLASSES, uncertainty, rows=500),
    ]


def seconds(call: Callable[[], Any], device: str) -> float:
    """Return the median time of a call."""

    def timed(repeats: int) -> float:
        start = time.perf_counter()
        for _ in range(repeats):
            call()
            if device == "cuda":
                torch.cuda.synchronize()
        return (time.perf_counter() - start) / repeats

    timed(1)
    once = timed(1)
    repeats = max(1, round(MIN_ROUND_SECONDS / max(once, 1e-7)))
    rounds = round(TARGET_SECONDS / (repeats * max(once, 1e-7)))
    rounds = min(MAX_ROUNDS, max(MIN_ROUNDS, rounds))
    return statistics.median(timed(repeats) for _ in range(rounds))


def points(sweep: Sweep, device: str) -> Iterator[dict[str, Any]]:
    """Time our row, the compiled one and both copies at each size."""
    rows = {**sweep.rows, "clone": clone}
    peer_allowed = True
    for value in sweep.values:
        case = sweep.case_of(value)
        problem = sweep.problem_of(case)
        times = {}
        for row in ("ter_fast", "compiled", "copy", "clone"):
            if row == "compiled" and not (peer_allowed and value in COMPILED_AT[sweep.size]):
                continue
            torch._dynamo.reset()
            call = rows[row](problem)
            answer = call()
            if row not in ("copy", "clone"):
                problem.check(answer)
            del answer
            times[row] = float(f"{seconds(call, device):.5g}")
            if row == "compiled":
                peer_allowed = times[row] < PEER_LIMIT_SECONDS
        views = getattr(case, "views", 1)
        yield {
            "value": value,
            "seconds": times,
            "bytes": problem.moved,
            "elements": views * case.rows * case.classes,
            "operations": _operations(case),
        }


def _operations(case: Case) -> int:
    """Count elements, and the pairs of elements that a definition compares with one another."""
    views = getattr(case, "views", 1)
    view_pairs = views * (views - 1) // 2  # the disagreement
    class_pairs = 0
    if isinstance(case, UncertaintyCase):  # the dissonance
        class_pairs = case.classes * (case.classes - 1) // 2
    return case.rows * ((views + view_pairs) * case.classes + class_pairs)


def main() -> None:
    """Run every sweep and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="JSON to write")
    parser.add_argument("--quick", action="store_true", help="a few small points of each sweep")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"machine_info": machine.describe(), "sweeps": []}
    for device in DEVICES:
        for sweep in sweeps(device):
            values = sweep.values[:4] if arguments.quick else sweep.values
            print(f"{sweep.title} against {sweep.size} on {device}", flush=True)
            result["sweeps"].append(
                {
                    "operation": sweep.operation,
                    "size": sweep.size,
                    "title": sweep.title,
                    "device": device,
                    "points": list(points(replace(sweep, values=values), device)),
                }
            )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
