"""The page names only rows that are timed, and finds cost that grows faster than the work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks import (
    bench_decode,
    bench_fusion,
    bench_loss,
    bench_thresholds,
    bench_uncertainty,
    long_memory,
    render,
    targets,
)


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


@pytest.mark.parametrize("target", targets.TARGETS, ids=lambda t: f"{t.group}-{t.peer}")
def test_targets_name_rows_that_are_timed(target: targets.Target) -> None:
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


def row(
    name: str, median: float, group: str = "fuse V=2 B=64 K=6", rate: str = "gigabytes_per_second"
) -> dict[str, Any]:
    """Return a row as pytest-benchmark's JSON holds it."""
    return {"group": group, "row": name, "extra_info": {rate: 1.0}, "stats": {"median": median}}


def figures(*rows: dict[str, Any], commit: str | None = None, cpu: str = "some") -> dict[str, Any]:
    """Return pytest-benchmark's JSON of these rows."""
    info = dict.fromkeys(("kernels", "compiler", "torch", "torch_instruction_set", "python"), "1")
    info |= {"numpy": "2", "system": "Linux", "cpu": cpu}
    return {
        "machine_info": info | {"cores": 2, "caches": {}, "gpu": None},
        "commit_info": {"id": commit, "dirty": False},
        "datetime": "2026-01-02T03:04:05",
        "benchmarks": list(rows),
    }


def test_page_compares_with_targets_and_says_what_was_not_run() -> None:
    measured = figures(
        row("ter_fast", 1e-6),
        row("ter_fast, evidence", 5e-7),
        row("TMC eager", 2e-5),
        row("compiled", 2e-6),
    )
    text = "\n".join(render.page(measured, [sweep(1, 4)], []))
    assert "| fuse V=2 B=64 K=6 | TMC eager | ≥ 15x | 40x | met |" in text
    assert "| fuse V=2 B=64 K=6 | compiled | ≥ 3x | 2x | **missed** |" in text
    assert "| fuse V=2 B=1 K=6 | TMC eager | ≥ 15x | not run |  |" in text
    assert "none: rows on a GPU were not run" in text
    assert "| fuse V=2 B=64 K=6 | 1 µs | 1 | 0.5x | 20x | 2x |" in text
    assert "elements^2.00" in text


def films(threads: str, ours: float, **times: list[float]) -> list[dict[str, Any]]:
    """Return rows of as many files, where each peer takes so many times as long as ours."""
    return [
        row(name.replace("key_", "key "), ours * factors[i], f"decode film_{i}, {threads}", RATE)
        for i in range(len(next(iter(times.values()))))
        for name, factors in {"ter_fast": [1.0] * 9, **times}.items()
    ]


RATE = "clips_per_second"


def test_files_are_judged_by_their_median_or_each(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = films("1 thread", 0.1, torchcodec=[1.0, 1.2, 3.0], key_frames=[0.1, 0.3, 1.5])
    rows += films("2 threads", 0.1, torchcodec=[0.8, 0.9, 1.5])
    text = "\n".join(render.page(figures(*rows), [], []))
    lines = [line for line in text.splitlines() if line.startswith("| decode ") and "≥" in line]
    found = {line.split("|")[1].strip() + line.split("|")[3]: line for line in lines}
    assert len(lines) == len(found) == len(targets.FILES_TARGETS) * len(targets.THREADS)

    def verdict(what: str, target: str) -> str:
        return " ".join(found[f"{what} ≥ {target} "].split("|")[4:]).strip()

    one, two = "decode 3 files, 1 thread", "decode 3 files, 2 threads"
    assert verdict(f"{one}: median of the files", "1.1x") == "1.2x (1x to 3x)   met"
    assert verdict(f"{one}: every file", "0.85x") == "1x (1x to 3x)   met"
    # 1.0 / 0.1, 1.2 / 0.3 and 3.0 / 1.5: the median is 4.
    key = "decode 3 files, key frames, 1 thread: median of the files"
    assert verdict(key, "5x") == "4x (2x to 10x)   **missed**"
    assert verdict(f"{two}: median of the files", "1.1x").startswith("0.9x")
    assert verdict(f"{two}: every file", "0.85x") == "0.8x (0.8x to 1.5x)   **missed**"
    assert verdict("decode files, 2 threads: every file", "1x") == "not run"
    assert "| | ter_fast | clips/s | torchcodec | key frames |" in text
    assert "| | ter_fast | clips/s | torchcodec |" in text


def test_files_targets_name_rows_that_are_timed() -> None:
    for target in targets.FILES_TARGETS:
        assert {target.peer, target.ours} <= set(bench_decode.ROWS)
    ends = {f"{n} thread{'s' if n > 1 else ''}" for n in bench_decode.THREADS}
    assert ends == set(targets.THREADS)


def test_rows_timed_later_replace_and_join() -> None:
    epoch = "epoch of 100 clips, 16 frames at 48 px + 16 kHz"
    measured = figures(row("ter_fast", 1e-6), row("TMC eager", 2e-6))
    later = figures(
        row("ter_fast", 2.0, epoch, RATE),
        row("films", 8.0, epoch, RATE),
        row("TMC eager", 3e-6),
        commit="0123456789abcdef",
    )
    later["commit_info"]["dirty"] = True
    render.merge(measured, later)
    text = "\n".join(render.page(measured, [], []))
    assert "| later rows | epoch, fuse: commit 0123456789ab with changes, 2026-01-02 |" in text
    assert f"### epoch\n\n| | ter_fast | clips/s | films |\n|---|---|---|---|\n| {epoch} |" in text
    assert f"| {epoch} | 2 s | 1 | 4x |" in text
    assert "| fuse V=2 B=64 K=6 | 1 µs | 1 | 3x |" in text
    with pytest.raises(ValueError, match="do not belong on the page"):
        render.merge(measured, figures(cpu="another"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5, "2.5 s"), (0.9996, "1000 ms"), (1.25e-4, "125 µs"), (3e-9, "3 ns"), (2e-10, "0.2 ns")],
)
def test_times_have_a_unit_that_fits(seconds: float, text: str) -> None:
    assert render._time(seconds) == text


@pytest.mark.parametrize(("peak", "verdict"), [(1023, "met"), (1024, "**missed**")])
def test_the_page_of_the_hour_judges_its_peak(peak: int, verdict: str) -> None:
    short = long_memory.Measured(360.0, 36, 300 << 20, 200 << 20, 20.0)
    hour = long_memory.Measured(3600.0, 360, peak << 20, 210 << 20, 150.0)
    text = long_memory.page("decode/a.mp4", [short, hour])
    assert "| 6 min | 36 | 300 | 200 | 20 | 18 |" in text
    assert f"| 60 min | 360 | {peak} | 210 | 150 | 24 |" in text
    assert f"Target: less than 1024 MiB for an hour: {verdict}.\n" in text
