"""Dots and intervals: trust by class and group, and kinds of confidence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from ter_fast.evaluate.report.canvas import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    Plot,
    axes,
    draw,
    label_rows,
    legend,
)
from ter_fast.evaluate.report.formatting import confidence_of, number, title_of, why_missing
from ter_fast.trust.results import Estimate
from ter_fast.trust.subgroups import Subgroup

if TYPE_CHECKING:
    from ter_fast.evaluate.evaluation import Evaluation

_ROW = 30.0
_FRAME = 92.0
_TRAPS = {
    "class": "Of a class, accuracy is its recall: how often it is found, not how often it is named.",
    "predicted class": "A class that is named often and wrongly shows only here, not by true class.",
    "group": "One speaker or source has nothing to resample, so its dots have no interval: chance "
    "and character look alike.",
}
_TRAP = "Small groups swing widely: two dots differ only where their intervals say so."


def subgroup_plot(by: str, rows: Mapping[str, Subgroup], name: str) -> Plot:
    """Return accuracy and trusted precision of each class or group, with their intervals."""
    trusted = all("trusted_precision" in each.figures for each in rows.values())
    drawn = ("accuracy", "trusted_precision") if trusted else ("accuracy",)
    if by == "group":
        # Whoever the model fails stands at the top.
        rows = dict(sorted(rows.items(), key=lambda row: row[1].figures["accuracy"].value))
    return draw(
        name,
        f"Trust by {by}" if trusted else f"Accuracy by {by}",
        partial(_dots, rows, drawn),
        shows=f"{join_titles(drawn)} of each {by}, with 95\u00a0% intervals where there is more than "
        "one group to resample.",
        trap=_TRAPS.get(by, _TRAP),
        height=_FRAME + _ROW * len(rows),
    )


def join_titles(names: Sequence[str]) -> str:
    """Return the titles of figures as a sentence begins."""
    return " and ".join(
        title if not place else title.lower() for place, title in enumerate(map(title_of, names))
    )


def ranking_plot(evaluation: Evaluation) -> Plot:
    """Return the area under the risk-coverage curve by kind of confidence."""
    kinds = sorted(evaluation.aurc_by_confidence.items(), key=lambda pair: pair[1])
    return draw(
        "confidence-kinds",
        "Which confidence ranks errors best",
        partial(_ranking, kinds, evaluation),
        shows="AURC of each kind of confidence on these clips, between a perfect order and a random "
        "one; further left is better.",
        trap="Choosing the kind on these clips and reporting its AURC on them flatters it: choose on "
        "validation data.",
        height=_FRAME + 30 * len(kinds),
    )


def _dots(rows: Mapping[str, Subgroup], drawn: Sequence[str], figure: Drawing) -> None:
    ax = axes(figure, "", "")
    styles: dict[str, dict[str, Any]] = {
        "accuracy": {"marker": "o", "color": MUTED, "mfc": "none", "mew": 1.6},
        "trusted_precision": {"marker": "D", "color": BLUE},
    }
    for place, name in enumerate(drawn):
        offset = (place - (len(drawn) - 1) / 2) * 0.34
        for height, row in enumerate(rows.values()):
            figure_of = row.figures[name]
            if why_missing(name, row.figures):
                continue
            _interval(ax, figure_of, height + offset, styles[name]["color"])
            ax.plot([figure_of.value], [height + offset], ls="none", **styles[name])
        ax.plot([], [], ls="none", label=title_of(name).lower(), **styles[name])
    label_rows(ax, list(rows))
    ax.set_xlim(-0.03, 1.03)
    legend(figure, ax)


def _interval(ax: Axes, figure_of: Estimate, height: float, colour: str) -> None:
    if not (math.isnan(figure_of.low) or math.isnan(figure_of.high)):
        ax.plot([figure_of.low, figure_of.high], [height, height], color=colour, lw=1.6)


def _ranking(
    kinds: Sequence[tuple[str, float]], evaluation: Evaluation, figure: Drawing
) -> None:  # fmt: skip
    ax = axes(figure, "", "AURC")
    figures = evaluation.figures
    best = figures["aurc"].value - figures["e_aurc"].value
    random = 1 - figures["accuracy"].value
    ax.axvline(best, color=GREEN, ls=(0, (5, 1.5)), lw=1.4, label="perfect order")
    ax.axvline(random, color=MUTED, ls=(0, (1, 1.5)), lw=1.4, label="random order")
    in_use = evaluation.outcomes.confidence_kind
    for height, (kind, area) in enumerate(kinds):
        chosen = kind == in_use
        ax.plot(
            [area], [height], ls="none", marker="D" if chosen else "o",
            color=ORANGE if chosen else BLUE, mec=INK if chosen else BLUE,
            label="in use" if chosen else None, zorder=3,
        )  # fmt: skip
        ax.annotate(
            number(area), (area, height), xytext=(0, 7), textcoords="offset points", ha="center",
            color=INK,
        )  # fmt: skip
    label_rows(ax, [confidence_of(kind).replace(" minus ", " − ") for kind, _ in kinds], 28)
    ax.margins(x=0.12)
    legend(figure, ax, columns=3)
