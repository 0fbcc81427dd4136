"""What a classifier of feature views takes from validation data: thresholds and failure rates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ter_fast.errors import DataError
from ter_fast.multiview.views import Array
from ter_fast.trust.criterion import by_criterion
from ter_fast.trust.outcomes import Outcomes

RATES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Failure rates that are tried on validation data."""


def class_indices(y: npt.ArrayLike, classes: Array, samples: int) -> npt.NDArray[np.int64]:
    """Return the number of each label among the classes, (N,).

    Args:
        y: (N,) labels.
        classes: (K,) labels that a classifier knows, sorted.
        samples: N.

    Raises:
        DataError: There is not a label for each sample, or one of them is unknown.

    Example:
        >>> class_indices(["calm", "angry"], np.array(["angry", "calm"]), 2).tolist()
        [1, 0]
    """
    labels = one_for_each(y, samples)
    index = {label: number for number, label in enumerate(classes.tolist())}
    target = np.array([index.get(label, -1) for label in labels.tolist()], np.int64)
    if (target < 0).any():
        raise DataError(
            f"y holds {labels[target < 0].tolist()[0]!r}, which the classifier was not trained on; "
            f"expected some of {classes.tolist()}"
        )
    return target


def one_for_each(y: npt.ArrayLike, samples: int) -> Array:
    """Return labels as an array (N,), or refuse them.

    Raises:
        DataError: There is not a label for each sample.
    """
    labels = np.asarray(y)
    if labels.shape != (samples,):
        raise DataError(
            f"y has shape {labels.shape}; expected a label for each of {samples} samples"
        )
    return labels


def threshold_by(
    criterion: str, probability: Array, target: Array, confidence: Array
) -> float | None:
    """Return the threshold of trust that a criterion chooses on (N, K) probabilities.

    Raises:
        DataError: No threshold meets the criterion, or it is none.
    """
    return by_criterion(
        criterion, Outcomes.from_arrays(probability, target, confidence=confidence)
    ).threshold


def likeliest_rate(
    probability_at: Callable[[float], npt.NDArray[np.float64]], target: Array
) -> float:
    """Return which of `RATES` makes the labels likeliest, the lowest of equals.

    Args:
        probability_at: From a failure rate to fused probabilities (N, K).
        target: (N,) numbers of the true classes.

    Raises:
        DataError: There is no sample.

    Example:
        >>> unsure = np.array([[0.5, 0.5]])
        >>> likeliest_rate(lambda rate: rate * unsure + (1 - rate) * np.eye(2)[:1], np.array([1]))
        0.9
    """
    if not len(target):
        raise DataError("there is no sample to choose a failure rate on; give validation data")
    rows = np.arange(len(target))
    losses = [
        -float(np.log(np.maximum(probability_at(rate)[rows, target], 1e-12)).mean())
        for rate in RATES
    ]
    return RATES[int(np.argmin(losses))]
