"""Figures of predicted labels: accuracy, unweighted average recall, F1, the confusion matrix.

Arguments come prediction first, target second, as in torchmetrics. Without samples a figure is NaN.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.trust._arrays import Vector, as_vector

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

MOST_CLASSES = 1 << 14
"""Classes up to which a confusion matrix is counted unasked: 2 GiB. Beyond, a label is mostly a slip."""


def accuracy(prediction: Vector, target: Vector) -> float:
    """Return the share of labels predicted right.

    Example:
        >>> accuracy([0, 1, 1, 2], [0, 1, 2, 2])
        0.75
    """
    predicted, true = as_label_pair(prediction, target)
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
    predicted, true = as_label_pair(prediction, target)
    largest = int(max(predicted.max(initial=-1), true.max(initial=-1)))
    size = largest + 1 if num_classes is None else num_classes
    if num_classes is None and size > MOST_CLASSES:
        raise DataError(
            f"label {largest} would make a matrix of {size} x {size} counts; fix the labels, or give "
            "num_classes if they are right"
        )
    if largest >= size:
        raise DataError(
            f"label {largest} is outside 0 … {size - 1}; raise num_classes or fix the labels"
        )
    return np.bincount(true * size + predicted, minlength=size**2).reshape(size, size)


def unweighted_average_recall(prediction: Vector, target: Vector) -> float:
    """Return the mean of the recalls of the classes that occur in the target (balanced accuracy).

    UAR = 1/|T| sum_{k in T} (right predictions of k) / (samples of k).

    Example:
        >>> unweighted_average_recall([0, 0, 0, 1], [0, 0, 1, 1])
        0.75
    """
    hit, support, _ = _per_class(prediction, target)
    present = support > 0
    return float(np.mean(hit[present] / support[present])) if present.any() else math.nan


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


def as_label_pair(prediction: Vector, target: Vector) -> tuple[Labels, Labels]:
    """Return (N,) predicted and true labels as integers.

    Raises:
        DataError: Shapes differ, or one is no vector of labels.
    """
    predicted, true = as_labels("prediction", prediction), as_labels("target", target)
    if predicted.shape != true.shape:
        raise DataError(
            f"{predicted.size} predictions but {true.size} targets; give one of each per sample"
        )
    return predicted, true


def as_labels(name: str, value: Vector) -> Labels:
    """Return labels (N,) as integers from 0.

    Raises:
        DataError: They are no vector of integers, or one is below 0; the message names them.
    """
    array = as_vector(name, value)
    # An empty list is an array of floats.
    if array.dtype.kind == "f" and array.size:
        raise DataError(f"{name} has dtype {array.dtype}; give integer labels, not probabilities")
    if array.dtype.kind == "u" and array.max(initial=0) > np.iinfo(np.int64).max:
        raise DataError(f"{name} holds the label {array.max()}; drop or fix it")
    labels = array.astype(np.int64)
    if labels.min(initial=0) < 0:
        raise DataError(f"{name} holds the label {labels.min()}; labels start at 0, so drop it")
    return labels


def _f1_per_class(prediction: Vector, target: Vector) -> tuple[Floats, Labels]:
    hit, support, predicted = _per_class(prediction, target)
    both = support + predicted
    present = both > 0
    return 2 * hit[present] / both[present], support[present]


def _per_class(prediction: Vector, target: Vector) -> tuple[Labels, Labels, Labels]:
    """Count right predictions, samples and predictions of each class, (K,) each."""
    predicted, true = as_label_pair(prediction, target)
    # A confusion matrix would need K^2 counts, for labels that may be sparse.
    size = int(max(predicted.max(initial=-1), true.max(initial=-1))) + 1
    if size > 2 * true.size + MOST_CLASSES:
        # Nor should one label out of all proportion cost as many counts.
        names, codes = np.unique(np.concatenate([predicted, true]), return_inverse=True)
        (predicted, true), size = np.split(codes, 2), names.size
    hit = np.bincount(true[predicted == true], minlength=size)
    return hit, np.bincount(true, minlength=size), np.bincount(predicted, minlength=size)
