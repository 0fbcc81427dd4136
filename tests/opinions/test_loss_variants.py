"""Focal, Fisher and relaxed losses, and what `TrustedCELoss` adds to a loss."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.distributions import Dirichlet
from torch.nn.functional import softplus

from ter_fast import Opinion, fuse
from ter_fast.opinions.losses import (
    LOSSES,
    TrustedCELoss,
    evidential_loss,
    fisher_loss,
    focal_loss,
    relaxed_loss,
)

EVIDENCE = torch.tensor(
    [[0.0, 0.0, 0.0], [4.0, 1.0, 0.5], [0.1, 30.0, 2.0], [0.0, 0.0, 7.0]], dtype=torch.float64
)
TARGET = torch.tensor([1, 0, 2, 2])
HOT = torch.nn.functional.one_hot(TARGET, 3).double()
VARIANTS: list[Callable[..., Tensor]] = [focal_loss, fisher_loss, relaxed_loss]


def test_focal_is_the_weighted_cross_entropy_of_the_expected_probability() -> None:
    p = Dirichlet(EVIDENCE + 1).mean[range(4), TARGET]
    for gamma in (0.0, 0.5, 2.0):
        torch.testing.assert_close(
            focal_loss(EVIDENCE, TARGET, gamma, "none"), -((1 - p) ** gamma) * p.log()
        )
    torch.testing.assert_close(
        focal_loss(EVIDENCE, TARGET, 0.0), evidential_loss(EVIDENCE, TARGET, "log")
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("evidence", [1e5, 1e7, 1e12])
def test_focal_does_not_cancel_where_the_model_is_sure(evidence: float, gamma: float) -> None:
    """With e of one class and 3.3 of another of three, 1 - p = 5.3 / (e + 6.3)."""
    sure = torch.tensor([[evidence, 3.3, 0.0]], requires_grad=True)
    loss = focal_loss(sure, torch.tensor([0]), gamma)
    wrong = Fraction("5.3") / (Fraction(evidence) + Fraction("6.3"))
    # -log(1 - q) is q up to q^2.
    assert loss.item() == pytest.approx(float(wrong) ** (1 + gamma), rel=1e-4, abs=1e-38)
    (gradient,) = torch.autograd.grad(loss, sure)
    assert gradient.isfinite().all()
    beyond = torch.tensor([[1e30, 3.3, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(focal_loss(beyond, torch.tensor([0]), gamma), beyond)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("loss", VARIANTS)
def test_what_is_no_evidence_or_no_class_makes_its_row_nan(loss: Callable[..., Tensor]) -> None:
    for bad in (torch.nan, torch.inf, -0.5):
        evidence = torch.tensor([[1.0, bad, 2.0], [1.0, 0.0, 2.0]], requires_grad=True)
        each = loss(evidence, torch.tensor([0, 0]), reduction="none")
        assert each.isnan().tolist() == [True, False]
        (gradient,) = torch.autograd.grad(each.sum(), evidence)
        assert gradient[0].isnan().any()
        assert gradient[1].isfinite().all()
    # Traced, as on a GPU, the classes cannot be looked at.
    traced = torch.compile(partial(loss, reduction="none"), backend="eager")
    found = traced(torch.ones(3, 3), torch.tensor([3, -1, 2]))
    assert found.isnan().tolist() == [True, True, False]


@pytest.mark.parametrize("loss", VARIANTS)
def test_half_precision_does_not_overflow(loss: Callable[..., Tensor]) -> None:
    evidence = torch.tensor([[60_000.0, 0.0, 60_000.0]], dtype=torch.float16)
    found = loss(evidence, torch.tensor([0]))
    assert found.dtype == torch.float16
    torch.testing.assert_close(found, loss(evidence.double(), torch.tensor([0])).half())


def fisher_information(alpha: Tensor) -> Tensor:
    """The second derivatives of the log-normalizer, by autograd."""

    def normalizer(a: Tensor) -> Tensor:
        return a.lgamma().sum() - a.sum().lgamma()

    found: Tensor = torch.autograd.functional.hessian(normalizer, alpha)  # type: ignore[no-untyped-call]
    return found


def test_fisher_weighs_errors_by_the_information_and_rewards_its_determinant() -> None:
    alpha = EVIDENCE + 1
    information = torch.stack([fisher_information(row) for row in alpha])
    opinion = Dirichlet(alpha)
    strength = alpha.sum(-1, keepdim=True)
    # The diagonal is psi1(alpha_k) - psi1(S).
    own = information.diagonal(dim1=-2, dim2=-1) + torch.special.polygamma(1, strength)
    errors = (own * ((HOT - opinion.mean).square() + opinion.variance)).sum(-1)
    torch.testing.assert_close(fisher_loss(EVIDENCE, TARGET, 0.0, "none"), errors)
    determinant = torch.linalg.slogdet(information).logabsdet
    torch.testing.assert_close(
        fisher_loss(EVIDENCE, TARGET, 0.3, "none"), errors - 0.3 * determinant
    )


def test_fisher_stays_finite_where_the_determinant_vanishes() -> None:
    evidence = torch.tensor([[1e6, 1e6], [0.0, 1e6], [1e6, 0.0]], requires_grad=True)
    loss = fisher_loss(evidence, torch.tensor([0, 1, 1]))
    (gradient,) = torch.autograd.grad(loss, evidence)
    assert loss.isfinite()
    assert gradient.isfinite().all()


def test_relaxed_is_the_squared_error_of_an_opinion_with_another_prior() -> None:
    for prior in (0.1, 1.0, 2.5):
        p = Dirichlet(EVIDENCE + prior).mean
        torch.testing.assert_close(
            relaxed_loss(EVIDENCE, TARGET, prior, "none"), (HOT - p).square().sum(-1)
        )


@pytest.mark.parametrize("loss", VARIANTS)
def test_gradients_are_right(loss: Callable[..., Tensor]) -> None:
    evidence = (EVIDENCE + 0.2).requires_grad_()
    soft = torch.tensor([[0.2, 0.5, 0.3], [1, 0, 0], [0.5, 0.5, 0], [0.1, 0.1, 0.8]]).double()
    for target in (TARGET, soft):
        assert torch.autograd.gradcheck(partial(loss, target=target, reduction="none"), (evidence,))
    torch.testing.assert_close(loss(EVIDENCE, HOT), loss(EVIDENCE, TARGET))


@pytest.mark.parametrize("loss", VARIANTS)
def test_shapes_and_reductions(loss: Callable[..., Tensor]) -> None:
    each = loss(EVIDENCE, TARGET, reduction="none")
    cube = loss(EVIDENCE.reshape(2, 2, 3), TARGET.reshape(2, 2), reduction="none")
    torch.testing.assert_close(cube, each.reshape(2, 2))
    torch.testing.assert_close(loss(EVIDENCE, TARGET), each.mean())
    torch.testing.assert_close(loss(EVIDENCE, TARGET, reduction="sum"), each.sum())
    assert loss(EVIDENCE.float(), TARGET, reduction="none").dtype == torch.float32
    with pytest.raises(ValueError, match="reduction is 'max'"):
        loss(EVIDENCE, TARGET, reduction="max")
    with pytest.raises(ValueError, match="target holds class 3"):
        loss(EVIDENCE, TARGET + 1)


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="gamma is -1"):
        focal_loss(EVIDENCE, TARGET, -1)
    with pytest.raises(ValueError, match="fisher_weight is -1"):
        fisher_loss(EVIDENCE, TARGET, -1)
    with pytest.raises(ValueError, match="prior is 0"):
        relaxed_loss(EVIDENCE, TARGET, 0)


# -- in TrustedCELoss -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOSSES)
def test_every_kind_trains(kind: str) -> None:
    """A table of free evidence learns its labels."""
    torch.manual_seed(0)
    logits = torch.zeros(40, 3, requires_grad=True)
    target = torch.arange(40) % 3
    loss, optimizer = TrustedCELoss(kind=kind, balance=0.8), torch.optim.Adam([logits], 0.1)
    for epoch in range(60):
        optimizer.zero_grad()
        value: Tensor = loss(Opinion(softplus(logits)), {}, target, epoch)
        (logits.grad,) = torch.autograd.grad(value, logits)
        optimizer.step()
    opinion = Opinion(softplus(logits.detach()))
    assert (opinion.prediction == target).all()
    assert (opinion.uncertainty < 0.9).all()


@pytest.mark.parametrize("kind", LOSSES)
def test_the_regularizer_is_added_alike(kind: str) -> None:
    def total(lambda_max: float) -> Tensor:
        loss: Tensor = TrustedCELoss(0.5, kind, lambda_max, 0)(Opinion(EVIDENCE), {}, TARGET, 0)
        return loss

    expected = TrustedCELoss(0.5, "log", 0.4, 0)(Opinion(EVIDENCE), {}, TARGET, 0) - TrustedCELoss(
        0.5, "log", 0.0, 0
    )(Opinion(EVIDENCE), {}, TARGET, 0)
    torch.testing.assert_close(total(0.4) - total(0.0), expected)


def test_a_loss_of_ones_own() -> None:
    loss = TrustedCELoss(kind=partial(focal_loss, gamma=1.0, reduction="none"), lambda_max=0.0)
    torch.testing.assert_close(
        loss(Opinion(EVIDENCE), {}, TARGET, 0), focal_loss(EVIDENCE, TARGET, 1.0)
    )


def test_label_smoothing_spreads_a_share_of_the_target() -> None:
    smooth = TrustedCELoss(kind="log", lambda_max=0.0, label_smoothing=0.3)
    target = 0.7 * HOT + 0.1
    torch.testing.assert_close(
        smooth(Opinion(EVIDENCE), {}, TARGET, 0), evidential_loss(EVIDENCE, target, "log")
    )


def test_class_weights_make_weighted_means() -> None:
    weight = torch.tensor([1.0, 0.0, 3.0])
    loss = TrustedCELoss(kind="log", lambda_max=0.0, class_weight=weight)
    each = evidential_loss(EVIDENCE, TARGET, "log", reduction="none")
    expected = (each * weight[TARGET]).sum() / weight[TARGET].sum()
    torch.testing.assert_close(loss(Opinion(EVIDENCE), {}, TARGET, 0), expected)
    here = torch.tensor([True, True, False, True])
    both = loss(Opinion(EVIDENCE), {"audio": (Opinion(EVIDENCE), here)}, TARGET, 0)
    kept = weight[TARGET] * here
    torch.testing.assert_close(both, expected + (each * kept).sum() / kept.sum())
    # Only samples of weight 0: no loss, and no division by nothing.
    none = loss(Opinion(EVIDENCE[:1]), {}, TARGET[:1], 0)
    assert float(none) == 0
    with pytest.raises(ValueError, match="class_weight has 2 classes; expected 3"):
        TrustedCELoss(class_weight=[1.0, 2.0])(Opinion(EVIDENCE), {}, TARGET, 0)


def test_conflict_weight_asks_the_modalities_to_agree() -> None:
    views = torch.stack([EVIDENCE, EVIDENCE.flip(-1)]).requires_grad_()
    fused = fuse(views)
    assert fused.disagreement is not None
    here = torch.ones(4, dtype=torch.bool)
    each = {name: (Opinion(view), here) for name, view in zip("ab", views, strict=True)}
    plain = TrustedCELoss()(fused, each, TARGET, 0)
    asked = TrustedCELoss(conflict_weight=0.5)(fused, each, TARGET, 0)
    torch.testing.assert_close(asked - plain, 0.5 * fused.disagreement.mean())
    (gradient,) = torch.autograd.grad(asked - plain, views)
    assert gradient.abs().sum() > 0
    # One modality has nobody to agree with.
    alone = Opinion(EVIDENCE)
    assert TrustedCELoss(conflict_weight=0.5)(alone, {}, TARGET, 0) == TrustedCELoss()(
        alone, {}, TARGET, 0
    )
