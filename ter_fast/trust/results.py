"""Every figure of a set of answers, each with its interval, and the differences between two sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ter_fast.errors import DataError
from ter_fast.trust.metrics import Bootstrap, Comparison, Replicates, compare
from ter_fast.trust.outcomes import Outcomes

RISKS = (0.1,)
"""Selective risks at which the coverage is read off."""

COVERAGES = (0.8,)
"""Coverages at which the selective risk is read off."""


@dataclass(frozen=True)
class Estimate:
    """A figure and the ends of its 95 % interval, resampled by group."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def estimates_of(answers: Outcomes, resamples: int = 2000, seed: int = 0) -> dict[str, Estimate]:
    """Return every figure that the answers have, by name, each with its interval.

    accuracy, uar, macro_f1, weighted_f1, nll, brier, ece, aurc, e_aurc, augrc, failure_auroc, fpr95,
    accept_all_f1, coverage_at_risk_0.1, risk_at_coverage_0.8 and, with a threshold,
    trusted_precision, trusted_recall, trusted_f1, trusted_accuracy, coverage, risk and lift; with label
    sets, conformal_coverage (the share that hold the true label), conformal_size (mean number of labels),
    conformal_singletons and conformal_empty (shares of sets of one label and of none).

    Args:
        answers: To N clips.
        resamples: Bootstrap draws of whole groups.
        seed: Of the draws.

    Example:
        >>> answers = Outcomes.from_arrays([[0.8, 0.2], [0.4, 0.6]], [0, 0], threshold=0.7)
        >>> estimates_of(answers, resamples=10)["trusted_precision"].value
        1.0
    """
    replicates = _resample(answers, bootstrap_of(answers, resamples, seed))
    return {name: Estimate(each.value, *each.interval()) for name, each in replicates.items()}


def bootstrap_of(answers: Outcomes, resamples: int, seed: int) -> Bootstrap:
    """Return the draws for these answers: of their speakers or sources, whole."""
    return Bootstrap(len(answers), answers.groups, resamples=resamples, seed=seed)


def differences(
    first: Outcomes, second: Outcomes, resamples: int = 2000, seed: int = 0
) -> dict[str, Comparison]:
    """Return first minus second for every figure that both have, resampled in pairs.

    Raises:
        DataError: They do not answer the same clips, in the same order.

    Example:
        >>> good = Outcomes.from_arrays([[0.9, 0.1], [0.2, 0.8]] * 9, [0, 1] * 9)
        >>> bad = Outcomes.from_arrays([[0.9, 0.1], [0.7, 0.3]] * 9, [0, 1] * 9)
        >>> differences(good, bad, resamples=100)["accuracy"].difference
        0.5
    """
    if first.paths != second.paths or first.labels != second.labels:
        raise DataError(
            f"the answers are to {len(first)} and {len(second)} clips that are not the same, or of "
            "other classes; a paired difference needs both models on the same data"
        )
    if first.groups != second.groups or (first.target != second.target).any():
        raise DataError("the same clips carry different labels or groups; load the data alike")
    draws = bootstrap_of(first, resamples, seed)
    one, two = _resample(first, draws), _resample(second, draws)
    return {name: compare(one[name], two[name]) for name in one if name in two}


def _resample(answers: Outcomes, draws: Bootstrap) -> dict[str, Replicates]:
    found = draws.figures(
        answers.prediction,
        answers.target,
        answers.probability,
        answers.ranked,
        answers.threshold,
        correct=answers.correct,
        risks=RISKS,
        coverages=COVERAGES,
    )
    if (sets := answers.label_sets) is not None:
        size = sets.sum(axis=1)
        found |= draws.means(
            conformal_coverage=sets[np.arange(len(answers)), answers.target],
            conformal_size=size,
            conformal_singletons=size == 1,
            conformal_empty=size == 0,
        )
    return found
