"""Figures of merit of the field as plain functions of arrays, and the interval that goes with them.

Arguments come prediction first, target second, as in torchmetrics; arrays, sequences and tensors
will do. Without samples every figure is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ter_fast._arrays import Vector, as_array, as_vector
from ter_fast.errors import DataError

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


class Interval(NamedTuple):
    """Hold the two ends of an interval, in the units of the figure that it is about."""

    low: float
    high: float


def accuracy(prediction: Vector, target: Vector) -> float:
    """Return the share of labels predicted right.

    Example:
        >>> accuracy([0, 1, 1, 2], [0, 1, 2, 2])
        0.75
    """
    predicted, true = _labels(prediction, target)
    return float(np.mean(predicted == true)) if true.size else math.nan


def confusion_matrix(
    prediction: Vector, target: Vector, num_classes: int | None = None
) -> NDArray[np.int64]:
    """Count how often each class (row) was taken for each class (column), (K, K).

    Args:
        prediction: (N,) predicted labels in 0 … K - 1.
        target: (N,) true labels in 0 … K - 1.
        num_classes: K; one more than the largest label when left out.

    Raises:
        DataError: Shapes differ, labels are no integers, or a label is outside 0 … K - 1.

    Example:
        >>> confusion_matrix([0, 1, 1], [0, 1, 0]).tolist()
        [[1, 1], [0, 1]]
    """
    predicted, true = _labels(prediction, target)
    largest = int(max(predicted.max(initial=-1), true.max(initial=-1)))
    size = largest + 1 if num_classes is None else num_classes
    if largest >= size:
        raise DataError(
            f"label {largest} is outside 0 … {size - 1}; raise num_classes or mend the labels"
        )
    return np.bincount(true * size + predicted, minlength=size**2).reshape(size, size)


def unweighted_average_recall(prediction: Vector, target: Vector) -> float:
    """Return the mean of the recalls of the classes that occur in the target (balanced accuracy).

    UAR = 1/|T| sum_{k in T} (right predictions of k) / (samples of k).

    Example:
        >>> unweighted_average_recall([0, 0, 0, 1], [0, 0, 1, 1])
        0.75
    """
    matrix = confusion_matrix(prediction, target)
    support = matrix.sum(axis=1)
    present = support > 0
    return (
        float(np.mean(matrix.diagonal()[present] / support[present])) if any(present) else math.nan
    )


def macro_f1(prediction: Vector, target: Vector) -> float:
    """Return the mean F1 of the classes that occur in the target or among the predictions.

    F1_k = 2 TP_k / (2 TP_k + FP_k + FN_k).

    Example:
        >>> macro_f1([0, 0, 1, 1], [0, 0, 1, 0])
        0.7333333333333334
    """
    scores, _ = _f1_per_class(prediction, target)
    return float(np.mean(scores)) if scores.size else math.nan


def weighted_f1(prediction: Vector, target: Vector) -> float:
    """Return the F1 of the classes, averaged with their number of samples in the target.

    Example:
        >>> weighted_f1([0, 0, 1, 1], [0, 0, 1, 0])
        0.7666666666666667
    """
    scores, support = _f1_per_class(prediction, target)
    return float(np.average(scores, weights=support)) if scores.size else math.nan


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
    chances, true = _probabilities(probability, target)
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
    chances, true = _probabilities(probability, target)
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
    chances, true = _probabilities(probability, target)
    if not true.size or np.isnan(chances).any():
        return math.nan
    largest = chances.max(axis=1)
    right = chances.argmax(axis=1) == true
    bin_of = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], largest)
    return float(np.abs(np.bincount(bin_of, weights=right - largest)).sum() / true.size)


def bootstrap_interval(
    statistic: Callable[..., float],
    *arrays: Vector,
    groups: Vector | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Return the percentile bootstrap interval of a statistic of samples.

    Samples that belong together (clips of one speaker) are drawn together: drawing them one by
    one pretends that there are more independent samples than there are, and narrows the interval.

    Args:
        statistic: Function of the resampled arrays.
        arrays: Arrays with one row per sample, N rows each.
        groups: (N,) the group of each sample, in numbers or names; each its own when left out.
        resamples: Number of draws, each of as many groups as there are, with replacement.
        seed: Seed of the draws.
        level: Probability that the interval is built to cover.

    Returns:
        The interval, over the draws where the statistic is defined (not NaN); NaN at both ends
        where there are fewer than two groups, or the statistic is never defined.

    Raises:
        DataError: Lengths differ, there is no array, or `resamples` or `level` is out of range.

    Reference:
        Davison and Hinkley 1997, *Bootstrap Methods and their Application*, sections 3.8 and 5.3.

    Example:
        >>> interval = bootstrap_interval(accuracy, [0, 1] * 50, [0, 0] * 50)
        >>> interval.low < 0.5 < interval.high
        True
    """
    if resamples < 1 or not 0 < level < 1:
        raise DataError(
            f"got {resamples} resamples at level {level}; give at least 1 and a level inside (0, 1)"
        )
    columns = [as_array(f"array {i}", array) for i, array in enumerate(arrays)]
    sizes = {column.shape[0] if column.ndim else -1 for column in columns}
    names = np.arange(max(sizes, default=0)) if groups is None else np.asarray(groups)
    if not columns or sizes != {names.size} or names.ndim != 1:
        shapes = ", ".join(str(column.shape) for column in columns) or "none"
        raise DataError(
            f"arrays have shapes {shapes} and groups {names.shape}; give one row per sample"
        )
    _, group_of = np.unique(names, return_inverse=True)
    members = np.split(np.argsort(group_of, kind="stable"), np.bincount(group_of).cumsum()[:-1])
    if len(members) < 2:
        return Interval(math.nan, math.nan)
    generator = np.random.default_rng(seed)
    values = np.empty(resamples)
    for i in range(resamples):
        drawn = generator.integers(len(members), size=len(members))
        rows = np.concatenate([members[group] for group in drawn]) if groups is not None else drawn
        values[i] = statistic(*(column[rows] for column in columns))
    values = values[~np.isnan(values)]
    if not values.size:
        return Interval(math.nan, math.nan)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _labels(prediction: Vector, target: Vector) -> tuple[Labels, Labels]:
    predicted, true = _label("prediction", prediction), _label("target", target)
    if predicted.shape != true.shape:
        raise DataError(
            f"{predicted.size} predictions but {true.size} targets; give one of each per sample"
        )
    return predicted, true


def _label(name: str, value: Vector) -> Labels:
    array = as_vector(name, value)
    # An empty list is an array of floats.
    if array.dtype.kind == "f" and array.size:
        raise DataError(f"{name} has dtype {array.dtype}; give integer labels, not probabilities")
    labels = array.astype(np.int64)
    if labels.min(initial=0) < 0:
        raise DataError(f"{name} holds the label {labels.min()}; labels start at 0, so drop it")
    return labels


def _f1_per_class(prediction: Vector, target: Vector) -> tuple[Floats, Labels]:
    matrix = confusion_matrix(prediction, target)
    support = matrix.sum(axis=1)
    both = support + matrix.sum(axis=0)
    present = both > 0
    return 2 * matrix.diagonal()[present] / both[present], support[present]


def _probabilities(probability: Vector, target: Vector) -> tuple[Floats, Labels]:
    chances = as_array("probability", probability).astype(np.float64)
    true = _label("target", target)
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
