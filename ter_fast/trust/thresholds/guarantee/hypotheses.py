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

BETS = 5
"""Bets among which `GroupLevels` spreads its capital: more gain nothing, fewer miss some populations."""

ENOUGH = 10**7
"""More samples than this are no answer to how many would do."""


class Levels(Protocol):
    """What is seen of each of T levels, and the test of the hypothesis "risk above `risk`"."""

    @property
    def n(self) -> int:
        """Return how many samples, clips or groups, there are."""

    def rejected(self, risk: float, delta: float) -> Flags:
        """Say at which levels the hypothesis falls; wrongly so with probability at most delta."""

    def bound(self, level: int, risk: float, delta: float) -> float:
        """Return the smallest risk whose hypothesis falls at a level; 1 where none does.

        The test is the one made for `risk`, so that every risk above the bound falls as well.
        """

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

    def bound(self, level: int, risk: float, delta: float) -> float:
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
    r"""Test the error rate of trusted clips over groups, by bets against it that no order can change.

    With W_g the share of group g's clips that are wrong and trusted, and T_g the share that are
    trusted, "E W / E T above r" says that X_g = W_g - r T_g, in [-r, 1 - r], has a positive mean. The
    largest bet that cannot lose more than everything is 1 / (1 - r). With a share s of it, G groups
    turn a capital of 1 into

    $$M_s = \prod_g \left(1 - \frac{s X_g}{1 - r}\right), \qquad M = \frac{1}{J} \sum_j M_{s_j},$$

    and the hypothesis falls where M, over shares s_1 … s_J that were fixed beforehand, is at least
    1 / delta. If it is true, that has probability at most delta: no factor is negative, the groups
    are independent, and the geometric mean of numbers is at most their arithmetic mean, so that

    $$E M_s = \prod_g \left(1 - \frac{s E X_g}{1 - r}\right) \le \left(1 - \frac{s}{1 - r}
    \frac{1}{G} \sum_g E X_g\right)^G \le 1,$$

    and Markov's inequality gives P(M >= 1 / delta) <= delta. A product has no order: neither the names
    of the groups nor the order in which they come can matter, and nothing is drawn. Nor need the groups
    be alike: with a fixed number from each of several corpora, the guarantee is about that mixture. Of
    groups drawn from finitely many without replacement the same holds by Maclaurin's inequality.
    Nothing is asked of the clips within a group.

    The shares run up to 1 from the best one for groups that are each all right or all wrong, at the error
    rate that G groups can just tell from r: groups that vary less want more. Bets that learn from one
    group after another find a little more, but by the luck of the order, which must then be drawn anew for
    each data set; their mean over many orders finds less than the product where groups differ much.

    Betting, because group means of a good model vary little, which it turns to use: with 30 to 100
    groups, Hoeffding-Bentkus found few and the empirical Bernstein bound almost none of the levels
    that it found. No test does with fewer than ln delta / ln(1 - r) groups, so few give none.

    Attributes:
        wrong: (G, T) W_g at each level; the groups in any order.
        trusted: (G, T) T_g at each level.

    Reference:
        Waudby-Smith and Ramdas 2024, "Estimating Means of Bounded Random Variables by Betting", for
        bets and their mixtures; Hoeffding 1963, "Probability Inequalities for Sums of Bounded Random
        Variables", for groups that are not alike.
    """

    wrong: Floats
    trusted: Floats

    @property
    def n(self) -> int:
        """Return how many groups there are."""
        return len(self.wrong)

    def rejected(self, risk: float, delta: float) -> Flags:
        """Say at which levels the hypothesis falls, (T,)."""
        return self._falls(risk, _shares(self.n, risk, delta), delta)

    def bound(self, level: int, risk: float, delta: float) -> float:
        """Return the smallest risk whose hypothesis falls at a level, to 1e-6."""
        alone = GroupLevels(self.wrong[:, [level]], self.trusted[:, [level]])
        shares = _shares(self.n, risk, delta)
        low, high = 0.0, 1.0
        while high - low > 1e-6:
            middle = (low + high) / 2
            falls = alone._falls(middle, shares, delta)[0]
            low, high = (low, middle) if falls else (middle, high)
        return high

    def reach(self, grid: Grid, risk: float, delta: float) -> Floats:
        """Return how many groups without an error would win 2 ln(J / delta) at each level, (T,).

        The largest of the J bets alone then wins twice the logarithm that it takes.
        """
        if grid.coverage is None:
            return np.zeros(grid.threshold.size)
        win: Floats = np.log1p(risk * grid.least_coverage / (1 - risk))
        return 2 * math.log(BETS / delta) / win

    def needed(self, risk: float, delta: float) -> Floats:
        """Return of how many groups in these proportions each hypothesis would fall, (T,)."""
        losses = self._losses(risk)

        def falls(groups: Floats) -> Flags:
            capital = _log_capital(losses, groups, _shares(groups, risk, delta))
            fallen: Flags = capital >= -math.log(delta)
            return fallen

        high = np.full(losses.shape[1], float(ENOUGH))
        possible = falls(high)
        # Bisection of the logarithm: the capital grows with the number of groups.
        low = np.where(possible, 1, high)
        while (high - low > 1).any():
            middle = np.ceil(np.sqrt(low * high))
            enough = falls(middle)
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        return np.where(possible, high, np.inf)

    def _falls(self, risk: float, shares: Floats, delta: float) -> Flags:
        groups = np.full(self.wrong.shape[1], float(self.n))
        falls: Flags = _log_capital(self._losses(risk), groups, shares) >= -math.log(delta)
        return falls

    def _losses(self, risk: float) -> Floats:
        """Return the share of the capital that the largest bet loses to each group, (G, T), sorted.

        So the same groups in another order are added up to the same bits.
        """
        losses = (self.wrong - risk * self.trusted) / (1 - risk)
        return np.sort(np.minimum(losses, 1), axis=0)


