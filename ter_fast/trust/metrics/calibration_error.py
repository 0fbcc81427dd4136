"""Calibration: how far confidences are from the frequencies with which they are right.

Arguments come prediction first, target second, as in torchmetrics. Without samples a figure is NaN.
Every figure here depends on its bins: compare only equal numbers of bins of the same strategy.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ter_fast.errors import DataError
from ter_fast.trust._arrays import Vector, as_array, as_vector
from ter_fast.trust.metrics.binning import (
    CalibrationCurve,
    Flags,
    Strategy,
    bin_of,
    bin_samples,
    check_bins,
)
from ter_fast.trust.metrics.labels import Floats
from ter_fast.trust.metrics.probabilities import (
    as_probabilities,
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    top_label,
)

__all__ = [
    "BrierDecomposition",
    "CalibrationCurve",
    "Strategy",
    "brier_decomposition",
    "calibration_curve",
    "classwise_calibration_error",
    "expected_calibration_error",
    "maximum_calibration_error",
]


class BrierDecomposition(NamedTuple):
    """Hold the parts of a Brier score, reliability - resolution + uncertainty + within_bin.

    Attributes:
        reliability: Squared distance of the bins' probabilities from their frequencies; 0 is best.
        resolution: Squared distance of the bins' frequencies from the classes' shares; more is better.
        uncertainty: Brier score of always answering with the classes' shares.
        within_bin: What binning hides: 0 where the probabilities in each bin are all equal.
    """

    reliability: float
    resolution: float
    uncertainty: float
    within_bin: float

    @property
    def brier(self) -> float:
        """The Brier score that the parts sum to."""
        return self.reliability - self.resolution + self.uncertainty + self.within_bin


def calibration_curve(
    prediction: Vector, target: Vector, bins: int = 15, strategy: Strategy = "width"
) -> CalibrationCurve:
    """Compare confidence with accuracy, bin by bin.

    Equal confidences always share a bin. So with `strategy="mass"` the upper border of bin b is the
    ceil(b N / bins)-th smallest confidence, bins that ties make equal are one, and there may be
    fewer of them than asked for; none is empty. With "width" bins may be empty.

    Args:
        prediction: (N, K) probabilities, of which the largest is the confidence; or (N,)
            confidences in [0, 1], of any kind.
        target: (N,) true labels with probabilities; with confidences, whether each prediction is
            correct (booleans, or 0 and 1).
        bins: Number of bins, at most.
        strategy: "width" or "mass".

    Returns:
        The curve. NaN confidences are in no bin; `nan_count` counts them.

    Raises:
        DataError: Shapes do not fit, the rows are no probabilities, a confidence is outside [0, 1],
            `correct` holds anything but 0 and 1, there is no bin, or the strategy is unknown.

    Reference:
        Murphy and Winkler 1977, "Reliability of subjective probability forecasts"; DeGroot and
        Fienberg 1983, "The comparison and evaluation of forecasters".

    Example:
        >>> curve = calibration_curve([0.75, 0.75, 0.25, 0.25], [True, True, False, True], bins=2)
        >>> curve.accuracy.tolist(), curve.gap.tolist(), curve.ece
        ([0.5, 1.0], [0.25, 0.25], 0.25)
    """
    given = as_array("prediction", prediction)
    pair = _as_confidence(given, target) if given.ndim == 1 else top_label(given, target)
    return bin_samples(*pair, bins, strategy)


def brier_decomposition(
    probability: Vector, target: Vector, bins: int = 15, strategy: Strategy = "width"
) -> BrierDecomposition:
    """Split the Brier score into reliability, resolution, uncertainty and what the bins hide.

    With bin b of p_k holding n_kb samples of mean probability m_kb and share of class k f_kb, and
    with f_k the class's share of all N samples:

        reliability  =  sum_k sum_b n_kb / N (m_kb - f_kb)^2
        resolution   =  sum_k sum_b n_kb / N (f_kb - f_k)^2
        uncertainty  =  sum_k f_k (1 - f_k)
        brier        =  reliability - resolution + uncertainty + within_bin

    Murphy's three parts are the whole score where the probabilities in each bin are all equal. Else
    `within_bin`, the variance of the probabilities in a bin less twice their covariance with the
    outcome, makes the sum exact for `metrics.brier`.

    Raises:
        DataError: As for `expected_calibration_error`.

    Reference:
        Murphy 1973, "A New Vector Partition of the Probability Score"; Stephenson et al. 2008, "Two
        Extra Components in the Brier Score Decomposition".

    Example:
        >>> parts = brier_decomposition([[0.75, 0.25]] * 4, [0, 0, 0, 1])
        >>> parts.reliability, parts.resolution, parts.uncertainty, parts.brier
        (0.0, 0.0, 0.375, 0.375)
    """
    chances, true = as_probabilities(probability, target)
    check_bins(bins, strategy)
    if not true.size or np.isnan(chances).any():
        return BrierDecomposition(math.nan, math.nan, math.nan, math.nan)
    parts = np.zeros(4)
    for k, column in enumerate(chances.T):
        outcome = true == k
        curve = bin_samples(column, outcome, bins, strategy)
        rate, weight = outcome.mean(), curve.count / true.size
        binned = np.nansum(weight * curve.gap**2)
        resolved = np.nansum(weight * (curve.accuracy - rate) ** 2)
        place = bin_of(column, curve.edges)
        # Of (p - y)^2 = (m - f)^2 + (deviation from the bin's means)^2 + cross terms of sum 0, the
        # deviation of y alone sums to uncertainty - resolution.
        deviation = column - curve.confidence[place]
        hidden = np.mean(deviation * (deviation - 2 * (outcome - curve.accuracy[place])))
        parts += (binned, resolved, rate * (1 - rate), hidden)
    return BrierDecomposition(*parts.tolist())


def _as_confidence(confidence: Vector, correct: Vector) -> tuple[Floats, Flags]:
    values = as_vector("confidence", confidence).astype(np.float64)
    given = as_vector("correct", correct)
    if values.size != given.size:
        raise DataError(
            f"{values.size} confidences but {given.size} correct flags; give one for each sample"
        )
    outside = (values < 0) | (values > 1)
    if outside.any():
        raise DataError(
            f"a confidence is {values[outside][0]}; give confidences in [0, 1], or probabilities (N, K)"
        )
    right = given == 1
    if not np.array_equal(right, given):
        stray = given[right != given][0]
        raise DataError(
            f"correct holds {stray}; give booleans, or 0 and 1: labels go with (N, K) probabilities"
        )
    return values, right
