"""Decisions: the same as activation, fusion and opinion one after another, and what differs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from torch import Tensor

from helpers.needs import needs_compiler, needs_kernels
from ter_fast.opinions import _ops, reference
from ter_fast.opinions.decision import Decision, decide
from ter_fast.opinions.fusion import fuse
from ter_fast.opinions.opinion import (
    ACTIVATIONS,
    CONFIDENCE_KINDS,
    RULES,
    Opinion,
    evidence_from_logits,
)

INF, NAN = math.inf, math.nan
FLOATS = ("probability", "confidence", "uncertainty", "conflict", "disagreement")


def parts(decision: Decision) -> dict[str, Tensor]:
    return {name: getattr(decision, name) for name in FLOATS}


def agrees(decision: Decision, opinion: Opinion, kind: str, tolerance: float) -> None:
    """Hold a decision to an opinion; the labels of near ties may differ."""
    expected = {
        "probability": opinion.probability,
        "confidence": opinion.confidence_of(kind),
        "uncertainty": opinion.uncertainty,
        "conflict": opinion.conflict,
        "disagreement": opinion.disagreement,
    }
    for name, value in parts(decision).items():
        torch.testing.assert_close(
            value, expected[name], rtol=tolerance, atol=tolerance, equal_nan=True
        )
    label = decision.prediction.unsqueeze(-1)
    chosen = decision.probability.gather(-1, label).squeeze(-1)
    broken = chosen.isnan()
    assert ((chosen == decision.probability.amax(-1)) | broken).all()
    margin = opinion.confidence_of("margin")
    close = margin <= tolerance
    assert ((decision.prediction == opinion.prediction) | close).all()
    assert (decision.prediction[broken] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, None])
@given(data=st.data())
@settings(deadline=None, max_examples=25)
def test_a_decision_is_that_of_activation_fusion_and_opinion(
    rule: str, activation: str | None, data: st.DataObject
) -> None:
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(2, 7)))
    low, high = (-20, 20) if activation else (0, 1e6)
    given = npst.arrays(np.float64, shape, elements=st.floats(low, high))
    values = torch.from_numpy(data.draw(given))
    mask = torch.from_numpy(data.draw(npst.arrays(np.bool_, shape[:2])))
    reliabilities = npst.arrays(np.float64, shape[:2], elements=st.floats(0, 1))
    discount = torch.from_numpy(data.draw(reliabilities))
    poison = data.draw(st.sampled_from([NAN, INF, -1.0]))
    values = torch.where(mask[..., None], values, poison)
    values[0, 0, 0] = data.draw(st.sampled_from([NAN, INF, 1.0]))
    evidence = values if activation is None else evidence_from_logits(values, activation)
    opinion = fuse(evidence, rule, mask, discount)
    kind = data.draw(st.sampled_from(CONFIDENCE_KINDS))
    decision = decide(values, rule, activation, mask, discount, kind)
    assert decision.trusted is None
    agrees(decision, opinion, kind, 1e-12)


@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("limit", [None, 0.1])
def test_trust_is_that_of_the_opinion(kind: str, dtype: torch.dtype, limit: float | None) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 400, 6, generator=generator, dtype=dtype)
    opinion = fuse(evidence_from_logits(logits)).with_confidence(kind)
    threshold = float(opinion.confidence.median())
    decision = decide(logits, confidence=kind, threshold=threshold + 1e-5, disagreement_limit=limit)
    agrees(decision, opinion, kind, 1e-12 if dtype is torch.float64 else 2e-6)
    expected = opinion.trusted(threshold + 1e-5, limit)
    assert decision.trusted is not None
    assert torch.equal(decision.trusted, expected)
    assert 50 < int(expected.sum()) < 250


@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
def test_a_threshold_accepts_the_confidence_that_it_was_taken_from(kind: str) -> None:
    logits = 3 * torch.randn(2, 50, 6, generator=torch.Generator().manual_seed(1))
    confidence = decide(logits, confidence=kind).confidence
    for row, value in enumerate(confidence.tolist()):
        trusted = decide(logits, confidence=kind, threshold=value).trusted
        assert trusted is not None
        assert trusted[row]
        assert torch.equal(trusted, confidence >= value)


@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
@pytest.mark.parametrize("bad", [NAN, INF])
def test_a_broken_row_is_never_trusted(kind: str, bad: float) -> None:
    logits = torch.ones(2, 3, 4)
    logits[1, 1, 2] = bad
    decision = decide(logits, confidence=kind, threshold=-INF)
    for value in parts(decision).values():
        assert value.reshape(3, -1).isnan().all(-1).tolist() == [False, True, False]
    assert decision.prediction.tolist() == [0, 0, 0]
    assert decision.trusted is not None
    assert decision.trusted.tolist() == [True, False, True]
    assert not decide(logits, confidence=kind, threshold=NAN).trusted.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
def test_no_evidence_is_never_trusted(kind: str) -> None:
    absent = torch.zeros(2, 3, dtype=torch.bool)
    masked = decide(torch.ones(2, 3, 4), mask=absent, confidence=kind, threshold=0.0)
    empty = decide(torch.full((2, 3, 4), -1.0), activation="relu", confidence=kind, threshold=0.0)
    for decision in (masked, empty):
        assert decision.uncertainty.tolist() == [1, 1, 1]
        assert decision.trusted is not None
        assert not decision.trusted.any()


def test_the_lowest_of_equal_classes_is_predicted() -> None:
    evidence = torch.tensor([[[1.0, 5.0, 5.0, 0.0], [0.0, 0.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.5]]])
    assert decide(evidence, activation=None).prediction.tolist() == [1, 0, 3]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_evidence_beyond_the_dtype_does_no_harm(dtype: torch.dtype) -> None:
    """Sixteen certain views make 1e70; their probabilities are still right, and differ."""
    evidence = torch.tensor([[30000.0, 29952.0, 0.0]], dtype=dtype).repeat(16, 1, 1)
    exact = torch.expm1(16 * torch.log1p(evidence[0].double() / 3))
    expected = exact / exact.sum(-1, keepdim=True)
    decision = decide(evidence, activation=None, threshold=0.9)
    assert decision.probability.dtype is dtype
    torch.testing.assert_close(decision.probability, expected.to(dtype), rtol=2e-3, atol=1e-6)
    assert decision.trusted is not None
    assert decision.trusted.tolist() == [True]


def test_a_decision_has_no_gradient() -> None:
    logits = torch.randn(2, 3, 4, requires_grad=True)
    discount = torch.full((2, 3), 0.5, requires_grad=True)
    decision = decide(logits, discount=discount)
    assert not any(value.requires_grad for value in parts(decision).values())


@pytest.mark.parametrize("batch", [(), (3,), (0,), (2, 3), (2, 0, 3)])
def test_any_batch_shape_and_sequences(batch: tuple[int, ...]) -> None:
    logits = torch.randn(2, *batch, 4)
    mask = torch.ones(2, *batch, dtype=torch.bool)
    decision = decide(logits, mask=mask, discount=[0.5, 0.9], threshold=0.2)
    assert decision.probability.shape == (*batch, 4)
    assert decision.trusted is not None
    for value in (decision.prediction, decision.confidence, decision.trusted):
        assert value.shape == batch
    agrees(decision, fuse(evidence_from_logits(logits), mask=mask, discount=[0.5, 0.9]),
           "one_minus_vacuity", 2e-6)  # fmt: skip
    again = decide(list(logits), mask=torch.tensor([True, True]), discount=torch.tensor([0.5, 0.9]))
    for name, value in parts(again).items():
        assert torch.equal(value, getattr(decision, name))


ONES = torch.ones(2, 3, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: decide(ONES, "bayes"), ValueError, "'bayes' is unknown: choose one of dempster"),
        (
            lambda: decide(ONES, activation="tanh"),
            ValueError,
            "'tanh' is unknown: choose one of softplus, relu, exp, or None when giving evidence",
        ),
        (lambda: decide(ONES, confidence="hope"), ValueError, "'hope' is unknown: choose one of"),
        (lambda: decide(ONES.long()), TypeError, r"logits is torch\.int64: give a floating"),
        (lambda: decide(ONES.long(), activation=None), TypeError, r"evidence is torch\.int64"),
        (lambda: decide(torch.ones(4)), ValueError, r"\(4,\): expected \(V, \.\.\., K\)"),
        (lambda: decide(torch.ones(2, 3, 1)), ValueError, "two classes"),
        (lambda: decide(torch.ones(0, 3, 4)), ValueError, "at least one view"),
        (lambda: decide([]), ValueError, "empty sequence"),
        (lambda: decide([ONES[0], ONES[0, :2]]), ValueError, r"view 1 has .*\(2, 4\)"),
        (lambda: decide(ONES, mask=torch.ones(2, 3)), TypeError, r"mask is torch\.float32: .*bool"),
        (lambda: decide(ONES, mask=[1]), TypeError, r"mask is torch\.float32: .*bool"),
        (
            lambda: decide(ONES, mask=torch.ones(3, 2, dtype=torch.bool)),
            ValueError,
            r"mask has shape \(3, 2\): .* needs \(2, 3\) or \(2,\)",
        ),
        (lambda: decide(ONES, discount=[0.5, 1.1]), ValueError, r"reliabilities lie in \[0, 1\]"),
        (lambda: decide(ONES, discount=torch.ones(3)), ValueError, r"discount has shape \(3,\)"),
    ],
)
def test_bad_input_is_refused(call: object, error: type[Exception], message: str) -> None:
    assert callable(call)
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_each_row_may_have_its_own_threshold(dtype: torch.dtype) -> None:
    evidence = torch.tensor([[[6.0, 0.0]] * 4], dtype=dtype)
    own = torch.tensor([0.5, 0.75, 0.76, NAN], dtype=torch.float64)
    assert decide(evidence, activation=None, threshold=own).trusted.tolist() == [
        True,
        True,
        False,
        False,
    ]
    together = decide(evidence.reshape(1, 2, 2, 2), activation=None, threshold=own.reshape(2, 2))
    assert together.trusted.tolist() == [[True, True], [False, False]]
    assert decide(evidence, activation=None, threshold=torch.tensor([0.5])).trusted.all()
    with pytest.raises(ValueError, match=r"threshold has shape \(3,\).*broadcasts to \(4,\)"):
        decide(evidence, activation=None, threshold=torch.ones(3))


@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("views", "rows", "classes"),
    [
        (1, 33, 2),
        (2, 0, 6),
        (2, 1, 6),
        (2, 100, 7),
        (3, 9, 16),
        (2, 21, 17),
        (2, 5, 101),
        (5, 7, 40),
    ],
)
def test_the_operator_is_the_reference(
    kind: str, dtype: torch.dtype, views: int, rows: int, classes: int
) -> None:
    generator = torch.Generator().manual_seed(rows)
    logits = torch.randn(views, rows, classes, generator=generator, dtype=dtype) * 4
    mask = torch.rand(views, rows, generator=generator) > 0.2
    logits[~mask] = NAN
    discount = torch.rand(views, rows, generator=generator, dtype=dtype)
    for rule in RULES:
        arguments = (rule, mask, discount, "softplus", kind, 0.3, 0.2)
        got = _ops.predict(logits, *arguments)
        expected = reference.predict(logits, *arguments)
        tolerance = 4e-6 if dtype is torch.float32 else 1e-12
        for name in FLOATS:
            torch.testing.assert_close(
                getattr(got, name), getattr(expected, name), rtol=tolerance, atol=tolerance
            )
        if dtype is torch.float64:
            assert torch.equal(got.prediction, expected.prediction)
        near = (expected.confidence - 0.3).abs() < tolerance
        near |= (expected.disagreement - 0.2).abs() < tolerance
        assert ((got.trusted == expected.trusted) | near).all()


@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
def test_confidence_and_probability_stay_within_one(kind: str) -> None:
    certain = torch.tensor([[606311.4375, 0, 0], [1e6, 0, 0]]).repeat(2, 20, 1)
    certain[..., 0] *= torch.linspace(0.01, 1, 40)
    decision = decide(certain, activation=None, confidence=kind)
    for value in (decision.confidence, decision.probability):
        assert ((value >= 0) & (value <= 1)).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
def test_half_precision_decides_as_the_reference_does(kind: str, dtype: torch.dtype) -> None:
    logits = (torch.randn(2, 500, 6) * 4).to(dtype)
    logits[:, 0] = -INF
    threshold = torch.rand(500).to(dtype)
    arguments = ("dempster", None, None, "softplus", kind, threshold, 0.4)
    got, expected = _ops.predict(logits, *arguments), reference.predict(logits, *arguments)
    eps = torch.finfo(dtype).eps
    for name in FLOATS:
        torch.testing.assert_close(getattr(got, name), getattr(expected, name), rtol=eps, atol=eps)
    near = (expected.confidence - threshold).abs() <= 2 * eps
    near |= (expected.disagreement - 0.4).abs() <= 2 * eps
    assert ((got.trusted == expected.trusted) | near).all()
    assert not got.trusted[0]


@pytest.mark.slow
@needs_compiler
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("threshold", [0.5, torch.tensor(0.5), torch.tensor([0.5]), torch.rand(9)])
def test_compile_keeps_one_graph(threshold: float | Tensor) -> None:
    torch._dynamo.reset()

    def both(logits: Tensor, threshold: float | Tensor) -> tuple[Tensor, Tensor]:
        decision = decide(logits, threshold=threshold)
        assert decision.trusted is not None
        return decision.confidence, decision.trusted

    logits = torch.randn(2, 9, 6)
    compiled_both = torch.compile(both, fullgraph=True)
    for got, expected in zip(
        compiled_both(logits, threshold), both(logits, threshold), strict=True
    ):
        torch.testing.assert_close(got, expected)


def test_a_dtype_without_kernel_or_reference_is_refused() -> None:
    with pytest.raises(TypeError, match=r"float8.*convert it to one of"):
        decide(torch.ones(2, 3, 4).to(torch.float8_e4m3fn))


@needs_kernels
@pytest.mark.parametrize("classes", [6, 21])
def test_opcheck(classes: int) -> None:
    arguments = (
        *(torch.randn(2, 5, classes), "dempster", torch.rand(2, 5) > 0.3, torch.rand(2, 5)),
        *("exp", "margin", torch.rand(5), 0.0, 0.5),
    )
    torch.library.opcheck(torch.ops.ter_fast.predict, arguments)


@needs_kernels
def test_the_operator_never_reads_beyond_its_buffers() -> None:
    with pytest.raises(
        ValueError, match=r"thresholds is .*: the kernel takes torch.float32 \(3,\)"
    ):
        torch.ops.ter_fast.predict(
            *(torch.ones(2, 3, 4), "dempster", None, None, None, "margin"),
            *(torch.ones(2), 0.0, 0.5),
        )
