"""Guarantees: true risks over simulated calibration data, and the tests behind them by definition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from benchmarks import guarantee_groups
from benchmarks.guarantee import (
    Procedure,
    allowed,
    by_class,
    by_speaker,
    ltt,
    ltt_fixed,
    sgr,
    simulate,
    uncorrected,
    worst_group,
)
from benchmarks.guarantee_groups import MIXTURES, by_sorted_names, shares_broken
from benchmarks.guarantee_populations import (
    CLIP_POPULATIONS,
    CLIPS,
    DELTA,
    KIND_POPULATIONS,
    SPEAKER_POPULATIONS,
    SPEAKERS,
)
from ter_fast.errors import DataError
from ter_fast.trust.thresholds import (
    Grid,
    Guarantee,
    grid_from,
    guaranteed,
    guaranteed_by_class,
    guaranteed_worst_group,
)
from ter_fast.trust.thresholds.guarantee.grids import NUMERIC_GRID
from ter_fast.trust.thresholds.guarantee.hypotheses import GroupLevels, hypotheses

relaxed = settings(deadline=None, max_examples=50)

# -- the guarantee, over 2,000 draws of the calibration data ----------------------------------------


BOUNDARY = ("most sure, most wrong", "just over the risk")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("procedure", "name"),
    [
        *((ltt, name) for name in CLIP_POPULATIONS),
        *((each, name) for each in (ltt_fixed, sgr) for name in BOUNDARY),
    ],
)
def test_clips_keep_the_guarantee(procedure: Procedure, name: str) -> None:
    assert simulate(procedure, CLIP_POPULATIONS[name], CLIPS).violated <= allowed()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("procedure", "name"),
    [
        (by_speaker, "different"),
        (by_speaker, "all right or all wrong"),
    ],
)
def test_new_speakers_keep_the_guarantee(procedure: Procedure, name: str) -> None:
    assert simulate(procedure, SPEAKER_POPULATIONS[name], SPEAKERS).violated <= allowed()


@pytest.mark.slow
@pytest.mark.parametrize("procedure", [by_class, worst_group])
@pytest.mark.parametrize("name", ["just over the risk", "one kind just over"])
def test_all_classes_and_subgroups_keep_the_guarantee_at_once(
    procedure: Procedure, name: str
) -> None:
    assert simulate(procedure, KIND_POPULATIONS[name], 3 * CLIPS).violated <= allowed()


@pytest.mark.slow
def test_the_simulation_finds_a_procedure_that_does_not_correct() -> None:
    population = CLIP_POPULATIONS["just over the risk"]
    assert simulate(uncorrected, population, CLIPS).violated > allowed()


@pytest.mark.slow
def test_the_simulation_finds_clips_counted_as_if_they_were_speakers() -> None:
    population = SPEAKER_POPULATIONS["all right or all wrong"]
    assert simulate(ltt, population, SPEAKERS).violated > allowed()


@pytest.mark.slow
def test_the_guarantee_is_used_up_where_every_threshold_is_bad() -> None:
    """Nearly delta of the draws break it there: the procedure wastes little."""
    outcome = simulate(ltt, CLIP_POPULATIONS["just over, two values"], CLIPS)
    assert outcome.violated > 0.6 * DELTA


@pytest.mark.slow
@pytest.mark.parametrize(
    ("procedure", "population", "size", "lost"),
    [
        (ltt, CLIP_POPULATIONS["calibrated"], 20_000, 0.06),
        (ltt_fixed, CLIP_POPULATIONS["calibrated"], 20_000, 0.13),
        (sgr, CLIP_POPULATIONS["calibrated"], 20_000, 0.04),
        (sgr, CLIP_POPULATIONS["most sure, most wrong"], 20_000, 0.04),
        (by_speaker, SPEAKER_POPULATIONS["different"], 1_000, 0.1),
        (by_class, KIND_POPULATIONS["alike"], 60_000, 0.06),
    ],
)
def test_with_many_samples_coverage_comes_near_the_best_there_is(
    procedure: Procedure, population: Any, size: int, lost: float
) -> None:
    outcome = simulate(procedure, population, size, draws=10)
    assert outcome.found == 1
    assert outcome.oracle - lost <= outcome.coverage <= outcome.oracle + 0.01


# -- the tests of one level -----------------------------------------------------------------------


@pytest.mark.slow
@relaxed
@given(st.integers(1, 200), st.data(), st.sampled_from([0.05, 0.2, 0.5]))
def test_a_level_passes_where_the_clopper_pearson_limit_is_within_the_risk(
    accepted: int, data: st.DataObject, risk: float
) -> None:
    errors = data.draw(st.integers(0, accepted))
    right = np.arange(accepted) >= errors
    found = guaranteed(np.ones(accepted), right, risk, 0.1, grid=[0.5])
    limit = binomtest(errors, accepted).proportion_ci(0.8, "exact").high
    assert (found.threshold is not None) == (limit <= risk)
    if found.threshold is not None:
        assert found.bound == pytest.approx(limit)
        assert (found.accepted, found.errors, found.coverage) == (accepted, errors, 1.0)


def capital(wrong: list[float], trusted: list[float], risk: float, delta: float) -> float:
    """Bet five shares of the largest bet on every group, and return what is owned on average."""
    least = math.sqrt(2 * math.log(1 / delta) * (1 - risk) / (len(wrong) * risk))
    shares = np.geomspace(min(least, 1), 1, 5)
    scores = [w - risk * t for w, t in zip(wrong, trusted, strict=True)]
    return float(sum(math.prod(1 - s / (1 - risk) * x for x in scores) for s in shares)) / 5


@relaxed
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=60),
    st.sampled_from([0.05, 0.2, 0.5]),
    st.sampled_from([0.01, 0.1, 0.4]),
)
def test_groups_are_tested_by_betting(
    pairs: list[tuple[float, float]], risk: float, delta: float
) -> None:
    trusted = [each for each, _ in pairs]
    wrong = [share * each for each, share in pairs]
    levels = GroupLevels(np.array(wrong)[:, None], np.array(trusted)[:, None])
    owned = capital(wrong, trusted, risk, delta)
    if abs(owned * delta - 1) > 1e-9:
        assert levels.rejected(risk, delta)[0] == (owned >= 1 / delta)


@pytest.mark.parametrize("risk", [0.1, 0.3])
@pytest.mark.parametrize("apart", [0.0, 0.1])
@pytest.mark.parametrize("delta", [0.1, 0.5])
def test_the_bets_are_a_fair_game(risk: float, apart: float, delta: float) -> None:
    """At the edge of the hypothesis it falls with probability delta at most, counted over all outcomes.

    Be the groups alike or half of them wrong more often than the others.
    """
    rates = [risk - apart, risk + apart] * 4
    total = owned = 0.0
    for outcomes in np.ndindex(*(2,) * 8):
        chance = math.prod(
            rate if wrong else 1 - rate for wrong, rate in zip(outcomes, rates, strict=True)
        )
        wrong = np.array(outcomes, float)[:, None]
        levels = GroupLevels(wrong, np.ones_like(wrong))
        total += chance * bool(levels.rejected(risk, delta)[0])
        owned += chance * capital(wrong[:, 0].tolist(), [1.0] * 8, risk, delta)
    assert total <= delta
    assert owned == pytest.approx(1) if not apart else owned < 1
    assert total > 0 or 1 / (1 - risk) ** 8 < 1 / delta


def test_neither_names_nor_the_order_of_groups_change_anything() -> None:
    random = np.random.default_rng(0)
    who = np.repeat([f"{'ab'[i % 4 == 0]}:{i:03d}" for i in range(90)], 7)
    confidence = random.random(who.size).round(2)
    right = random.random(who.size) < 0.8 + 0.2 * confidence
    found = guaranteed(confidence, right, 0.2, 0.1, grid=[0.8, 0.5, 0.2], groups=who)
    assert found.threshold is not None
    names = np.unique(who)
    for _ in range(20):
        called = dict(zip(names, random.permutation(1000)[: names.size].tolist(), strict=True))
        rows = random.permutation(who.size)
        other = guaranteed(
            confidence[rows],
            right[rows],
            0.2,
            0.1,
            grid=[0.8, 0.5, 0.2],
            groups=[called[name] for name in who[rows]],
        )
        # To the last bit of the bound.
        assert other == found


def test_names_that_tell_the_corpus_do_not_break_the_guarantee() -> None:
    """Bets in one order of the sorted names break it nearly always; the product does not."""
    mixture = MIXTURES["two corpora, 151 speakers"]
    product, in_order = shares_broken(mixture, 40, [None, by_sorted_names])
    assert in_order > 0.9
    assert product <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", MIXTURES)
def test_speakers_made_to_break_the_guarantee_do_not(name: str) -> None:
    limit = guarantee_groups.DELTA
    assert shares_broken(MIXTURES[name], 100, seed=1)[0] <= allowed(100, limit)


def test_every_mixture_has_a_level_that_would_break_the_guarantee() -> None:
    for mixture in MIXTURES.values():
        bad = [mixture.breaks(t, part) for t, _ in mixture.levels for part in (None, 0, 1)]
        assert any(bad)


def test_the_bound_is_the_least_risk_that_the_test_rules_out() -> None:
    random = np.random.default_rng(1)
    trusted = random.random((80, 1))
    wrong = trusted * (random.random((80, 1)) < 0.05)
    levels = GroupLevels(wrong, trusted)
    bound = levels.bound(0, 0.2, 0.1)
    assert levels.rejected(0.2, 0.1)[0]
    assert wrong.sum() / trusted.sum() < bound <= 0.2
    owned = [
        sum(math.prod(1 - s * (wrong - r * trusted)[:, 0] / (1 - r)) for s in shares) / 5
        for r in (bound - 2e-6, bound)
        for shares in [np.geomspace(math.sqrt(2 * math.log(10) * 0.8 / (80 * 0.2)), 1, 5)]
    ]
    assert owned[0] < 10 <= owned[1]
    assert GroupLevels(trusted, trusted).bound(0, 0.2, 0.1) == 1


@pytest.mark.parametrize(("risk", "delta"), [(0.1, 0.05), (0.2, 0.1), (0.3, 0.1)])
def test_few_groups_have_no_threshold_and_are_told_how_many_would_do(
    risk: float, delta: float
) -> None:
    def perfect(groups: int) -> Guarantee:
        who = np.repeat(np.arange(groups), 50)
        return guaranteed(
            np.ones(who.size), np.ones(who.size, bool), risk, delta, grid=[0.5], groups=who
        )

    few = perfect(4)
    assert few.threshold is None
    assert few.text == ""
    least = math.ceil(math.log(delta) / math.log(1 - risk))
    assert f"from 4 groups: without a single error it takes {least}" in few.reason
    assert few.samples_needed is not None
    assert few.samples_needed >= least
    assert perfect(few.samples_needed).threshold is not None
    assert perfect(few.samples_needed - 1).threshold is None
    assert (perfect(few.samples_needed).unit, few.unit) == ("groups", "groups")


@pytest.mark.parametrize("errors", [0, 1, 4])
def test_as_many_clips_as_are_asked_for_do(errors: int) -> None:
    def seen(times: int, size: int = 40) -> Guarantee:
        right = np.resize(np.arange(size) >= errors, times * size)
        return guaranteed(np.ones(times * size), right, 0.15, 0.05, grid=[0.5])

    if seen(1).threshold is None:
        wanted = seen(1).samples_needed
        assert wanted is not None
        assert f"about {wanted} like these would do" in seen(1).reason
        times = math.ceil(wanted / 40)
        assert seen(times).threshold is not None
        assert times == 1 or seen(times - 1).threshold is None
    else:
        assert seen(1).samples_needed is None


@pytest.mark.parametrize("seed", range(12))
def test_never_fewer_samples_are_asked_for_than_there_are(seed: int) -> None:
    random = np.random.default_rng(seed)
    size = int(random.integers(30, 600))
    confidence = random.random(size).round(2)
    right = random.random(size) < 0.7 + 0.2 * np.sin(9 * confidence)
    grid = grid_from(random.random(size // 4))
    groups = random.integers(0, size // 10, size)
    refusals = 0
    for extra in ({"grid": grid}, {"grid": grid, "groups": groups}, {"groups": groups}, {},
                  {"method": "sgr"}):  # fmt: skip
        found = guaranteed(confidence, right, 0.15, 0.1, **extra)  # type: ignore[arg-type]
        refusals += found.threshold is None
        if found.samples_needed is not None:
            assert found.samples_needed > (found.groups if "groups" in extra else size)
    assert refusals


def test_a_looser_level_does_not_help_a_sequence_that_fails_before() -> None:
    """What a level would need by itself is no answer where an earlier one is always bad."""
    confidence = np.repeat([0.95, 0.5], [30, 270])
    right = np.arange(300) >= 5
    fails = guaranteed(
        confidence, right, 0.1, 0.05, grid=Grid(np.array([0.9, 0.4]), np.array([0.2, 1]))
    )
    assert fails.threshold is None
    assert fails.samples_needed is None
    # Fewer samples would have begun at the level 0.4, but all it takes there are 3 * 58 of them.
    assert guaranteed(confidence, right, 0.1, 0.05, grid=[0.4]).threshold == 0.4


def test_no_number_of_samples_mends_a_model_that_is_wrong_too_often() -> None:
    right = np.arange(300) % 3 > 0
    for extra in ({}, {"groups": np.arange(300) // 3}, {"method": "sgr"}):
        found = guaranteed(np.ones(300), right, 0.1, 0.05, **extra)  # type: ignore[arg-type]
        assert found.threshold is None
        assert found.samples_needed is None
        assert "no level of confidence was seen to keep it" in found.reason


# -- the procedures -------------------------------------------------------------------------------


def test_a_sequence_stops_at_the_first_failure() -> None:
    confidence = np.repeat([0.9, 0.7, 0.5, 0.3], [200, 20, 20, 1000])
    right = np.ones(confidence.size, bool)
    right[200:240] = False
    found = guaranteed(confidence, right, 0.1, 0.05, grid=[0.9, 0.7, 0.5, 0.3])
    # The level 0.3 would pass by itself: 40 errors among 1,240.
    assert found.threshold == 0.9
    assert guaranteed(confidence, right, 0.1, 0.05, grid=[0.3]).threshold == 0.3
    assert guaranteed(confidence, right, 0.1, 0.05, grid=[0.3, 0.9]).threshold == 0.3


def test_a_sequence_starts_where_enough_are_expected() -> None:
    """Its start is of the grid's own making: what is accepted here may not move it."""
    confidence = np.concatenate([np.full(30, 0.95), np.full(270, 0.5)])
    right = np.ones(300, bool)
    right[:5] = False
    grid = Grid(np.array([0.9, 0.4]), np.array([0.1, 1.0]))
    # 2 ceil(ln 0.05 / ln 0.9) = 58 are not expected at the first level, so that it is not tested.
    assert guaranteed(confidence, right, 0.1, 0.05, grid=grid).threshold == 0.4
    sooner = Grid(grid.threshold, np.array([0.2, 1.0]))
    assert guaranteed(confidence, right, 0.1, 0.05, grid=sooner).threshold is None
    assert guaranteed(confidence, right, 0.1, 0.05, grid=[0.9, 0.4]).threshold is None


