"""A trusted threshold by a criterion: balance, f1, accuracy, a precision or a coverage."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np

from ter_fast.errors import DataError
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.thresholds import Criterion, Sweep, TrustedScores, sweep
from ter_fast.trust.trusted_threshold import TrustedThreshold


def by_criterion(criterion: str, answers: Outcomes) -> TrustedThreshold:
    """Return the threshold that a criterion chooses on these answers, and how it does there.

    Raises:
        DataError: The criterion is none, or no threshold meets it.
    """
    # The limit only takes trust away: a threshold chosen under it would sink to make up for what
    # it takes, and let less certain clips in.
    free = sweep(answers.confidence, answers.correct)
    threshold = between(free, _choose(free, criterion).threshold)
    chosen = sweep(answers.ranked, answers.correct).at(threshold)
    return TrustedThreshold(
        threshold,
        criterion,
        answers.name,
        free.n,
        answers.pairing,
        scores_to_record(chosen, free.accept_all_f1),
    )


def between(result: Sweep, threshold: float) -> float:
    """Move a threshold halfway to the next confidence below, which accepts the very same clips.

    Left at one clip's exact confidence, it would turn that clip around with the rounding of another
    batch size or machine. It is a float32, as confidences are, so that whoever compares rounds nothing.
    """
    index = int(np.searchsorted(result.threshold, threshold))
    below = float(result.threshold[index - 1]) if index else threshold
    middle = float(np.float32((threshold + below) / 2))
    return middle if below < middle else threshold


def _choose(result: Sweep, criterion: str) -> TrustedScores:
    name, share = parse(criterion)
    if name == "precision":
        scores = result.at_precision(share)
    elif name == "coverage":
        scores = result.at_coverage(share)
    else:
        scores = result.best(name)  # type: ignore[arg-type]
    if scores is None:
        raise DataError(
            f"no threshold meets the criterion {criterion!r} on these data ({result.n_correct} of {result.n} "
            "predictions are correct); choose another criterion, or train a better model"
        )
    return scores


def parse(criterion: str) -> tuple[str, float]:
    """Return a criterion's name and the share after its "=", NaN where it takes none.

    Raises:
        DataError: It is none.
    """
    name, _, value = criterion.partition("=")
    if name in get_args(Criterion) and not value:
        return name, math.nan
    if name not in ("precision", "coverage") or not value:
        raise DataError(
            f"criterion is {criterion!r}; expected balance, f1, accuracy, precision=P or coverage=Q"
        )
    try:
        share = float(value)
    except ValueError:
        raise DataError(f"criterion is {criterion!r}; expected a number after {name}=") from None
    if not 0 <= share <= 1:
        raise DataError(f"{name} is {share}; give a fraction in [0, 1]")
    return name, share


def scores_to_record(chosen: TrustedScores, accept_all_f1: float) -> dict[str, float]:
    """Return the scores of a threshold that stand in its record."""
    names = ("precision", "recall", "f1", "accuracy", "coverage", "lift")
    scores = {name: float(getattr(chosen, name)) for name in names}
    return {**scores, "accept_all_f1": accept_all_f1}
