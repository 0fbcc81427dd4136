"""What the benchmarks are to show, and whether they did."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """What a group of rows is to show.

    Attributes:
        group: Name of the group.
        peer: Its row that ours is measured against.
        times: How many times faster than the peer; below 1 to allow that much more time.
        ours: Our row.
    """

    group: str
    peer: str
    times: float
    ours: str = "ter_fast"


@dataclass(frozen=True)
class FilesTarget:
    """What reading files is to show, over all the files that were read with so many threads.

    Attributes:
        peer: The row that ours is measured against.
        times: How many times faster than the peer.
        every: Whether every file is to reach it; otherwise half of them.
        ours: Our row.
    """

    peer: str
    times: float
    every: bool = False
    ours: str = "ter_fast"


FILES_TARGETS = [
    FilesTarget("torchcodec", 1.1),
    FilesTarget("torchcodec", 0.85, every=True),
    FilesTarget("ffmpeg -f null", 1, every=True),
    FilesTarget("torchcodec", 5, ours="key frames"),
]
FILES = "decode"
THREADS = ("1 thread", "2 threads")

MILLION = "B=1,000,000 K=6"
# Our row where only the fused evidence is read, beside peers that give no more.
EVIDENCE = "ter_fast, evidence"
TARGETS = [
    *(
        Target(f"fuse V=2 B={rows} K=6", peer, times, ours)
        for rows in (1, 64)
        for peer, times, ours in (
            ("TMC eager", 15, EVIDENCE),
            ("evidence compiled", 3, EVIDENCE),
            ("compiled", 3, "ter_fast"),
        )
    ),
    Target(f"fuse V=2 {MILLION}", "TMC eager", 50, EVIDENCE),
    Target(f"fuse V=2 {MILLION}", "evidence compiled", 1, EVIDENCE),
    Target(f"fuse V=2 {MILLION}", "compiled", 1),
    Target(f"fuse V=2 {MILLION}", "copy", 1 / 1.5),
    Target("fuse V=2 B=65,536 K=101", "TMC eager", 500, EVIDENCE),
    Target(f"loss + gradient, digamma + KL {MILLION}", "eager", 25),
    Target(f"loss + gradient, digamma + KL {MILLION}", "compiled", 25),
    Target(f"uncertainty, all six {MILLION}", "eager", 15),
    Target("threshold sweep N=10,000,000 float32", "sklearn.precision_recall_curve", 30, "sweep"),
    Target("threshold sweep N=10,000,000 float32", "numpy.sort", 1 / 2, "sweep"),
    Target("fuse V=2 B=10,000,000 K=6, cuda", "copy", 0.8),
    Target("fuse V=2 B=10,000,000 K=6, cuda", "compiled", 1),
    Target("loss + gradient, digamma + KL B=10,000,000 K=6, cuda", "copy", 0.8),
    Target("loss + gradient, digamma + KL B=10,000,000 K=6, cuda", "compiled", 1),
]


def target_lines(rows: dict[tuple[str, str], Row]) -> Iterator[str]:
    """Yield the table that says of each target whether it was met."""
    yield from ("", "## Targets", "")
    yield "| work | against | its time over ours: target | measured | |"
    yield "|---|---|---|---|---|"
    for target in TARGETS:
        ours, peer = rows.get((target.group, target.ours)), rows.get((target.group, target.peer))
        measured, verdict = "not run", ""
        if ours and peer:
            times = median(peer) / median(ours)
            measured = f"{times:.3g}x"
            verdict = "met" if times >= target.times else "**missed**"
        yield f"| {target.group} | {target.peer} | ≥ {times_text(target.times)} | {measured} | {verdict} |"

    for files_target in FILES_TARGETS:
        for threads in THREADS:
            yield _files_target(rows, files_target, threads)


def _files_target(rows: dict[tuple[str, str], Row], target: FilesTarget, threads: str) -> str:
    found = []
    for (group, name), row in rows.items():
        peer = rows.get((group, target.peer))
        if group.startswith(f"{FILES} ") and group.endswith(f", {threads}") and name == target.ours:
            found += [median(peer) / median(row)] if peer else []
    measured, verdict = "not run", ""
    if found:
        judged = min(found) if target.every else statistics.median(found)
        measured = f"{judged:.3g}x ({min(found):.2g}x to {max(found):.2g}x)"
        verdict = "met" if judged >= target.times else "**missed**"
    how = "every file" if target.every else "median of the files"
    what = "" if target.ours == "ter_fast" else f", {target.ours}"
    files = f"{len(found)} files" if found else "files"
    return (
        f"| {FILES} {files}{what}, {threads}: {how} | {target.peer} | ≥ {times_text(target.times)} | "
        f"{measured} | {verdict} |"
    )


def median(row: Row) -> float:
    """Return a row's median time in seconds."""
    return float(row["stats"]["median"])


def times_text(value: float) -> str:
    """Write how many times something is."""
    return f"{value:.0f}x" if value >= 99.5 else f"{value:.2g}x"
