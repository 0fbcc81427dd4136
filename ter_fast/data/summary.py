"""The findings of `check_dataset` as tables and sentences for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ter_fast.media.text import clean

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

    from ter_fast.data.check import DatasetCheck, SplitSummary

NAMED = 10
"""How many files, or groups, are named before the rest is only counted."""


def check_table(check: DatasetCheck) -> Group:
    """Lay out what was found: counts by class and split, durations, files, and the verdict.

    Args:
        check: What `ter_fast.data.check_dataset` returned.

    Example:
        >>> from ter_fast.data import Dataset, Sample, check_dataset
        >>> clips = (Sample("a.wav", "fear", "", "x"), Sample("b.wav", "joy", "", "y"))
        >>> data = Dataset("mine", ("fear", "joy"), clips, "CC0", ("audio",))
        >>> table = check_table(check_dataset(data, open_files=False))
        >>> len(table.renderables) > 3
        True
    """
    from rich.console import Group
    from rich.text import Text

    lines: list[RenderableType] = [
        Text(clean(f"{check.name}: {' and '.join(check.modalities)}"), style="bold"),
        Text(f"terms: {check.terms}"),
        _counts(check),
    ]
    lines += [Text(clean(_groups(split))) for split in check.splits]
    if check.soft_targets:
        lines.append(Text(f"soft targets from rater votes: {check.soft_targets} samples"))
    if check.durations is not None:
        d = check.durations
        lines.append(
            Text(
                f"durations: {_time(d.shortest)} to {_time(d.longest)}, median "
                f"{_time(d.median)}, {_time(d.total)} in all"
            )
        )
    lines += _files("missing", check.missing, "bold red")
    lines += _files("unreadable", check.unreadable, "bold red")
    lines += _files("without what their kind promises", check.lacking, "yellow")
    lines += [Text(clean(f"warning: {warning}"), style="yellow") for warning in check.warnings]
    lines += [Text(clean(f"refused: {problem}"), style="bold red") for problem in check.problems]
    lines.append(_verdict(check))
    return Group(*lines)


def _verdict(check: DatasetCheck) -> Text:
    from rich.text import Text

    if not check.ok:
        return Text("not fit for use as it is", style="bold red")
    done = "every file opens" if check.opened else "every file is there (none was opened)"
    return Text(f"ok: {done}, and no group stands on both sides", style="bold green")


def _counts(check: DatasetCheck) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for split in check.splits:
        table.add_column(split.name or "no split", justify="right")
    several = len(check.splits) > 1
    if several:
        table.add_column("all", justify="right")

    def row(name: str, counts: Sequence[int], total: str) -> None:
        cells = [f"{count:,}" for count in counts]
        table.add_row(escape(clean(name)), *cells, *([total] if several else []))

    labels = list(check.splits[0].classes) if check.splits else []
    for label in labels:
        counts = [split.classes[label] for split in check.splits]
        row(label, counts, f"{sum(counts):,}")
    table.add_section()
    counts = [split.samples for split in check.splits]
    row("samples", counts, f"{sum(counts):,}")
    # Groups that stand in two splits would count twice, so they have no sum.
    row("groups", [len(split.groups) for split in check.splits], "")
    return table


def _groups(split: SplitSummary) -> str:
    """Say how many samples the groups of a split have, and which groups they are if few."""
    sizes = list(split.groups.values())
    few = len(sizes) <= NAMED
    each = f"{sizes[-1]:,}" if sizes[0] == sizes[-1] else f"{sizes[-1]:,} to {sizes[0]:,}"
    named = ", ".join(f"{group} {size:,}" for group, size in split.groups.items())
    return f"groups of {split.name or 'no split'}: {named if few else f'{each} samples each'}"


def _files(what: str, files: Sequence[str], style: str) -> list[Text]:
    from rich.text import Text

    if not files:
        return []
    shown = [Text(f"{len(files):,} {what}:", style=style)]
    shown += [Text(clean(f"  {each}")) for each in files[:NAMED]]
    if len(files) > NAMED:
        shown.append(Text(f"  … and {len(files) - NAMED:,} more (--json names all)"))
    return shown


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
