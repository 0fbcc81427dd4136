"""Compiled loops of `ter_fast.thresholds`; importing this module imports Numba.

A key is the bit pattern of a non-negative IEEE float shifted left by one, with the lowest bit
saying whether the prediction was right. Non-negative floats order as their bit patterns do, so
sorting them as integers sorts the confidences exactly, and carries the answers along. Shifting
drops the sign: -0.0 becomes 0.0, and every NaN stands behind infinity.

Loops that could be calls of NumPy are written out where the compiler takes ten times as long over
the call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., object])
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Keys = NDArray[np.unsignedinteger[Any]]
Flags = NDArray[np.bool_]

SHORT = 64
"""Keys of a group up to which insertion beats the tables of the radix sort."""
BLOCK = 4096
"""Terms added up before their sum is: rounding errors grow with the longest chain of additions."""
HEAD = 32
"""Members of a tie that are summed one by one before the closed form takes over."""
NEAR = 0.125
"""Where `x - log(1 + x)` turns from its series to the difference itself."""


def compile_lazily(function: Function) -> Function:
    """Compile a function on its first call, and keep the machine code on disk where that can be."""
    try:
        return cast(Function, numba.njit(function, cache=True, nogil=True))
    except RuntimeError:
        # A container whose package folder and home are both read-only has no place for a cache.
        return cast(Function, numba.njit(function, nogil=True))


@compile_lazily
def pack(bits: Keys, correct: Flags, keys: Keys) -> None:
    """Fill `keys` (N,) from the confidences' `bits` (N,)."""
    for i in range(bits.size):
        keys[i] = (bits[i] << 1) | correct[i]


@compile_lazily
def sort(keys: Keys, spare: Keys, digits: NDArray[np.int64]) -> bool:
    """Sort `keys` (N,), N > 0, by confidence, byte by byte; return whether `spare` has the result.

    A radix sort, because `np.sort` cannot be relied on: for 10^7 keys it took 50 ms on one AVX-512
    processor and 400 ms on another, where this took 50. Bytes, because then the tables and the
    lines being written fit the L1 cache.

    Args:
        keys: Sorted in place or emptied into `spare`.
        spare: As long as `keys`.
        digits: A table of zeros, (bytes of a key, 256).
    """
    places = digits.shape[0]
    for first in range(0, places, 4):
        for i in range(keys.size):
            key = keys[i] >> (8 * first + 1)
            digits[first, key & 255] += 1
            digits[first + 1, (key >> 8) & 255] += 1
            digits[first + 2, (key >> 16) & 255] += 1
            digits[first + 3, (key >> 24) & 255] += 1
    source, target = keys, spare
    swapped = False
    for place in range(places):
        shift = 8 * place + 1
        starts = digits[place]
        if starts[(keys[0] >> shift) & 255] == keys.size:
            continue
        start = 0
        for digit in range(256):
            count = starts[digit]
            starts[digit] = start
            start += count
        for i in range(keys.size):
            key = source[i]
            digit = (key >> shift) & 255
            target[starts[digit]] = key
            starts[digit] += 1
        source, target = target, source
        swapped = not swapped
    return swapped


@compile_lazily
def collapse(
    keys: Keys, infinity: Any, write: int, bits: Keys, accepted: Counts, accepted_correct: Counts
) -> int:
    """Merge the equal confidences of sorted `keys` (N,) below the key `infinity`.

    From place `write` on, `bits` gets the distinct confidences in ascending order, and beside them
    stand the number of samples, and of correct samples, whose confidence is at least as high.
    Return the first place after them. `bits` may be the memory of `keys`, at this place or before.
    """
    n = keys.size
    while n > 0 and keys[n - 1] >= infinity:
        n -= 1
    if n == 0:
        return write
    right = np.int64(0)
    for i in range(n):
        right += np.int64(keys[i] & 1)
    key = keys[0]
    previous = key >> 1
    bits[write] = previous
    accepted[write] = n
    accepted_correct[write] = right
    right -= np.int64(key & 1)
    write += 1
    for i in range(1, n):
        key = keys[i]
        current = key >> 1
        # Always written, kept only where the counter moves on: whether neighbours differ is a
        # coin toss that a branch would lose half of the time.
        bits[write] = current
        accepted[write] = n - i
        accepted_correct[write] = right
        write += current != previous
        previous = current
        right -= np.int64(key & 1)
    return write


@compile_lazily
def scatter(
    bits: Keys, correct: Flags, codes: NDArray[np.int64], places: Counts, keys: Keys
) -> None:
    """Fill `keys` (N,) group after group; `places` (G,) says where each begins, and is used up."""
    for i in range(bits.size):
        group = codes[i]
        keys[places[group]] = (bits[i] << 1) | correct[i]
        places[group] += 1


