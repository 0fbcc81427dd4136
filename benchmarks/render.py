"""Write the page of a machine's results: `python benchmarks/render.py bench.json scaling.json folder`.

Beside the page go its plots, and its figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
import plots

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

STEEP = 1.15
"""Exponent of time over work from which the cost counts as growing faster than the work."""
NOISE = 1.1
"""Growth of time over work that a busy machine brings about by itself."""


def main() -> None:
    """Read both files and write page, plots and figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmarks", type=Path, help="JSON of pytest --benchmark-json")
    parser.add_argument("scaling", type=Path, help="JSON of scaling.py")
    parser.add_argument("folder", type=Path, help="where the page goes")
    arguments = parser.parse_args()
    measured = json.loads(arguments.benchmarks.read_text())
    sweeps = json.loads(arguments.scaling.read_text())["sweeps"]
    name = machine.slug(measured["machine_info"])
    arguments.folder.mkdir(parents=True, exist_ok=True)
    drawn = plots.draw(sweeps, arguments.folder, name)
    (arguments.folder / f"{name}.md").write_text("\n".join(page(measured, sweeps, drawn)) + "\n")
    measured["sweeps"] = sweeps
    (arguments.folder / f"{name}.json").write_text(compact(measured) + "\n")
    print(arguments.folder / f"{name}.md")


