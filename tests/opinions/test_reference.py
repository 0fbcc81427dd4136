"""The pure-torch reference: exact values, gradients of first and second order, what it refuses."""

from __future__ import annotations

import math
from itertools import pairwise

import mpmath
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from ter_fast.opinions import reference
from ter_fast.opinions.opinion import ACTIVATIONS, RULES, evidence_from_logits

INF, NAN = math.inf, math.nan
KINDS = ("log", "digamma", "mse")


def uniform(*shape: int, low: float = 0.0, high: float = 1.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)


# -- from logits to evidence ------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_their_formulas_to_the_last_digits(activation: str) -> None:
    logits = torch.linspace(-45, 45, 361, dtype=torch.float64)
    formula = {
        "softplus": lambda z: mpmath.log1p(mpmath.exp(z)),
        "relu": lambda z: max(z, 0),
        "exp": lambda z: mpmath.exp(min(z, math.log(1e6))),
    }[activation]
    expected = [float(formula(mpmath.mpf(z))) for z in logits.tolist()]
    assert reference.activate(logits, activation).tolist() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_infinite_logit_stays_infinite_and_a_nan_a_nan(activation: str) -> None:
    evidence = reference.activate(torch.tensor([INF, NAN, -INF, 1e30]), activation)
    assert evidence[0] == INF
    assert evidence[1].isnan()
    assert evidence[2] == 0
    assert evidence[3].isfinite()


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match="'tanh' is unknown: choose one of softplus, relu, exp"):
        reference.activate(torch.ones(2), "tanh")


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("rule", RULES)
def test_fusing_logits_is_fusing_their_evidence(rule: str, activation: str) -> None:
    logits = uniform(3, 9, 4, low=-5, high=5).requires_grad_()
    discount = uniform(3, 9, seed=1)
    mask = uniform(3, 9, seed=2) > 0.3
    evidence = evidence_from_logits(logits, activation)
    outcomes = [
        reference.fuse(logits, rule, mask, discount, 1e300, activation),
        reference.fuse(evidence, rule, mask, discount, 1e300),
    ]
    torch.testing.assert_close(*outcomes, rtol=1e-14, atol=1e-15)
    gradients = [torch.autograd.grad(sum(x.sum() for x in row), logits)[0] for row in outcomes]
    torch.testing.assert_close(*gradients, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, None])
@pytest.mark.parametrize("poison", [NAN, INF, -INF, -1.0])
def test_what_is_masked_may_hold_anything(activation: str | None, poison: float) -> None:
    mask = torch.tensor([[False, True, False], [True, True, False]])
    views = torch.where(mask[..., None], 2.0, poison).repeat(1, 1, 4).requires_grad_()
    fused, uncertainty, conflict, disagreement = reference.fuse(
        views, "dempster", mask, None, 1e38, activation
    )
    assert bool(torch.isfinite(fused).all())
    assert uncertainty[2] == 1
    (gradient,) = torch.autograd.grad((uncertainty + conflict + disagreement).sum(), views)
    assert (gradient[~mask] == 0).all()
    assert (gradient[mask] != 0).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_broken_logit_spoils_its_row_and_an_impossible_class_does_not(activation: str) -> None:
    logits = torch.ones(2, 4, 3)
    logits[0, 0, 1], logits[1, 1, 2], logits[0, 2, 0] = NAN, INF, -INF
    logits.requires_grad_()
    fused, uncertainty, *_ = reference.fuse(logits, "cumulative", None, None, 1e38, activation)
    assert uncertainty.isnan().tolist() == [True, True, False, False]
    assert fused[2, 0] == evidence_from_logits(torch.tensor(1.0).reshape(1), activation)
    (gradient,) = torch.autograd.grad(uncertainty[2:].sum(), logits)
    assert bool(torch.isfinite(gradient).all())
    assert (gradient[:, :2] == 0).all()
    assert gradient[0, 2, 0] == 0


# -- remainders of Stirling's formula ---------------------------------------------------------------

REMAINDERS = {
    reference.digamma_remainder: (
        lambda x: mpmath.digamma(x) - mpmath.log(x),
        lambda x: mpmath.psi(1, x) - 1 / x,
        lambda x: mpmath.psi(2, x) + 1 / x**2,
    ),
    reference.lgamma_remainder: (
        lambda x: (
            mpmath.loggamma(x) - (x - 0.5) * mpmath.log(x) + x - mpmath.log(2 * mpmath.pi) / 2
        ),
        lambda x: mpmath.digamma(x) - mpmath.log(x) + 1 / (2 * x),
        lambda x: mpmath.psi(1, x) - 1 / x - 1 / (2 * x**2),
    ),
}


@pytest.mark.parametrize("function", REMAINDERS)
def test_remainders_and_their_derivatives_are_exact(function: object) -> None:
    assert callable(function)
    x = torch.logspace(-4, 9, 200, dtype=torch.float64).requires_grad_()
    value = function(x)
    found = [value]
    for _ in range(2):
        (derivative,) = torch.autograd.grad(found[-1].sum(), x, create_graph=True)
        found.append(derivative)
    with mpmath.workdps(40):
        for order, exact in enumerate(REMAINDERS[function]):  # type: ignore[index]
            values, tolerance = found[order], (5e-15, 5e-15, 2e-14)[order]
            for given, ours in zip(x.tolist(), values.tolist(), strict=True):
                expected = float(exact(mpmath.mpf(given)))
                assert abs(ours - expected) <= tolerance * max(1, abs(expected)), given