@compile_lazily
def collapse_groups(
    keys: Keys,
    infinity: Any,
    starts: Counts,
    digits: NDArray[np.int64],
    spare: Keys,
    accepted: Counts,
    accepted_correct: Counts,
    offsets: Counts,
) -> None:
    """Sort and collapse each group of `keys`, from starts[g] to starts[g + 1].

    The distinct confidences' bits end up at the front of `keys`, group after group, beside their
    counts, from offsets[g] to offsets[g + 1].
    """
    write = 0
    for group in range(starts.size - 1):
        mine = keys[starts[group] : starts[group + 1]]
        if mine.size <= SHORT:
            for i in range(1, mine.size):
                key = mine[i]
                j = i
                while j > 0 and mine[j - 1] > key:
                    mine[j] = mine[j - 1]
                    j -= 1
                mine[j] = key
        else:
            for place in range(digits.shape[0]):
                for digit in range(256):
                    digits[place, digit] = 0
            other = spare[: mine.size]
            if sort(mine, other, digits):
                for i in range(mine.size):
                    mine[i] = other[i]
        write = collapse(mine, infinity, write, keys, accepted, accepted_correct)
        offsets[group + 1] = write


@compile_lazily
def choose(
    accepted: Counts,
    accepted_correct: Counts,
    offsets: Counts,
    n_correct: Counts,
    best: NDArray[np.int64],
) -> None:
    """Fill `best` (3, G) with the lowest places that are best for balance, F1 and accuracy.

    In exact integers. A group without thresholds gets the place where it would begin.
    """
    for group in range(offsets.size - 1):
        first, n_right = offsets[group], n_correct[group]
        balance, f1, accuracy = first, first, first
        for i in range(first + 1, offsets[group + 1]):
            a, right = accepted[i], accepted_correct[i]
            if abs(a - n_right) < abs(accepted[balance] - n_right):
                balance = i
            # 2 TP / (accepted + correct), multiplied out.
            if right * (accepted[f1] + n_right) > accepted_correct[f1] * (a + n_right):
                f1 = i
            # TP + TN = 2 TP - accepted + wrong.
            if 2 * right - a > 2 * accepted_correct[accuracy] - accepted[accuracy]:
                accuracy = i
        best[0, group], best[1, group], best[2, group] = balance, f1, accuracy


@compile_lazily
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
    """Fill the three sums (G,) of `counting.rank`, strictest confidence first."""
    for group in range(offsets.size - 1):
        first, last = offsets[group], offsets[group + 1]
        total_risk, block = 0.0, 0.0
        below = above = 0
        seen = seen_correct = 0
        for position in range(last - first + 1):
            i = last - 1 - position
            # Samples without a real confidence stand last.
            total = accepted[i] if i >= first else n[group]
            right = accepted_correct[i] if i >= first else n_correct[group]
            wrong_before, wrong = seen - seen_correct, total - right
            members = total - seen
            if members > 0:
                block += tie(wrong_before, wrong - wrong_before, seen, members)
            if (position + 1) % BLOCK == 0:
                total_risk += block
                block = 0.0
            below += members * (wrong_before + wrong)
            above += (wrong - wrong_before) * (seen_correct + right)
            seen, seen_correct = total, right
        risk[group] = total_risk + block
        generalized[group], ordered[group] = below, above


@compile_lazily
def best_order(n: Counts, n_correct: Counts, risk: Floats) -> None:
    """Fill `risk` (G,) with sum_{j=1}^{W} j / (C + j): all C correct first, then the W wrong ones."""
    for group in range(n.size):
        wrong = n[group] - n_correct[group]
        risk[group] = tie(0, wrong, n_correct[group], wrong) if wrong > 0 else 0.0


@compile_lazily
def tie(wrong_before: int, wrong: int, seen: int, members: int) -> float:
    """Return the selective risk summed over the members of a tie, in expectation over their order.

    Members may come in any order, so j of them hold j times the tie's error rate.
    """
    rate = wrong / members
    total = 0.0
    # The closed form is an asymptotic series, not exact for the first ranks: those are summed one by one.
    for j in range(1, min(members, HEAD) + 1):
        total += (wrong_before + rate * j) / (seen + j)
    if members <= HEAD:
        return total
    start, rest = float(seen + HEAD), float(members - HEAD)
    x = rest / (start + 0.5)
    log = math.log1p(x)
    gap = log_gap_series(x) if x < NEAR else x - log
    return total + risk_tail(wrong_before + rate * HEAD, rate, start, rest, log, gap)


@compile_lazily
def log_gap_series(x: float) -> float:
    """Return `x - log(1 + x)` for 0 <= x < 1/8 without the cancellation of the difference."""
    tail = 0.0
    for k in range(19, 1, -1):
        tail = 1.0 / k - x * tail
    return x * x * tail


@compile_lazily
def risk_tail(
    wrong: float, rate: float, seen: float, members: float, log: float, gap: float
) -> float:
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