def page(measured: Row, sweeps: list[Row], drawn: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the page's lines."""
    rows = {(row["group"], row["row"]): row for row in measured["benchmarks"]}
    info = measured["machine_info"]
    gpu = f" and {info['gpu']}" if info["gpu"] else ""
    yield f"# Speed on {info['cpu']}, {info['cores']} cores{gpu}"
    yield ""
    yield from _machine(measured)
    yield from _targets(rows)
    yield from _groups(measured["benchmarks"])
    yield from _growth(sweeps)
    for title, file in drawn:
        yield from ("", f"![{title}]({file})")
    yield from _sweeps(sweeps)


def _machine(measured: Row) -> Iterator[str]:
    info = measured["machine_info"]
    caches = ", ".join(f"{level} {size}" for level, size in info["caches"].items())
    commit = measured["commit_info"].get("id") or "unknown"
    changed = ", with changes" if measured["commit_info"].get("dirty") else ""
    yield "| | |"
    yield "|---|---|"
    yield f"| processor | {info['cpu']}, {info['cores']} cores; caches of one core: {caches or '?'} |"
    yield f"| GPU | {info['gpu'] or 'none: rows on a GPU were not run'} |"
    yield f"| ter_fast | {info['kernels']}; commit {commit[:12]}{changed} |"
    yield f"| torch | {info['torch']}, {info['torch_instruction_set']}; compiles with {info['compiler']} |"
    yield f"| others | Python {info['python']}, NumPy {info['numpy']}, {info['system']} |"
    yield f"| when | {measured['datetime'][:10]} |"
    yield ""
    yield (
        "Medians of one run. A factor is the row's time over ours on the same problem: above 1 we "
        "are faster. *TMC eager* is the published code's formula; *eager* and *compiled* compute all "
        "that we do, *evidence* only the fused evidence; *copy* moves as many bytes as the problem "
        "reads and writes once each, half of them in and half out. Rows whose tables `(B, K, K)` would pass "
        "4 GB were left out. All answers were compared before anything was timed."
    )


def _targets(rows: dict[tuple[str, str], Row]) -> Iterator[str]:
    yield from ("", "## Targets", "")
    yield "| work | against | its time over ours: target | measured | |"
    yield "|---|---|---|---|---|"
    for target in TARGETS:
        ours, peer = rows.get((target.group, target.ours)), rows.get((target.group, target.peer))
        measured, verdict = "not run", ""
        if ours and peer:
            times = _median(peer) / _median(ours)
            measured = f"{times:.3g}x"
            verdict = "met" if times >= target.times else "**missed**"
        yield f"| {target.group} | {target.peer} | ≥ {_times(target.times)} | {measured} | {verdict} |"


def _groups(benchmarks: list[Row]) -> Iterator[str]:
    yield from ("", "## Everything that was timed")
    tables: dict[str, dict[str, dict[str, Row]]] = {}
    for row in benchmarks:
        title = row["group"].split(" ")[0]
        tables.setdefault(title, {}).setdefault(row["group"], {})[row["row"]] = row
    for title, groups in tables.items():
        # One table a set of peers: a column that hardly any row fills tells nothing.
        kinds: dict[tuple[str, ...], list[dict[str, Row]]] = {}
        for group in groups.values():
            kinds.setdefault(tuple(group), []).append(group)
        yield from ("", f"### {title}")
        for columns, same in kinds.items():
            yield from _table(columns, same)


def _table(columns: tuple[str, ...], groups: list[dict[str, Row]]) -> Iterator[str]:
    ours, *peers = columns
    yield from ("", f"| | {ours} | GB/s | {' | '.join(peers)} |")
    yield "|---" * (len(columns) + 2) + "|"
    for group in groups:
        base = group[ours]
        rate = base["extra_info"].get("gigabytes_per_second")
        factors = " | ".join(_times(_median(group[peer]) / _median(base)) for peer in peers)
        yield f"| {base['group']} | {_time(_median(base))} | {_rate(rate)} | {factors} |"


def _growth(sweeps: list[Row]) -> Iterator[str]:
    yield from ("", "## Where cost grows faster than the work", "")
    yield (
        f"Between neighbouring points of a sweep, where time grows as elements^{STEEP} or faster (and by "
        f"more than {NOISE - 1:.0%} beyond the elements, which is noise). Operations count the pairs of views "
        "that the disagreement compares, and the pairs of classes of the dissonance, as well."
    )
    yield ""
    found = [line for sweep in sweeps for line in steep(sweep)]
    yield from found or ["Nowhere."]


def steep(sweep: Row) -> Iterator[str]:
    """Yield a line for each step of a sweep over which our time grows faster than the elements."""
    for one, two in zip(sweep["points"], sweep["points"][1:], strict=False):
        time = two["seconds"]["ter_fast"] / one["seconds"]["ter_fast"]
        elements = two["elements"] / one["elements"]
        operations = two["operations"] / one["operations"]
        exponent = math.log(time) / math.log(elements)
        if exponent <= STEEP or time / elements <= NOISE:
            continue
        line = (
            f"- {sweep['title']}{_place(sweep)}, {sweep['size']} {one['value']:,} → {two['value']:,}: time "
            f"× {time:.3g} for elements × {elements:.3g}, as elements^{exponent:.2f}"
        )
        if operations != elements:
            line += f" and operations^{math.log(time) / math.log(operations):.2f}"
        copied, cloned = (two["seconds"][row] / one["seconds"][row] for row in ("copy", "clone"))
        yield f"{line}; copies × {copied:.3g}, into new memory × {cloned:.3g}"


def _sweeps(sweeps: list[Row]) -> Iterator[str]:
    for sweep in sweeps:
        size = sweep["size"]
        yield from ("", f"### {sweep['title']}{_place(sweep)} against {size}", "")
        yield f"| {size} | ter_fast | an element | GB/s | compiled | copy | copy into new memory |"
        yield "|---" * 7 + "|"
        for point in sweep["points"]:
            times = point["seconds"]
            ours = times["ter_fast"]
            peers = [
                _times(times[row] / ours) if row in times else ""
                for row in ("compiled", "copy", "clone")
            ]
            yield (
                f"| {point['value']:,} | {_time(ours)} | {_time(ours / point['elements'])} | "
                f"{_rate(point['bytes'] / ours / 1e9)} | {' | '.join(peers)} |"
            )


def _place(sweep: Row) -> str:
    return "" if sweep["device"] == "cpu" else f" on {sweep['device']}"


def _median(row: Row) -> float:
    return float(row["stats"]["median"])


def _times(value: float) -> str:
    return f"{value:.0f}x" if value >= 99.5 else f"{value:.2g}x"


def _rate(gigabytes: float | None) -> str:
    if gigabytes is None:
        return ""
    return (
        "< 0.01"
        if gigabytes < 0.01
        else f"{gigabytes:.2g}"
        if gigabytes < 99.5
        else f"{gigabytes:.0f}"
    )


def _time(seconds: float) -> str:
    scales = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
    unit = next((unit for unit, scale in scales.items() if seconds >= scale), "ns")
    number = seconds / scales[unit]
    return f"{number:.0f} {unit}" if number >= 99.5 else f"{number:.2g} {unit}"


def compact(values: Row) -> str:
    """Return JSON with a line for each row and each point, so that two runs can be compared."""

    def listed(items: Iterable[Any]) -> str:
        return "[\n  " + ",\n  ".join(json.dumps(item) for item in items) + "\n ]"

    fields = [
        f" {json.dumps(key)}: {listed(value) if isinstance(value, list) else json.dumps(value)}"
        for key, value in values.items()
    ]
    return "{\n" + ",\n".join(fields) + "\n}"


if __name__ == "__main__":
    main()
