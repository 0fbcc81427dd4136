"""Trusted precision, recall, F1 and accuracy at one threshold, of one group or many."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrustedScores:
    """Hold the trusted metrics at one threshold.

    Attributes:
        threshold: Confidence from which a prediction is trusted.
        precision: TP / (TP + FP); 1 where nothing is accepted.
        recall: TP / (TP + FN); 0 where no prediction is correct.
        f1: 2 TP / (2 TP + FP + FN); 0 where no prediction is correct.
        accuracy: (TP + TN) / N; NaN without samples.
        coverage: (TP + FP) / N; NaN without samples.
        risk: FP / (TP + FP), the selective risk; 0 where nothing is accepted.
        lift: `f1` minus the F1 of trusting every prediction.
        accepted: TP + FP.
        accepted_correct: TP.
        n: N, samples without a real confidence included.
    """

    threshold: float
    precision: float
    recall: float
    f1: float
    accuracy: float
    coverage: float
    risk: float
    lift: float
    accepted: int
    accepted_correct: int
    n: int


def accept_all_f1(n: int, n_correct: int) -> float:
    """Return 2a / (1 + a) for accuracy a = C / N: the trusted F1 of trusting every prediction."""
    return 2 * n_correct / max(n + n_correct, 1)


def trusted_scores(
    threshold: float, accepted: int, right: int, n: int, n_correct: int
) -> TrustedScores:
    """Return the trusted metrics where `right` of `accepted` samples are correct, of all N `n_correct`."""
    wrong = n - n_correct
    f1 = 2 * right / max(accepted + n_correct, 1)
    return TrustedScores(
        threshold=threshold,
        precision=right / accepted if accepted else 1.0,
        recall=right / max(n_correct, 1),
        f1=f1,
        accuracy=(2 * right - accepted + wrong) / n if n else math.nan,
        coverage=accepted / n if n else math.nan,
        risk=(accepted - right) / max(accepted, 1),
        lift=f1 - accept_all_f1(n, n_correct),
        accepted=accepted,
        accepted_correct=right,
        n=n,
    )


@dataclass(frozen=True, slots=True, eq=False)
class GroupedScores:
    """Hold the trusted metrics of each group, (G,) each, named and defined as in `TrustedScores`.

    Attributes:
        threshold: Confidence from which a prediction is trusted.
        precision: TP / (TP + FP).
        recall: TP / (TP + FN).
        f1: 2 TP / (2 TP + FP + FN).
        accuracy: (TP + TN) / N.
        coverage: (TP + FP) / N.
        risk: FP / (TP + FP).
        lift: `f1` minus the F1 of trusting every prediction of the group.
        accepted: TP + FP.
        accepted_correct: TP.
        n: N.
    """

    threshold: Floats
    precision: Floats
    recall: Floats
    f1: Floats
    accuracy: Floats
    coverage: Floats
    risk: Floats
    lift: Floats
    accepted: Counts
    accepted_correct: Counts
    n: Counts


def grouped_scores(
    threshold: Floats, accepted: Counts, right: Counts, n: Counts, n_correct: Counts
) -> GroupedScores:
    """Return for each group what `trusted_scores` returns for one; every group has samples."""
    least_one = np.maximum(accepted, 1)
    f1 = 2 * right / np.maximum(accepted + n_correct, 1)
    return GroupedScores(
        threshold=threshold,
        precision=np.where(accepted > 0, right / least_one, 1.0),
        recall=right / np.maximum(n_correct, 1),
        f1=f1,
        accuracy=(2 * right - accepted + n - n_correct) / n,
        coverage=accepted / n,
        risk=(accepted - right) / least_one,
        lift=f1 - grouped_accept_all_f1(n, n_correct),
        accepted=accepted,
        accepted_correct=right,
        n=n,
    )


def grouped_accept_all_f1(n: Counts, n_correct: Counts) -> Floats:
    """Return for each group what `accept_all_f1` returns for one."""
    return 2 * n_correct / (n + n_correct)