# -- losses -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kl_weight", [0.0, 0.7])
@pytest.mark.parametrize("soft", [False, True])
def test_loss_gradients_of_first_and_second_order(kind: str, kl_weight: float, soft: bool) -> None:
    evidence = uniform(4, 3, low=0.1, high=9).requires_grad_()
    votes = torch.softmax(uniform(4, 3, high=4, seed=1), -1)
    target = votes if soft else torch.tensor([0, 2, 1, 1])

    def run(e: Tensor) -> Tensor:
        return reference.evidential_loss(e, target, kind, kl_weight)

    assert gradcheck(run, (evidence,))
    assert gradgradcheck(run, (evidence,))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("bad", [NAN, INF, -INF, -0.5])
def test_a_broken_row_has_a_nan_loss_and_gradient(kind: str, soft: bool, bad: float) -> None:
    evidence = torch.ones(4, 3)
    for row in range(3):
        evidence[row, row] = bad
    evidence.requires_grad_()
    target = torch.full((4, 3), 1 / 3) if soft else torch.tensor([0, 0, 0, 0])
    loss = reference.evidential_loss(evidence, target, kind, 0.5)
    assert loss.isnan().tolist() == [True, True, True, False]
    (gradient,) = torch.autograd.grad(loss.sum(), evidence)
    assert gradient.isnan().any(-1).tolist() == [True, True, True, False]


def test_a_class_out_of_range_is_a_nan() -> None:
    loss = reference.evidential_loss(torch.ones(4, 3), torch.tensor([-1, 0, 2, 3]), "log", 0.1)
    assert loss.isnan().tolist() == [True, False, False, True]


def test_the_target_gets_no_gradient() -> None:
    target = torch.full((2, 3), 1 / 3, requires_grad=True)
    assert not reference.evidential_loss(torch.ones(2, 3), target, "log", 0.1).requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_small_losses_keep_their_digits(kind: str) -> None:
    """Near-certain and right: psi(S) - psi(alpha) as written has five digits left here, log ten."""
    evidence = torch.tensor([[1e9, 3.0, 0.0]], dtype=torch.float64)
    with mpmath.workdps(40):
        alpha = [mpmath.mpf(e) + 1 for e in evidence[0].tolist()]
        strength = sum(alpha)
        p = [a / strength for a in alpha]
        exact = {
            "log": mpmath.log(strength / alpha[0]),
            "digamma": mpmath.digamma(strength) - mpmath.digamma(alpha[0]),
            "mse": (1 - p[0]) ** 2
            + sum(q**2 for q in p[1:])
            + sum(q * (1 - q) for q in p) / (strength + 1),
        }[kind]
    loss = reference.evidential_loss(evidence, torch.tensor([0]), kind, 0.0)
    assert loss.item() == pytest.approx(float(exact), rel=1e-12 if kind != "mse" else 1e-6)


def test_kl_is_exact_from_none_to_a_million_evidence() -> None:
    with mpmath.workdps(50):
        for classes in (2, 6, 101, 1000):
            for low, high in ((-9, -3), (-3, 6)):
                alpha = 1 + 10 ** uniform(1, classes, low=low, high=high, seed=classes)
                a = [mpmath.mpf(x) for x in alpha[0].tolist()]
                s = sum(a)
                exact = mpmath.loggamma(s) - mpmath.loggamma(classes)
                exact -= sum(mpmath.loggamma(x) for x in a)
                exact += sum((x - 1) * (mpmath.digamma(x) - mpmath.digamma(s)) for x in a)
                found = reference.kl_to_uniform(alpha).item()
                assert abs(found - float(exact)) <= 1e-14 * max(classes, float(exact))


# -- uncertainty ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("field", reference.FIELDS)
def test_uncertainty_gradients_of_first_and_second_order(field: str) -> None:
    alpha = torch.cat([uniform(3, 4, low=0.2, high=9), uniform(2, 4, low=1, high=300, seed=1)])

    def run(a: Tensor) -> tuple[Tensor, ...]:
        return reference.uncertainty(a, (field,))

    assert gradcheck(run, (alpha.requires_grad_(),))
    assert gradgradcheck(run, (alpha,))


def test_fields_come_in_their_order_and_dtype() -> None:
    alpha = uniform(5, 4, low=1, high=9).float()
    everything = reference.uncertainty(alpha, reference.FIELDS)
    assert {x.dtype for x in everything} == {torch.float32}
    for name, value in zip(reference.FIELDS, everything, strict=True):
        assert torch.equal(reference.uncertainty(alpha, (name,))[0], value)


def test_the_terms_of_the_mutual_information_fall_to_zero() -> None:
    """Its summands are this function's differences, never negative because it never rises."""
    x = torch.logspace(-12, 12, 5000, dtype=torch.float64)
    excess = reference.dirichlet._log_excess(x).tolist()
    assert all(one > other > 0 for one, other in pairwise(excess))


# -- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x: reference.evidential_loss(x, torch.tensor([0]), "hinge", 0.0),
            "kind is 'hinge'; expected one of log, digamma, mse",
        ),
        (lambda x: reference.uncertainty(x, ("surprise",)), "field 'surprise' is unknown: choose"),
        (
            lambda x: reference.predict(x[None], "dempster", None, None, None, "hope", 0.5, INF),
            "confidence kind 'hope' is unknown: choose one of one_minus_vacuity",
        ),
    ],
)
def test_unknown_names_are_refused(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=message):
        call(torch.ones(1, 3))