def _log_capital(losses: Floats, groups: Floats, shares: Floats) -> Floats:
    """Return the logarithm of the capital after so many groups, (T,), in the proportions of these.

    Args:
        losses: (G, T) what the largest bet loses to each group.
        groups: (T,) number of groups.
        shares: (J,) or (J, T) shares of the largest bet.
    """
    with np.errstate(divide="ignore"):
        growth = np.array([np.log1p(-share * losses).mean(0) for share in shares])
    capital: Floats = np.logaddexp.reduce(groups * growth, axis=0) - math.log(len(shares))
    return capital


def _shares(groups: float | Floats, risk: float, delta: float) -> Floats:
    """Return the shares of the largest bet for so many groups, (J,) or (J, T).

    For groups that are all right or all wrong, a share s wins most where their error rate is r (1 - s),
    and tells it from r if G KL(r (1 - s) || r) is ln(1 / delta), where KL is about s^2 r / (2 (1 - r)).
    """
    least = np.sqrt(-2 * math.log(delta) * (1 - risk) / (groups * risk))
    shares: Floats = np.geomspace(np.minimum(least, 1), 1, BETS)
    return shares


def hypotheses(
    scores: Scores,
    right: Flags,
    grid: Grid,
    groups: Codes | None = None,
    drawn: int | None = None,
) -> Levels:
    """Return what samples (N,) show at the levels of a grid, by clip or by group.

    Args:
        scores: (N,) confidences.
        right: (N,) correct flags.
        grid: The T levels.
        groups: (N,) group of each sample; None for clips.
        drawn: Groups that were drawn, where some have no sample here: of these nothing is trusted.
    """
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
    members = np.maximum(np.bincount(group, minlength=drawn or 0), 1)[:, None]
    trusted = _table(reached, group, len(members), ascending.size) / members
    wrong = _table(reached[~right], group[~right], len(members), ascending.size) / members
    return GroupLevels(wrong, trusted)


def _table(reached: Codes, group: Codes, groups: int, levels: int) -> Codes:
    """Count the samples of each group that each level accepts, strict to loose, (groups, levels)."""
    cells = group * (levels + 1) + reached
    table = np.bincount(cells, minlength=groups * (levels + 1)).reshape(groups, levels + 1)
    counts: Codes = table[:, :0:-1].cumsum(1)
    return counts