def test_a_grid_that_begins_too_strictly_is_told_so() -> None:
    found = guaranteed(np.full(300, 0.5), np.ones(300, bool), 0.1, 0.05, grid=[0.99, 0.4])
    assert found.threshold is None
    assert "the first level tested, 0.99, accepts 0 clips: begin the grid lower" in found.reason


@relaxed
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.55, 0.9, 1.0, math.nan]), st.booleans())))
def test_fixed_thresholds_share_delta(pairs: list[tuple[float, bool]]) -> None:
    repeated = pairs * 12
    confidence = np.array([c for c, _ in repeated])
    right = np.array([r for _, r in repeated], bool)
    passed = [
        t
        for t in NUMERIC_GRID
        if (confidence >= t).any()
        and binom.cdf((~right & (confidence >= t)).sum(), (confidence >= t).sum(), 0.3)
        <= 0.1 / len(NUMERIC_GRID)
    ]
    found = guaranteed(confidence, right, 0.3, 0.1)
    assert found.threshold == min(passed, default=None)
    assert found.nan_count == np.isnan(confidence).sum()


@relaxed
@given(
    st.lists(
        st.tuples(
            st.one_of(st.sampled_from([0.25, 0.5, math.nan]), st.floats(0, 1, width=32)),
            st.booleans(),
        ),
        max_size=30,
    ),
    st.sampled_from([np.float32, np.float64]),
)
def test_sgr_is_a_binary_search_over_the_confidences(
    pairs: list[tuple[float, bool]], dtype: Any
) -> None:
    confidence = np.array([c for c, _ in pairs], dtype)
    right = np.array([r for _, r in pairs], bool)
    ordered = sorted((-math.inf if math.isnan(c) else float(c) for c, _ in pairs), reverse=True)
    cuts = [*ordered, -math.inf]
    share = 0.3 / max(1, math.ceil(math.log2(len(pairs) + 1)))

    def passes(rank: int) -> bool:
        trusted = confidence > cuts[rank]
        return bool(
            trusted.any()
            and binom.cdf((trusted & ~right).sum(), trusted.sum(), 0.4) <= share * (1 + 1e-12)
        )

    low, high = 0, len(pairs)
    while low < high:
        middle = (low + high + 1) // 2
        few = 0.6 ** (confidence > cuts[middle]).sum() > share
        low, high = (middle, high) if few or passes(middle) else (low, middle - 1)
    found = guaranteed(confidence, right, 0.4, 0.3, "sgr")
    assert (found.threshold is not None) == (bool(pairs) and passes(low))
    if found.threshold is not None:
        np.testing.assert_array_equal(confidence >= found.threshold, confidence > cuts[low])
        assert math.isfinite(found.threshold)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_each_class_is_calibrated_on_its_own_samples(seed: int) -> None:
    generator = np.random.default_rng(seed)
    confidence, predicted = generator.random(600), generator.integers(0, 3, 600)
    right = generator.random(600) < 0.6 + 0.4 * confidence
    found = guaranteed_by_class(confidence, right, predicted, 0.2, 0.3, labels=[0, 1, 2, 7])
    assert list(found) == [0, 1, 2, 7]
    for name, each in found.items():
        rows = predicted == name
        alone = guaranteed(confidence[rows], right[rows], 0.2, 0.3 / 4)
        assert each.scope == f"predicted {name}"
        assert (each.threshold, each.reason) == (alone.threshold, alone.reason)
    assert found[7].threshold is None


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_the_worst_subgroup_decides(seed: int) -> None:
    generator = np.random.default_rng(seed)
    confidence, sex = generator.random(600), generator.choice(["f", "m"], 600)
    right = generator.random(600) < 0.55 + 0.4 * confidence + 0.1 * (sex == "m")
    levels = [0.8, 0.6, 0.4, 0.2]
    found = guaranteed_worst_group(confidence, right, sex, 0.2, 0.1, grid=levels)
    alone = [
        guaranteed(confidence[sex == each], right[sex == each], 0.2, 0.1, grid=levels).threshold
        for each in ("f", "m")
    ]
    assert found.threshold == (None if None in alone else max(alone))  # type: ignore[type-var]
    if found.threshold is not None:
        assert "(in each of f, m)" in found.text


