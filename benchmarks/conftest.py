"""How a row is timed, and what is kept of it: see README.md beside this file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks import machine
from benchmarks.problems import Case, Problem

OURS = "ter_fast"
SMOKE_ROWS = 2_000
"""What a case's B shrinks to where rows are only run, not timed."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep one of each compiled row where nothing is timed: every compilation takes seconds."""
    if not config.getoption("benchmark_disable"):
        return
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    seen = set()
    for item in items:
        row = item.callspec.params.get("row", "") if hasattr(item, "callspec") else ""
        what = (item.path, row)
        (dropped if "compiled" in row and what in seen else kept).append(item)
        seen.add(what)
    items[:] = kept
    config.hook.pytest_deselected(items=dropped)


def pytest_benchmark_generate_machine_info(config: pytest.Config) -> dict[str, Any]:
    """Say what the figures depend on, and nothing that names the machine."""
    return machine.describe()


def pytest_benchmark_update_json(
    config: pytest.Config, benchmarks: Sequence[Any], output_json: dict[str, Any]
) -> None:
    """Keep of each row what the page needs, and set its time beside ours."""
    ours: dict[str, float] = {}
    for row in output_json["benchmarks"]:
        row["row"] = row["extra_info"].get("row") or row["params"]["row"]
        if row["row"] in (OURS, "sweep"):
            ours[row["group"]] = row["stats"]["median"]
    for row in output_json["benchmarks"]:
        base = ours.get(row["group"])
        if base:  # not when -k leaves our row out
            row["extra_info"]["times_ours"] = round(row["stats"]["median"] / base, 4)
        stats = row["stats"]
        row["stats"] = {key: float(f"{stats[key]:.5g}") for key in ("min", "median", "iqr")}
        row["stats"]["rounds"] = stats["rounds"]
        for key in ("fullname", "param", "params", "options", "name"):
            row.pop(key, None)
    output_json["commit_info"] = {
        key: output_json["commit_info"].get(key) for key in ("id", "dirty")
    }


@pytest.fixture
def time_row(request: pytest.FixtureRequest, benchmark: Any) -> Callable[..., None]:
    """Return a function that checks a row's answer and then times it.

    `time_row(case, row, problem_of, rows)`: `problem_of` makes the case's problem and `rows[row]`
    the call that answers it.
    """
    smoke = request.config.getoption("benchmark_disable")

    def run(
        case: Case,
        row: str,
        problem_of: Callable[[Any], Problem],
        rows: dict[str, Callable[[Problem], Callable[[], Any]]],
    ) -> None:
        benchmark.group = case.group
        torch._dynamo.reset()
        problem = problem_of(replace(case, rows=min(case.rows, SMOKE_ROWS)) if smoke else case)
        call = rows[row](problem)
        answer = call()
        if row != "copy":
            problem.check(answer)
        del answer
        benchmark(call if case.device == "cpu" else _synchronized(call))
        if benchmark.stats is not None:
            median = benchmark.stats.stats.median
            benchmark.extra_info |= {
                "row": row,
                "device": case.device,
                "bytes": problem.moved,
                "gigabytes_per_second": round(problem.moved / median / 1e9, 3),
            }

    return run


def _synchronized(call: Callable[[], Any]) -> Callable[[], Any]:
    torch.cuda.synchronize()

    def run() -> Any:
        answer = call()
        torch.cuda.synchronize()
        return answer

    return run
