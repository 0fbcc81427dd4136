"""Confusion matrices that stay readable from two classes to twenty."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from matplotlib.figure import Figure as Drawing
from matplotlib.patches import Rectangle

from ter_fast.evaluate.report.canvas import HEAT, HEAT_OPACITY, INK, WIDTH, Plot, draw
from ter_fast.evaluate.report.formatting import shorten
from ter_fast.media.text import clean

if TYPE_CHECKING:
    from ter_fast.evaluate.evaluation import Evaluation

Counts = Sequence[Sequence[int]]

_CELL = 34.0
_NAMES = 105.0


def confusion_plots(evaluation: Evaluation) -> list[Plot]:
    """Return the confusion matrix of all predictions and, with a threshold, of the trusted ones."""
    plots = [
        _matrix(
            "confusion",
            "All predictions",
            evaluation.confusion,
            evaluation.labels,
            "Rows are true classes and columns predicted ones; the darker a cell, the larger its "
            "share of the row, and the number counts clips.",
            "A dark diagonal can hide a class that is rare: compare rows, not totals.",
        )
    ]
    if evaluation.trusted_confusion is not None:
        plots.append(
            _matrix(
                "trusted-confusion",
                "Trusted predictions only",
                evaluation.trusted_confusion,
                evaluation.labels,
                "The same for the predictions that are trusted: off the diagonal stands what trust "
                "lets through.",
                "An empty row is a class that is never trusted, which no average shows.",
            )
        )
    return plots


def _matrix(
    name: str, title: str, counts: Counts, labels: Sequence[str], shows: str, trap: str
) -> Plot:
    size = max(_CELL * len(labels), WIDTH - _NAMES)
    return draw(
        name,
        title,
        partial(_paint, counts, labels),
        shows=shows,
        trap=trap,
        width=size + _NAMES,
        height=min(size, _CELL * 1.2 * len(labels)) + _NAMES,
    )


def _paint(counts: Counts, labels: Sequence[str], figure: Drawing) -> None:
    ax = figure.add_subplot()
    classes = len(labels)
    for row, values in enumerate(counts):
        whole = sum(values)
        for column, value in enumerate(values):
            if not value:
                continue
            ax.add_patch(
                Rectangle(
                    (column - 0.5, row - 0.5), 1, 1, lw=0, fc=HEAT,
                    alpha=HEAT_OPACITY * value / whole,
                )
            )  # fmt: skip
            ax.text(column, row, _short(value), ha="center", va="center", color=INK).set_in_layout(
                False
            )
    names = [shorten(clean(label), 14) for label in labels]
    longest = max(map(len, names))
    upright = longest * 7 > _CELL * max(1, 7.4 / classes)
    ax.set_xticks(range(classes), names)
    if upright:
        # Anchored at its end, a name starts at its column whatever font it is shown in.
        for label in ax.get_xticklabels():
            label.set(rotation=90, rotation_mode="anchor", ha="right", va="center")
    ax.set_yticks(range(classes), names)
    ax.set_xlim(-0.5, classes - 0.5)
    ax.set_ylim(classes - 0.5, -0.5)
    ax.grid(False)
    ax.set_xticks([each + 0.5 for each in range(classes - 1)], minor=True)
    ax.set_yticks([each + 0.5 for each in range(classes - 1)], minor=True)
    ax.grid(True, which="minor")
    ax.tick_params(which="minor", length=0)
    ax.spines[:].set_visible(False)
    ax.set_title("true class")
    ax.set_xlabel("predicted class")


def _short(value: int) -> str:
    """Fit a count in a cell: four digits, or thousands and millions of them."""
    if value < 10_000:
        return str(value)
    return f"{value / 1e3:.0f}k" if value < 1e6 else f"{value / 1e6:.1f}M"
