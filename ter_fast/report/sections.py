"""What the page says, section by section."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ter_fast.report.canvas import Plot
from ter_fast.report.curves import curve_plots
from ter_fast.report.distributions import (
    confidence_histogram,
    reliability_plot,
    uncertainty_histograms,
)
from ter_fast.report.groups import belief_plots, breakdown_plot, ranking_plot
from ter_fast.report.matrices import confusion_plots
from ter_fast.report.tables import (
    Table,
    TrustTable,
    breakdown_table,
    figures_table,
    ranking_table,
    risk_table,
    sure_and_wrong,
    trust_table,
    unsure_and_right,
)
from ter_fast.report.words import (
    confidence_of,
    count,
    disagreeing,
    interval,
    listed,
    number,
    share,
    title_of,
    value_of,
    why_missing,
)
from ter_fast.thresholds import sweep

if TYPE_CHECKING:
    from ter_fast.evaluate import Evaluation

MOST_ERRORS = 50
"""Unusable files named on the page; the table behind it names all."""

MOST_NAMES = 160
"""Letters of the classes in the head of the page; the confusion matrix names all."""


@dataclass(frozen=True)
class Card:
    """A key figure: its title, value, interval, and what stands beside it."""

    title: str
    value: str
    small: str
    beside: str = ""


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


def facts_of(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return what was measured, for the head of the page."""
    answers = evaluation.outcomes
    clips = count(evaluation.samples)
    if evaluation.pairing:
        clips += f" {evaluation.pairing} pairs"
    if evaluation.excluded:
        clips += f"; {count(evaluation.excluded)} more lack a modality"
    facts = [("Modalities", evaluation.modalities.replace("+", " + ")), ("Clips", clips)]
    facts += [("Groups", count(evaluation.groups))]
    facts += [("Confidence", confidence_of(answers.confidence_kind))]
    facts += [("Classes", _classes(evaluation.labels)), ("Trusted when", rule_of(evaluation))]
    facts += [("Promised", answers.promise)]
    return [(name, value) for name, value in facts if value]


def _classes(labels: Sequence[str]) -> str:
    names = ", ".join(labels)
    return names if len(names) <= MOST_NAMES else f"{len(labels)}: {names[:MOST_NAMES].rstrip()}…"


def rule_of(evaluation: Evaluation) -> str:
    """Return the rule of trust in words."""
    answers = evaluation.outcomes
    if answers.threshold is None:
        return "no threshold was calibrated, so nothing is trusted or mistrusted"
    rule = f"the confidence is at least {number(answers.threshold, 4)}"
    if answers.disagreement is not None and answers.disagreement_limit is not None:
        rule += f" and the modalities disagree by at most {number(answers.disagreement_limit, 4)}"
    return rule


def sections_of(evaluation: Evaluation) -> list[Section]:
    """Return the sections of the page in their order."""
    return [section for section in _sections(evaluation) if section is not None]


def _sections(evaluation: Evaluation) -> Iterator[Section | None]:
    answers = evaluation.outcomes
    yield Section("summary", "Summary", _verdict(evaluation), cards=_cards(evaluation))
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
    yield Section("classes", "Confusion of classes", plots=confusion_plots(evaluation))
    yield from _breakdowns(evaluation)
    if answers.modalities or answers.uncertainty is not None:
        yield Section(
            "modalities",
            "What each modality contributes" if answers.modalities else "Uncertainty",
            plots=[*belief_plots(answers), *uncertainty_histograms(evaluation)],
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
        tables=[sure_and_wrong(answers), unsure_and_right(answers)],
    )  # fmt: skip
    yield Section("figures", "Every figure", tables=[figures_table(evaluation.figures)])
    yield _errors(evaluation)