def test_where_speakers_are_in_several_subgroups_all_of_them_say_where_tests_begin() -> None:
    """How many of them have the rare subgroup tells of their errors elsewhere, and may not move the start."""
    who, kind = np.repeat(np.arange(60), 10), np.zeros(600, int)
    kind[::20] = 1
    grid = Grid(np.array([0.9, 0.4]), np.array([0.9, 1.0]))
    right = np.ones(600, bool)
    every = guaranteed_worst_group(np.ones(600), right, kind, 0.2, 0.1, grid, groups=who)
    assert every.threshold == 0.4
    rows = np.arange(600) % 20 == 0
    levels = hypotheses(np.ones(30), right[rows], grid, who[rows], 60)
    assert levels.n == 60
    assert levels.rejected(0.2, 0.1).all()


def test_classes_and_subgroups_may_be_guaranteed_for_new_speakers() -> None:
    who = np.repeat(np.arange(200), 10)
    kind = np.tile([0, 1], 1000)
    right = np.ones(2000, bool)
    right[(kind == 1) & (who % 3 == 0)] = False
    worst = guaranteed_worst_group(np.ones(2000), right, kind, 0.2, 0.1, [0.5], groups=who)
    assert (worst.threshold, worst.groups) == (None, 200)
    each = guaranteed_by_class(
        np.ones(2000), right, kind, 0.2, 0.1, grid={0: [0.5], 1: [0.5]}, groups=who, labels=[0, 1]
    )
    assert (each[0].threshold, each[1].threshold) == (0.5, None)
    assert each[0].unit == "groups"


