"""Bins of confidences or probabilities, and how sure and how right the samples in each are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.trust.metrics.labels import Floats, Labels

Flags = NDArray[np.bool_]
Strategy = Literal["width", "mass"]
"""`width`: bins of equal width over [0, 1]; `mass`: bins of about equally many samples."""


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """Hold, for each of M bins of confidence, how sure and how right its samples are.

    Attributes:
        edges: (M + 1,) borders of the bins, ascending. Bin b holds the confidences in
            (edges[b], edges[b + 1]]; the first also holds those on its lower border.
        count: (M,) samples in each bin.
        confidence: (M,) their mean confidence; NaN in an empty bin.
        accuracy: (M,) the share of them that is right; NaN in an empty bin.
        nan_count: Samples of NaN confidence, which are in no bin.
    """

    edges: Floats
    count: Labels
    confidence: Floats
    accuracy: Floats
    nan_count: int = 0

    @property
    def gap(self) -> Floats:
        """Accuracy minus confidence, (M,): negative where the samples are overconfident."""
        return self.accuracy - self.confidence

    @property
    def ece(self) -> float:
        """Expected calibration error, sum_b count_b / N |gap_b|; NaN with any NaN confidence."""
        total = self.count.sum()
        if not total or self.nan_count:
            return math.nan
        return float(np.nansum(self.count * np.abs(self.gap)) / total)

    @property
    def mce(self) -> float:
        """Maximum calibration error, max_b |gap_b|; NaN with any NaN confidence."""
        if not self.count.any() or self.nan_count:
            return math.nan
        return float(np.nanmax(np.abs(self.gap)))


def bin_samples(
    confidence: Floats, correct: Flags, bins: int, strategy: Strategy
) -> CalibrationCurve:
    """Sort samples of confidence in [0, 1] or NaN, (N,), and whether each is correct into bins.

    Raises:
        DataError: There is no bin, or the strategy is unknown.
    """
    check_bins(bins, strategy)
    known = ~np.isnan(confidence)
    values, outcome = confidence[known], correct[known]
    edges = np.linspace(0, 1, bins + 1) if strategy == "width" else _mass_edges(values, bins)
    place, size = bin_of(values, edges), edges.size - 1
    count = np.bincount(place, minlength=size)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, weights=values, minlength=size) / count
        accuracy = np.bincount(place, weights=outcome, minlength=size) / count
    return CalibrationCurve(edges, count, mean, accuracy, int(known.size - known.sum()))


def bin_of(values: Floats, edges: Floats) -> NDArray[np.intp]:
    """Return the bin of each value, (N,): bins are closed on the right, the outer two have no end."""
    return np.searchsorted(edges[1:-1], values)


def check_bins(bins: int, strategy: str) -> None:
    """Check the number of bins and how they are laid.

    Raises:
        DataError: There is no bin, or the strategy is unknown.
    """
    if not isinstance(bins, int | np.integer) or bins < 1:
        raise DataError(f"bins is {bins}; give a whole number, at least one")
    if strategy not in get_args(Strategy):
        raise DataError(f"unknown strategy {strategy!r}; choose width or mass")


def _mass_edges(values: Floats, bins: int) -> Floats:
    """Return the smallest value, then each bin's largest, without repetition."""
    if not values.size:
        return np.array([0.0, 1.0])
    ordered = np.sort(values)
    last = -(-values.size * np.arange(1, bins + 1) // bins) - 1
    return np.concatenate([ordered[:1], np.unique(ordered[last])])
