"""The page names only rows that are timed, and finds cost that grows faster than the work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import bench_fusion
import bench_loss
import bench_thresholds
import bench_uncertainty
import render


def timed_rows() -> set[tuple[str, str]]:
    """Return group and row of all that is timed, on a machine with a GPU."""
    modules = (
        (bench_fusion.CASES, bench_fusion.rows_of),
        (bench_loss.CASES, bench_loss.rows_of),
        (bench_uncertainty.CASES, bench_uncertainty.rows_of),
    )
    rows = {
        (bench_thresholds.group(n, dtype), row)
        for n in bench_thresholds.SIZES
        for dtype in bench_thresholds.DTYPES
        for row in bench_thresholds.ROWS
    }
    for cases, rows_of in modules:
        for case in cases:
            for device in ("cuda",) if case.gpu_only else ("cpu", "cuda"):
                placed: Any = replace(case, device=device)
                rows |= {(placed.group, row) for row in rows_of(placed)}
    return rows


@pytest.mark.parametrize("target", render.TARGETS, ids=lambda t: f"{t.group}-{t.peer}")
def test_targets_name_rows_that_are_timed(target: render.Target) -> None:
    assert {(target.group, target.peer), (target.group, target.ours)} <= timed_rows()


def sweep(*seconds: float) -> dict[str, Any]:
    """Return a sweep over 10, 20, 40, … samples that takes so long."""
    points = [
        {"value": n, "elements": n, "operations": n, "bytes": n}
        | {"seconds": {"ter_fast": time, "copy": n * 1e-9, "clone": n * 1e-9}}
        for n, time in zip((10 * 2**i for i in range(len(seconds))), seconds, strict=True)
    ]
    return {"title": "fuse K=6", "size": "B", "device": "cpu", "points": points}


@pytest.mark.parametrize(
    ("seconds", "steps"),
    [
        ((1, 2, 4), []),
        ((1, 1.1, 1.2), []),
        ((1, 2, 6), ["20 → 40"]),
        ((1, 4, 16), ["10 → 20", "20 → 40"]),
        ((1, 2.15, 4.3), []),  # within the noise
    ],
)
def test_steep_finds_steps_over_which_time_outgrows_the_elements(
    seconds: tuple[float, ...], steps: list[str]
) -> None:
    lines = list(render.steep(sweep(*seconds)))
    assert [step for line, step in zip(lines, steps, strict=True) if step not in line] == []


def row(name: str, median: float) -> dict[str, Any]:
    """Return a row as pytest-benchmark's JSON holds it."""
    extra = {"gigabytes_per_second": 1.0}
    stats = {"median": median}
    return {"group": "fuse V=2 B=64 K=6", "row": name, "extra_info": extra, "stats": stats}


def test_page_compares_with_targets_and_says_what_was_not_run() -> None:
    info = dict.fromkeys(
        ("cpu", "kernels", "compiler", "torch", "torch_instruction_set", "python"), "some"
    )
    info |= {"numpy": "2", "system": "Linux"}
    measured = {
        "machine_info": info | {"cores": 2, "caches": {}, "gpu": None},
        "commit_info": {"id": None, "dirty": False},
        "datetime": "2026-01-02T03:04:05",
        "benchmarks": [
            row("ter_fast", 1e-6),
            row("ter_fast, evidence", 5e-7),
            row("TMC eager", 2e-5),
            row("compiled", 2e-6),
        ],
    }
    text = "\n".join(render.page(measured, [sweep(1, 4)], []))
    assert "| fuse V=2 B=64 K=6 | TMC eager | ≥ 15x | 40x | met |" in text
    assert "| fuse V=2 B=64 K=6 | compiled | ≥ 3x | 2x | **missed** |" in text
    assert "| fuse V=2 B=1 K=6 | TMC eager | ≥ 15x | not run |  |" in text
    assert "none: rows on a GPU were not run" in text
    assert "| fuse V=2 B=64 K=6 | 1 µs | 1 | 0.5x | 20x | 2x |" in text
    assert "elements^2.00" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5, "2.5 s"), (0.9996, "1000 ms"), (1.25e-4, "125 µs"), (3e-9, "3 ns"), (2e-10, "0.2 ns")],
)
def test_times_have_a_unit_that_fits(seconds: float, text: str) -> None:
    assert render._time(seconds) == text
