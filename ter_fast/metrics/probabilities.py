"""Figures of probabilities: negative log-likelihood, Brier score, expected calibration error.

Arguments come prediction first, target second, as in torchmetrics. Without samples a figure is NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ter_fast._arrays import Vector, as_array
from ter_fast.errors import DataError
from ter_fast.metrics.labels import Floats, Labels, as_labels


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


def expected_calibration_error(probability: Vector, target: Vector, bins: int = 15) -> float:
    """Return the mean gap between the largest probability and how often it is right.

    ECE = sum_b |B_b| / N * |accuracy(B_b) - mean probability(B_b)| over `bins` bins of equal
    width, each closed on the right. It depends on the bins: compare only equal numbers of them.

    Raises:
        DataError: Shapes do not fit, the rows are no probabilities, or there is no bin.

    Reference:
        Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 3.

    Example:
        >>> expected_calibration_error([[0.75, 0.25], [0.75, 0.25]], [0, 1])
        0.25
    """
    if bins < 1:
        raise DataError(f"bins is {bins}; give at least one")
    chances, true = as_probabilities(probability, target)
    if not true.size or np.isnan(chances).any():
        return math.nan
    largest = chances.max(axis=1)
    right = chances.argmax(axis=1) == true
    bin_of = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], largest)
    return float(np.abs(np.bincount(bin_of, weights=right - largest)).sum() / true.size)


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
    _check_rows(chances)
    if true.max(initial=-1) >= chances.shape[1]:
        raise DataError(
            f"target holds the label {true.max()}, but probability has {chances.shape[1]} classes"
        )
    return chances, true


def _check_rows(chances: NDArray[Any]) -> None:
    # Half-precision softmax rows miss 1 by up to their last bit per class.
    gap = np.abs(chances.sum(axis=1) - 1)
    bad = np.flatnonzero((gap > 0.02) | (chances < 0).any(axis=1))
    if bad.size:
        raise DataError(
            f"row {bad[0]} of probability is {chances[bad[0]]}: not a distribution over classes; "
            "give probabilities, not logits or evidence"
        )
