"""Compiled loops of `ter_fast.thresholds`; importing this module imports Numba.

A key is the bit pattern of a non-negative IEEE float shifted left by one, with the lowest bit
saying whether the prediction was right. Non-negative floats order as their bit patterns do, so
sorting them as integers sorts the confidences exactly, and carries the answers along. Shifting
drops the sign: -0.0 becomes 0.0, and every NaN stands behind infinity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., object])
Counts = NDArray[np.int64]
Keys = NDArray[np.unsignedinteger[Any]]
Scores = NDArray[np.floating[Any]]


def compiled(function: Function) -> Function:
    """Compile a function on its first call, and keep the machine code on disk where that can be."""
    try:
        return cast(Function, numba.njit(function, cache=True, nogil=True))
    except RuntimeError:
        # A container whose package folder and home are both read-only has no place for a cache.
        return cast(Function, numba.njit(function, nogil=True))


@compiled
def pack(bits: Keys, correct: NDArray[np.bool_], keys: Keys) -> int:
    """Fill `keys` (N,) from the confidences' `bits` (N,) and return how many are correct."""
    n_correct = 0
    for i in range(bits.size):
        keys[i] = (bits[i] << 1) | correct[i]
        n_correct += correct[i]
    return n_correct


@compiled
def sort(keys: Keys, spare: Keys, places: int) -> bool:
    """Sort `keys` (N,) by confidence, byte by byte; return whether the result is in `spare`.

    A radix sort, because `np.sort` cannot be relied on: for 10^7 keys it took 50 ms on one AVX-512
    processor and 400 ms on another, where this took 50. Bytes, because then the tables and the
    lines being written fit the L1 cache.
    """
    digits = np.zeros((places, 256), np.int64)
    # Four places at a time, a number known to the compiler, which unrolls the inner loop.
    for first in range(0, places, 4):
        for i in range(keys.size):
            key = keys[i] >> (8 * first + 1)
            for place in range(4):
                digits[first + place, (key >> (8 * place)) & 255] += 1
    source, target = keys, spare
    swapped = False
    for place in range(places):
        starts = np.cumsum(digits[place]) - digits[place]
        if digits[place].max() == keys.size:
            continue
        shift = 8 * place + 1
        for i in range(keys.size):
            key = source[i]
            digit = (key >> shift) & 255
            target[starts[digit]] = key
            starts[digit] += 1
        source, target = target, source
        swapped = not swapped
    return swapped


@compiled
def collapse(keys: Keys, n_correct: int, accepted: Counts, accepted_correct: Counts) -> int:
    """Merge the equal confidences of sorted `keys` (M,), M > 0; return how many distinct remain.

    The bit patterns of the distinct confidences overwrite the front of `keys`. Beside them stand
    the number of samples, and of correct samples, whose confidence is at least as high.
    """
    n = keys.size
    previous = keys[0] >> 1
    right = n_correct - np.int64(keys[0] & 1)
    keys[0] = previous
    accepted[0] = n
    accepted_correct[0] = n_correct
    distinct = 1
    for i in range(1, n):
        key = keys[i]
        bits = key >> 1
        # Always written, kept only where the counter moves on: whether neighbours differ is a
        # coin toss that a branch would lose half of the time.
        keys[distinct] = bits
        accepted[distinct] = n - i
        accepted_correct[distinct] = right
        distinct += bits != previous
        previous = bits
        right -= np.int64(key & 1)
    return distinct


@compiled
def choose(accepted: Counts, accepted_correct: Counts, n_correct: int) -> tuple[int, int, int]:
    """Return the lowest index that is best for balance, F1 and accuracy, in exact integers."""
    balance, f1, accuracy = 0, 0, 0
    for i in range(1, accepted.size):
        a, right = accepted[i], accepted_correct[i]
        if abs(a - n_correct) < abs(accepted[balance] - n_correct):
            balance = i
        # 2 TP / (accepted + correct), multiplied out.
        if right * (accepted[f1] + n_correct) > accepted_correct[f1] * (a + n_correct):
            f1 = i
        # TP + TN = 2 TP - accepted + wrong.
        if 2 * right - a > 2 * accepted_correct[accuracy] - accepted[accuracy]:
            accuracy = i
    return balance, f1, accuracy


@compiled
def rank(
    accepted: Counts, accepted_correct: Counts, n: int, n_correct: int
) -> tuple[float, float, int, int]:
    """Return the sums behind AURC, its optimum, AUGRC and failure AUROC, strictest group first.

    Samples without a real confidence form the last group. AUGRC is the third sum over 2 N^2,
    failure AUROC the fourth over twice the number of (correct, wrong) pairs.
    """
    risk = 0.0
    generalized = 0
    ordered = 0
    seen = 0
    seen_correct = 0
    for i in range(accepted.size - 1, -2, -1):
        total = accepted[i] if i >= 0 else n
        right = accepted_correct[i] if i >= 0 else n_correct
        members = total - seen
        if members == 0:
            continue
        wrong_before = seen - seen_correct
        wrong = total - right
        # Members of a tie may come in any order: j of them hold j times the group's error rate.
        rate = (wrong - wrong_before) / members
        for j in range(1, members + 1):
            risk += (wrong_before + rate * j) / (seen + j)
        generalized += members * (wrong_before + wrong)
        ordered += (wrong - wrong_before) * (seen_correct + right)
        seen = total
        seen_correct = right
    optimum = 0.0
    for j in range(1, n - n_correct + 1):
        optimum += j / (n_correct + j)
    return risk, optimum, generalized, ordered


def count_keys(scores: Scores, right: NDArray[np.bool_]) -> tuple[Scores, Counts, Counts]:
    """Return the distinct thresholds and their counts, (D,) each, from non-negative scores (N,)."""
    unsigned = np.dtype(f"u{scores.itemsize}")
    keys, spare = np.empty(scores.size, unsigned), np.empty(scores.size, unsigned)
    n_correct = pack(scores.view(unsigned), right, keys)
    if sort(keys, spare, scores.itemsize):
        keys = spare
    del spare
    infinity = int(scores.dtype.type(np.inf).view(unsigned))
    real = int(np.searchsorted(keys, unsigned.type(infinity << 1)))
    n_correct -= int(np.count_nonzero(keys[real:] & 1))
    accepted, accepted_correct = np.empty(real, np.int64), np.empty(real, np.int64)
    distinct = collapse(keys[:real], n_correct, accepted, accepted_correct) if real else 0
    threshold = keys[:distinct].view(scores.dtype)
    if distinct <= real // 2:
        # A view would keep the memory of all N keys.
        return threshold.copy(), accepted[:distinct].copy(), accepted_correct[:distinct].copy()
    return threshold, accepted[:distinct], accepted_correct[:distinct]


def count_values(scores: Scores, right: NDArray[np.bool_]) -> tuple[Scores, Counts, Counts]:
    """Return the same from finite scores of any sign (N,), by an argsort."""
    real = ~np.isnan(scores)
    threshold, group = np.unique(scores[real], return_inverse=True)
    counts = (np.bincount(group), np.bincount(group[right[real]], minlength=threshold.size))
    accepted, accepted_correct = (count[::-1].cumsum()[::-1].copy() for count in counts)
    return threshold, accepted, accepted_correct
