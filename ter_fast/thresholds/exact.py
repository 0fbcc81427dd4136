"""The exact sweep: trusted metrics at every distinct threshold, and the areas under their curves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ter_fast._arrays import Vector, as_vector
from ter_fast.errors import DataError
from ter_fast.thresholds.scores import TrustedScores, accept_all_f1, trusted_scores

Criterion = Literal["balance", "f1", "accuracy"]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Scores = NDArray[np.floating[Any]]


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
        with np.errstate(over="ignore"):
            least = self.threshold.dtype.type(threshold)
        # The smallest number of the confidences' own dtype that reaches the threshold: searching
        # for a wider number would make NumPy widen, and so copy, the whole array.
        if float(least) < threshold:
            least = np.nextafter(least, self.threshold.dtype.type(np.inf))
        index = int(np.searchsorted(self.threshold, least))
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
            The scores, or None where trusting nothing is the better answer: no prediction that
            has a real confidence is correct, or (`accuracy` only) every threshold makes more
            mistakes than it avoids.

        Raises:
            DataError: The criterion is unknown.

        Example:
            >>> sweep([0.9, 0.8, 0.4], [True, False, False]).best().threshold
            0.9
        """
        if criterion not in get_args(Criterion):
            known = ", ".join(get_args(Criterion))
            raise DataError(f"unknown criterion {criterion!r}; choose one of {known}")
        if self.threshold.size == 0 or self.accepted_correct[0] == 0:
            return None
        index = self._best[get_args(Criterion).index(criterion)]
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
        reached = self.precision >= _fraction("precision", precision)
        return self._at_index(int(np.argmax(reached))) if reached.any() else None

    def at_coverage(self, coverage: float) -> TrustedScores | None:
        """Return the metrics at the highest threshold that accepts this share of the samples.

        Returns:
            The scores, or None where too many confidences are NaN to accept so much.

        Raises:
            DataError: The coverage is outside [0, 1].
        """
        reached = int(np.count_nonzero(self.coverage >= _fraction("coverage", coverage)))
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
        return self._rank[0] / self.n if self.n else math.nan

    @property
    def e_aurc(self) -> float:
        """Return AURC minus that of the best order of these N samples; NaN without samples.

        The optimum is exact for N samples: 1/N sum_{j=1}^{W} j / (C + j), with C correct and W
        wrong, instead of its limit for large N.
        """
        return (self._rank[0] - self._rank[1]) / self.n if self.n else math.nan

    @property
    def augrc(self) -> float:
        """Return the area under the generalized risk-coverage curve; NaN without samples.

        The trapezoid of (wrong and accepted) / N over coverage from (0, 0).

        Reference:
            Traub et al. 2024, "Overcoming Common Flaws in the Evaluation of Selective
            Classification Systems".
        """
        return self._rank[2] / (2 * self.n**2) if self.n else math.nan

    @property
    def failure_auroc(self) -> float:
        """Return P(c_correct > c_wrong) + P(c_correct = c_wrong) / 2; NaN without both kinds."""
        pairs = self.n_correct * (self.n - self.n_correct)
        return self._rank[3] / (2 * pairs) if pairs else math.nan

    @property
    def fpr95(self) -> float:
        """Return the share of wrong predictions accepted once 95 % of the correct ones are.

        "Correct" is the positive class, at the highest threshold with TP / C >= 0.95, without
        interpolation; 1 where NaN confidences keep that out of reach, NaN without both kinds.
        """
        wrong = self.n - self.n_correct
        if not self.n_correct * wrong:
            return math.nan
        index = int(np.count_nonzero(self.recall >= 0.95)) - 1
        if index < 0:
            return 1.0
        return int(self.accepted[index] - self.accepted_correct[index]) / wrong

    def coverage_at_risk(self, risk: float) -> float:
        """Return the largest coverage whose selective risk is at most this; 0 where none is.

        Raises:
            DataError: The risk is outside [0, 1].
        """
        reached = self.risk <= _fraction("risk", risk)
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
    def _best(self) -> tuple[int, int, int]:
        from ter_fast.thresholds.loops import choose

        return choose(self.accepted, self.accepted_correct, self.n_correct)

    @cached_property
    def _rank(self) -> tuple[float, float, int, int]:
        from ter_fast.thresholds.loops import rank

        return rank(self.accepted, self.accepted_correct, self.n, self.n_correct)

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
    scores = _confidence(confidence)
    right = _correct(correct)
    if scores.size != right.size:
        raise DataError(
            f"{scores.size} confidences but {right.size} correct flags; give one for each sample"
        )
    lowest = np.fmin.reduce(scores, initial=0)
    highest = np.fmax.reduce(scores, initial=0)
    if np.isinf(lowest) or np.isinf(highest):
        raise DataError(
            "an infinite confidence says that something overflowed before it got here; "
            "mark such samples NaN, which is never trusted"
        )
    from ter_fast.thresholds.loops import count_keys, count_values

    count = count_values if lowest < 0 else count_keys
    threshold, accepted, accepted_correct = count(scores, right)
    real = int(accepted[0]) if accepted.size else 0
    return Sweep(
        threshold=threshold,
        accepted=accepted,
        accepted_correct=accepted_correct,
        n=scores.size,
        n_correct=int(np.count_nonzero(right)),
        nan_count=scores.size - real,
    )


def _confidence(value: Vector) -> Scores:
    array = as_vector("confidence", value)
    if array.dtype.kind == "f":
        # In native byte order, with nothing between the elements, so that bits can be read off.
        wide = np.float64 if array.dtype.itemsize > 4 else np.float32
        return np.ascontiguousarray(array, dtype=wide)
    return array.astype(np.float64)


def _correct(value: Vector) -> NDArray[np.bool_]:
    array = as_vector("correct", value)
    right = array.astype(np.bool_)
    if array.dtype.kind != "b" and not np.array_equal(right, array):
        stray = array[right != array][0]
        raise DataError(f"correct holds {stray}; give booleans, or 0 and 1")
    return np.ascontiguousarray(right)


def _fraction(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise DataError(f"{name} is {value}; give a fraction in [0, 1]")
    return value
