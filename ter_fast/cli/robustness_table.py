"""Robustness on a terminal: a row for each corruption and severity."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ter_fast.evaluate.robustness.cells import Cell, Robustness, level_text
from ter_fast.media.corrupt import CORRUPTIONS

if TYPE_CHECKING:
    from rich.console import RenderableType

_SHOWN = ("accuracy", "uncertainty", "aurc", "coverage", "trusted_precision", "lift")
_WORDS = {"rose": "[green]rose[/]", "fell": "[red]fell[/]", "unclear": "[yellow]unclear[/]"}


def robustness_table(robustness: Robustness) -> RenderableType:
    """Return the figures of every cell, and what uncertainty did under each corruption."""
    from rich import box
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    names = [name for name in _SHOWN if name in robustness.clean.figures]
    cells = Table(
        title=f"{robustness.modalities} on {robustness.samples} clips of {escape(robustness.name)} "
        f"({robustness.groups} groups)",
        box=box.SIMPLE_HEAD,
    )
    cells.add_column("corruption")
    for column in ("severity", "level", *(name.replace("_", " ") for name in names)):
        cells.add_column(column, justify="right")
    cells.add_row("clean", "0", "", *(_value(name, robustness.clean) for name in names))
    for corruption in robustness.trends:
        cells.add_section()
        for cell in robustness.of(corruption)[1:]:
            values = (_value(name, cell) for name in names)
            cells.add_row(corruption, str(cell.severity), level_text(cell.level), *values)
    trends = Table(title="Did uncertainty rise with severity?", box=box.SIMPLE_HEAD)
    for column in (
        "corruption",
        "uncertainty",
        "by",
        "rank correlation",
        "accuracy by",
        "trust broke at",
    ):
        trends.add_column(column)
    for name, trend in robustness.trends.items():
        trends.add_row(
            CORRUPTIONS[name].title,
            _WORDS[trend.verdict],
            f"{trend.rise.value:+.3f}",
            str(trend.spearman),
            f"{trend.accuracy_change.value:+.3f}",
            "" if trend.broke_at is None else f"severity {trend.broke_at}",
        )
    parts: list[RenderableType] = [cells, trends]
    if robustness.note:
        parts.append(Text(robustness.note, "yellow"))
    if robustness.errors:
        many = len(robustness.errors)
        parts.append(
            Text(f"{many} clips could not be used; the first: {robustness.errors[0]}", "red")
        )
    return Group(*parts)


def _value(name: str, cell: Cell) -> str:
    value = cell.figures[name].value
    nothing = name == "trusted_precision" and cell.figures["coverage"].value == 0
    return "–" if nothing or math.isnan(value) else f"{value:.3f}"
