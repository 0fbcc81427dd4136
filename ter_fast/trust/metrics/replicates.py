"""A figure in every resample, its interval, and the comparison of two models."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ter_fast.errors import DataError

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """Hold the two ends of an interval, in the units of the figure that it is about."""

    low: float
    high: float


class Comparison(NamedTuple):
    """Hold a difference between two models, its interval, and how surely it is not 0.

    Attributes:
        difference: First minus second, on the samples as they are.
        low: Lower end of the percentile interval of the difference.
        high: Upper end.
        p_value: Two-sided, in (0, 1]; see `compare`.
    """

    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, eq=False)
class Replicates:
    """Hold a figure and what it is in each resample.

    The difference of two, `a - b`, is resampled in pairs: both must come from the same `Bootstrap`.

    Attributes:
        value: The figure on the samples as they are.
        draws: (R,) the figure in each resample; NaN where it is undefined there.
        source: The `Bootstrap` whose draws these are.
    """

    value: float
    draws: Floats
    source: object = field(repr=False)

    def interval(self, level: float = 0.95) -> Interval:
        """Return the percentile interval over the resamples where the figure is defined.

        NaN at both ends where it is defined in none, or there are fewer than two groups.

        Raises:
            DataError: The level is outside (0, 1).

        Reference:
            Davison and Hinkley 1997, *Bootstrap Methods and their Application*, section 5.3.
        """
        check_level(level)
        known = self.draws[~np.isnan(self.draws)]
        if not known.size:
            return Interval(math.nan, math.nan)
        ends = [(1 - level) / 2, (1 + level) / 2]
        below, above = (np.quantile(known, ends, method=way) for way in ("lower", "higher"))
        outward = np.array([below[0], above[1]])
        # Between a finite and an infinite value there is nothing to interpolate.
        whole = (below == above) | np.isinf(below) | np.isinf(above)
        with np.errstate(invalid="ignore"):
            low, high = np.where(whole, outward, np.quantile(known, ends))
        return Interval(float(low), float(high))

    def __sub__(self, other: Replicates) -> Replicates:
        if other.source is not self.source:
            raise DataError(
                "these figures were resampled by different draws, so their difference is not paired; "
                "get both from one Bootstrap over the same samples"
            )
        # Infinite figures of both have no difference: NaN, which is left out.
        with np.errstate(invalid="ignore"):
            return Replicates(self.value - other.value, self.draws - other.draws, self.source)


def compare(first: Replicates, second: Replicates, level: float = 0.95) -> Comparison:
    """Compare a figure of two models on the same samples, in pairs.

    The p-value inverts the percentile interval: it is 1 minus the level at which the interval just
    reaches 0. With R resamples where both figures are defined,

        p = min(1, 2 min(1 + #{difference <= 0}, 1 + #{difference >= 0}) / (R + 1)),

    never 0, and at least 2 / (R + 1). It is worth what the interval is worth: see `Bootstrap` on few
    groups. NaN where there is no interval.

    Args:
        first: Figure of one model.
        second: The same figure of another, from the same `Bootstrap`.
        level: Probability that the interval is built to cover.

    Raises:
        DataError: They come from different draws, or the level is outside (0, 1).

    Reference:
        Davison and Hinkley 1997, *Bootstrap Methods and their Application*, chapters 4 and 5; Efron
        and Tibshirani 1993, *An Introduction to the Bootstrap*, chapters 15 and 16.

    Example:
        >>> from ter_fast.trust.metrics import Bootstrap
        >>> draws, true = Bootstrap(50), [0, 1] * 25
        >>> good, bad = (draws.labels(each, true)["accuracy"] for each in (true, [0] * 50))
        >>> compare(good, bad).difference
        0.5
    """
    both = first - second
    low, high = both.interval(level)
    known = both.draws[~np.isnan(both.draws)]
    if not known.size:
        return Comparison(both.value, low, high, math.nan)
    tail = 1 + min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return Comparison(both.value, low, high, min(1.0, 2 * tail / (known.size + 1)))


def check_level(level: float) -> None:
    """Raise a DataError unless the level is inside (0, 1)."""
    if not 0 < level < 1:
        raise DataError(f"got level {level}; give a level inside (0, 1)")
