"""Tests of "the risk at this level is too high", over clips and over groups of clips."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ter_fast.trust.thresholds.guarantee.grids import Grid
from ter_fast.trust.thresholds.samples import Codes, Flags, Scores

Floats = NDArray[np.float64]

LARGEST_BET = 0.9
"""Share of the largest bet that cannot lose everything: the highest that `GroupLevels` places."""

ENOUGH = 10**7
"""More samples than this are no answer to how many would do."""

ROUNDS = 5000
"""Groups for which bets are played through at the least; beyond, their number follows from the growth."""


class Levels(Protocol):
    """What is seen of each of T levels, and the test of the hypothesis "risk above `risk`"."""

    @property
    def n(self) -> int:
        """Return how many samples, clips or groups, there are."""

    def rejected(self, risk: float, delta: float) -> Flags:
        """Say at which levels the hypothesis falls; wrongly so with probability at most delta."""

    def bound(self, level: int, delta: float) -> float:
        """Return the smallest risk whose hypothesis falls at a level; 1 where none does."""

    def reach(self, grid: Grid, risk: float, delta: float) -> Floats:
        """Return from how many samples each hypothesis can be expected to fall, (T,).

        Judged by the grid alone: even if it was out of luck, that many hold twice the trusted
        samples that it takes at the least. Zero where the grid knows no coverage.
        """

    def needed(self, risk: float, delta: float) -> Floats:
        """Return how many samples like these let each hypothesis fall, (T,); infinity for never."""


@dataclass(frozen=True, eq=False)
class ClipLevels:
    """Test the error rate of trusted clips by the exact binomial tail.

    With a clips accepted and e of them wrong, "risk above r" falls at delta where
    P(Binomial(a, r) <= e) <= delta: where the upper Clopper-Pearson limit is at most r.

    Attributes:
        accepted: (T,) clips accepted at each level.
        errors: (T,) how many of them are wrong.
        n: Clips in all.

    Reference:
        Clopper and Pearson 1934, "The Use of Confidence or Fiducial Limits".
    """

    accepted: NDArray[np.int64]
    errors: NDArray[np.int64]
    n: int

    def rejected(self, risk: float, delta: float) -> Flags:
        """Say at which levels the hypothesis falls, (T,)."""
        from scipy.special import bdtr

        found: Flags = (self.accepted > 0) & (bdtr(self.errors, self.accepted, risk) <= delta)
        return found

    def bound(self, level: int, delta: float) -> float:
        """Return the upper Clopper-Pearson limit of the risk at a level."""
        return _clopper_pearson(float(self.errors[level]), float(self.accepted[level]), delta)

    def reach(self, grid: Grid, risk: float, delta: float) -> Floats:
        """Return of how many clips each level should accept 2 ceil(ln delta / ln(1 - risk)), (T,)."""
        if grid.coverage is None:
            return np.zeros(grid.threshold.size)
        return 2 * least_clips(risk, delta) / grid.least_coverage

    def needed(self, risk: float, delta: float) -> Floats:
        """Return how many clips would do at each level's own error rate and coverage, (T,)."""
        from scipy.special import betainc

        found = np.full(self.accepted.size, np.inf)
        promising = np.flatnonzero(self.errors < risk * self.accepted)
        accepted = self.accepted[promising]
        rate = self.errors[promising] / accepted
        # Bisection of the logarithm: the upper limit falls with the number of clips.
        low, high = np.ones(rate.size), np.full(rate.size, float(ENOUGH))
        while (high > 1.001 * low + 1).any():
            middle = np.ceil(np.sqrt(low * high))
            falls = betainc(rate * middle + 1, (1 - rate) * middle, risk) >= 1 - delta
            low, high = np.where(falls, low, middle), np.where(falls, middle, high)
        found[promising] = np.where(high < ENOUGH, np.ceil(high * self.n / accepted), np.inf)
        return found


def least_clips(risk: float, delta: float) -> int:
    """Return how many samples without a single error it takes: ceil(ln delta / ln(1 - risk))."""
    return math.ceil(math.log(delta) / math.log1p(-risk))


def _clopper_pearson(errors: float, accepted: float, delta: float) -> float:
    from scipy.special import betaincinv

    return (
        1.0 if errors >= accepted else float(betaincinv(errors + 1, accepted - errors, 1 - delta))
    )


