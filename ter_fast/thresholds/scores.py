"""Trusted precision, recall, F1 and accuracy at one threshold, from four counts."""

from __future__ import annotations

import math
from dataclasses import dataclass


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
