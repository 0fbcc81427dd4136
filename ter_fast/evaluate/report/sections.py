"""What the page says, section by section."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ter_fast.evaluate.report.canvas import Plot
from ter_fast.evaluate.report.clips import sure_and_wrong, unsure_and_right
from ter_fast.evaluate.report.curves import curve_plots
from ter_fast.evaluate.report.distributions import (
    confidence_histogram,
    reliability_plot,
    uncertainty_histograms,
)
from ter_fast.evaluate.report.formatting import count, join_names, number
from ter_fast.evaluate.report.groups import ranking_plot, subgroup_plot
from ter_fast.evaluate.report.label_sets import (
    label_sets_lead,
    label_sets_plot,
    label_sets_table,
)
from ter_fast.evaluate.report.matrices import confusion_plots
from ter_fast.evaluate.report.modalities import agreement, belief_plots, modality_table
from ter_fast.evaluate.report.summary import Card, cards, never_named, verdict
from ter_fast.evaluate.report.tables import (
    Table,
    TrustTable,
    figures_table,
    ranking_table,
    risk_table,
    subgroup_table,
    trust_table,
)
from ter_fast.trust.thresholds import sweep

if TYPE_CHECKING:
    from ter_fast.evaluate.evaluation import Evaluation

MOST_ERRORS = 50
"""Unusable files named on the page; the table behind it names all."""


@dataclass(frozen=True)
class Section:
    """A part of the page: a heading, sentences, then figures (and a table beside them) and tables."""

    name: str
    title: str
    lead: Sequence[str] = ()
    plots: Sequence[Plot] = ()
    tables: Sequence[Table] = ()
    beside: Table | None = None
    trust: TrustTable | None = None
    cards: Sequence[Card] = ()
    entries: Sequence[str] = ()


def sections_of(evaluation: Evaluation, folder: Path) -> list[Section]:
    """Return the sections of the page in their order.

    Args:
        evaluation: What was measured.
        folder: Where the page lies, from which links to clips lead.
    """
    return [section for section in _sections(evaluation, folder) if section is not None]


def _sections(evaluation: Evaluation, folder: Path) -> Iterator[Section | None]:
    answers = evaluation.outcomes
    yield Section("summary", "Summary", verdict(evaluation), cards=cards(evaluation))
    yield _trust(evaluation)
    yield Section(
        "curves", "Choosing when to trust", plots=curve_plots(evaluation),
        beside=risk_table(sweep(answers.ranked, answers.correct)),
    )  # fmt: skip
    yield Section(
        "calibration",
        "Confidence",
        plots=[reliability_plot(evaluation), confidence_histogram(evaluation)],
    )
    if answers.conformal is not None:
        yield Section(
            "label-sets", "Label sets", label_sets_lead(evaluation),
            plots=[label_sets_plot(evaluation)], beside=label_sets_table(evaluation),
        )  # fmt: skip
    yield Section(
        "classes", "Confusion of classes", never_named(evaluation), plots=confusion_plots(evaluation)
    )  # fmt: skip
    yield from _subgroups(evaluation)
    if answers.modalities or answers.uncertainty is not None:
        yield Section(
            "modalities",
            "What each modality contributes" if answers.modalities else "Uncertainty",
            [said] if (said := agreement(answers)) else [],
            plots=[*belief_plots(answers), *uncertainty_histograms(evaluation)],
            tables=[modality_table(answers)] if answers.modalities else [],
        )
    if evaluation.aurc_by_confidence:
        yield Section(
            "kinds", "Which confidence to use", plots=[ranking_plot(evaluation)],
            beside=ranking_table(evaluation),
        )  # fmt: skip
    yield Section(
        "clips",
        "Clips to listen to and look at",
        ["The most instructive clips: where confidence misled, and where it was too modest. Errors "
         "of the labels often turn up in the first list."],
        tables=[sure_and_wrong(answers, folder), unsure_and_right(answers, folder)],
    )  # fmt: skip
    yield Section("figures", "Every figure", tables=[figures_table(evaluation.figures)])
    yield _errors(evaluation)


def _trust(evaluation: Evaluation) -> Section | None:
    counts = trust_table(evaluation.outcomes)
    if counts is None:
        return None
    return Section(
        "trust",
        "Right and wrong, trusted and not",
        ["Each clip is in one of four cells. The aim is few clips in “wrong, trusted”, which will be "
         "acted on, without many in “right, not trusted”, which are thrown away. The trap: shares "
         "depend on how hard these clips are, so compare models on the same clips only.",
         *_margins(counts)],
        trust=counts,
    )  # fmt: skip


def _margins(counts: TrustTable) -> list[str]:
    """Read trusted precision and recall off the table, so that a reader sees where they come from."""
    said = []
    for name, whole, part in (
        ("precision", counts.trusted, "trusted clips are right"),
        ("recall", counts.right, "right clips are trusted"),
    ):
        if whole:
            ratio = number(counts.right_trusted / whole)
            said.append(
                f"{count(counts.right_trusted)} of {count(whole)} {part}: trusted {name} {ratio}"
            )
    return [f"{'; '.join(said)}."] if said else []


def _certain_of_nothing(evaluation: Evaluation) -> list[str]:
    """Explain intervals of trusted precision that end at 1 because some draws trust nothing."""
    for rows in evaluation.subgroups.values():
        for row in rows.values():
            held = row.figures
            if "coverage" not in held or not held["coverage"].value:
                continue
            if held["coverage"].low == 0 and held["trusted_precision"].high == 1:
                return [
                    "Where few clips are trusted, an interval of trusted precision ends at 1: a resample "
                    "in which none is trusted counts as 1."
                ]
    return []


def _subgroups(evaluation: Evaluation) -> Iterator[Section]:
    plots, tables = [], []
    for by, name in subgroup_names(evaluation).items():
        rows = evaluation.subgroups[by]
        plots.append(subgroup_plot(by, rows, name))
        tables.append(subgroup_table(f"{name}-table", by, rows))
    if plots:
        yield Section(
            "groups",
            "Trust by class and by group",
            ["A model trusted on average can be wrong about some people every time. "
             f"Here by {join_names(list(evaluation.subgroups))}.",
             *_certain_of_nothing(evaluation)],
            plots,
            tables,
        )  # fmt: skip


def subgroup_names(evaluation: Evaluation) -> dict[str, str]:
    """Return a name for the files and links of each table of subgroups, no two alike."""
    names: dict[str, str] = {}
    for by in evaluation.subgroups:
        plain = re.sub(r"[^a-z0-9]+", "-", by.lower()).strip("-")
        name = f"by-{plain}" if plain else "by"
        names[by] = f"{name}-{len(names) + 1}" if name in names.values() or not plain else name
    return names


def _errors(evaluation: Evaluation) -> Section | None:
    errors = evaluation.errors
    if not errors:
        return None
    lead = [
        f"{count(len(errors), 'file')} could not be used, and {'is' if len(errors) == 1 else 'are'} in no figure above."
    ]
    if len(errors) > MOST_ERRORS:
        lead.append(f"The first {MOST_ERRORS} are listed here, all of them in tables/errors.csv.")
    return Section("errors", "Files that could not be used", lead, entries=errors[:MOST_ERRORS])
