"""The mean selective risk over a tie, in closed form, so that a tie of any size costs the same.

Ordinary arithmetic throughout: the same functions serve numbers, arrays and compiled code, and
give the same bits in each.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Real = TypeVar("Real", float, NDArray[np.float64])

HEAD = 32
"""Members of a tie that are summed one by one before the closed form takes over."""
NEAR = 0.125
"""Where `x - log(1 + x)` turns from its series to the difference itself."""


def log_gap_series(x: Real) -> Real:
    """Return `x - log(1 + x)` for 0 <= x < 1/8 without the cancellation of the difference."""
    tail = 0.0 * x
    for k in range(19, 1, -1):
        tail = 1.0 / k - x * tail
    return x * x * tail


def risk_tail(wrong: Real, rate: Real, seen: Real, members: Real, log: Real, gap: Real) -> Real:
    """Return sum_{j=1}^{m} (w + r j) / (s + j), for s >= `HEAD`, as w h + r (m - s h).

    h = H(s + m) - H(s) is a difference of harmonic numbers, whose asymptotic series in 1 / (s + 1/2)
    is exact to float64 from s = 32. m - s h is put together from positive terms.

    Args:
        wrong: w, wrong samples before these.
        rate: r, share of these that are wrong.
        seen: s, samples before these.
        members: m, how many these are.
        log: log(1 + x) for x = m / (s + 1/2).
        gap: x - log(1 + x).
    """
    start = seen + 0.5
    end = start + members
    # H(y - 1/2) - log(y) - Euler's constant, at both ends.
    z, y = 1.0 / (start * start), 1.0 / (end * end)
    correction = z * (1 / 24 - z * (7 / 960 - z * (31 / 8064 - z * (127 / 30720))))
    correction -= y * (1 / 24 - y * (7 / 960 - y * (31 / 8064 - y * (127 / 30720))))
    harmonic = log - correction
    return wrong * harmonic + rate * (seen * (gap + correction) + 0.5 * (members / start))