# -- grids ----------------------------------------------------------------------------------------


@relaxed
@given(
    st.lists(
        st.one_of(st.sampled_from([0.25, 0.5, math.nan]), st.floats(0, 1)), min_size=1, max_size=30
    ),
    st.lists(st.floats(0.01, 1), min_size=1, max_size=5),
)
def test_a_grid_accepts_at_least_the_wanted_shares(
    confidence: list[float], levels: list[float]
) -> None:
    values = np.array(confidence)
    if np.isnan(values).all():
        with pytest.raises(DataError, match=r"0 of \d+ confidences are numbers"):
            grid_from(values, levels)
        return
    grid = grid_from(values, levels)
    assert (np.diff(grid.threshold) < 0).all()
    assert set(grid.threshold) <= set(values)
    assert grid.coverage is not None
    for threshold, coverage in zip(grid.threshold, grid.coverage, strict=True):
        assert coverage == (values >= threshold).mean()
    for level in levels:
        if level <= 1 - np.isnan(values).mean():
            reached = grid.threshold[grid.coverage >= level - 1e-9]
            assert reached.size
            assert (values > reached.max()).mean() < level


@pytest.mark.parametrize(
    ("confidence", "levels", "message"),
    [
        ([], [0.5], "0 of 0 confidences are numbers"),
        ([0.5, math.inf], [0.5], "give finite ones"),
        ([0.5], [], r"levels are \[\]; give shares"),
        ([0.5], [0.0], r"levels are \[0.0\]"),
        ([0.5], [1.5], "give shares of the samples in"),
        (["a"], [0.5], "confidence has dtype"),
    ],
)
def test_grids_that_cannot_be(confidence: Any, levels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        grid_from(confidence, levels)


# -- what is said, and bad input ------------------------------------------------------------------


def test_the_guarantee_names_whom_it_is_for() -> None:
    who = np.repeat(np.arange(100), 3)
    clips = guaranteed(np.ones(300), np.ones(300, bool), 0.1, 0.05)
    assert clips.text == (
        "for clips drawn like the 300 calibration clips, of the same speakers or sources, at most 0.1 of "
        "the trusted predictions are wrong, with probability 0.95 over the choice of the calibration data"
    )
    speakers = guaranteed(np.ones(300), np.ones(300, bool), 0.1, 0.05, groups=who)
    assert "for new speakers or sources drawn like the 100 of the calibration data" in speakers.text
    assert (clips.groups, speakers.groups, speakers.n) == (None, 100, 300)


@pytest.mark.parametrize("method", ["ltt", "sgr"])
@pytest.mark.parametrize(
    ("confidence", "correct", "threshold", "reason"),
    [
        ([], [], None, "there are no samples"),
        ([math.nan] * 9, [1] * 9, None, "every confidence is NaN"),
        ([0.5] * 500, [1] * 500, 0.0, ""),
        ([0.5] * 500, [0] * 500, None, "no level of confidence was seen to keep it"),
        ([0.0] * 500, [1] * 500, 0.0, ""),
        (list(np.linspace(0, 1, 500)), [1] * 500, 0.0, ""),
        ([0.5], [1], None, "without a single error it takes"),
        (torch.full((500,), 0.5, dtype=torch.bfloat16), torch.ones(500), 0.0, ""),
    ],
)
def test_odd_data_have_a_defined_answer(
    method: Any, confidence: Any, correct: Any, threshold: float | None, reason: str
) -> None:
    found = guaranteed(confidence, correct, 0.1, 0.05, method)
    assert found.threshold == threshold
    assert reason in found.reason
    assert bool(found.reason) == (threshold is None)


def test_nan_is_never_trusted_and_counted() -> None:
    confidence = np.r_[np.full(200, 0.9), np.full(50, math.nan)]
    right = np.r_[np.ones(200, bool), np.zeros(50, bool)]
    for method in ("ltt", "sgr"):
        found = guaranteed(confidence, right, 0.1, 0.05, method)  # type: ignore[arg-type]
        assert (found.accepted, found.errors, found.nan_count) == (200, 0, 50)
        assert found.coverage == 0.8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"risk": 0.0}, r"risk is 0.0; give a share inside \(0, 1\)"),
        ({"risk": 1.0}, "risk is 1.0"),
        ({"risk": math.nan}, "risk is nan"),
        ({"delta": 0}, "delta is 0"),
        ({"delta": 1.5}, "delta is 1.5"),
        ({"method": "luck"}, "unknown method 'luck'; choose one of ltt, sgr"),
        ({"correct": [1]}, "2 confidences but 1 correct flags"),
        ({"correct": [1, 2]}, "correct holds 2"),
        ({"confidence": [0.5, math.inf]}, "infinite"),
        ({"confidence": [0.5, 1.5]}, r"without a grid, confidences lie in \[0, 1\]"),
        ({"confidence": [[0.5, 0.5]]}, "shape"),
        ({"confidence": np.array([0.5, "x"], object)}, "dtype object"),
        ({"groups": [1]}, "groups holds 1 names for 2 samples"),
        ({"groups": ["a", None]}, "groups"),
        ({"grid": []}, "grid holds no threshold"),
        ({"grid": [math.nan]}, "not finite"),
        ({"method": "sgr", "grid": [0.5]}, "leave grid and groups out"),
        ({"method": "sgr", "groups": [1, 2]}, "leave grid and groups out"),
    ],
)
def test_bad_input_is_refused(arguments: dict[str, Any], message: str) -> None:
    values = {"confidence": [0.5, 0.6], "correct": [1, 0], "risk": 0.1, "delta": 0.05}
    with pytest.raises(DataError, match=message):
        guaranteed(**{**values, **arguments})


def test_a_class_outside_the_labels_is_refused() -> None:
    with pytest.raises(DataError, match="predicted holds 'joy', which is not among labels"):
        guaranteed_by_class([0.5], [1], ["joy"], 0.1, 0.1, labels=["fear"])
    with pytest.raises(DataError, match="with groups needs labels"):
        guaranteed_by_class([0.5], [1], ["joy"], 0.1, 0.1, groups=["a"])
    with pytest.raises(DataError, match="subgroup holds 2 names for 1 samples"):
        guaranteed_worst_group([0.5], [1], ["f", "m"], 0.1, 0.1)
    assert guaranteed_by_class([], [], [], 0.1, 0.1) == {}
    assert guaranteed_worst_group([], [], [], 0.1, 0.1).reason == "there are no samples"


def test_a_class_named_twice_is_refused() -> None:
    with pytest.raises(DataError, match="name each class once"):
        guaranteed_by_class([0.5], [True], ["joy"], 0.1, 0.05, labels=["joy", "joy"])
