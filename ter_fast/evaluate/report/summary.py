"""What the page says first: what was measured, the verdict in words, and the key figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ter_fast.evaluate.report.formatting import (
    confidence_of,
    count,
    disagreeing,
    interval,
    join_names,
    number,
    share,
    title_of,
    value_of,
    why_missing,
)
from ter_fast.evaluate.report.tables import TrustTable, trust_table
from ter_fast.trust.baselines import baselines_of
from ter_fast.trust.metrics.bootstrap import MEANINGLESS

if TYPE_CHECKING:
    from ter_fast.evaluate.evaluation import Evaluation

MOST_MISSED = 8
"""Classes named that are never predicted."""

MOST_NAMES = 160
"""Letters of the classes in the head of the page; the confusion matrix names all."""


@dataclass(frozen=True)
class Card:
    """A key figure: its title, value, interval, and what stands beside it."""

    title: str
    value: str
    small: str
    beside: str = ""


def facts_of(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return what was measured, for the head of the page."""
    answers = evaluation.outcomes
    clips = count(evaluation.samples)
    if evaluation.pairing:
        clips += f" {evaluation.pairing} pairs"
    if evaluation.excluded:
        clips += f"; {count(evaluation.excluded)} more lack a modality"
    facts = [
        *origin_facts(evaluation.origin),
        ("Modalities", evaluation.modalities.replace("+", " + ")),
        ("Clips", clips),
    ]
    facts += [("Groups", count(evaluation.groups))]
    facts += [("Confidence", confidence_of(answers.confidence_kind))]
    facts += [("Classes", _classes(evaluation.labels)), ("Trusted when", rule_of(evaluation))]
    facts += [("Guaranteed", answers.guarantee)]
    return [(name, value) for name, value in facts if value]


def origin_facts(origin: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what was measured, on what, when and with which version; nothing where that is not known."""
    if not origin:
        return []
    made = f"{origin['date']}, ter_fast {origin['version']}"
    return [("Model", origin["model"]), ("Data", origin["data"]), ("Measured", made)]


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


def verdict(evaluation: Evaluation) -> list[str]:
    """Return what the page says first, sentence by sentence."""
    answers = evaluation.outcomes
    sentences = [*never_named(evaluation), *_no_better_than_guessing(evaluation)]
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
        if answers.guarantee:
            sentences.append(
                f"Of the trusted, {share(counts.wrong_trusted, counts.trusted)} are wrong here. The guarantee "
                "above is about all clips that are drawn as it says: these are at best a sample of them."
            )
    if apart := disagreeing(answers):
        sentences.append(
            f"In {count(apart, 'clip')} the modalities disagree beyond the limit, so that no confidence "
            "makes them trusted."
        )
    if known := len(evaluation.known_groups):
        sentences.append(
            f"The model learned from {count(known, 'of these groups', 'of these groups')}, going by their names, "
            "so that all figures here flatter it."
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


def never_named(evaluation: Evaluation) -> list[str]:
    """Name the classes that occur and are never predicted, which an average hides."""
    missed = baselines_of(evaluation.outcomes).never_predicted
    if not missed:
        return []
    known = missed[:MOST_MISSED]
    more = [f"{len(missed) - len(known)} more"] if len(missed) > len(known) else []
    verb = "is" if len(missed) == 1 else "are"
    return [f"Never predicted, though in these clips, {verb} {join_names([*known, *more])}."]


def _no_better_than_guessing(evaluation: Evaluation) -> list[str]:
    base = baselines_of(evaluation.outcomes)
    if base.beaten:
        return []
    return [
        f"The model is no better than always guessing “{base.label}”: it is right in "
        f"{100 * base.accuracy:.1f}\u00a0% of the clips, and that guess in {100 * base.share:.1f}\u00a0%."
    ]


def _lift_sentence(evaluation: Evaluation, counts: TrustTable) -> list[str]:
    lift = evaluation.figures["lift"]
    if counts.trusted == counts.whole:
        return ["This threshold trusts everything, so its trusted F1 is the baseline itself."]
    if math.isnan(lift.low) or evaluation.groups <= MEANINGLESS:
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


def cards(evaluation: Evaluation) -> list[Card]:
    """Return the key figures."""
    figures, base = evaluation.figures, baselines_of(evaluation.outcomes)
    wanted = ["trusted_precision", "trusted_recall", "trusted_f1", "coverage", "accuracy", "uar",
              "failure_auroc", "aurc"]  # fmt: skip
    if evaluation.outcomes.guarantee:
        wanted.insert(1, "risk")
    result = []
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
            beside = "observed here; what is guaranteed stands above"
        elif name == "accuracy":
            beside = f"chance {number(base.chance)}, always “{base.label}” {number(base.share)}"
            if "trusted_f1" not in figures:
                beside += f"; accept-all F1 {number(figures['accept_all_f1'].value)}"
        elif name == "uar":
            beside = f"always one class {number(base.constant_recall)}"
        result.append(Card(title_of(name), number(value_of(name, figures)), small, beside))
    return result
