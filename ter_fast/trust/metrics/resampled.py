"""The figures of resampled data, computed from how often each group of samples was drawn.

A family takes counts (G, R), G groups in R resamples, and gives each of its figures (R,): what the
plain function of that name would say about the drawn rows, without writing those out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.trust import metrics
from ter_fast.trust._arrays import Vector, as_vector
from ter_fast.trust.metrics.labels import as_label_pair
from ter_fast.trust.metrics.probabilities import as_probabilities

Counts = NDArray[np.int64]
Drawn = NDArray[np.int32]
Floats = NDArray[np.float64]
Groups = NDArray[np.int64]


@dataclass(frozen=True)
class Family:
    """Hold figures that are resampled together.

    Attributes:
        values: What the plain functions say about the data as they are.
        replicate: Function from counts (G, R) to the figures of R resamples, (R,) each.
    """

    values: Mapping[str, float]
    replicate: Callable[[Drawn], Mapping[str, Floats]]


def nothing(drawn: Drawn) -> dict[str, Floats]:
    """Return no figure: what there is to resample without samples."""
    return {}


class Tally:
    """Sum the weights of what was drawn, cell by cell."""

    def __init__(self, group: Groups, cell: Counts, weight: Floats, cells: int) -> None:
        # A group's weights in a cell are one number, however many samples it has.
        code, place = np.unique(group * cells + cell, return_inverse=True)
        self.group, self.cell = code // cells, code % cells
        self.weight = np.bincount(place, weight).astype(np.float64)
        self.cells = cells

    def __call__(self, drawn: Drawn) -> Floats:
        """Return the sums (M, R) of the M cells in each resample."""
        from ter_fast.trust.metrics.bootstrap_loops import tally

        sums = np.zeros((self.cells, drawn.shape[1]))
        tally(drawn, self.group, self.cell, self.weight, sums)
        return sums


def of_labels(group: Groups, prediction: Vector, target: Vector) -> Family:
    """Resample accuracy, UAR, macro and weighted F1."""
    predicted, true = as_label_pair(prediction, target)
    check_rows("prediction", predicted.size, group)
    values = {
        "accuracy": metrics.accuracy(predicted, true),
        "uar": metrics.unweighted_average_recall(predicted, true),
        "macro_f1": metrics.macro_f1(predicted, true),
        "weighted_f1": metrics.weighted_f1(predicted, true),
    }
    if not true.size:
        return Family(values, nothing)
    names, codes = np.unique(np.concatenate([predicted, true]), return_inverse=True)
    predicted, true = np.split(codes, 2)
    right, k = predicted == true, names.size
    # Only what the figures need of the confusion matrix: 3 K cells instead of K^2.
    cell = np.concatenate([true[right], k + true[~right], 2 * k + predicted[~right]])
    tally = Tally(
        np.concatenate([group[right], group[~right], group[~right]]),
        cell,
        np.ones(cell.size),
        3 * k,
    )

    def replicate(drawn: Drawn) -> dict[str, Floats]:
        hit, missed, false = tally(drawn).reshape(3, -1, drawn.shape[1])
        support, both = hit + missed, 2 * hit + missed + false
        total = support.sum(axis=0)
        f1 = 2 * hit / np.maximum(both, 1)
        return {
            "accuracy": hit.sum(axis=0) / total,
            "uar": (hit / np.maximum(support, 1)).sum(axis=0) / (support > 0).sum(axis=0),
            "macro_f1": f1.sum(axis=0) / (both > 0).sum(axis=0),
            "weighted_f1": (f1 * support).sum(axis=0) / total,
        }

    return Family(values, replicate)


def of_probabilities(group: Groups, probability: Vector, target: Vector, bins: int) -> Family:
    """Resample NLL, Brier score and ECE."""
    chances, true = as_probabilities(probability, target)
    check_rows("probability", true.size, group)
    values = {
        "nll": metrics.negative_log_likelihood(chances, true),
        "brier": metrics.brier(chances, true),
        "ece": metrics.expected_calibration_error(chances, true, bins),
    }
    if not true.size:
        return Family(values, nothing)
    with np.errstate(divide="ignore"):
        nll = -np.log(chances[np.arange(true.size), true])
    brier = np.square(chances - np.eye(chances.shape[1])[true]).sum(axis=1)
    largest = chances.max(axis=1)
    gap = (chances.argmax(axis=1) == true) - largest
    bin_of = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], largest)
    cell = np.concatenate([np.zeros(true.size, int), np.ones(true.size, int), 2 + bin_of])
    tally = Tally(np.tile(group, 3), cell, np.concatenate([nll, brier, gap]), 2 + bins)
    size = sizes(group)

    def replicate(drawn: Drawn) -> dict[str, Floats]:
        total = size(drawn)[0]
        sums = tally(drawn)
        ece = np.abs(sums[2:]).sum(axis=0) / total
        return {"nll": sums[0] / total, "brier": sums[1] / total, "ece": ece}

    return Family(values, replicate)


def of_means(group: Groups, columns: Mapping[str, Vector]) -> Family:
    """Resample the mean of each column (N,)."""
    arrays = {name: as_vector(name, column).astype(float) for name, column in columns.items()}
    for name, array in arrays.items():
        check_rows(name, array.size, group)
    values = {name: float(x.mean()) if x.size else math.nan for name, x in arrays.items()}
    if not arrays or not group.size:
        return Family(values, nothing)
    tally = Tally(
        np.tile(group, len(arrays)),
        np.repeat(np.arange(len(arrays)), group.size),
        np.concatenate(list(arrays.values())),
        len(arrays),
    )
    size = sizes(group)

    def replicate(drawn: Drawn) -> dict[str, Floats]:
        return dict(zip(arrays, tally(drawn) / size(drawn)[0], strict=False))

    return Family(values, replicate)


def check_rows(name: str, rows: int, group: Groups) -> None:
    """Raise a DataError unless there is one row per sample of the bootstrap."""
    if rows != group.size:
        raise DataError(
            f"{name} has {rows} rows, but the bootstrap was made for {group.size} samples; "
            "give one row per sample, in the same order"
        )


def sizes(group: Groups) -> Tally:
    """Return what counts the samples of each resample, (1, R)."""
    return Tally(group, np.zeros_like(group), np.ones(group.size), 1)