def _verdict(evaluation: Evaluation) -> list[str]:
    answers = evaluation.outcomes
    sentences = []
    if (counts := trust_table(answers)) is None:
        sentences.append(
            f"{share(int(answers.correct.sum()), len(answers))} of {count(len(answers), 'clip')} are "
            "right. No threshold was calibrated, so the page shows what each one would give."
        )
    elif not counts.trusted:
        sentences.append(
            f"At this threshold none of {count(counts.whole, 'clip')} is trusted; "
            f"{share(counts.right, counts.whole)} of all predictions are right."
        )
    else:
        sentences.append(
            f"{count(counts.trusted)} of {count(counts.whole, 'clip')} "
            f"{'is' if counts.trusted == 1 else 'are'} trusted "
            f"({share(counts.trusted, counts.whole)}), and of those "
            f"{share(counts.right_trusted, counts.trusted)} are right, against "
            f"{share(counts.right, counts.whole)} when everything is accepted."
        )
        sentences += _lift_sentence(evaluation, counts)
        if answers.promise:
            sentences.append(
                f"Of the trusted, {share(counts.wrong_trusted, counts.trusted)} are wrong here. The promise "
                "above is about all clips that are drawn as it says: these are at best a sample of them."
            )
    if apart := disagreeing(answers):
        sentences.append(
            f"In {count(apart, 'clip')} the modalities disagree beyond the limit, so that no confidence "
            "makes them trusted."
        )
    missing = int(np.isnan(answers.confidence).sum())
    if missing:
        sentences.append(
            f"{count(missing, 'clip has', 'clips have')} no confidence (NaN) and can never be trusted."
        )
    sentences.append(
        "There are no intervals: all clips are of one group, so there is nothing to resample."
        if evaluation.groups == 1
        else "Intervals are 95\u00a0% bootstrap intervals in which whole groups (speakers or sources) are "
        f"resampled; there are {count(evaluation.groups)}."
        + (f" Careful: {evaluation.note}." if evaluation.note else "")
    )
    return sentences


def _lift_sentence(evaluation: Evaluation, counts: TrustTable) -> list[str]:
    lift = evaluation.figures["lift"]
    if counts.trusted == counts.whole:
        return ["This threshold trusts everything, so its trusted F1 is the baseline itself."]
    if math.isnan(lift.low):
        return []
    if lift.low <= 0 <= lift.high:
        return [
            "By trusted F1 alone this threshold cannot be told from trusting everything: F1 counts "
            "every right prediction held back as a loss."
        ]
    if lift.value > 0:
        return ["Its trusted F1 is above that of trusting everything, beyond chance."]
    return [
        "Its trusted F1 is below that of trusting everything: by F1, the right predictions that are "
        "held back cost more than the errors that are kept out."
    ]


def _cards(evaluation: Evaluation) -> list[Card]:
    figures = evaluation.figures
    wanted = ["trusted_precision", "trusted_recall", "trusted_f1", "coverage", "accuracy", "uar",
              "failure_auroc", "aurc"]  # fmt: skip
    if evaluation.outcomes.promise:
        wanted.insert(1, "risk")
    cards = []
    for name in wanted:
        if name not in figures:
            continue
        why = why_missing(name, figures)
        small = f"({why})" if why else interval(figures[name])
        beside = ""
        if name == "trusted_f1":
            lift = figures["lift"]
            sign = "+" if lift.value > 0 else ""
            ends = interval(lift)
            beside = (
                f"accept-all {number(figures['accept_all_f1'].value)}, lift "
                f"{sign}{number(lift.value)}" + (f" ({ends})" if ends else "")
            )
        elif name == "risk":
            beside = "observed here; what is promised stands above"
        elif name == "accuracy" and "trusted_f1" not in figures:
            beside = f"accept-all F1 {number(figures['accept_all_f1'].value)}"
        cards.append(Card(title_of(name), number(value_of(name, figures)), small, beside))
    return cards


def _trust(evaluation: Evaluation) -> Section | None:
    counts = trust_table(evaluation.outcomes)
    if counts is None:
        return None
    return Section(
        "trust",
        "Right and wrong, trusted and not",
        ["Each clip is in one of four cells. The aim is few clips in “wrong, trusted”, which will be "
         "acted on, without many in “right, not trusted”, which are thrown away. The trap: shares "
         "depend on how hard these clips are, so compare models on the same clips only."],
        trust=counts,
    )  # fmt: skip


def _breakdowns(evaluation: Evaluation) -> Iterator[Section]:
    plots, tables = [], []
    for by, name in breakdown_names(evaluation).items():
        rows = evaluation.breakdowns[by]
        plots.append(breakdown_plot(by, rows, name))
        tables.append(breakdown_table(f"{name}-table", by, rows))
    if plots:
        yield Section(
            "groups",
            "Trust by class and by group",
            ["A model trusted on average can be wrong about some people every time. "
             f"Here by {listed(list(evaluation.breakdowns))}."],
            plots,
            tables,
        )  # fmt: skip


def breakdown_names(evaluation: Evaluation) -> dict[str, str]:
    """Return a name for the files and links of each breakdown, no two alike."""
    names: dict[str, str] = {}
    for by in evaluation.breakdowns:
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
