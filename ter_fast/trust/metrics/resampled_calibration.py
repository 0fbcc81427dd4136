"""The calibration errors of resampled data that take more than a mean: of bins, classes and ranks."""

from __future__ import annotations

import numpy as np

from ter_fast.trust import metrics
from ter_fast.trust._arrays import Vector
from ter_fast.trust.metrics.binning import bin_of
from ter_fast.trust.metrics.probabilities import as_probabilities
from ter_fast.trust.metrics.resampled import (
    Drawn,
    Family,
    Floats,
    Groups,
    Tally,
    check_rows,
    nothing,
    sizes,
)


def of_calibration(group: Groups, probability: Vector, target: Vector, bins: int) -> Family:
    """Resample the MCE, the ECE over bins of equal mass and the classwise ECE."""
    chances, true = as_probabilities(probability, target)
    check_rows("probability", true.size, group)
    values = {
        "mce": metrics.maximum_calibration_error(chances, true, bins),
        "ece_mass": metrics.expected_calibration_error(chances, true, bins, "mass"),
        "classwise_ece": metrics.classwise_calibration_error(chances, true, bins),
    }
    if not true.size:
        return Family(values, nothing)
    k, edges = chances.shape[1], np.linspace(0, 1, bins + 1)
    largest, gap = chances.max(axis=1), chances - np.eye(chances.shape[1])[true]
    own = largest - (chances.argmax(axis=1) == true)
    place = bin_of(largest, edges)
    top, members = Tally(group, place, own, bins), Tally(group, place, np.ones(true.size), bins)
    cells = bin_of(chances.ravel(), edges) + np.tile(np.arange(k) * bins, true.size)
    classes = Tally(np.repeat(group, k), cells, gap.ravel(), k * bins)
    size, mass = sizes(group), _Mass(group, largest, own, bins)

    def replicate(drawn: Drawn) -> dict[str, Floats]:
        total = size(drawn)[0]
        return {
            "mce": (np.abs(top(drawn)) / np.maximum(members(drawn), 1)).max(axis=0),
            "ece_mass": mass(drawn, total.astype(np.int64)),
            "classwise_ece": np.abs(classes(drawn)).sum(axis=0) / (k * total),
        }

    return Family(values, replicate)


class _Mass:
    """Walk up the confidences of sorted samples, and close a bin with each share that is full."""

    def __init__(self, group: Groups, confidence: Floats, gap: Floats, bins: int) -> None:
        # NaN stands last, and makes the resamples that drew it NaN.
        order = np.argsort(confidence, kind="stable")
        ranked = confidence[order]
        self.group, self.gap, self.bins = group[order], gap[order], bins
        self.last = np.append(ranked[1:] != ranked[:-1], True)

    def __call__(self, drawn: Drawn, total: Groups) -> Floats:
        from ter_fast.trust.metrics.bootstrap_loops import mass

        error = np.zeros(total.size)
        mass(drawn, self.group, self.gap, self.last, self.bins, total, error)
        return error / total
