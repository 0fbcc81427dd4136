"""The percentile interval of any statistic, from the rows of each resample written out."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ter_fast.errors import DataError
from ter_fast.trust._arrays import Vector, as_array
from ter_fast.trust.metrics.bootstrap import Bootstrap
from ter_fast.trust.metrics.replicates import Interval, Replicates, check_level


def bootstrap_interval(
    statistic: Callable[..., float],
    *arrays: Vector,
    groups: Vector | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Return the percentile bootstrap interval of any statistic of samples.

    It calls the statistic once a resample: for the figures of this package, `Bootstrap` gives the
    same interval from the same draws much sooner.

    Args:
        statistic: Function of the resampled arrays.
        arrays: Arrays with one row per sample, N rows each.
        groups: (N,) names or integers, the group of each sample; each its own when left out.
        resamples: Number of draws, each of as many groups as there are, with replacement.
        seed: Seed of the draws.
        level: Probability that the interval is built to cover.

    Returns:
        The interval, over the draws where the statistic is defined (not NaN); NaN at both ends
        where there are fewer than two groups, or the statistic is never defined.

    Raises:
        DataError: Lengths differ, there is no array, a group is missing or no name or integer, or
            `resamples` or `level` is out of range.

    Reference:
        Davison and Hinkley 1997, *Bootstrap Methods and their Application*, sections 3.8 and 5.3.

    Example:
        >>> from ter_fast.trust.metrics import accuracy
        >>> interval = bootstrap_interval(accuracy, [0, 1] * 50, [0, 0] * 50)
        >>> interval.low < 0.5 < interval.high
        True
    """
    check_level(level)
    columns = [as_array(f"array {i}", array) for i, array in enumerate(arrays)]
    sizes = {column.shape[0] if column.ndim else -1 for column in columns}
    if len(sizes) != 1 or -1 in sizes:
        shapes = ", ".join(str(column.shape) for column in columns) or "none"
        raise DataError(f"arrays have shapes {shapes}; give arrays of one row per sample")
    draws = Bootstrap(sizes.pop(), groups, resamples=resamples, seed=seed)
    values = np.full(resamples, math.nan)
    for i, rows in enumerate(draws.rows() if draws.n_groups > 1 else ()):
        values[i] = statistic(*(column[rows] for column in columns))
    return Replicates(math.nan, values, draws).interval(level)
