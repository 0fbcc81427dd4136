"""Percentile intervals by the bootstrap, over samples or over the groups that they come from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ter_fast._arrays import Vector, as_array
from ter_fast.errors import DataError


class Interval(NamedTuple):
    """Hold the two ends of an interval, in the units of the figure that it is about."""

    low: float
    high: float


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
        >>> from ter_fast.metrics import accuracy
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
