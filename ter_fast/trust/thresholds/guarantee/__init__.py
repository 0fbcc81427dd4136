"""Thresholds that keep a guarantee: a risk among trusted predictions, held with known probability."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np

from ter_fast.errors import DataError
from ter_fast.trust._arrays import Vector
from ter_fast.trust.thresholds.guarantee.grids import NUMERIC_GRID, Grid, as_grid
from ter_fast.trust.thresholds.guarantee.hypotheses import hypotheses
from ter_fast.trust.thresholds.guarantee.procedures import ltt, sgr
from ter_fast.trust.thresholds.guarantee.result import Guarantee, without_threshold
from ter_fast.trust.thresholds.samples import Codes, Flags, Scores, check_pair, encode_groups

Method = Literal["ltt", "sgr"]
Groups = Vector | Sequence[str]


def guaranteed(
    confidence: Vector,
    correct: Vector,
    risk: float,
    delta: float,
    method: Method = "ltt",
    grid: Grid | Vector | None = None,
    groups: Groups | None = None,
) -> Guarantee:
    """Return a threshold whose error among trusted predictions is at most `risk`, with confidence.

        P( P(wrong | confidence >= threshold) <= risk ) >= 1 - delta

    over the draw of the calibration data. The guarantee is for clips drawn like these: of the same
    speakers, if each speaker gave many of them. With `groups`, the unit that is drawn is the group,
    and the guarantee is for new ones; the shares then average over groups, each counting alike.
    Nothing is drawn at random here: the same data have the same threshold in whatever order they come,
    and whatever the groups are called.

    "ltt" tests the levels of a grid that was fixed beforehand. A grid of `grid_from` is tested from
    strict to loose, each level at `delta`, up to the first that fails; it starts where twice the
    number of accepted samples that a test takes at the least are expected. Thresholds given as
    numbers are tested likewise from the strictest on, so that one should accept enough. Without a
    grid, 25 fixed thresholds are tested at `delta / 25` each, which takes more samples.

    "sgr" looks for the threshold among the confidences themselves, by a binary search of
    k = ceil(log2(N + 1)) tests at `delta / k` each. Its union bound takes the risk to fall as the
    confidence rises; "ltt" does not. The clip that lends the threshold is not accepted itself, which
    keeps the count of errors among the others binomial, with ties too.

    Args:
        confidence: (N,) confidences. NaN is never trusted.
        correct: (N,) whether each prediction is right.
        risk: Largest share of wrong predictions among the trusted ones, inside (0, 1).
        delta: Largest probability that the guarantee is broken, inside (0, 1).
        method: "ltt" or "sgr".
        grid: Levels of "ltt", chosen without these samples: a grid of `grid_from`, or thresholds.
        groups: (N,) the group (speaker, source) of each sample; "ltt" only.

    Raises:
        DataError: Lengths differ, an argument is no vector of its kind, `risk` or `delta` is outside
            (0, 1), the method is unknown, "sgr" was given a grid or groups, a confidence is infinite,
            or lies outside [0, 1] where no grid is given.

    Reference:
        Angelopoulos et al. 2021, "Learn then Test", section 4 and appendix on selective prediction.
        Geifman and El-Yaniv 2017, "Selective Classification for Deep Neural Networks", algorithm 1.
        Waudby-Smith and Ramdas 2024, "Estimating Means of Bounded Random Variables by Betting", for groups.

    Example:
        >>> import numpy as np
        >>> confidence = np.linspace(0, 1, 1000)
        >>> found = guaranteed(confidence, confidence > 0.3, risk=0.1, delta=0.05)
        >>> found.threshold, found.accepted, found.errors
        (0.25, 750, 50)
    """
    scores, right = _samples(confidence, correct, risk, delta, method)
    who = _codes("groups", groups, scores.size)
    base = without_threshold(scores, risk, delta, method, _count(who))
    if method == "sgr":
        if grid is not None or groups is not None:
            raise DataError(
                "sgr finds its own thresholds and counts clips; leave grid and groups out, or use ltt"
            )
        return sgr(base, scores, right)
    levels, sequence = _levels(grid, scores)
    tests = [hypotheses(scores, right, levels, who)] if scores.size else []
    return ltt(tests, base, scores, right, levels, sequence)


def guaranteed_by_class(
    confidence: Vector,
    correct: Vector,
    predicted: Groups,
    risk: float,
    delta: float,
    method: Method = "ltt",
    grid: Mapping[Any, Grid | Vector] | Grid | Vector | None = None,
    groups: Groups | None = None,
    labels: Sequence[Hashable] | None = None,
) -> dict[Any, Guarantee]:
    """Return a threshold for each predicted class, such that all of their guarantees hold together.

        P( P(wrong | predicted k, confidence >= threshold_k) <= risk for every k ) >= 1 - delta

    Each of K classes is tested at `delta / K` on the samples that are predicted so (Bonferroni), so
    that the chance of any broken guarantee adds up to delta at most. With `groups`, a class is about
    the groups in which it is predicted.

    Args:
        confidence: (N,) confidences.
        correct: (N,) whether each prediction is right.
        predicted: (N,) predicted classes, by name or number.
        risk: As in `guaranteed`, for each class.
        delta: As in `guaranteed`, for all classes together.
        method: As in `guaranteed`.
        grid: As in `guaranteed`, or a mapping from class to it; classes left out have none.
        groups: As in `guaranteed`.
        labels: All classes; those that are predicted when left out, which with `groups` it may not
            be: how many are seen then depends on the draw of the groups.

    Raises:
        DataError: As `guaranteed`; or a predicted class is not among `labels`, or `labels` is missing
            or names a class twice.

    Example:
        >>> import numpy as np
        >>> found = guaranteed_by_class(np.ones(200), [True] * 200, ["a", "b"] * 100, 0.1, 0.05)
        >>> {name: each.delta for name, each in found.items()}
        {'a': 0.025, 'b': 0.025}
    """
    scores, right = _samples(confidence, correct, risk, delta, method)
    if groups is not None and labels is None:
        raise DataError("guaranteed_by_class with groups needs labels: name all classes")
    names, codes = _distinct("predicted", predicted, scores.size)
    who = _codes("groups", groups, scores.size)
    wanted = list(names if labels is None else labels)
    if len(set(wanted)) < len(wanted):
        raise DataError(f"labels are {wanted}; name each class once, for each has a share of delta")
    if stray := [name for name in names if name not in wanted]:
        raise DataError(f"predicted holds {stray[0]!r}, which is not among labels {wanted}")
    guarantees = {}
    for name in wanted:
        rows = codes == (names.index(name) if name in names else -1)
        alone = guaranteed(
            scores[rows],
            right[rows],
            risk,
            delta / len(wanted),
            method,
            grid.get(name) if isinstance(grid, Mapping) else grid,
            None if who is None else who[rows],
        )
        guarantees[name] = replace(alone, scope=f"predicted {name}")
    return guarantees


def guaranteed_worst_group(
    confidence: Vector,
    correct: Vector,
    subgroup: Groups,
    risk: float,
    delta: float,
    grid: Grid | Vector | None = None,
    groups: Groups | None = None,
) -> Guarantee:
    """Return one threshold whose risk holds in every subgroup (sex, age, source, corpus) at once.

        P( max_a P(wrong | subgroup a, confidence >= threshold) <= risk ) >= 1 - delta

    At each level, "some subgroup's risk is above `risk`" falls only where it falls for every
    subgroup, each tested at the whole `delta` ("ltt", as in `guaranteed`). That is an intersection-union
    test, and needs no correction over subgroups: if the level is bad for one subgroup, accepting it
    takes a false rejection in that very subgroup, which has probability at most delta whatever the
    others show. The smallest subgroup decides: it alone must have samples enough.

    The guarantee covers the subgroups that occur. Counts are of all samples; `samples_needed` supposes
    that the subgroups grow alike; `bound` is the worst subgroup's.

    Args:
        confidence: (N,) confidences.
        correct: (N,) whether each prediction is right.
        subgroup: (N,) subgroup of each sample, by name or number.
        risk: As in `guaranteed`, in each subgroup.
        delta: As in `guaranteed`.
        grid: As in `guaranteed`.
        groups: As in `guaranteed`: the speakers, where the guarantee is for new ones.

    Raises:
        DataError: As `guaranteed`.

    Example:
        >>> import numpy as np
        >>> found = guaranteed_worst_group(np.ones(200), [True] * 200, ["f", "m"] * 100, 0.1, 0.05)
        >>> found.accepted, found.scope
        (200, 'in each of f, m')
    """
    scores, right = _samples(confidence, correct, risk, delta, "ltt")
    names, codes = _distinct("subgroup", subgroup, scores.size)
    who = _codes("groups", groups, scores.size)
    levels, sequence = _levels(grid, scores)
    drawn = _count(who) if who is not None and _spans(who, codes) else None
    tests = [
        hypotheses(scores[rows], right[rows], levels, None if who is None else who[rows], drawn)
        for rows in (codes == code for code in range(len(names)))
    ]
    base = without_threshold(scores, risk, delta, "ltt", _count(who))
    guarantee = ltt(tests, base, scores, right, levels, sequence)
    return replace(guarantee, scope=f"in each of {', '.join(map(str, names))}" if names else "")


def _spans(groups: Codes, subgroups: Codes) -> bool:
    """Say whether a group has samples in several subgroups.

    How many groups have one of them then tells of their errors in another, so that the tests may not
    begin by it: groups without a sample in a subgroup are counted as groups that trust nothing there.
    """
    pairs = np.unique(np.stack([groups, subgroups]), axis=1)
    return bool(pairs.shape[1] > np.unique(groups).size)


def _samples(
    confidence: Vector, correct: Vector, risk: float, delta: float, method: str
) -> tuple[Scores, Flags]:
    if method not in get_args(Method):
        raise DataError(f"unknown method {method!r}; choose one of {', '.join(get_args(Method))}")
    for name, value in (("risk", risk), ("delta", delta)):
        if not 0 < value < 1:
            raise DataError(f"{name} is {value}; give a share inside (0, 1), such as 0.1")
    return check_pair(confidence, correct)


def _levels(grid: Grid | Vector | None, scores: Scores) -> tuple[Grid, bool]:
    """Return the levels, and whether they are tested in sequence."""
    if grid is not None:
        return as_grid(grid), True
    if np.fmin.reduce(scores, initial=0) < 0 or np.fmax.reduce(scores, initial=0) > 1:
        raise DataError(
            "without a grid, confidences lie in [0, 1]; give thresholds, or grid_from other samples"
        )
    return as_grid(NUMERIC_GRID), False


def _distinct(what: str, values: Groups, size: int) -> tuple[list[Any], Codes]:
    """Return the distinct values, sorted, and each sample's place among them."""
    try:
        names, codes = encode_groups(values)
    except DataError as error:
        raise DataError(f"{what}: {error}") from error
    if codes.size != size:
        raise DataError(f"{what} holds {codes.size} names for {size} samples; give one each, (N,)")
    return names.tolist(), codes


def _codes(what: str, values: Groups | None, size: int) -> Codes | None:
    return None if values is None else _distinct(what, values, size)[1]


def _count(codes: Codes | None) -> int | None:
    return None if codes is None else int(codes.max(initial=-1)) + 1
