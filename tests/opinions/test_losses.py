"""Evidential losses against brute force, torch.distributions and autograd."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence

from ter_fast import Opinion
from ter_fast.opinions.losses import KINDS, TrustedCELoss, evidential_loss, kl_to_uniform

EVIDENCE = torch.tensor(
    [[0.0, 0.0, 0.0], [4.0, 1.0, 0.5], [0.1, 30.0, 2.0], [0.0, 0.0, 7.0]], dtype=torch.float64
)
TARGET = torch.tensor([1, 0, 2, 2])


def draws(evidence: Tensor, count: int = 200_000) -> Tensor:
    """Sample class probabilities from the opinions' Dirichlets: (count, B, K)."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(
        np.stack([rng.dirichlet(1 + row, count) for row in evidence.numpy()], 1)
    )


def one_hot(target: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(target, 3).double()


def test_log_is_the_cross_entropy_of_the_expected_probability() -> None:
    probability = draws(EVIDENCE).mean(0)
    expected = -probability[range(4), TARGET].log()
    torch.testing.assert_close(
        evidential_loss(EVIDENCE, TARGET, "log", reduction="none"), expected, atol=0.02, rtol=0.01
    )


def test_digamma_is_the_expected_cross_entropy() -> None:
    expected = -draws(EVIDENCE)[:, range(4), TARGET].log().mean(0)
    torch.testing.assert_close(
        evidential_loss(EVIDENCE, TARGET, "digamma", reduction="none"),
        expected,
        atol=0.03,
        rtol=0.01,
    )


def test_mse_is_the_expected_squared_error() -> None:
    expected = (draws(EVIDENCE) - one_hot(TARGET)).square().sum(-1).mean(0)
    torch.testing.assert_close(
        evidential_loss(EVIDENCE, TARGET, "mse", reduction="none"), expected, atol=0.005, rtol=0
    )


@given(st.lists(st.lists(st.floats(0, 1e3), min_size=4, max_size=4), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_kl_is_that_of_torch_distributions(rows: list[list[float]]) -> None:
    alpha = 1 + torch.tensor(rows, dtype=torch.float64)
    expected = kl_divergence(Dirichlet(alpha), Dirichlet(torch.ones(4, dtype=torch.float64)))
    torch.testing.assert_close(kl_to_uniform(alpha), expected, atol=1e-9, rtol=1e-9)
    assert (kl_to_uniform(alpha) >= -1e-9).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_regularizer_looks_at_wrong_evidence_only(kind: str) -> None:
    """Evidence for the right class is free; the same evidence for a wrong one is not."""
    weighted = evidential_loss(EVIDENCE, TARGET, kind, 0.5, "none")
    plain = evidential_loss(EVIDENCE, TARGET, kind, 0.0, "none")
    others = 1 + EVIDENCE * (1 - one_hot(TARGET))
    uniform = Dirichlet(torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(
        weighted - plain, 0.5 * kl_divergence(Dirichlet(others), uniform), atol=1e-9, rtol=1e-9
    )
    assert float(weighted[3] - plain[3]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kl_weight", [0.0, 0.3])
def test_gradients_are_right(kind: str, kl_weight: float) -> None:
    evidence = (EVIDENCE + 0.2).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda e: evidential_loss(e, TARGET, kind, kl_weight, "none"), (evidence,)
    )
    soft = torch.tensor([[0.2, 0.5, 0.3], [1, 0, 0], [0.5, 0.5, 0], [0.1, 0.1, 0.8]]).double()
    assert torch.autograd.gradcheck(
        lambda e: evidential_loss(e, soft, kind, kl_weight, "none"), (evidence,)
    )


def test_gradients_are_those_of_the_closed_forms() -> None:
    alpha = (EVIDENCE + 1).requires_grad_()
    hot = one_hot(TARGET)
    evidential_loss(alpha - 1, TARGET, "digamma", 0.0, "sum").backward()
    strength = alpha.detach().sum(-1, keepdim=True)
    psi1 = torch.special.polygamma
    torch.testing.assert_close(alpha.grad, psi1(1, strength) - hot * psi1(1, alpha.detach()))
    with_kl = (EVIDENCE + 1).requires_grad_()
    kl_to_uniform(hot + (1 - hot) * with_kl).sum().backward()
    tilde = hot + (1 - hot) * (EVIDENCE + 1)
    total = (tilde - 1).sum(-1, keepdim=True)
    expected = (1 - hot) * (
        (tilde - 1) * psi1(1, tilde) - psi1(1, tilde.sum(-1, keepdim=True)) * total
    )
    torch.testing.assert_close(with_kl.grad, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_soft_targets_that_are_hard_agree(kind: str) -> None:
    soft = evidential_loss(EVIDENCE, one_hot(TARGET), kind, 0.2, "none")
    torch.testing.assert_close(soft, evidential_loss(EVIDENCE, TARGET, kind, 0.2, "none"))
    in_single = evidential_loss(EVIDENCE, one_hot(TARGET).float(), kind, 0.2, "none")
    assert in_single.dtype == torch.float64


@pytest.mark.parametrize("kind", ["log", "digamma"])
def test_soft_targets_weigh_the_classes(kind: str) -> None:
    votes = torch.tensor([[0.5, 0.2, 0.3]], dtype=torch.float64).expand(4, 3)
    each = [
        evidential_loss(EVIDENCE, torch.full((4,), k), kind, reduction="none") for k in range(3)
    ]
    expected = 0.5 * each[0] + 0.2 * each[1] + 0.3 * each[2]
    torch.testing.assert_close(evidential_loss(EVIDENCE, votes, kind, reduction="none"), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_more_evidence_for_the_truth_costs_less(kind: str) -> None:
    amounts = torch.linspace(0, 40, 9, dtype=torch.float64)
    right = torch.nn.functional.pad(amounts[:, None], (0, 2))
    target = torch.zeros(9, dtype=torch.int64)
    assert (evidential_loss(right, target, kind, 0.1, "none").diff() < 0).all()
    assert (evidential_loss(right, target + 1, kind, 0.1, "none").diff() > 0).all()


def test_reductions() -> None:
    each = evidential_loss(EVIDENCE, TARGET, reduction="none")
    assert each.shape == (4,)
    torch.testing.assert_close(evidential_loss(EVIDENCE, TARGET), each.mean())
    torch.testing.assert_close(evidential_loss(EVIDENCE, TARGET, reduction="sum"), each.sum())
    cube = EVIDENCE.reshape(2, 2, 3)
    torch.testing.assert_close(
        evidential_loss(cube, TARGET.reshape(2, 2), reduction="none"), each.reshape(2, 2)
    )


def wide_range(rows: int, classes: int) -> Tensor:
    """Evidence from 1e-8 to 1e6 and 0, with rows that are vacuous, certain, torn and full."""
    generator = torch.Generator().manual_seed(classes)
    evidence = 10 ** (torch.rand(rows, classes, generator=generator) * 14 - 8)
    evidence[torch.rand(rows, classes, generator=generator) < 0.2] = 0
    evidence[:4] = 0
    evidence[1:3, 0], evidence[2, 1], evidence[3] = 1e6, 1e6, 1e6
    return evidence


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kl_weight", [0.0, 1.0])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("classes", [2, 6, 101, 1000])
def test_single_precision_follows_double_over_the_whole_range(
    kind: str, kl_weight: float, soft: bool, classes: int
) -> None:
    """|error| <= 2e-6 max(1, |loss|), and 2e-6 in each element of the gradient."""
    single = wide_range(60, classes).requires_grad_()
    double = single.detach().double().requires_grad_()
    target = torch.arange(60) % classes
    if soft:
        generator = torch.Generator().manual_seed(0)
        votes = torch.rand(60, classes, generator=generator).square()
        target = votes / votes.sum(-1, keepdim=True)
    ours = evidential_loss(single, target, kind, kl_weight, "none")
    expected = evidential_loss(double, target, kind, kl_weight, "none")
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours.double(), expected, atol=2e-6, rtol=2e-6)
    (gradient,) = torch.autograd.grad(ours.sum(), single)
    (exact,) = torch.autograd.grad(expected.sum(), double)
    torch.testing.assert_close(gradient.double(), exact, atol=2e-6, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(kind: str, dtype: torch.dtype) -> None:
    evidence = EVIDENCE.to(dtype)
    exact = evidential_loss(evidence.double(), TARGET, kind, 0.2, "none")
    ours = evidential_loss(evidence, TARGET, kind, 0.2, "none")
    torch.testing.assert_close(ours, exact.to(dtype), rtol=torch.finfo(dtype).eps, atol=1e-6)


@given(
    st.lists(st.lists(st.floats(0, 1e6), min_size=5, max_size=5), min_size=1, max_size=4),
    st.integers(0, 4),
    st.sampled_from(KINDS),
)
@settings(max_examples=60, deadline=None)
def test_losses_are_positive_and_fall_to_zero_on_the_truth(
    rows: list[list[float]], truth: int, kind: str
) -> None:
    evidence = torch.tensor(rows, dtype=torch.float64)
    target = torch.full((len(rows),), truth)
    loss = evidential_loss(evidence, target, kind, 0.1, "none")
    assert (loss > 0).all()
    only = torch.zeros_like(evidence)
    only[:, truth] = evidence[:, truth]
    right = evidential_loss(only, target, kind, 0.1, "none")
    strongest = evidential_loss(only.index_fill(1, target[:1], 1e7), target, kind, 0.1, "none")
    assert (right <= loss * (1 + 1e-12)).all()
    assert (strongest < 1e-6).all()


@pytest.mark.parametrize("kind", KINDS)
def test_broken_evidence_is_not_passed_over(kind: str) -> None:
    evidence = EVIDENCE.clone()
    evidence[0, 0], evidence[1, 1], evidence[2, 2] = math.nan, math.inf, -1
    evidence.requires_grad_()
    loss = evidential_loss(evidence, TARGET, kind, 0.1, "none")
    assert loss.isnan().tolist() == [True, True, True, False]
    (gradient,) = torch.autograd.grad(loss.mean(), evidence)
    assert gradient.isnan().any(-1).tolist() == [True, True, True, False]


def test_another_device_is_not_waited_for() -> None:
    """The meta device holds no data, so whoever looks at the classes fails."""
    target = torch.empty(4, dtype=torch.int64, device="meta")
    loss = evidential_loss(torch.empty(4, 3, device="meta"), target, reduction="none")
    assert loss.shape == (4,)


@pytest.mark.parametrize("batch", [(), (0,), (2, 0), (2, 2)])
def test_any_batch_shape(batch: tuple[int, ...]) -> None:
    evidence = torch.rand(*batch, 3)
    target = torch.ones(batch, dtype=torch.int32)
    loss = evidential_loss(evidence, target, reduction="none")
    assert loss.shape == batch
    torch.testing.assert_close(
        loss, evidential_loss(evidence, one_hot(target.long()), reduction="none")
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((EVIDENCE, TARGET, "hinge"), "kind is 'hinge'; expected one of log, digamma, mse"),
        ((EVIDENCE, TARGET, "log", 0.0, "max"), "reduction is 'max'; expected one of mean, sum"),
        ((EVIDENCE, TARGET[:2]), r"target is torch.int64 \(2,\); expected class indices \(4,\)"),
        ((EVIDENCE, TARGET.double()), r"target is torch.float64 \(4,\)"),
        ((EVIDENCE, TARGET + 1), "target holds class 3; expected 0 to 2"),
        ((EVIDENCE, TARGET - 1), "target holds class -1; expected 0 to 2"),
        ((EVIDENCE, TARGET.to("meta")), "target is on meta but the evidence is on cpu"),
        ((EVIDENCE[:, :1], TARGET), r"evidence has shape \(4, 1\); .* at least two classes"),
    ],
)
def test_errors_say_what_was_expected(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evidential_loss(*arguments)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"evidence is torch\.int64; expected a floating-point"):
        evidential_loss(EVIDENCE.long(), TARGET)


# -- TrustedCELoss --------------------------------------------------------------------------------


def test_annealing_rises_to_its_limit() -> None:
    loss = TrustedCELoss(lambda_max=0.2, annealing=10)
    assert [loss.kl_weight(epoch) for epoch in (0, 5, 10, 99)] == [0, 0.1, 0.2, 0.2]
    assert TrustedCELoss(lambda_max=0.2, annealing=0).kl_weight(0) == 0.2


def test_trusted_ce_is_the_sum_of_its_terms_by_hand() -> None:
    """K = 2, evidence (6, 0): S = 8, c = 3/4, and the second sample's label is wrong."""
    evidence = torch.tensor([[6.0, 0.0], [6.0, 0.0]], dtype=torch.float64)
    loss = TrustedCELoss(balance=0.3, kind="log", lambda_max=0.5, annealing=4)
    found = loss(Opinion(evidence), {}, torch.tensor([0, 1]), epoch=2)
    edl = (math.log(8 / 7) + math.log(8)) / 2
    trust = (-math.log(0.75) - math.log(0.25)) / 2
    # KL of Beta(7, 1) from the uniform: ln 7 - 6/7; the right sample has no wrong evidence.
    kl = (0 + math.log(7) - 6 / 7) / 2
    assert float(found) == pytest.approx(0.3 * edl + 0.7 * trust + 0.25 * kl, abs=1e-9)


@pytest.mark.parametrize("balance", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("soft", [False, True])
def test_trusted_ce_weighs_classification_and_regularizer_apart(balance: float, soft: bool) -> None:
    target = one_hot(TARGET) if soft else TARGET
    options = {"balance": balance, "annealing": 0}
    plain = TrustedCELoss(**options, lambda_max=0.0)(Opinion(EVIDENCE), {}, target, 0)
    ruled = TrustedCELoss(**options, lambda_max=0.4)(Opinion(EVIDENCE), {}, target, 0)
    kl = kl_to_uniform(1 + EVIDENCE * (1 - one_hot(TARGET))).mean()
    torch.testing.assert_close(ruled - plain, 0.4 * kl)


def test_balance_one_leaves_the_trust_term_out() -> None:
    loss = TrustedCELoss(balance=1.0, kind="digamma", lambda_max=0.0)
    found = loss(Opinion(EVIDENCE), {}, TARGET, epoch=3)
    torch.testing.assert_close(found, evidential_loss(EVIDENCE, TARGET, "digamma"))


def test_trust_term_rewards_a_confidence_that_knows_its_errors() -> None:
    loss = TrustedCELoss(balance=0.0, lambda_max=0.0)
    evidence = torch.tensor([[5.0, 0.0], [5.0, 0.0]], dtype=torch.float64, requires_grad=True)
    loss(Opinion(evidence), {}, torch.tensor([0, 1]), epoch=0).backward()
    assert evidence.grad is not None
    assert (evidence.grad[0] < 0).all()
    assert (evidence.grad[1] > 0).all()


def test_trust_term_is_finite_without_and_with_endless_evidence() -> None:
    evidence = torch.tensor([[0.0, 0.0], [1e12, 0.0]], requires_grad=True)
    value = TrustedCELoss(balance=0.5)(Opinion(evidence), {}, torch.tensor([1, 1]), epoch=20)
    value.backward()
    assert value.isfinite()
    assert evidence.grad is not None
    assert evidence.grad.isfinite().all()


def test_each_present_modality_adds_its_own_mean() -> None:
    loss = TrustedCELoss(lambda_max=0.0)
    sound, picture = Opinion(EVIDENCE + 1), Opinion(2 * EVIDENCE)
    here = torch.tensor([True, False, True, False])
    nowhere = torch.zeros(4, dtype=torch.bool)
    found = loss(
        Opinion(EVIDENCE), {"audio": (sound, here), "video": (picture, nowhere)}, TARGET, 0
    )
    expected = evidential_loss(EVIDENCE, TARGET) + evidential_loss(
        sound.evidence[here], TARGET[here]
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("balance", [0.0, 0.6])
@pytest.mark.parametrize("content", [1.0, math.nan])
def test_an_absent_modality_gets_no_gradient(balance: float, content: float) -> None:
    evidence = EVIDENCE.clone().index_fill(0, torch.tensor([2]), content).requires_grad_()
    here = torch.tensor([True, True, False, True])
    loss = TrustedCELoss(balance=balance)
    loss(Opinion(EVIDENCE), {"audio": (Opinion(evidence), here)}, TARGET, 20).backward()
    assert evidence.grad is not None
    assert (evidence.grad[2] == 0).all()
    assert evidence.grad[1].isfinite().all()
    assert evidence.grad[1].any()


def test_soft_targets_agree_with_hard_ones_in_trusted_ce() -> None:
    loss = TrustedCELoss(balance=0.6)
    hard = loss(Opinion(EVIDENCE), {}, TARGET, 5)
    torch.testing.assert_close(loss(Opinion(EVIDENCE), {}, one_hot(TARGET), 5), hard)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"balance": 1.5}, "balance is 1.5; expected a number from 0 to 1"),
        ({"kind": "hinge"}, "kind is 'hinge'; expected one of log, digamma, mse, focal, fisher"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0; expected 0 <= it < 1"),
        ({"conflict_weight": -1.0}, "conflict_weight is -1.0; expected at least 0"),
        ({"class_weight": [1.0, -1.0]}, r"class_weight is \[1.0, -1.0\]; expected \(K,\) numbers"),
        ({"class_weight": [0.0, 0.0]}, "not all 0"),
        (
            {"class_weight": [1.0, float("inf")]},
            r"class_weight is \[1.0, inf\]; expected \(K,\) numbers",
        ),
        ({"kind": 3}, "kind is 3; expected one of log"),
        ({"lambda_max": -0.1}, "lambda_max is -0.1; expected at least 0"),
        ({"lambda_max": float("nan")}, "lambda_max is nan; expected at least 0"),
        (
            {"conflict_weight": float("inf")},
            "conflict_weight is inf; expected at least 0, and finite",
        ),
    ],
)
def test_trusted_ce_refuses_what_it_cannot_be(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrustedCELoss(**options)  # type: ignore[arg-type]
