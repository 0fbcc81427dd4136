"""Plots of the robustness page: what each corruption does as it grows worse, and all of them at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.figure import Figure as Drawing

from ter_fast.evaluate.report.canvas import (
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    VERMILLION,
    Plot,
    axes,
    draw,
    legend,
)
from ter_fast.evaluate.report.formatting import NO_VALUE, title_of, why_missing
from ter_fast.evaluate.robustness import Cell, Robustness, Trend
from ter_fast.evaluate.robustness.cells import level_text
from ter_fast.media.corrupt import CORRUPTIONS
from ter_fast.trust.results import Estimate

LINES = (
    ("accuracy", BLUE, "o", "-"),
    ("uncertainty", VERMILLION, "s", "-"),
    ("trusted_precision", GREEN, "D", (0, (5, 1.5))),
    ("coverage", ORANGE, "^", (0, (1, 1.2))),
)
"""Figures drawn against severity, each with its colour, marker and dashes."""

_ROW = 34.0
_FRAME = 84.0


def severity_plot(robustness: Robustness, corruption: str) -> Plot:
    """Return accuracy, uncertainty and trust against the severity of one corruption."""
    known = CORRUPTIONS[corruption]
    cells = robustness.of(corruption)
    levels = ", ".join(f"{cell.severity}: {level_text(cell.level)}" for cell in cells[1:]).replace(
        "-", "−"
    )
    return draw(
        f"severity-{corruption.replace('_', '-')}",
        known.title,
        partial(_lines, cells),
        shows=f"Severity is {known.measure} ({levels}); 0 is the clean clip. Shaded: 95\u00a0% intervals.",
        trap=_trap(cells),
    )


def _trap(cells: Sequence[Cell]) -> str:
    if cells[0].trusted is None:
        return "Mean uncertainty hides clips that are sure and wrong: see AURC in the table."
    return (
        "Trusted precision of few trusted clips swings widely; read it together with the coverage, and "
        "where nothing is trusted it has no value."
    )


def _lines(cells: Sequence[Cell], figure: Drawing) -> None:
    ax = axes(figure, "", "severity")
    places = [cell.severity for cell in cells]
    for name, colour, marker, dashes in LINES:
        if name not in cells[0].figures:
            continue
        drawn = [defined_estimate(name, cell) for cell in cells]
        values, low, high = (
            np.array([getattr(each, end) for each in drawn]) for end in ("value", "low", "high")
        )
        ax.fill_between(places, low, high, color=colour, alpha=0.13, lw=0)
        ax.plot(places, values, color=colour, marker=marker, ls=dashes, label=title_of(name))
    ax.set_ylim(-0.03, 1.03)
    ax.set_xticks(places)
    legend(figure, ax)


def defined_estimate(name: str, cell: Cell) -> Estimate:
    """Return a figure, without value where it says nothing: the precision of nothing is no precision."""
    known = cell.figures[name]
    if "coverage" in cell.figures and why_missing(name, cell.figures):
        return Estimate(math.nan, math.nan, math.nan)
    return known


def change_plot(trends: Sequence[Trend]) -> Plot:
    """Return what the worst severity of each corruption did to uncertainty and to accuracy."""
    ordered = sorted(trends, key=lambda each: each.rise.value)
    return draw(
        "changes",
        "Change at the worst severity",
        partial(_changes, ordered),
        shows="Mean uncertainty and accuracy at the worst severity minus those of the clean clips, with "
        "paired 95\u00a0% intervals. Right of the line is more.",
        trap="A corruption that costs accuracy should raise uncertainty: where both dots lie left of the "
        "line, or uncertainty lies on it, the model does not notice what it lost.",
        height=_FRAME + _ROW * len(ordered),
    )


def _changes(trends: Sequence[Trend], figure: Drawing) -> None:
    ax = axes(figure, "", "change from the clean clips")
    ax.axvline(0, color=MUTED, lw=1.2)
    for place, trend in enumerate(trends):
        for name, change, colour, marker, shift in (
            ("uncertainty", trend.rise, VERMILLION, "s", -0.14),
            ("accuracy", trend.accuracy_change, BLUE, "o", 0.14),
        ):
            height = place + shift
            ax.plot(
                [change.value], [height], marker, color=colour, ls="none",
                label=None if place else title_of(name),
            )  # fmt: skip
            if not (math.isnan(change.low) or math.isnan(change.high)):
                ax.plot([change.low, change.high], [height, height], color=colour, lw=1.6)
    names = [CORRUPTIONS[each.corruption].title for each in trends]
    ax.set_yticks(range(len(names)), names or [NO_VALUE])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.spines["left"].set_visible(False)
    legend(figure, ax)
