"""Fusion: the rules against their definitions, masks, discounts, range and bad input."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ter_fast.opinions import reference
from ter_fast.opinions.fusion import fuse
from ter_fast.opinions.fusion_rules import FUSION_RULES
from ter_fast.opinions.opinion import RULES, Opinion

FLOAT32_TINY = torch.finfo(torch.float32).tiny


NEUTRAL = [rule.name for rule in FUSION_RULES.values() if rule.neutral]


def arrays(low: float = 0, high: float = 1e6, views: int = 4) -> st.SearchStrategy[np.ndarray]:
    shapes = st.tuples(st.integers(1, views), st.integers(1, 5), st.integers(2, 9))
    return npst.arrays(np.float32, shapes, elements=st.floats(low, high, width=32))


def same(left: Opinion, right: Opinion, rtol: float = 1e-6) -> None:
    torch.testing.assert_close(left.evidence, right.evidence, rtol=rtol, atol=1e-30)
    torch.testing.assert_close(left.uncertainty, right.uncertainty, rtol=rtol, atol=0)
    # What is promised of a conflict is 1e-6: float32 sums in another order differ by a little over 1e-7.
    torch.testing.assert_close(left.conflict, right.conflict, rtol=rtol, atol=1e-6)
    torch.testing.assert_close(left.disagreement, right.disagreement, rtol=rtol, atol=1e-7)


def dempster_by_definition(
    left: list[Fraction], right: list[Fraction]
) -> tuple[list[Fraction], Fraction]:
    """Combine two opinions by the K x K table of products of their masses, exactly."""
    classes = len(left)
    (b, u), (c, w) = (
        ([e / (sum(view) + classes) for e in view], classes / (sum(view) + classes))
        for view in (left, right)
    )
    conflict = sum(
        (b[i] * c[j] for i in range(classes) for j in range(classes) if i != j), Fraction(0)
    )
    belief = [(b[k] * c[k] + b[k] * w + c[k] * u) / (1 - conflict) for k in range(classes)]
    uncertainty = u * w / (1 - conflict)
    return [classes * x / uncertainty for x in belief], conflict


@given(
    st.integers(2, 7).flatmap(
        lambda k: st.lists(
            st.lists(st.integers(0, 50), min_size=k, max_size=k), min_size=2, max_size=2
        )
    )
)
@settings(deadline=None)
def test_dempster_is_the_combination_of_masses(views: list[list[int]]) -> None:
    evidence, conflict = dempster_by_definition(*([Fraction(e) for e in v] for v in views))
    fused = fuse(torch.tensor(views, dtype=torch.float64))
    assert fused.evidence.tolist() == pytest.approx([float(e) for e in evidence], rel=1e-12)
    assert fused.conflict is not None
    assert fused.conflict.item() == pytest.approx(float(conflict), rel=1e-12)


def test_dempster_of_many_views_is_the_repeated_combination_of_two() -> None:
    views = [[3, 0, 1], [0, 5, 2], [7, 1, 0], [1, 1, 1]]
    merged = [Fraction(e) for e in views[0]]
    kept = Fraction(1)
    for view in views[1:]:
        merged, conflict = dempster_by_definition(merged, [Fraction(e) for e in view])
        kept *= 1 - conflict
    fused = fuse(torch.tensor(views, dtype=torch.float64))
    assert fused.evidence.tolist() == pytest.approx([float(e) for e in merged], rel=1e-13)
    assert fused.conflict is not None
    assert fused.conflict.item() == pytest.approx(float(1 - kept), rel=1e-13)


def test_the_averaging_rules_have_their_closed_forms() -> None:
    evidence = torch.tensor([[[6.0, 0.0]], [[0.0, 2.0]]], dtype=torch.float64)
    assert fuse(evidence, "cumulative").evidence.tolist() == [[6, 2]]
    assert fuse(evidence, "averaging").evidence.tolist() == [[3, 1]]
    weights = (6 / 8, 2 / 4)
    expected = [6 * weights[0] / sum(weights), 2 * weights[1] / sum(weights)]
    assert fuse(evidence, "weighted").evidence[0].tolist() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("rule", RULES)
@given(evidence=arrays(views=3))
@settings(deadline=None, max_examples=40)
def test_fusion_commutes(rule: str, evidence: np.ndarray) -> None:
    views = torch.from_numpy(evidence)
    expected = fuse(views, rule)
    for order in permutations(range(len(views))):
        same(fuse(views[list(order)], rule), expected)


@pytest.mark.parametrize("rule", RULES)
@given(evidence=arrays(), data=st.data())
@settings(deadline=None, max_examples=60)
def test_masked_is_absent(rule: str, evidence: np.ndarray, data: st.DataObject) -> None:
    views = torch.from_numpy(evidence)
    mask = torch.from_numpy(data.draw(npst.arrays(np.bool_, evidence.shape[:2])))
    poison = data.draw(st.sampled_from([math.nan, math.inf, -1.0, 5.0]))
    fused = fuse(torch.where(mask[..., None], views, poison), rule, mask=mask)
    for row in range(views.shape[1]):
        present = mask[:, row]
        one = Opinion(fused.evidence[row], vacuity=fused.uncertainty[row])
        if present.any():
            alone = fuse(views[present, row], rule)
            torch.testing.assert_close(one.evidence, alone.evidence, rtol=1e-6, atol=1e-30)
            torch.testing.assert_close(one.uncertainty, alone.uncertainty, rtol=1e-6, atol=0)
            assert fused.conflict is not None
            assert fused.disagreement is not None
            # Rows may be fused on either width of numbers, each within 1e-6 of the true conflict.
            torch.testing.assert_close(fused.conflict[row], alone.conflict, rtol=0, atol=1e-6)
            torch.testing.assert_close(
                fused.disagreement[row], alone.disagreement, rtol=1e-6, atol=1e-7
            )
        else:
            assert one.evidence.tolist() == [0] * views.shape[-1]
            assert one.uncertainty.item() == 1
            assert not one.trusted(0.0)


@pytest.mark.parametrize("rule", NEUTRAL)
@given(evidence=arrays())
@settings(deadline=None, max_examples=60)
def test_evidence_zero_is_neutral(rule: str, evidence: np.ndarray) -> None:
    views = torch.from_numpy(evidence)
    fused = fuse(views, rule)
    diluted = fuse(torch.cat([views, torch.zeros_like(views[:1])]), rule)
    torch.testing.assert_close(diluted.evidence, fused.evidence, rtol=1e-6, atol=1e-30)
    torch.testing.assert_close(diluted.uncertainty, fused.uncertainty, rtol=1e-6, atol=0)
    torch.testing.assert_close(diluted.conflict, fused.conflict, rtol=0, atol=1e-6)


def test_evidence_zero_dilutes_an_average() -> None:
    evidence = torch.tensor([[4.0, 2.0], [0.0, 0.0]])
    assert fuse(evidence, "averaging").evidence.tolist() == [2, 1]


@pytest.mark.parametrize("rule", RULES)
@given(evidence=arrays())
@settings(deadline=None, max_examples=60)
def test_masses_sum_to_one(rule: str, evidence: np.ndarray) -> None:
    fused = fuse(torch.from_numpy(evidence), rule)
    total = fused.belief.double().sum(-1) + fused.uncertainty.double()
    torch.testing.assert_close(total, torch.ones_like(total), rtol=1e-6, atol=0)
    assert fused.conflict is not None
    assert fused.disagreement is not None
    for mass in (fused.conflict, fused.disagreement):
        assert bool(((mass >= 0) & (mass <= 1)).all())


@pytest.mark.parametrize("views", [1, 2, 3, 16])
@pytest.mark.parametrize("classes", [2, 6, 101, 1024])
def test_float32_is_right_over_the_whole_range(views: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(views * 10_000 + classes)
    rows = 40
    exponent = torch.rand(views, rows, classes, generator=generator) * 14 - 8
    evidence = 10.0**exponent
    evidence[torch.rand(evidence.shape, generator=generator) < 0.2] = 0
    evidence[:, 0] = 1e6
    evidence[:, 1] = 0
    evidence[:, 2] = 1e-38
    evidence[:, 3] = 0
    evidence[:, 3, 0] = 1e6
    fused = fuse(evidence)

    # Another way to the same numbers, in float64 throughout.
    exact = classes * torch.expm1(torch.log1p(evidence.double() / classes).sum(0))
    strength = exact.sum(-1, keepdim=True) + classes
    single = classes / (evidence.double().sum(-1) + classes)
    uncertainty = classes / strength[:, 0]
    for ours, expected in (
        (fused.belief, exact / strength),
        (fused.probability, (exact + 1) / strength),
        (fused.uncertainty, uncertainty),
    ):
        torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=FLOAT32_TINY)
    conflict = 1 - (single.log().sum(0) - uncertainty.log()).exp()
    assert fused.conflict is not None
    torch.testing.assert_close(fused.conflict.double(), conflict, rtol=0, atol=1e-6)
    assert bool(torch.isfinite(fused.evidence).all() & torch.isfinite(fused.strength).all())
    assert fused.prediction.tolist() == exact.argmax(-1).tolist()


@pytest.mark.parametrize("views", [2, 4])
@pytest.mark.parametrize("classes", [16, 17, 64, 65, 200, 300, 500, 1000, 1024])
def test_float32_is_right_where_every_rounding_goes_the_same_way(views: int, classes: int) -> None:
    value = torch.logspace(-3, 6, 400)
    evidence = value[:, None].expand(views, 400, classes)
    fused = fuse(evidence)
    exact = reference.fuse(evidence.double(), "dempster", None, None, 1e300)
    torch.testing.assert_close(fused.uncertainty.double(), exact[1], rtol=1e-5, atol=0)
    assert fused.conflict is not None
    torch.testing.assert_close(fused.conflict.double(), exact[2], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_saturated_evidence_keeps_its_ratios(dtype: torch.dtype) -> None:
    evidence = torch.tensor([[30000.0, 15000.0, 0.0]] * 12, dtype=dtype)
    fused = fuse(evidence)
    assert fused.evidence.dtype is dtype
    assert bool(torch.isfinite(fused.strength))
    assert fused.belief[0].item() == pytest.approx(1 / (1 + 2**-12), rel=1e-2)
    assert fused.prediction.item() == 0


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1.0])
def test_invalid_evidence_spoils_its_row_and_no_other(rule: str, bad: float) -> None:
    evidence = torch.ones(2, 9, 3, dtype=torch.float64)
    clean = fuse(evidence, rule)
    evidence[1, 4, 2] = bad
    evidence.requires_grad_()
    fused = fuse(evidence, rule)
    others = [row for row in range(9) if row != 4]
    assert fused.evidence[4].isnan().all()
    for value in (fused.uncertainty, fused.conflict, fused.disagreement, fused.confidence):
        assert value is not None
        assert value.isnan().nonzero().flatten().tolist() == [4]
    assert not fused.trusted(-math.inf)[4]
    torch.testing.assert_close(fused.evidence[others], clean.evidence[others])
    (gradient,) = torch.autograd.grad(fused.uncertainty[others].sum(), evidence)
    assert bool(torch.isfinite(gradient).all())
    assert (gradient[:, 4] == 0).all()


@pytest.mark.parametrize("rule", RULES)
def test_a_masked_view_has_exactly_no_gradient(rule: str) -> None:
    evidence = torch.full((2, 9, 3), 2.0)
    evidence[0, ::2] = math.nan
    evidence.requires_grad_()
    discount = torch.full((2, 9), 0.5)
    discount[0, ::2] = math.nan
    discount.requires_grad_()
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[0, ::2] = False
    fused = fuse(evidence, rule, mask=mask, discount=discount)
    assert bool(torch.isfinite(fused.evidence).all())
    fused.uncertainty.sum().backward()
    assert evidence.grad is not None
    assert discount.grad is not None
    assert (evidence.grad[0, ::2] == 0).all()
    assert (discount.grad[0, ::2] == 0).all()
    assert (evidence.grad[1] < 0).all()
    assert (discount.grad[1] < 0).all()


def test_discounting_scales_belief() -> None:
    evidence = torch.tensor([[6.0, 2.0, 0.0]], dtype=torch.float64)
    before = Opinion(evidence)
    after = fuse(evidence[None], discount=[0.3])
    torch.testing.assert_close(after.belief, 0.3 * before.belief)
    torch.testing.assert_close(after.uncertainty, 1 - 0.3 * (1 - before.uncertainty))
    same(fuse(evidence[None], discount=[1.0]), fuse(evidence[None]))
    assert fuse(evidence[None], discount=[0.0]).uncertainty.item() == 1


@pytest.mark.parametrize("rule", NEUTRAL)
@given(evidence=arrays(high=1e3))
@settings(deadline=None, max_examples=30)
def test_a_view_that_is_not_relied_on_is_neutral(rule: str, evidence: np.ndarray) -> None:
    views = torch.from_numpy(evidence)
    more = torch.cat([views, torch.full_like(views[:1], 7.0)])
    fused = fuse(more, rule, discount=[1.0] * len(views) + [0.0])
    torch.testing.assert_close(fused.evidence, fuse(views, rule).evidence, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("bad", [math.nan, -0.1, 1.1])
def test_a_reliability_out_of_range_is_never_trusted(bad: float) -> None:
    discount = torch.tensor([[0.5, bad], [0.5, 0.5]])
    assert fuse(torch.ones(2, 2, 3), discount=discount).confidence.isnan().tolist() == [False, True]
    with pytest.raises(ValueError, match=r"reliabilities lie in \[0, 1\]"):
        fuse(torch.ones(2, 2, 3), discount=[0.5, bad])


def test_conflict_and_disagreement_are_different_things() -> None:
    split = torch.tensor([10.0, 10.0, 0.0, 0.0, 0.0, 0.0])
    alike = fuse([split, split])
    assert alike.conflict is not None
    assert alike.disagreement is not None
    assert alike.conflict.item() == pytest.approx(0.296, abs=5e-4)
    assert alike.disagreement.item() == 0
    opposite = fuse(torch.tensor([[1e9, 0.0], [0.0, 1e9]]))
    assert opposite.disagreement is not None
    assert opposite.disagreement.item() == pytest.approx(1, abs=1e-6)


def test_disagreement_is_the_mean_over_the_pairs_that_are_present() -> None:
    evidence = torch.tensor([[[6.0, 0.0]], [[0.0, 2.0]], [[1.0, 1.0]]], dtype=torch.float64)

    def pair(v: int, w: int) -> float:
        a, b = Opinion(evidence[v, 0]), Opinion(evidence[w, 0])
        distance = (a.probability - b.probability).abs().sum() / 2
        return float(distance * (1 - a.uncertainty) * (1 - b.uncertainty))

    everything = fuse(evidence).disagreement
    assert everything is not None
    assert everything.item() == pytest.approx((pair(0, 1) + pair(0, 2) + pair(1, 2)) / 3)
    two = fuse(evidence, mask=torch.tensor([True, False, True])).disagreement
    assert two is not None
    assert two.item() == pytest.approx(pair(0, 2))
    one = fuse(evidence, mask=torch.tensor([True, False, False])).disagreement
    assert one is not None
    assert one.item() == 0


def test_weighted_without_any_evidence_has_the_gradient_of_averaging() -> None:
    evidence = torch.zeros(2, 1, 3, dtype=torch.float64, requires_grad=True)
    fused = fuse(evidence, "weighted")
    assert fused.evidence.tolist() == [[0, 0, 0]]
    (gradient,) = torch.autograd.grad(fused.evidence.sum(), evidence)
    assert gradient.tolist() == [[[0.5, 0.5, 0.5]]] * 2


@pytest.mark.parametrize("batch", [(), (3,), (0,), (2, 3), (2, 0, 3)])
def test_any_batch_shape_and_sequences(batch: tuple[int, ...]) -> None:
    evidence = torch.rand(2, *batch, 4)
    mask = torch.ones(2, *batch, dtype=torch.bool)
    fused = fuse(evidence, mask=mask, discount=torch.ones(2, *batch))
    assert fused.evidence.shape == (*batch, 4)
    assert fused.uncertainty.shape == fused.confidence.shape == fused.trusted(0.5).shape == batch
    same(fuse(list(evidence)), fused)
    flat = fuse(evidence.reshape(2, -1, 4)) if evidence.numel() else fused
    torch.testing.assert_close(fused.evidence.reshape(flat.evidence.shape), flat.evidence)


def test_a_mask_and_a_discount_per_view_broadcast() -> None:
    evidence = torch.rand(2, 5, 3)
    mask = torch.tensor([True, False])
    same(fuse(evidence, mask=mask), fuse(evidence, mask=mask[:, None].expand(2, 5)))
    discount = torch.tensor([0.5, 0.9])
    same(fuse(evidence, discount=discount), fuse(evidence, discount=discount[:, None].expand(2, 5)))


ONES = torch.ones(2, 3, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fuse(ONES, "bayes"), ValueError, "'bayes' is unknown: choose one of dempster"),
        (lambda: fuse(ONES.long()), TypeError, r"evidence is torch\.int64"),
        (lambda: fuse(torch.ones(4)), ValueError, r"\(4,\): expected \(V, \.\.\., K\)"),
        (lambda: fuse(torch.ones(2, 3, 1)), ValueError, "two classes"),
        (lambda: fuse(torch.ones(0, 3, 4)), ValueError, "at least one view"),
        (lambda: fuse([]), ValueError, "empty sequence"),
        (lambda: fuse(["ab"]), TypeError, "a view of evidence is str: give a tensor, an array"),
        (lambda: fuse([ONES[0], ONES[0, :2]]), ValueError, r"view 1 has .*\(2, 4\)"),
        (lambda: fuse([ONES[0], ONES[0].double()]), ValueError, r"view 1 has .*float64"),
        (lambda: fuse(ONES, mask=torch.ones(2, 3)), TypeError, r"mask is torch\.float32: .*bool"),
        (lambda: fuse(ONES, mask=[1, 1]), TypeError, r"mask is torch\.float32: .*bool"),
        (
            lambda: fuse(ONES, mask=torch.ones(3, 2, dtype=torch.bool)),
            ValueError,
            r"mask has shape \(3, 2\): .* needs \(2, 3\) or \(2,\)",
        ),
        (
            lambda: fuse(ONES, mask=torch.ones(2, 3, dtype=torch.bool, device="meta")),
            ValueError,
            "mask is on meta but the evidence is on cpu",
        ),
        (lambda: fuse(ONES, discount=torch.ones(3)), ValueError, r"discount has shape \(3,\)"),
        (
            lambda: fuse(ONES, discount=torch.ones(2, dtype=torch.int64)),
            TypeError,
            r"discount is torch\.int64",
        ),
    ],
)
def test_bad_input_is_refused(call: object, error: type[Exception], message: str) -> None:
    assert callable(call)
    with pytest.raises(error, match=message):
        call()
