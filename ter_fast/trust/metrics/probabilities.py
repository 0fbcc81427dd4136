"""Figures of probabilities: negative log-likelihood, Brier score, calibration errors.

Arguments come prediction first, target second, as in torchmetrics. Without samples a figure is NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.trust._arrays import Vector, as_array
from ter_fast.trust.metrics.binning import Flags, Strategy, bin_samples, check_bins
from ter_fast.trust.metrics.labels import Floats, Labels, as_labels

ROW_SUM_TOLERANCE = 0.02
"""Half-precision softmax rows miss 1 by up to their last bit per class."""


def negative_log_likelihood(probability: Vector, target: Vector) -> float:
    """Return the mean of -ln p_y, in nats; infinite where a class that came true had none.

    Args:
        probability: (N, K) probabilities; NaN in a row makes the figure NaN.
        target: (N,) true labels.

    Raises:
        DataError: Shapes do not fit, or the rows are no probabilities.

    Example:
        >>> round(negative_log_likelihood([[0.5, 0.5], [0.25, 0.75]], [0, 1]), 4)
        0.4904
    """
    chances, true = as_probabilities(probability, target)
    if not true.size:
        return math.nan
    with np.errstate(divide="ignore"):
        return float(-np.mean(np.log(chances[np.arange(true.size), true])))


def brier(probability: Vector, target: Vector) -> float:
    """Return the mean of sum_k (p_k - y_k)^2, in [0, 2].

    Two classes give twice what scikit-learn's default gives for them.

    Reference:
        Brier 1950, "Verification of forecasts expressed in terms of probability", eq. 2.

    Example:
        >>> brier([[0.5, 0.5], [0.0, 1.0]], [0, 1])
        0.25
    """
    chances, true = as_probabilities(probability, target)
    if not true.size:
        return math.nan
    return float(np.mean(np.square(chances - np.eye(chances.shape[1])[true]).sum(axis=1)))


def expected_calibration_error(
    probability: Vector, target: Vector, bins: int = 15, strategy: Strategy = "width"
) -> float:
    """Return the mean gap between the largest probability and how often it is right.

    ECE = sum_b |B_b| / N * |accuracy(B_b) - mean probability(B_b)| over bins that are closed on
    the right. For confidences of another kind, take `calibration_curve(confidence, correct).ece`.

    Args:
        probability: (N, K) probabilities; NaN in a row makes the figure NaN.
        target: (N,) true labels.
        bins: Number of bins.
        strategy: "width" for bins of equal width (Guo et al.), "mass" for bins of about equally
            many samples (Nguyen and O'Connor); equal confidences share a bin.

    Raises:
        DataError: Shapes do not fit, the rows are no probabilities, there is no bin, or the strategy
            is unknown.

    Reference:
        Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 3; Nguyen and O'Connor
        2015, "Posterior calibration and exploratory analysis for natural language processing
        models", section 3.

    Example:
        >>> expected_calibration_error([[0.75, 0.25], [0.75, 0.25]], [0, 1])
        0.25
    """
    return bin_samples(*top_label(probability, target), bins, strategy).ece


def maximum_calibration_error(
    probability: Vector, target: Vector, bins: int = 15, strategy: Strategy = "width"
) -> float:
    """Return the largest gap between the largest probability and how often it is right.

    MCE = max_b |accuracy(B_b) - mean probability(B_b)| over the bins that are not empty. A bin of
    one sample can set it: with few samples, take "mass" or few bins.

    Raises:
        DataError: As for `expected_calibration_error`.

    Reference:
        Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 5.

    Example:
        >>> maximum_calibration_error([[0.75, 0.25], [0.5, 0.5], [0.5, 0.5]], [1, 0, 1])
        0.75
    """
    return bin_samples(*top_label(probability, target), bins, strategy).mce


def classwise_calibration_error(
    probability: Vector, target: Vector, bins: int = 15, strategy: Strategy = "width"
) -> float:
    """Return the mean over the classes of the calibration error of each class's probability.

    cw-ECE = 1/K sum_k sum_b |B_kb| / N * |share of class k in B_kb - mean p_k in B_kb|, where the
    bins B_kb are those of p_k over all samples. Unlike the ECE it looks at every probability, not
    only at the largest. With many classes, most p_k are near 0 and make it look small.

    Raises:
        DataError: As for `expected_calibration_error`.

    Reference:
        Kull et al. 2019, "Beyond temperature scaling", section 2; Nixon et al. 2019, "Measuring
        Calibration in Deep Learning".

    Example:
        >>> classwise_calibration_error([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]], [0, 0])
        0.3333333333333333
    """
    chances, true = as_probabilities(probability, target)
    check_bins(bins, strategy)
    if not true.size or np.isnan(chances).any():
        return math.nan
    columns = enumerate(chances.T)
    return float(np.mean([bin_samples(p, true == k, bins, strategy).ece for k, p in columns]))


def as_probabilities(probability: Vector, target: Vector) -> tuple[Floats, Labels]:
    """Return probabilities (N, K) as float64 and labels (N,).

    Raises:
        DataError: Shapes do not fit, the rows are no probabilities, or a label is outside 0 … K - 1.
    """
    chances = as_array("probability", probability).astype(np.float64)
    true = as_labels("target", target)
    if chances.ndim != 2 or chances.shape[0] != true.size:
        raise DataError(
            f"probability has shape {chances.shape} for {true.size} targets; give (N, K) and (N,)"
        )
    check_distributions(chances)
    if true.max(initial=-1) >= chances.shape[1]:
        raise DataError(
            f"target holds the label {true.max()}, but probability has {chances.shape[1]} classes"
        )
    return chances, true


def top_label(probability: Vector, target: Vector) -> tuple[Floats, Flags]:
    """Return each sample's largest probability and whether it is the true label's, (N,) each.

    Raises:
        DataError: As for `as_probabilities`.
    """
    chances, true = as_probabilities(probability, target)
    if not true.size:
        return np.empty(0), np.empty(0, dtype=np.bool_)
    return chances.max(axis=1), chances.argmax(axis=1) == true


def check_distributions(chances: NDArray[Any]) -> None:
    """Check that each row (N, K) without NaN is a distribution over the classes.

    Raises:
        DataError: One is not; the message shows it.
    """
    # Infinities of both signs have no sum; the negative one is found below.
    with np.errstate(invalid="ignore"):
        gap = np.abs(chances.sum(axis=1) - 1)
    bad = np.flatnonzero((gap > ROW_SUM_TOLERANCE) | (chances < 0).any(axis=1))
    if bad.size:
        raise DataError(
            f"row {bad[0]} of probability is {chances[bad[0]]}: not a distribution over classes; "
            "give probabilities, not logits or evidence"
        )
