"""Write the page of a machine's results: `python -m benchmarks.render bench.json scaling.json folder`.

Beside the page go its plots, and its figures as JSON. That JSON can be given again as both of the first
two, with rows that were timed later: `python -m benchmarks.render old.json old.json folder --later shards.json`.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import machine, plots
from benchmarks.targets import Row, median, target_lines, times_text

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
    parser.add_argument(
        "--later", type=Path, nargs="*", default=[], help="rows that replace or join the others"
    )
    arguments = parser.parse_args()
    measured = json.loads(arguments.benchmarks.read_text())
    for file in arguments.later:
        merge(measured, json.loads(file.read_text()))
    sweeps = json.loads(arguments.scaling.read_text())["sweeps"]
    name = machine.slug(measured["machine_info"])
    arguments.folder.mkdir(parents=True, exist_ok=True)
    drawn = plots.draw(sweeps, arguments.folder, name)
    (arguments.folder / f"{name}.md").write_text("\n".join(page(measured, sweeps, drawn)) + "\n")
    measured["sweeps"] = sweeps
    (arguments.folder / f"{name}.json").write_text(compact(measured) + "\n")
    print(arguments.folder / f"{name}.md")


def merge(measured: Row, later: Row) -> None:
    """Put rows that were timed later among the others, and note of which groups and commit they are.

    Raises:
        ValueError: They were timed on another machine.
    """
    names = [machine.slug(each["machine_info"]) for each in (measured, later)]
    if names[0] != names[1]:
        raise ValueError(f"rows of {names[1]} do not belong on the page of {names[0]}")
    rows = {(row["group"], row["row"]): row for row in measured["benchmarks"]}
    # In their own order, so that ours comes first in a group.
    for row in later["benchmarks"]:
        rows[row["group"], row["row"]] = row
    measured["benchmarks"] = list(rows.values())
    titles = sorted({_title(row) for row in later["benchmarks"]})
    noted = {"titles": titles, "commit": later["commit_info"], "datetime": later["datetime"]}
    measured["later"] = [*measured.get("later", []), noted]


def page(measured: Row, sweeps: list[Row], drawn: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the page's lines."""
    rows = {(row["group"], row["row"]): row for row in measured["benchmarks"]}
    info = measured["machine_info"]
    gpu = f" and {info['gpu']}" if info["gpu"] else ""
    yield f"# Speed on {info['cpu']}, {info['cores']} cores{gpu}"
    yield ""
    yield from _machine(measured)
    yield from target_lines(rows)
    yield from _groups(measured["benchmarks"])
    yield from _growth(sweeps)
    for title, file in drawn:
        yield from ("", f"![{title}]({file})")
    yield from _sweeps(sweeps)


def _machine(measured: Row) -> Iterator[str]:
    info = measured["machine_info"]
    caches = ", ".join(f"{level} {size}" for level, size in info["caches"].items())
    yield "| | |"
    yield "|---|---|"
    yield f"| processor | {info['cpu']}, {info['cores']} cores; caches of one core: {caches or '?'} |"
    yield f"| GPU | {info['gpu'] or 'none: rows on a GPU were not run'} |"
    yield f"| ter_fast | {info['kernels']}; commit {_commit(measured['commit_info'])} |"
    yield f"| torch | {info['torch']}, {info['torch_instruction_set']}; compiles with {info['compiler']} |"
    yield f"| others | Python {info['python']}, NumPy {info['numpy']}, {info['system']} |"
    yield f"| when | {measured['datetime'][:10]} |"
    for later in measured.get("later", []):
        titles, date = ", ".join(later["titles"]), later["datetime"][:10]
        yield f"| later rows | {titles}: commit {_commit(later['commit'])}, {date} |"
    yield ""
    yield (
        "Medians of one run. A factor is the row's time over ours on the same problem: above 1 we "
        "are faster. *TMC eager* is the published code's formula; *eager* and *compiled* compute all "
        "that we do, *evidence* only the fused evidence; *copy* moves as many bytes as the problem "
        "reads and writes once each, half of them in and half out. Rows whose tables `(B, K, K)` would pass "
        "4 GB were left out. All answers were compared before anything was timed."
    )


def _commit(info: Row) -> str:
    return (info.get("id") or "unknown")[:12] + (" with changes" if info.get("dirty") else "")


def _title(row: Row) -> str:
    return str(row["group"]).split(" ")[0].rstrip(",")


def _groups(benchmarks: list[Row]) -> Iterator[str]:
    yield from ("", "## Everything that was timed")
    tables: dict[str, dict[str, dict[str, Row]]] = {}
    for row in benchmarks:
        tables.setdefault(_title(row), {}).setdefault(row["group"], {})[row["row"]] = row
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
    clips = any("clips_per_second" in group[ours]["extra_info"] for group in groups)
    unit, key = ("clips/s", "clips_per_second") if clips else ("GB/s", "gigabytes_per_second")
    yield from ("", f"| | {ours} | {unit} | {' | '.join(peers)} |")
    yield "|---" * (len(columns) + 2) + "|"
    for group in groups:
        base = group[ours]
        rate = base["extra_info"].get(key)
        factors = " | ".join(times_text(median(group[peer]) / median(base)) for peer in peers)
        yield f"| {base['group']} | {_time(median(base))} | {_rate(rate)} | {factors} |"


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
                times_text(times[row] / ours) if row in times else ""
                for row in ("compiled", "copy", "clone")
            ]
            yield (
                f"| {point['value']:,} | {_time(ours)} | {_time(ours / point['elements'])} | "
                f"{_rate(point['bytes'] / ours / 1e9)} | {' | '.join(peers)} |"
            )


def _place(sweep: Row) -> str:
    return "" if sweep["device"] == "cpu" else f" on {sweep['device']}"


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
