"""The page's tables: what is written in each cell, and what it sorts by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ter_fast.evaluate.report.formatting import (
    FIGURES,
    NO_VALUE,
    confidence_of,
    count,
    interval,
    number,
    share,
    title_of,
    value_of,
    why_missing,
)
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.results import Estimate
from ter_fast.trust.subgroups import Subgroup
from ter_fast.trust.thresholds import Sweep

if TYPE_CHECKING:
    from ter_fast.evaluate.evaluation import Evaluation

RISKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
"""Errors among accepted predictions whose coverage is told."""


@dataclass(frozen=True)
class Link:
    """A link to a file.

    Attributes:
        href: Its address.
        text: To read.
        kind: "audio", "video" or "img" for what a browser plays or shows, else "".
    """

    href: str
    text: str
    kind: str = ""


@dataclass(frozen=True)
class Cell:
    """What stands in a cell of a table.

    Attributes:
        text: To read.
        small: Beneath it, an interval or a reason.
        value: A number to sort by, NaN to stand last; None to sort by the text.
        hover: The whole of a text that was cut.
        links: In place of the text, where there are any.
    """

    text: str
    small: str = ""
    value: float | None = None
    hover: str = ""
    links: Sequence[Link] = ()


@dataclass(frozen=True)
class Table:
    """A table of the page; the first cell of each row names it.

    Attributes:
        name: Of its place on the page.
        caption: What it holds.
        columns: Their titles.
        rows: As many cells each.
        numeric: Which columns hold numbers.
    """

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numeric: Sequence[bool]


def table(
    name: str, caption: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]
) -> Table:  # fmt: skip
    """Return a table whose columns are numeric where every cell has a value to sort by."""
    numeric = [
        bool(rows) and all(row[i].value is not None for row in rows) for i in range(len(columns))
    ]
    return Table(name, caption, columns, rows, numeric)


def number_cell(value: float, why: str = "", small: str = "") -> Cell:
    """Return a number, or the dash and why there is none."""
    missing = math.isnan(value) or bool(why)
    text = NO_VALUE if missing else number(value)
    beneath = f"({why})" if why else small
    return Cell(text, "" if missing and not why else beneath, math.nan if missing else value)


def figure_cell(name: str, figures: Mapping[str, Estimate]) -> Cell:
    """Return a figure with its interval beneath it."""
    value = value_of(name, figures)
    return number_cell(value, why_missing(name, figures), interval(figures[name]))


def figures_table(figures: Mapping[str, Estimate]) -> Table:
    """Return every figure, its interval and its meaning."""
    rows = [
        (
            Cell(title_of(name), FIGURES[name][1] if name in FIGURES else ""),
            number_cell(value_of(name, figures), why_missing(name, figures)),
            _interval_cell(name, figures),
        )
        for name in figures
    ]
    return table(
        "all-figures", "All figures", ("Figure", "Value", "95\u00a0% interval"), rows
    )  # fmt: skip


def _interval_cell(name: str, figures: Mapping[str, Estimate]) -> Cell:
    ends = "" if why_missing(name, figures) else interval(figures[name])
    return Cell(ends or NO_VALUE, value=figures[name].low if ends else math.nan)


def subgroup_table(name: str, by: str, rows: Mapping[str, Subgroup]) -> Table:
    """Return the figures of each class or group."""
    held = list(next(iter(rows.values())).figures)
    cells = [
        (
            Cell(value),
            Cell(count(row.samples), value=row.samples),
            Cell(count(row.groups), value=row.groups),
            *(figure_cell(each, row.figures) for each in held),
        )
        for value, row in rows.items()
    ]
    columns = (by.capitalize(), "Clips", "Groups", *(title_of(each) for each in held))
    return table(name, f"Trust by {by}, 95\u00a0% intervals beneath", columns, cells)


@dataclass(frozen=True)
class TrustTable:
    """Hold the four counts of right or wrong, trusted or not.

    Attributes:
        right_trusted: TP.
        wrong_trusted: FP.
        right_not: FN.
        wrong_not: TN.
    """

    right_trusted: int
    wrong_trusted: int
    right_not: int
    wrong_not: int

    @property
    def trusted(self) -> int:
        """Return TP + FP."""
        return self.right_trusted + self.wrong_trusted

    @property
    def right(self) -> int:
        """Return TP + FN."""
        return self.right_trusted + self.right_not

    @property
    def whole(self) -> int:
        """Return N."""
        return self.trusted + self.right_not + self.wrong_not

    def rows(self) -> list[tuple[str, list[tuple[str, str, str]]]]:
        """Return row titles, each with the count, the share and the kind of its cells."""

        def row(kind: str, trusted: int, withheld: int) -> list[tuple[str, str, str]]:
            parts = (
                (trusted, f"{kind}-trusted"),
                (withheld, f"{kind}-not"),
                (trusted + withheld, "sum"),
            )
            return [(count(part), share(part, self.whole), name) for part, name in parts]

        return [
            ("Right", row("right", self.right_trusted, self.right_not)),
            ("Wrong", row("wrong", self.wrong_trusted, self.wrong_not)),
            ("All", row("sum", self.trusted, self.whole - self.trusted)),
        ]


def trust_table(answers: Outcomes) -> TrustTable | None:
    """Return the four counts; None without a threshold."""
    trusted, right = answers.trusted, answers.correct
    if trusted is None:
        return None
    counts = [
        int(np.count_nonzero(each))
        for each in (right & trusted, ~right & trusted, right & ~trusted, ~right & ~trusted)
    ]
    return TrustTable(*counts)


def risk_table(curve: Sweep) -> Table:
    """Return how many clips can be accepted at an error that one is ready to bear."""
    rows = []
    for risk in RISKS:
        coverage = curve.coverage_at_risk(risk)
        rows.append(
            (
                Cell(f"{100 * risk:.0f}\u00a0%", value=risk),
                Cell(share(round(coverage * curve.n), curve.n) if coverage else NO_VALUE,
                     "" if coverage else "(at no threshold)", coverage or math.nan),
                Cell(count(round(coverage * curve.n)), value=coverage),
            )
        )  # fmt: skip
    return table(
        "coverage-at-risk",
        "What an error bound would have cost on these clips, which guarantees nothing for others",
        ("Error at most", "Coverage", "Clips"),
        rows,
    )


def ranking_table(evaluation: Evaluation) -> Table:
    """Return each kind of confidence and its AURC, the best first."""
    kinds = sorted(evaluation.aurc_by_confidence.items(), key=lambda pair: pair[1])
    rows = [
        (
            Cell(confidence_of(kind)),
            number_cell(area),
            Cell("in use" if kind == evaluation.outcomes.confidence_kind else NO_VALUE),
        )
        for kind, area in kinds
    ]
    return table(
        "confidence-ranking", "Kinds of confidence by AURC", ("Confidence", "AURC", "Use"), rows
    )
