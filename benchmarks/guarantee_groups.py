"""Speakers made to break a guarantee: told by their names, in order, unequal, rare, tied, drawn in strata.

A speaker is of one of several types, and all confidences are of a few values, so that the true risk of
every threshold follows from the types alone. `python -m benchmarks.guarantee` makes the tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from ter_fast.trust.thresholds import (
    Grid,
    guaranteed,
    guaranteed_by_class,
    guaranteed_worst_group,
)
from ter_fast.trust.thresholds.guarantee.hypotheses import GroupLevels

RISK, DELTA = 0.2, 0.05
JUST_OVER = 1.001 * RISK
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Codes = NDArray[np.int64]
Order = Callable[[int], Codes]


@dataclass(frozen=True)
class Speaker:
    """A type of speaker: how often it is drawn, how much it says, how sure and how wrong that is.

    Attributes:
        share: Of all speakers.
        wrong: Chance of an error at each confidence.
        confidence: Values of the confidence; NaN is never trusted.
        often: Share of the clips that have each of them.
        clips: Fewest and most clips.
        subgroup: That all clips are of; None for one of two at random.
    """

    share: float
    wrong: tuple[float, ...]
    confidence: tuple[float, ...] = (1.0,)
    often: tuple[float, ...] = (1.0,)
    clips: tuple[int, int] = (5, 15)
    subgroup: int | None = None


@dataclass(frozen=True)
class Mixture:
    """Speakers of several types, and how they are drawn, named and tested.

    Attributes:
        types: The types, the worst last.
        groups: Speakers in the calibration data.
        risk: Largest share of errors that is promised.
        names: "tell" the type; "hide" it; "order", numbers of speakers in an order that tells it.
        worst_last: Where names tell, sorting them puts the worst type last.
        draw: "chance"; "quotas", a fixed number of each type; "finite", without replacement from
            twice as many.
        test: "speakers", "classes" (two, at random), "subgroups" or "clips".
        levels: Thresholds that are tested, and the share of clips that the grid says they accept.
    """

    types: tuple[Speaker, ...]
    groups: int = 155
    risk: float = RISK
    names: str = "tell"
    worst_last: bool = False
    draw: str = "chance"
    test: str = "speakers"
    levels: tuple[tuple[float, float], ...] = ((0.8, 0.9), (0.4, 1.0))

    @property
    def grid(self) -> Grid:
        """Return the levels as a grid."""
        threshold, coverage = np.array(self.levels).T
        return Grid(threshold, coverage)

    def breaks(self, threshold: float | None, subgroup: int | None = None) -> bool:
        """Say whether there is a threshold whose true risk, in a subgroup, is above the promised one."""
        if threshold is None:
            return False
        wrong = trusted = 0.0
        for each in self.types:
            if subgroup is None or each.subgroup in (None, subgroup):
                often = np.array(each.often) * (np.array(each.confidence) >= threshold)
                wrong += each.share * float(often @ np.array(each.wrong))
                trusted += each.share * float(often.sum())
        return wrong > self.risk * trusted + 1e-12


@dataclass(frozen=True, eq=False)
class Draw:
    """Calibration data: confidence, correct flag, speaker and type of each clip."""

    confidence: Floats
    correct: Flags
    speaker: NDArray[Any]
    type: Codes


def drawn(mixture: Mixture, generator: np.random.Generator) -> Draw:
    """Draw speakers and their clips."""
    of_speaker = _types(mixture, generator)
    fewest, most = np.array([each.clips for each in mixture.types]).T
    clips = generator.integers(fewest[of_speaker], most[of_speaker] + 1)
    number = generator.permutation(mixture.groups)
    names: NDArray[Any] = number
    if mixture.names == "order":
        of_speaker, names = np.sort(of_speaker)[::-1], np.arange(mixture.groups)
    elif mixture.names == "tell":
        # The worst come first, or last, when names are sorted.
        corpus = of_speaker if mixture.worst_last else len(mixture.types) - 1 - of_speaker
        names = np.array([f"{c}:{n:05d}" for c, n in zip(corpus, number, strict=True)])
    row = np.repeat(np.arange(mixture.groups), clips)
    of = of_speaker[row]
    confidence, wrong = np.empty(row.size), np.empty(row.size)
    chance = generator.random(row.size)
    for kind, each in enumerate(mixture.types):
        mine = of == kind
        value = np.searchsorted(np.cumsum(each.often)[:-1], chance[mine], side="right")
        confidence[mine] = np.array(each.confidence)[value]
        wrong[mine] = np.array(each.wrong)[value]
    return Draw(confidence, generator.random(row.size) >= wrong, names[row], of)


def _types(mixture: Mixture, generator: np.random.Generator) -> Codes:
    share = np.array([each.share for each in mixture.types])
    if mixture.draw == "chance":
        return generator.choice(share.size, mixture.groups, p=share / share.sum())
    size = mixture.groups * (2 if mixture.draw == "finite" else 1)
    # The rest is of the worst type, which so is no rarer than its share.
    quota = np.floor(share * size).astype(int)
    quota[-1] += size - quota.sum()
    return generator.permutation(np.repeat(np.arange(share.size), quota))[: mixture.groups]


def is_broken(mixture: Mixture, draw: Draw, kind: Codes) -> bool:
    """Calibrate on a draw, and say whether a threshold comes out that breaks its promise.

    Args:
        mixture: What is drawn from.
        draw: The calibration data.
        kind: (N,) predicted classes, or subgroups of clips whose speaker has none.
    """
    confidence, correct = draw.confidence, draw.correct
    rest: Any = {"risk": mixture.risk, "delta": DELTA, "grid": mixture.grid}
    if mixture.test != "clips":
        rest["groups"] = draw.speaker
    if mixture.test == "classes":
        of_class = guaranteed_by_class(confidence, correct, kind, labels=range(2), **rest)
        return any(mixture.breaks(each.threshold) for each in of_class.values())
    if mixture.test == "subgroups":
        own = np.array([-1 if each.subgroup is None else each.subgroup for each in mixture.types])
        part = np.where(own[draw.type] < 0, kind, own[draw.type])
        threshold = guaranteed_worst_group(confidence, correct, part, **rest).threshold
        return mixture.breaks(threshold, 0) or mixture.breaks(threshold, 1)
    return mixture.breaks(guaranteed(confidence, correct, **rest).threshold)


def shares_broken(
    mixture: Mixture, draws: int, orders: Sequence[Order | None] = (None,), seed: int = 0
) -> list[float]:
    """Return the share of draws that break the promise, by the product or by bets in an order."""
    generator = np.random.default_rng(seed)
    broken = np.zeros(len(orders))
    with thresholds_alone():
        for _ in range(draws):
            draw = drawn(mixture, generator)
            kind = generator.integers(2, size=draw.type.size)
            for number, order in enumerate(orders):
                with bets_in(order) if order else nullcontext():
                    broken[number] += is_broken(mixture, draw, kind)
    return [float(share) for share in broken / draws]


@contextmanager
def thresholds_alone() -> Iterator[None]:
    """Do not count how many groups would do, which takes most of the time."""
    with patch.object(GroupLevels, "needed", lambda self, *_: np.full(self.wrong.shape[1], np.inf)):
        yield


# -- bets that learn from one group after the other, for comparison -------------------------------


def by_sorted_names(groups: int) -> Codes:
    """Return an order that is one and the same for all groups of so many."""
    return np.random.default_rng(0).permutation(groups)


@contextmanager
def bets_in(order: Order) -> Iterator[None]:
    """Test groups by one bet after the other, each by what the groups before showed, up to the best moment."""

    class InOrder(GroupLevels):
        def rejected(self, risk: float, delta: float) -> Flags:
            rows = order(self.n)
            scores = self.wrong[rows] - risk * self.trusted[rows]
            passed: Flags = most_owned(scores, risk) >= -math.log(delta)
            return passed

    with patch("ter_fast.trust.thresholds.guarantee.hypotheses.GroupLevels", InOrder):
        yield


def most_owned(scores: Floats, risk: float) -> Floats:
    """Return the logarithm of the largest capital after any group, (T,), for scores X (G, T).

    Each bet nearly maximizes the expected logarithm for the mean and variance of the groups before, to
    which one of mean -risk / 2 and deviation risk / 2 is added (Waudby-Smith and Ramdas 2024).
    """
    before = np.arange(1, len(scores) + 1)[:, None]
    total = scores.cumsum(0) - risk / 2
    mean = np.vstack([np.full_like(scores[:1], -risk / 2), (total / (before + 1))[:-1]])
    squares = ((scores - total / (before + 1)) ** 2).cumsum(0) + risk**2 / 4
    variance = np.vstack([np.full_like(scores[:1], risk**2 / 4), squares[:-1]]) / before
    bet = np.clip(-mean / (variance + mean**2), 0, 0.9 / (1 - risk))
    most: Floats = np.log1p(-bet * scores).cumsum(0).max(0)
    return most


# -- mixtures whose levels, or some of them, are just too bad -------------------------------------


def two(good: float = 0.0, bad: float = 1.0, **both: Any) -> tuple[Speaker, Speaker]:
    """Return two types of speakers whose errors come to just over the risk at every confidence."""
    share = (JUST_OVER - good) / (bad - good)
    values = len(both.get("confidence", (1.0,)))
    return Speaker(1 - share, (good,) * values, **both), Speaker(share, (bad,) * values, **both)


def sized(good: tuple[int, int], bad: tuple[int, int]) -> tuple[Speaker, Speaker]:
    """Return speakers that are never and always wrong, of so many clips."""
    share = JUST_OVER
    return Speaker(1 - share, (0.0,), clips=good), Speaker(share, (1.0,), clips=bad)


ALIKE = Speaker(1.0, (JUST_OVER,))
SURE_BUT_WRONG = (
    # Half of the sure clips are of speakers who are always sure, and twice as often wrong as they may.
    Speaker(0.8, (0.0, 0.0), (1.0, 0.3), (0.25, 0.75)),
    Speaker(0.2, (2 * JUST_OVER,)),
)
UP_AND_DOWN = (
    Speaker(0.5, (0.0, 0.0, 0.0), (1.0, 0.6, 0.2), (0.2, 0.5, 0.3)),
    Speaker(0.5, (2 * JUST_OVER, 0.1, 0.9), (1.0, 0.6, 0.2), (0.2, 0.5, 0.3)),
)
SPANNING = (
    # Who is in both subgroups is wrong in the first where sure; who is only in the first, where not.
    Speaker(0.5, (2 * JUST_OVER, 0.0), (1.0, 0.6), (0.5, 0.5)),
    Speaker(0.5, (0.0, 4 * JUST_OVER), (1.0, 0.6), (0.5, 0.5), subgroup=0),
)
MIXTURES: Mapping[str, Mixture] = {
    **{f"two corpora, {n} speakers": Mixture(two(), n) for n in (150, 151, 155, 175)},
    "two corpora, the bad named last": Mixture(two(), worst_last=True),
    "two corpora, wrong in 0.1 and 0.4, 175 speakers": Mixture(two(0.1, 0.4), 175),
    "two corpora, names hide it": Mixture(two(), names="hide"),
    "two corpora, numbered in turn": Mixture(two(), names="order"),
    "two corpora, a fixed number of each": Mixture(two(), draw="quotas"),
    "two corpora, without replacement": Mixture(two(), draw="finite"),
    "all speakers alike": Mixture((ALIKE,)),
    "one clip each": Mixture((Speaker(1.0, (JUST_OVER,), clips=(1, 1)),)),
    "the bad have one clip, the good 100": Mixture(sized((100, 100), (1, 1))),
    "the bad have 100 clips, the good one": Mixture(sized((1, 1), (100, 100))),
    "rare and terrible, promised 0.02": Mixture(
        (Speaker(0.97998, (0.0,)), Speaker(0.02002, (1.0,))), 400, 0.02
    ),
    "two values, tied": Mixture(two(confidence=(1.0, 0.5), often=(0.5, 0.5))),
    "a third of the clips NaN": Mixture(two(confidence=(1.0, math.nan), often=(0.67, 0.33))),
    "the bad are always sure, the good seldom": Mixture(SURE_BUT_WRONG, levels=((0.8, 0.4),)),
    "bad where sure and where unsure, good between": Mixture(
        UP_AND_DOWN, levels=((0.8, 0.2), (0.4, 0.7), (0.1, 1.0))
    ),
    "a threshold per class": Mixture(two(), test="classes"),
    "worst of two corpora": Mixture(
        (Speaker(0.5, (0.0,), subgroup=0), Speaker(0.5, (JUST_OVER,), subgroup=1)),
        test="subgroups",
    ),
    "worst of two subgroups that some speakers share": Mixture(
        SPANNING, test="subgroups", levels=((0.8, 0.5), (0.4, 1.0))
    ),
    "clips counted, 15 of each speaker": Mixture(
        two(0.1, 0.4, clips=(15, 15)), 20, draw="quotas", test="clips"
    ),
}


def table(draws: int) -> Iterator[str]:
    """Yield the lines of a table of how often each mixture breaks its promise."""
    yield "| speakers | product | one bet after another, one order | the same, order drawn anew |"
    yield "|---|---|---|---|"
    for name in MIXTURES:
        yield row(name, draws)


def row(name: str, draws: int) -> str:
    """Return the line of a mixture."""
    orders: list[Order | None] = [None]
    if MIXTURES[name].test != "clips":
        orders += [by_sorted_names, np.random.default_rng(1).permutation]
    cells = [f"{share:.4f}" for share in shares_broken(MIXTURES[name], draws, orders)]
    return f"| {name} | {' | '.join(cells + ['–'] * (3 - len(cells)))} |"
