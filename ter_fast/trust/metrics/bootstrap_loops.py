"""Compiled loops of the bootstrap; importing this module imports Numba.

A block of resamples is an array of counts (G, R): how often each of G groups was drawn, in each of
R resamples. The resamples lie side by side, so that one look at a sample serves all of them, with
additions that the compiler vectorizes, and no resample's rows are ever written out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ter_fast.trust.thresholds.loops import compile_lazily

Drawn = NDArray[np.int32]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]

RIGHT, TIED_RIGHT, WRONG = 0, 1, 2
"""Kinds of samples: right in a tie without errors, right beside errors, wrong."""


@compile_lazily
def count(groups: Drawn, drawn: Drawn) -> None:
    """Count in `drawn` (R, G) how often each group is among the `groups` (R, G) of a resample."""
    for r in range(groups.shape[0]):
        for i in range(groups.shape[1]):
            drawn[r, groups[r, i]] += 1


@compile_lazily
def tally(drawn: Drawn, group: Integers, cell: Integers, weight: Floats, sums: Floats) -> None:
    """Add weights (P,) of groups, as often as these were drawn (G, R), to their cells (M, R)."""
    for i in range(group.size):
        counts, total, value = drawn[group[i]], sums[cell[i]], weight[i]
        if math.isfinite(value):
            for r in range(counts.size):
                total[r] += counts[r] * value
        else:
            # Zero times infinity is no number, but what was not drawn does not count.
            for r in range(counts.size):
                if counts[r]:
                    total[r] += value


@compile_lazily
def rank(
    drawn: Drawn,
    group: Integers,
    kind: Integers,
    last: NDArray[np.bool_],
    real: int,
    harmonic: Floats,
    needed_right: Counts,
    risks: Floats,
    needed: Counts,
    late: Floats,
    ordered: Counts,
    false: Counts,
    reached: Counts,
    covered: Counts,
) -> None:
    """Sum what the areas and the points of the risk-coverage curve need, in R resamples at once.

    Args:
        drawn: (G, R) how often each group was drawn.
        group: (N,) group of each sample, by falling confidence, NaN last.
        kind: (N,) `RIGHT`, `TIED_RIGHT` or `WRONG`.
        last: (N,) whether a sample is the last of its tie.
        real: Number of samples with a real confidence.
        harmonic: (M + 1,) sums of the first harmonic numbers, H_0 + … + H_{k-1}, M the largest
            number of samples in a resample.
        needed_right: (R,) correct samples to accept for a recall of 95 %.
        risks: (A,) selective risks.
        needed: (B, R) samples to accept for a coverage.
        late: (R,) filled with the sum of H_{j-1} over the ranks j of the wrong samples.
        ordered: (R,) filled with twice the number of (correct, wrong) pairs in order, half for ties.
        false: (R,) filled with the wrong samples accepted at the recall of 95 %.
        reached: (A, R) filled with the most samples that can be accepted at each risk.
        covered: (2, B, R) filled with the samples, and the wrong ones, accepted at each coverage.
    """
    resamples = drawn.shape[1]
    right, wrong = np.zeros(resamples, np.int64), np.zeros(resamples, np.int64)
    good, bad = np.zeros(resamples, np.int64), np.zeros(resamples, np.int64)
    # Samples outside, resamples inside: all resamples share one order, so it is sorted once, and a
    # row of `drawn` lies together in memory.
    for i in range(group.size):
        counts = drawn[group[i]]
        if kind[i] == RIGHT:
            # With no wrong one at its confidence, it adds to no sum and can be counted at once.
            for r in range(resamples):
                right[r] += counts[r]
        else:
            tied = bad if kind[i] == WRONG else good
            for r in range(resamples):
                tied[r] += counts[r]
            if not last[i]:
                continue
            # One short loop each: the compiler vectorizes those, and not their union.
            for r in range(resamples):
                seen, members = right[r] + wrong[r], good[r] + bad[r]
                # The wrong ones of a tie may stand at any of its ranks.
                late[r] += bad[r] / max(members, 1) * (harmonic[seen + members] - harmonic[seen])
            for r in range(resamples):
                ordered[r] += bad[r] * (2 * right[r] + good[r])
            if i < real:
                for r in range(resamples):
                    false[r] += bad[r] if right[r] < needed_right[r] else 0
            for r in range(resamples):
                right[r] += good[r]
                wrong[r] += bad[r]
                good[r] = 0
                bad[r] = 0
        if last[i] and i < real:
            for a in range(risks.size):
                for r in range(resamples):
                    seen = right[r] + wrong[r]
                    if wrong[r] / max(seen, 1) <= risks[a]:
                        reached[a, r] = seen
            for b in range(needed.shape[0]):
                for r in range(resamples):
                    seen = right[r] + wrong[r]
                    if seen >= needed[b, r] and not covered[0, b, r]:
                        covered[0, b, r] = seen
                        covered[1, b, r] = wrong[r]


@compile_lazily
def mass(
    drawn: Drawn,
    group: Integers,
    gap: Floats,
    last: NDArray[np.bool_],
    bins: int,
    total: Counts,
    error: Floats,
) -> None:
    """Add up the distances of confidence from accuracy over bins of equal mass, in R resamples.

    Args:
        drawn: (G, R) how often each group was drawn.
        group: (N,) group of each sample, by rising confidence, NaN last.
        gap: (N,) confidence less 1 where the prediction is right.
        last: (N,) whether a sample is the last of its tie.
        bins: Number of bins, at most.
        total: (R,) samples in each resample.
        error: (R,) filled with the sum of |sum of the gaps in a bin|; NaN where NaN was drawn.
    """
    resamples = drawn.shape[1]
    seen, closed = np.zeros(resamples, np.int64), np.zeros(resamples, np.int64)
    inside = np.zeros(resamples)
    for i in range(group.size):
        counts, value = drawn[group[i]], gap[i]
        if math.isnan(value):
            # Only the resamples that drew this sample have no figure.
            for r in range(resamples):
                if counts[r]:
                    error[r] = math.nan
            continue
        for r in range(resamples):
            seen[r] += counts[r]
            inside[r] += counts[r] * value
        if not last[i]:
            continue
        for r in range(resamples):
            # The ceil(b N / bins)-th sample ends bin b, and all that are equal to it are in there.
            full = seen[r] * bins // total[r]
            if full > closed[r]:
                error[r] += abs(inside[r])
                inside[r] = 0.0
                closed[r] = full
