"""The loops of `loops.py` in NumPy, for samples so few that loading Numba would cost far more."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ter_fast.trust.thresholds.ties import HEAD, NEAR, log_gap_series, risk_tail

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Keys = NDArray[np.unsignedinteger[Any]]

BLOCK = 4096
"""As in `loops.py`: the same terms, added up in the same order."""
LARGEST_DENOMINATOR = 1 << 26
"""Distinct fractions with denominators up to here stay distinct when divided in float64."""


def collapse(
    keys: Keys, infinity: Any, codes: Counts | None, groups: int
) -> tuple[Keys, Counts, Counts, Counts]:
    """Return bits, accepted and accepted correct (D,) of packed keys (N,), and offsets (G + 1,).

    `codes` (N,) may be None where there is one group.
    """
    real = keys < infinity
    keys = keys[real]
    if codes is None:
        keys.sort()
        group = np.zeros(keys.size, np.int64)
    else:
        group = codes[real]
        order = np.lexsort((keys, group))
        keys, group = keys[order], group[order]
    bits = keys >> keys.dtype.type(1)
    new = np.ones(keys.size, np.bool_)
    np.not_equal(bits[1:], bits[:-1], out=new[1:])
    new[1:] |= group[1:] != group[:-1]
    first = np.flatnonzero(new)
    starts = np.searchsorted(group, np.arange(groups + 1))
    right = np.concatenate([[0], np.cumsum(keys & keys.dtype.type(1), dtype=np.int64)])
    ends = starts[1:][group[first]]
    return bits[first], ends - first, right[ends] - right[first], np.searchsorted(first, starts)


def choose(
    accepted: Counts, accepted_correct: Counts, offsets: Counts, n_correct: Counts, best: Counts
) -> None:
    """Fill `best` (3, G) as `loops.choose` does, up to `LARGEST_DENOMINATOR`."""
    sizes = np.diff(offsets)
    group = np.repeat(np.arange(sizes.size), sizes)
    filled = np.flatnonzero(sizes)
    total = n_correct[group]
    scores = (
        -np.abs(accepted - total),
        accepted_correct / (accepted + total),
        2 * accepted_correct - accepted,
    )
    best[:] = offsets[:-1]
    for row, score in zip(best, scores, strict=True):
        if not filled.size:
            continue
        highest = np.empty(sizes.size, score.dtype)
        highest[filled] = np.maximum.reduceat(score, offsets[filled])
        top = np.flatnonzero(score == highest[group])
        _, lowest = np.unique(group[top], return_index=True)
        row[filled] = top[lowest]


def rank(
    accepted: Counts,
    accepted_correct: Counts,
    offsets: Counts,
    n: Counts,
    n_correct: Counts,
    risk: Floats,
    generalized: Counts,
    ordered: Counts,
) -> None:
    """Fill the three sums (G,) of `counting.rank`, as `loops.rank` does."""
    groups = n.size
    if not groups:
        return
    # From sure to unsure, the last group first; samples without a real confidence stand last.
    total = np.insert(accepted, offsets[:-1], n)[::-1]
    right = np.insert(accepted_correct, offsets[:-1], n_correct)[::-1]
    group = np.repeat(np.arange(groups), np.diff(offsets) + 1)[::-1]
    strictest = np.flatnonzero(np.diff(group, prepend=-1))
    seen, seen_correct = (np.concatenate([[0], count[:-1]]) for count in (total, right))
    seen[strictest] = seen_correct[strictest] = 0
    wrong_before, wrong = seen - seen_correct, total - right
    members = total - seen
    generalized[:] = _sums(members * (wrong_before + wrong), strictest)
    ordered[:] = _sums((wrong - wrong_before) * (seen_correct + right), strictest)

    terms = ties(wrong_before, wrong - wrong_before, seen, members)
    position = np.arange(group.size) - np.repeat(strictest, np.diff(offsets)[::-1] + 1)
    # `bincount` adds up one after the other, as a loop would.
    blocks = (np.diff(offsets) // BLOCK + 1)[::-1]
    first_block = np.cumsum(blocks) - blocks
    block = np.repeat(first_block, np.diff(offsets)[::-1] + 1) + position // BLOCK
    sums = np.bincount(block, terms, minlength=int(blocks.sum()))
    risk[:] = np.bincount(np.repeat(np.arange(groups), blocks), sums, minlength=groups)[::-1]


def _sums(values: Counts, strictest: Counts) -> Counts:
    """Return the sum of each group (G,), in ascending order of the groups."""
    return np.add.reduceat(values, strictest)[::-1]


def ties(wrong_before: Counts, wrong: Counts, seen: Counts, members: Counts) -> Floats:
    """Return `loops.tie` of each tie."""
    rate = wrong / np.maximum(members, 1)
    total = np.zeros(members.size)
    rows = np.arange(members.size)
    for j in range(1, HEAD + 1):
        rows = rows[members[rows] >= j]
        if not rows.size:
            break
        total[rows] += (wrong_before[rows] + rate[rows] * j) / (seen[rows] + j)
    rows = rows[members[rows] > HEAD]
    start, rest = (seen[rows] + HEAD).astype(float), (members[rows] - HEAD).astype(float)
    x = rest / (start + 0.5)
    # The logarithm of the C library, not NumPy's own, which may differ in the last bit.
    log = np.array([math.log1p(value) for value in x.tolist()])
    near = np.minimum(x, NEAR)
    gap = np.where(x < NEAR, log_gap_series(near), x - log)
    before = wrong_before[rows] + rate[rows] * HEAD
    total[rows] += risk_tail(before, rate[rows], start, rest, log, gap)
    return total
