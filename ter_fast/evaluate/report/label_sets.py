"""Label sets on the page: what was guaranteed, what was measured, and how large the sets are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ter_fast.evaluate.report.canvas import BLUE, VERMILLION, Plot, axes, draw, legend
from ter_fast.evaluate.report.formatting import interval, number
from ter_fast.evaluate.report.tables import Cell, Table, number_cell, table
from ter_fast.trust.outcomes import Outcomes

if TYPE_CHECKING:
    from ter_fast.evaluate.evaluation import Evaluation

Counts = NDArray[np.int64]


def sizes_of(answers: Outcomes) -> tuple[Counts, Counts]:
    """Return how many label sets of each size 0 … K there are, and how many of them hold the true label.

    Example:
        >>> from dataclasses import replace
        >>> from ter_fast.trust.conformal import ConformalSets
        >>> answers = Outcomes.from_arrays([[0.8, 0.2], [0.4, 0.6]], [0, 0])
        >>> sets = ConformalSets(alpha=0.1, quantile=0.5, classes=2, samples=9, groups=9)
        >>> [each.tolist() for each in sizes_of(replace(answers, conformal=sets))]
        [[0, 2, 0], [0, 1, 0]]
    """
    sets = answers.label_sets
    if sets is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    size = sets.sum(axis=1)
    held = sets[np.arange(len(answers)), answers.target]
    bins = len(answers.labels) + 1
    return np.bincount(size, minlength=bins), np.bincount(size[held], minlength=bins)


def label_sets_lead(evaluation: Evaluation) -> list[str]:
    """Say what was guaranteed of the label sets, and what these clips show."""
    sets = evaluation.outcomes.conformal
    if sets is None:
        return []
    measured = evaluation.figures["conformal_coverage"]
    ends = interval(measured)
    return [
        f"Guaranteed: {sets.guarantee}.",
        f"Measured on these clips: {number(measured.value)}"
        f"{f' ({ends})' if ends else ''}, against {number(1 - sets.alpha)} guaranteed. Where these clips "
        "are not drawn like those, a gap is no fault of the sets but a warning against using them here.",
    ]


def label_sets_table(evaluation: Evaluation) -> Table:
    """Return guaranteed and measured coverage, and the sizes of the sets."""
    figures, sets = evaluation.figures, evaluation.outcomes.conformal
    rows = (
        []
        if sets is None
        else [(Cell("Guaranteed coverage"), number_cell(1 - sets.alpha), Cell(""))]
    )
    for title, name in (
        ("Measured coverage", "conformal_coverage"),
        ("Mean size", "conformal_size"),
        ("Sets of one label", "conformal_singletons"),
        ("Empty sets", "conformal_empty"),
    ):
        rows.append((Cell(title), number_cell(figures[name].value), Cell(interval(figures[name]))))
    return table(
        "label-set-figures", "Label sets", ("Figure", "Value", "95\u00a0% interval"), rows
    )  # fmt: skip


def label_sets_plot(evaluation: Evaluation) -> Plot:
    """Return the histogram of sizes, split by whether the set holds the true label."""
    size, held = sizes_of(evaluation.outcomes)
    return draw(
        "label-set-sizes",
        "Size of the label sets",
        partial(_sizes, size, held),
        shows="How many clips have label sets of each size: those that hold the true label, and on top those "
        "that miss it.",
        trap="Coverage is an average: large sets may hold the true label more often than small ones, and an empty "
        "set, which says that no label fits, always misses it.",
    )


def _sizes(size: Counts, held: Counts, figure: Drawing) -> None:
    ax = axes(figure, "clips", "labels in the set")
    places = np.arange(len(size))
    ax.bar(places, held, 0.8, color=BLUE, lw=0, label=f"hold the true label {held.sum():,}")
    missed = size - held
    ax.bar(
        places, missed, 0.8, bottom=held, facecolor="none", edgecolor=VERMILLION, lw=0.8, hatch="////",
        label=f"miss it {missed.sum():,}",
    )  # fmt: skip
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    legend(figure, ax)
