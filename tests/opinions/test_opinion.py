"""Opinions: masses, confidences, and what is never trusted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ter_fast.opinions.opinion import (
    ACTIVATIONS,
    CONFIDENCE_KINDS,
    MAX_EXP_EVIDENCE,
    Opinion,
    evidence_from_logits,
)

evidences = npst.arrays(
    np.float32,
    npst.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
    elements=st.floats(0, 1e6, width=32),
)


@given(evidences)
@settings(deadline=None)
def test_masses_sum_to_one(evidence: np.ndarray) -> None:
    opinion = Opinion(torch.from_numpy(evidence))
    total = opinion.belief.double().sum(-1) + opinion.uncertainty.double()
    torch.testing.assert_close(total, torch.ones_like(total), rtol=1e-6, atol=0)
    total = opinion.probability.double().sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=1e-6, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
@given(evidence=evidences)
@settings(deadline=None)
def test_confidences_lie_between_zero_and_one(kind: str, evidence: np.ndarray) -> None:
    confidence = Opinion(torch.from_numpy(evidence)).confidence_of(kind)
    assert bool(((confidence >= 0) & (confidence <= 1)).all())


def test_confidences_of_a_known_opinion() -> None:
    opinion = Opinion(torch.tensor([3.0, 1.0, 0.0], dtype=torch.float64))  # S = 7, p = 4/7 2/7 1/7
    entropy = -sum(p * math.log(p) for p in (4 / 7, 2 / 7, 1 / 7))
    expected = {
        "one_minus_vacuity": 4 / 7,
        "max_probability": 4 / 7,
        "max_belief": 3 / 7,
        "margin": 2 / 7,
        "one_minus_entropy": 1 - entropy / math.log(3),
    }
    assert set(expected) <= set(CONFIDENCE_KINDS)
    for kind, value in expected.items():
        assert opinion.confidence_of(kind).item() == pytest.approx(value, rel=1e-12)
        assert opinion.with_confidence(kind).confidence.item() == pytest.approx(value, rel=1e-12)
    assert opinion.prediction.item() == 0
    assert opinion.alpha.tolist() == [4, 2, 1]
    assert opinion.strength.item() == 7
    assert opinion.num_classes == 3


@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -0.5])
def test_invalid_evidence_is_never_trusted(kind: str, bad: float) -> None:
    evidence = torch.tensor([[9.0, 1.0, 0.0]]).repeat(4, 1)
    for row in range(3):
        evidence[row, row] = bad
    opinion = Opinion(evidence, confidence_kind=kind)
    assert opinion.confidence.isnan().tolist() == [True, True, True, False]
    assert opinion.trusted(-math.inf).tolist() == [False, False, False, True]
    assert not opinion.trusted(math.nan).any()


def test_an_opinion_without_evidence_is_never_trusted() -> None:
    opinion = Opinion(torch.zeros(2, 4))
    assert opinion.uncertainty.tolist() == [1, 1]
    assert not opinion.trusted(0.0).any()
    assert not opinion.with_confidence("max_probability").trusted(0.0).any()


def test_trust_needs_confidence_and_agreement() -> None:
    nan = math.nan
    opinion = Opinion(
        torch.tensor([[8.0, 0.0]]).repeat(4, 1),  # confidence 0.8
        conflict=torch.zeros(4),
        disagreement=torch.tensor([0.1, 0.3, 0.5, nan]),
    )
    assert opinion.trusted(0.8).all()
    assert not opinion.trusted(0.81).any()
    assert opinion.trusted(0.8, disagreement_limit=0.3).tolist() == [True, True, False, False]
    per_row = torch.tensor([0.9, 0.5, 0.5, 0.5])
    assert opinion.trusted(per_row).tolist() == [False, True, True, True]


def test_a_disagreement_limit_needs_a_disagreement() -> None:
    with pytest.raises(ValueError, match=r"no disagreement: only opinions from ter_fast\.fuse"):
        Opinion(torch.ones(1, 2)).trusted(0.5, disagreement_limit=0.1)


def test_the_uncertainty_that_fusion_knows_wins_over_the_stored_evidence() -> None:
    opinion = Opinion(torch.full((1, 2), 1e37), vacuity=torch.tensor([1e-38]))
    assert opinion.uncertainty.item() == pytest.approx(1e-38, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"evidence": torch.ones(3, dtype=torch.int64)}, TypeError, "int64"),
        ({"evidence": [[1.0, 2.0], [3.0]]}, TypeError, "evidence is list"),
        ({"evidence": torch.ones(3, 1)}, ValueError, "at least two"),
        ({"evidence": torch.tensor(1.0)}, ValueError, "last dimension"),
        (
            {"evidence": torch.ones(3, 2), "conflict": torch.ones(2)},
            ValueError,
            r"conflict has shape \(2,\): .* needs \(3,\)",
        ),
        (
            {"evidence": torch.ones(3, 2), "confidence_kind": "certainty"},
            ValueError,
            "one_minus_vacuity",
        ),
    ],
)
def test_bad_opinions_are_refused(
    arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Opinion(**arguments)  # type: ignore[arg-type]


def test_an_unknown_kind_of_confidence_is_refused() -> None:
    with pytest.raises(ValueError, match="'certainty' is unknown: choose one of one_minus"):
        Opinion(torch.ones(2)).confidence_of("certainty")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_evidence_is_finite_and_not_negative(activation: str) -> None:
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        logits = torch.tensor([-1e4, -1.0, 0.0, 1.0, 100.0, 1e4], dtype=dtype)
        evidence = evidence_from_logits(logits, activation)
        assert evidence.dtype is dtype
        assert bool((torch.isfinite(evidence) & (evidence >= 0)).all())
        assert bool(torch.isfinite(Opinion(evidence).strength))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_broken_logit_is_never_trusted(activation: str, bad: float) -> None:
    evidence = evidence_from_logits(torch.tensor([[bad, 1.0, 2.0]]), activation)
    assert not Opinion(evidence).trusted(0.0).any()


def test_activations_have_their_values_and_gradients() -> None:
    logits = torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    values = {
        "softplus": [math.log1p(math.exp(z)) for z in (-2.0, 0.5, 3.0)],
        "relu": [0.0, 0.5, 3.0],
        "exp": [math.exp(z) for z in (-2.0, 0.5, 3.0)],
    }
    for activation, expected in values.items():
        evidence = evidence_from_logits(logits, activation)
        assert evidence.tolist() == pytest.approx(expected, rel=1e-12)
        (gradient,) = torch.autograd.grad(evidence.sum(), logits)
        assert bool(torch.isfinite(gradient).all())
    top = evidence_from_logits(torch.tensor([50.0, 0.0]), "exp")[0].item()
    assert top == pytest.approx(MAX_EXP_EVIDENCE, rel=1e-5)


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match="'sigmoid' is unknown: choose one of softplus, relu, exp"):
        evidence_from_logits(torch.zeros(2), "sigmoid")