@dataclass(frozen=True, eq=False)
class GroupLevels:
    """Test the error rate of trusted clips over groups, by betting against it.

    With W_g the share of group g's clips that are wrong and trusted, and T_g the share that are
    trusted, "E W / E T above r" says that X_g = W_g - r T_g, in [-r, 1 - r], has a positive mean.
    Whoever bets b_g in [0, 1 / (1 - r)] on each group in turn, by what the groups before it showed,
    then holds a capital prod_g (1 - b_g X_g) that is a supermartingale, so it ever reaches 1 / delta
    with probability at most delta (Ville), and the hypothesis falls where it does. This asks nothing
    of the clips within a group.

    Betting, because group means of a good model vary little, which it turns to use; with 30 to 100
    groups, Hoeffding-Bentkus found few and the empirical Bernstein bound almost none of the levels
    that it found. No test does with fewer than ln delta / ln(1 - r) groups, so few give none.

    Attributes:
        wrong: (G, T) W_g at each level, in an order of groups that says nothing about them.
        trusted: (G, T) T_g at each level.

    Reference:
        Waudby-Smith and Ramdas 2024, "Estimating Means of Bounded Random Variables by Betting".
    """

    wrong: Floats
    trusted: Floats

    @property
    def n(self) -> int:
        """Return how many groups there are."""
        return len(self.wrong)

    def rejected(self, risk: float, delta: float) -> Flags:
        """Say at which levels the hypothesis falls, (T,)."""
        capital = _log_capital(self.wrong - risk * self.trusted, risk)
        found: Flags = capital.max(0, initial=0) >= -math.log(delta)
        return found

    def bound(self, level: int, delta: float) -> float:
        """Return the smallest risk whose hypothesis falls at a level, to 1e-6."""
        wrong, trusted = self.wrong[:, [level]], self.trusted[:, [level]]
        alone = GroupLevels(wrong, trusted)
        low, high = 0.0, 1.0
        while high - low > 1e-6:
            middle = (low + high) / 2
            low, high = (low, middle) if alone.rejected(middle, delta)[0] else (middle, high)
        return high

    def reach(self, grid: Grid, risk: float, delta: float) -> Floats:
        """Return how many groups without an error would win 2 ln(1 / delta) at each level, (T,)."""
        if grid.coverage is None:
            return np.zeros(grid.threshold.size)
        win: Floats = np.log1p(LARGEST_BET / (1 - risk) * risk * grid.least_coverage)
        return 2 * -math.log(delta) / win

    def needed(self, risk: float, delta: float) -> Floats:
        """Return after how many groups, these over and over, each hypothesis would fall, (T,)."""
        scores = self.wrong - risk * self.trusted
        bets = np.linspace(0, LARGEST_BET / (1 - risk), 20)
        growth = np.max([np.log1p(-bet * scores).mean(0) for bet in bets], axis=0)
        possible = growth > -math.log(delta) / ENOUGH
        # The best constant bet is the least that it takes; the bets that are placed take a little more.
        least = -math.log(delta) / np.where(possible, growth, 1)
        rounds = max(ROUNDS, self.n)
        capital = _log_capital(np.resize(scores, (rounds, growth.size)), risk)
        reached = capital >= -math.log(delta)
        needed = np.where(
            reached.any(0), reached.argmax(0) + 1, np.maximum(np.ceil(least), rounds + 1)
        )
        return np.where(possible, needed, np.inf)


def _log_capital(scores: Floats, risk: float) -> Floats:
    """Return the logarithm of the capital after each group, (G, T), for scores X (G, T).

    The bet nearly maximizes the expected logarithm for the mean and variance so far, to which a
    group of mean -risk / 2 and deviation risk / 2 is added so that there is something to begin with.
    """
    before = np.arange(1, len(scores) + 1)[:, None]
    total = scores.cumsum(0) - risk / 2
    mean = np.vstack([np.full_like(scores[:1], -risk / 2), (total / (before + 1))[:-1]])
    squares = ((scores - total / (before + 1)) ** 2).cumsum(0) + risk**2 / 4
    variance = np.vstack([np.full_like(scores[:1], risk**2 / 4), squares[:-1]]) / before
    bet = np.clip(-mean / (variance + mean**2), 0, LARGEST_BET / (1 - risk))
    capital: Floats = np.log1p(-bet * scores).cumsum(0)
    return capital


def hypotheses(scores: Scores, right: Flags, grid: Grid, groups: Codes | None = None) -> Levels:
    """Return what samples (N,) show at the levels of a grid, by clip or by group."""
    # How many levels, from the loosest on, each sample reaches; NaN reaches none.
    ascending = grid.threshold[::-1]
    reached = np.searchsorted(ascending, scores.astype(np.float64), side="right")
    reached[np.isnan(scores)] = 0
    if groups is None:
        one = np.zeros(scores.size, np.int64)
        accepted = _table(reached, one, 1, ascending.size)[0]
        errors = _table(reached[~right], one[~right], 1, ascending.size)[0]
        return ClipLevels(accepted, errors, scores.size)
    _, group = np.unique(groups, return_inverse=True)
    members = np.bincount(group)[:, None]
    trusted = _table(reached, group, len(members), ascending.size) / members
    wrong = _table(reached[~right], group[~right], len(members), ascending.size) / members
    # An order that has nothing to do with names, which may say who the groups are.
    order = np.random.default_rng(0).permutation(len(members))
    return GroupLevels(wrong[order], trusted[order])


def _table(reached: Codes, group: Codes, groups: int, levels: int) -> Codes:
    """Count the samples of each group that each level accepts, strict to loose, (groups, levels)."""
    cells = group * (levels + 1) + reached
    table = np.bincount(cells, minlength=groups * (levels + 1)).reshape(groups, levels + 1)
    counts: Codes = table[:, :0:-1].cumsum(1)
    return counts
