"""Levels at which a guarantee is tested: chosen before the calibration data are seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.trust._arrays import Vector, as_vector

LEVELS = tuple(i / 20 for i in range(1, 21))
"""Shares of the samples accepted at the levels of `grid_from`, from strict to loose."""

NUMERIC_GRID = (0.999, 0.998, 0.995, 0.99, 0.98, *(i / 20 for i in range(19, -1, -1)))
"""Thresholds for confidences in [0, 1] that are tested where no other samples say better ones."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Hold thresholds, strict to loose, and the share of samples that each should accept.

    Attributes:
        threshold: (T,) thresholds, descending and distinct.
        coverage: (T,) expected coverage at each, from samples that calibration does not use; None
            where nothing is known.
        samples: How many samples told the coverage; None where it is known exactly.
    """

    threshold: NDArray[np.float64]
    coverage: NDArray[np.float64] | None = None
    samples: int | None = None

    @property
    def least_coverage(self) -> NDArray[np.float64]:
        """Return the coverage that each level reaches in 99 of 100 draws of the grid's samples, (T,)."""
        assert self.coverage is not None
        if self.samples is None:
            return self.coverage
        from scipy.special import betaincinv

        rank = self.coverage * self.samples
        least: NDArray[np.float64] = betaincinv(rank, self.samples + 1 - rank, 0.01)
        return least


def grid_from(confidence: Vector, levels: Sequence[float] = LEVELS) -> Grid:
    """Return the thresholds that accept given shares of samples, as levels for a guarantee.

    The samples may not be those that the guarantee is calibrated on, or its guarantee is void; their
    answers are not needed, so unlabelled ones will do. Each threshold is one of the confidences:
    the highest that accepts at least the wanted share. Levels that only NaN confidences, which are
    never trusted, could fill are left out.

    Args:
        confidence: (M,) confidences.
        levels: Shares in (0, 1].

    Raises:
        DataError: No real confidence, an infinite one, no level, or a level outside (0, 1].

    Example:
        >>> grid = grid_from([0.1, 0.2, 0.3, 0.4], levels=[0.5, 1.0])
        >>> grid.threshold.tolist(), grid.coverage.tolist()
        ([0.3, 0.1], [0.5, 1.0])
    """
    scores = as_vector("confidence", confidence).astype(np.float64)
    real = np.sort(scores[~np.isnan(scores)])
    if not real.size or not np.isfinite(real).all():
        raise DataError(
            f"{real.size} of {scores.size} confidences are numbers; give finite ones, of samples that "
            "the guarantee is not calibrated on"
        )
    if not len(levels) or not all(0 < level <= 1 for level in levels):
        raise DataError(f"levels are {list(levels)}; give shares of the samples in (0, 1]")
    # Rounding may push q M a hair above the whole number that is meant.
    ranks = [max(1, math.ceil(level * scores.size - 1e-9)) for level in levels]
    chosen = {float(real[-rank]) for rank in ranks if rank <= real.size}
    threshold = np.array(sorted(chosen or {real[0]}, reverse=True))
    accepted = real.size - np.searchsorted(real, threshold)
    return Grid(threshold, accepted / scores.size, scores.size)


def as_grid(value: Grid | Vector) -> Grid:
    """Return a grid from thresholds in any order, or the grid itself.

    Raises:
        DataError: There is no threshold, or one is not a finite number.
    """
    if isinstance(value, Grid):
        return value
    threshold = np.unique(as_vector("grid", value).astype(np.float64))[::-1]
    if not threshold.size or not np.isfinite(threshold).all():
        raise DataError("grid holds no threshold, or one that is not finite; give finite numbers")
    return Grid(threshold)
