"""Numbers and names as a reader wants them, and the reason where a figure has no value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ter_fast.opinions.confidence_kinds import CONFIDENCE_KINDS
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.results import Estimate

NOTICE = "Labels are expressions as acted or perceived, never what a person feels."
NO_VALUE = "–"

FIGURES: Mapping[str, tuple[str, str]] = {
    "accuracy": ("Accuracy", "share of clips whose predicted class is the true one"),
    "uar": ("UAR", "mean recall of the classes, so that rare ones count as much as frequent ones"),
    "macro_f1": ("Macro F1", "mean F1 of the classes"),
    "weighted_f1": ("Weighted F1", "F1 of the classes, weighted by how many clips each has"),
    "nll": ("NLL", "mean of minus log probability of the true class; lower is better"),
    "brier": ("Brier score", "mean squared distance to the true class, 0 to 2; lower is better"),
    "ece": ("ECE", "mean gap between probability and accuracy over 15 bins; lower is better"),
    "aurc": ("AURC", "mean error of the k most confident clips, over all k; lower is better"),
    "e_aurc": ("E-AURC", "AURC above that of a perfect order of the same predictions"),
    "augrc": ("AUGRC", "mean risk of a wrong and accepted prediction; lower is better"),
    "failure_auroc": ("Failure AUROC", "chance that a right clip is more confident than a wrong one; 0.5 is a coin"),
    "fpr95": ("FPR at 95\u00a0% TPR", "share of wrong clips accepted once 95\u00a0% of right ones are"),
    "accept_all_f1": ("Accept-all F1", "trusted F1 of trusting every prediction"),
    "trusted_precision": ("Trusted precision", "share of trusted predictions that are right"),
    "trusted_recall": ("Trusted recall", "share of right predictions that are trusted"),
    "trusted_f1": ("Trusted F1", "harmonic mean of trusted precision and trusted recall"),
    "trusted_accuracy": ("Trusted accuracy", "share of clips rightly trusted or rightly not trusted"),
    "coverage": ("Coverage", "share of clips that are trusted"),
    "risk": ("Selective risk", "share of trusted predictions that are wrong"),
    "coverage_at_risk_0.1": ("Coverage at risk 0.1", "largest share of clips of which at most a tenth is wrong"),
    "risk_at_coverage_0.8": ("Risk at coverage 0.8", "error among the most confident 80\u00a0% of clips"),
    "lift": ("Lift", "trusted F1 minus accept-all F1"),
    "conformal_coverage": ("Label set coverage", "share of label sets that hold the true label"),
    "conformal_size": ("Label set size", "mean number of labels in a set"),
    "conformal_singletons": ("Sets of one label", "share of label sets that hold a single label"),
    "conformal_empty": ("Empty sets", "share of label sets that hold no label"),
    "uncertainty": ("Uncertainty", "mean vacuity: the share of belief that is not committed to any class"),
    "answered": ("Answered", "share of clips that have a modality left to go by"),
}  # fmt: skip
"""Of each figure, its title and what it means."""


def number(value: float, digits: int = 3) -> str:
    """Return a number with a real minus sign; the dash where there is none."""
    if math.isnan(value):
        return NO_VALUE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    shown = f"{value:.{digits}f}"
    # A tiny negative number would read as minus zero.
    return (shown if float(shown) else f"{0:.{digits}f}").replace("-", "−")


def count(value: int, one: str = "", many: str = "") -> str:
    """Return a count, and the noun that goes with it."""
    noun = one if value == 1 else many or f"{one}s"
    return f"{value:,} {noun}" if one else f"{value:,}"


def share(part: int, whole: int) -> str:
    """Return a part of a whole in per cent."""
    if not whole:
        return NO_VALUE
    percent = 100 * part / whole
    return "< 0.1\u00a0%" if 0 < percent < 0.05 else f"{percent:.1f}\u00a0%"


def title_of(figure: str) -> str:
    """Return the title of a figure; its name with spaces where it is not known."""
    return FIGURES[figure][0] if figure in FIGURES else figure.replace("_", " ")


def confidence_of(kind: str) -> str:
    """Return a kind of confidence in words."""
    known = CONFIDENCE_KINDS.get(kind)
    return kind.replace("_", " ") if known is None else known.title


def why_missing(name: str, figures: Mapping[str, Estimate]) -> str:
    """Return why a figure has no value; "" when it has one.

    Precision of nothing is 1 and recall of nothing is 0 by definition, which says nothing about
    the model, so a report does not print them.
    """
    value = figures[name].value
    accuracy = figures["accuracy"].value
    if name in ("trusted_precision", "risk") and figures["coverage"].value == 0:
        return "none trusted"
    if name == "trusted_recall" and accuracy == 0:
        return "none right"
    if not math.isnan(value):
        return ""
    if name in ("failure_auroc", "fpr95"):
        return "none wrong" if accuracy == 1 else "none right"
    return "a probability is NaN" if name in ("nll", "brier", "ece") else "no value"


def interval(figure: Estimate) -> str:
    """Return the ends of an interval; "" where one group alone has nothing to resample."""
    if math.isnan(figure.low) or math.isnan(figure.high):
        return ""
    between = "–" if figure.low >= 0 else " to "
    return f"{number(figure.low)}{between}{number(figure.high)}"


def value_of(name: str, figures: Mapping[str, Estimate]) -> float:
    """Return a figure's value, NaN where it says nothing about the model (see `why_missing`)."""
    return math.nan if why_missing(name, figures) else figures[name].value


def disagreeing(answers: Outcomes) -> int:
    """Return how many clips have a confidence but can never be trusted, for disagreement."""
    return int(np.count_nonzero(np.isnan(answers.ranked) & ~np.isnan(answers.confidence)))


def shorten(text: str, length: int) -> str:
    """Keep both ends of a name, since names of a kind often differ in their last letters only."""
    head = (length - 1) // 2
    return (
        text
        if len(text) <= length
        else f"{text[:head].rstrip()}…{text[head + 1 - length :].lstrip()}"
    )


def path_end(path: str, length: int = 44) -> str:
    """Keep the end of a path, which is what tells clips apart; of a pair, both ends."""
    ends = ["/".join(part.replace("\\", "/").split("/")[-2:]) for part in path.split(" + ")]
    return " + ".join(end if len(end) <= length else "…" + end[1 - length :] for end in ends)


def join_names(names: Sequence[str]) -> str:
    """Join names as a sentence does."""
    return " and ".join(([", ".join(names[:-1])] if len(names) > 1 else []) + list(names[-1:]))
