"""The exact sweep: trusted metrics at every distinct threshold, and the areas under their curves."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.trust._arrays import Vector
from ter_fast.trust.thresholds import counting
from ter_fast.trust.thresholds.counting import Criterion, Ranking, criterion_index
from ter_fast.trust.thresholds.samples import Scores, at_least, check_pair, fraction
from ter_fast.trust.thresholds.scores import TrustedScores, accept_all_f1, trusted_scores

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sweep:
    """Hold the counts at every distinct threshold, and derive every trusted metric from them.

    Arrays run over the D distinct confidences in ascending order. A NaN confidence is never
    trusted: it counts in `n` and `n_correct`, is accepted at no threshold, and ranks below every
    real confidence in the areas (AURC, AUGRC, AUROC, FPR at 95 % TPR).

    Attributes:
        threshold: (D,) distinct confidences in their own dtype.
        accepted: (D,) samples with at least this confidence, TP + FP.
        accepted_correct: (D,) correct samples with at least this confidence, TP.
        n: Number of samples N.
        n_correct: Number of correct predictions C.
        nan_count: Number of samples whose confidence is NaN.
    """

    threshold: Scores
    accepted: Counts
    accepted_correct: Counts
    n: int
    n_correct: int
    nan_count: int

    @cached_property
    def precision(self) -> Floats:
        """Return TP / (TP + FP), (D,)."""
        return self.accepted_correct / self.accepted

    @cached_property
    def recall(self) -> Floats:
        """Return TP / (TP + FN), (D,); 0 where no prediction is correct."""
        return self.accepted_correct / max(self.n_correct, 1)

    @cached_property
    def f1(self) -> Floats:
        """Return 2 TP / (2 TP + FP + FN), (D,)."""
        return 2 * self.accepted_correct / (self.accepted + self.n_correct)

    @cached_property
    def accuracy(self) -> Floats:
        """Return (TP + TN) / N, (D,)."""
        wrong = self.n - self.n_correct
        return (2 * self.accepted_correct - self.accepted + wrong) / max(self.n, 1)

    @cached_property
    def coverage(self) -> Floats:
        """Return (TP + FP) / N, (D,)."""
        return self.accepted / max(self.n, 1)

    @cached_property
    def risk(self) -> Floats:
        """Return the selective risk FP / (TP + FP), (D,)."""
        return (self.accepted - self.accepted_correct) / self.accepted

    def at(self, threshold: float) -> TrustedScores:
        """Return the trusted metrics at any real threshold, or at minus or plus infinity.

        Raises:
            DataError: The threshold is NaN.

        Example:
            >>> sweep([0.9, 0.8, 0.4], [True, False, True]).at(0.5).precision
            0.5
        """
        if math.isnan(threshold):
            raise DataError("threshold is NaN; give a real number, or use .best() to choose one")
        # Searching for a wider number would make NumPy widen, and so copy, the whole array.
        index = int(np.searchsorted(self.threshold, at_least(threshold, self.threshold.dtype)))
        if index == self.threshold.size:
            return self._scores(float(threshold), 0, 0)
        return self._scores(
            float(threshold), int(self.accepted[index]), int(self.accepted_correct[index])
        )

    def best(self, criterion: Criterion = "balance") -> TrustedScores | None:
        """Return the metrics at the distinct threshold that is best, the lowest one in a tie.

        `balance` looks for the threshold where trusted precision meets trusted recall, that is
        where the accepted count is nearest to the correct count; `f1` and `accuracy` maximize
        the trusted metric of that name.

        Returns:
            The scores, or None where trusting nothing is the better answer: No prediction that
            has a real confidence is correct, or (`accuracy` only) every threshold makes more
            mistakes than it avoids.

        Raises:
            DataError: The criterion is unknown.

        Example:
            >>> sweep([0.9, 0.8, 0.4], [True, False, False]).best().threshold
            0.9
        """
        row = criterion_index(criterion)
        if self.threshold.size == 0 or self.accepted_correct[0] == 0:
            return None
        index = int(self._best[row, 0])
        right, accepted = int(self.accepted_correct[index]), int(self.accepted[index])
        if criterion == "accuracy" and 2 * right < accepted:
            return None
        return self._at_index(index)

    def at_precision(self, precision: float) -> TrustedScores | None:
        """Return the metrics at the lowest threshold with at least this trusted precision.

        Returns:
            The scores, or None where no threshold that accepts anything reaches it.

        Raises:
            DataError: The precision is outside [0, 1].
        """
        reached = self.precision >= fraction("precision", precision)
        return self._at_index(int(np.argmax(reached))) if reached.any() else None

    def at_coverage(self, coverage: float) -> TrustedScores | None:
        """Return the metrics at the highest threshold that accepts this share of the samples.

        Returns:
            The scores, or None where too many confidences are NaN to accept so much.

        Raises:
            DataError: The coverage is outside [0, 1].
        """
        least = fraction("coverage", coverage)
        reached = self._count(lambda i: bool(self.accepted[i] / self.n >= least))
        return self._at_index(reached - 1) if reached else None

    @property
    def accept_all(self) -> TrustedScores:
        """Return the baseline that trusts every prediction, NaN confidences included."""
        return self._scores(-math.inf, self.n, self.n_correct)

    @property
    def accept_all_f1(self) -> float:
        """Return 2a / (1 + a) for accuracy a: the trusted F1 of trusting every prediction."""
        return accept_all_f1(self.n, self.n_correct)

    @property
    def aurc(self) -> float:
        """Return the area under the risk-coverage curve; NaN without samples.

        The mean selective risk over coverages 1/N … N/N, equal confidences in expectation over
        their order.

        Reference:
            Geifman, Uziel and El-Yaniv 2019, "Bias-Reduced Uncertainty Estimation".
        """
        return float(self._ranking.aurc[0])

    @property
    def e_aurc(self) -> float:
        """Return AURC minus that of the best order of these N samples; NaN without samples.

        The optimum is exact for N samples: 1/N sum_{j=1}^{W} j / (C + j), with C correct and W
        wrong, instead of its limit for large N.
        """
        return float(self._ranking.e_aurc[0])

    @property
    def augrc(self) -> float:
        """Return the area under the generalized risk-coverage curve; NaN without samples.

        The trapezoid of (wrong and accepted) / N over coverage from (0, 0).

        Reference:
            Traub et al. 2024, "Overcoming Common Flaws in the Evaluation of Selective
            Classification Systems".
        """
        return float(self._ranking.augrc[0])

    @property
    def failure_auroc(self) -> float:
        """Return P(c_correct > c_wrong) + P(c_correct = c_wrong) / 2; NaN without both kinds."""
        return float(self._ranking.failure_auroc[0])

    @property
    def fpr95(self) -> float:
        """Return the share of wrong predictions accepted once 95 % of the correct ones are.

        "Correct" is the positive class, at the highest threshold with TP / C >= 0.95, without
        interpolation; 1 where NaN confidences keep that out of reach, NaN without both kinds.
        """
        wrong = self.n - self.n_correct
        if not self.n_correct * wrong:
            return math.nan
        reached = self._count(lambda i: bool(self.accepted_correct[i] / self.n_correct >= 0.95))
        index = reached - 1
        if index < 0:
            return 1.0
        return int(self.accepted[index] - self.accepted_correct[index]) / wrong

    def coverage_at_risk(self, risk: float) -> float:
        """Return the largest coverage whose selective risk is at most this; 0 where none is.

        Raises:
            DataError: The risk is outside [0, 1].
        """
        reached = self.risk <= fraction("risk", risk)
        return float(self.coverage[np.argmax(reached)]) if reached.any() else 0.0

    def risk_at_coverage(self, coverage: float) -> float:
        """Return the selective risk at the highest threshold with at least this coverage.

        NaN where too many confidences are NaN to accept so much.

        Raises:
            DataError: The coverage is outside [0, 1].
        """
        scores = self.at_coverage(coverage)
        return math.nan if scores is None else scores.risk

    @cached_property
    def _best(self) -> NDArray[np.int64]:
        offsets, _, n_correct = self._as_group
        return counting.choose(self.accepted, self.accepted_correct, offsets, n_correct)

    @cached_property
    def _ranking(self) -> Ranking:
        return counting.rank(self.accepted, self.accepted_correct, *self._as_group)

    @property
    def _as_group(self) -> tuple[Counts, Counts, Counts]:
        """Return offsets (2,), samples (1,) and correct samples (1,)."""
        return np.array([0, self.threshold.size]), np.array([self.n]), np.array([self.n_correct])

    def _count(self, accepts_enough: Callable[[int], bool]) -> int:
        """Return how many thresholds, from the lowest on, pass a test that the higher ones fail."""
        return bisect_left(range(self.threshold.size), True, key=lambda i: not accepts_enough(i))

    def _at_index(self, index: int) -> TrustedScores:
        return self._scores(
            float(self.threshold[index]),
            int(self.accepted[index]),
            int(self.accepted_correct[index]),
        )

    def _scores(self, threshold: float, accepted: int, right: int) -> TrustedScores:
        return trusted_scores(threshold, accepted, right, self.n, self.n_correct)


def sweep(confidence: Vector, correct: Vector) -> Sweep:
    """Count what is trusted at every distinct threshold, exactly, in O(N log N).

    Confidences are compared in their own precision: float32 and float64 are taken as they are,
    float16 and bfloat16 widen to float32, integers become float64. Any finite number will do;
    those in [0, 1], and all non-negative ones, take the fast way. The arguments are not changed.

    Args:
        confidence: (N,) confidences. NaN is counted and never trusted.
        correct: (N,) whether each prediction is right: booleans, or numbers 0 and 1.

    Raises:
        DataError: The lengths differ, an argument is not a vector of numbers, a confidence is
            infinite, or `correct` holds anything but 0 and 1.

    Example:
        >>> curve = sweep([0.9, 0.8, 0.8, 0.3], [True, True, False, False])
        >>> curve.threshold.tolist(), curve.accepted.tolist(), curve.accepted_correct.tolist()
        ([0.3, 0.8, 0.9], [4, 3, 1], [2, 2, 1])
    """
    scores, right = check_pair(confidence, correct)
    threshold, accepted, accepted_correct, _ = counting.tally(scores, right)
    real = int(accepted[0]) if accepted.size else 0
    return Sweep(
        threshold=threshold,
        accepted=accepted,
        accepted_correct=accepted_correct,
        n=scores.size,
        n_correct=int(np.count_nonzero(right)),
        nan_count=scores.size - real,
    )
