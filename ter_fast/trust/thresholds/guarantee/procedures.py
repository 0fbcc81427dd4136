"""Procedures that look for the loosest level at which a guarantee holds, at a known risk of error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ter_fast.trust.thresholds.guarantee.grids import Grid
from ter_fast.trust.thresholds.guarantee.hypotheses import ClipLevels, Floats, Levels, least_clips
from ter_fast.trust.thresholds.guarantee.result import Guarantee, explain_missing, with_threshold
from ter_fast.trust.thresholds.samples import Codes, Flags, Scores


def ltt(
    tests: Sequence[Levels],
    base: Guarantee,
    scores: Scores,
    right: Flags,
    grid: Grid,
    sequence: bool,
) -> Guarantee:
    """Test the levels of a grid; a level passes where its hypothesis falls in each of the tests.

    In a sequence each level is tested at delta, up to the first failure: whichever bad level comes
    first, the procedure errs only if it errs there. Otherwise the levels share delta.
    """
    risk, share = base.risk, base.delta if sequence else base.delta / grid.threshold.size
    if not tests:
        return explain_missing(base, math.inf)
    reach = [test.reach(grid, risk, share) for test in tests]
    starts = [_start(each, test.n) for each, test in zip(reach, tests, strict=True)]
    start = max(starts) if sequence else 0
    passed = np.logical_and.reduce([test.rejected(risk, share) for test in tests])
    passed[:start] = False
    if sequence:
        passed[start:] = np.logical_and.accumulate(passed[start:])
    if passed.any():
        level = int(np.flatnonzero(passed)[-1])
        bound = max(test.bound(level, risk, share) for test in tests)
        return with_threshold(base, float(grid.threshold[level]), scores, right, bound)
    have = base.n if base.groups is None else base.groups
    # Each part must get what it needs, and all grow from what there is alike.
    grow = np.array([[have / max(1, test.n)] for test in tests])
    needed = np.max(grow * [test.needed(risk, share) for test in tests], axis=0)
    if sequence:
        needed = _first_to_pass(needed, np.max(grow * reach, axis=0), start)
    found = explain_missing(base, needed.min())
    first = float(grid.threshold[start])
    accepted = int((scores.astype(np.float64) >= first).sum())
    if sequence and start + 1 < grid.threshold.size and accepted < least_clips(risk, share):
        few = f"the first level tested, {first:.4g}, accepts {accepted} clips: begin the grid lower"
        return replace(found, reason=f"{found.reason}; {few}")
    return found


def _start(reach: Floats, samples: int) -> int:
    """Return the first level that so many samples reach, else the last."""
    reached = reach <= samples
    return int(np.argmax(reached)) if reached.any() else reach.size - 1


def _first_to_pass(needed: Floats, reach: Floats, start: int) -> Floats:
    """Return how many samples let a sequence begin at each level and pass there, (start + 1,).

    Nothing passes unless the first level does, and more samples begin at a stricter one.
    """
    least = np.append(np.maximum(needed, reach)[:start], needed[start])
    stricter = np.insert(reach[:start], 0, np.inf)
    return np.where(least < stricter, least, np.inf)


def sgr(base: Guarantee, scores: Scores, right: Flags) -> Guarantee:
    """Search for the loosest threshold among the confidences, each of which excludes its own clip."""
    # NaN stands behind every number, as a clip that only a threshold of minus infinity would reach.
    ranked = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-ranked, kind="stable")
    ranked, wrong = ranked[order], np.concatenate([[0], np.cumsum(~right[order])])
    cuts = np.append(ranked, -np.inf)
    accepted = np.searchsorted(-ranked, -cuts, side="left")
    risk, share = base.risk, base.delta / max(1, math.ceil(math.log2(scores.size + 1)))

    def at(places: Codes) -> ClipLevels:
        return ClipLevels(accepted[places], wrong[accepted[places]], scores.size)

    least = least_clips(risk, share)
    low, high = 0, scores.size
    while low < high:
        middle = (low + high + 1) // 2
        # Where ties leave too few to show anything, stricter levels hold fewer still.
        looser = accepted[middle] < least or at(np.array([middle])).rejected(risk, share)[0]
        low, high = (middle, high) if looser else (low, middle - 1)
    found = at(np.array([low]))
    if found.rejected(risk, share)[0]:
        return with_threshold(
            base, _above(cuts[low], scores), scores, right, found.bound(0, risk, share)
        )
    few = np.unique(np.linspace(0, scores.size, 21).astype(np.int64))
    # Where one passes that the search did not come by, more samples would not bring it there.
    few = few[~at(few).rejected(risk, share)]
    return explain_missing(base, at(few).needed(risk, share).min())


def _above(cut: np.floating[Any], scores: Scores) -> float:
    """Return the lowest threshold, in the confidences' own precision, that excludes a confidence."""
    if np.isinf(cut):
        return float(np.fmin.reduce(scores, initial=0))
    return float(np.nextafter(scores.dtype.type(cut), scores.dtype.type(np.inf)))
