"""Evidential losses and uncertainties of a Dirichlet by their textbook formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def tmc_loss(evidence: Tensor, target: Tensor, kl_weight: float) -> Tensor:
    """Compute TMC's `sum_k y_k (psi(S) - psi(alpha_k)) + kl_weight KL`, one-hot as published.

    Args:
        evidence: `(B, K)`.
        target: `(B,)` classes.
        kl_weight: Weight of the regularizer.

    Returns:
        The sum over the batch.

    Reference:
        Han et al., Trusted Multi-View Classification, ICLR 2021, equations 5 and 6.
    """
    alpha = evidence + 1
    label = one_hot(target, evidence.shape[-1])
    strength = alpha.sum(-1, keepdim=True)
    fit = (label * (torch.digamma(strength) - torch.digamma(alpha))).sum(-1)
    return (fit + kl_weight * _kl_to_uniform(evidence * (1 - label) + 1)).sum()


def evidential_loss(
    evidence: Tensor, target: Tensor, kind: str = "digamma", kl_weight: float = 0.0
) -> Tensor:
    """Compute what `ter_fast.losses.evidential_loss` returns, as a careful user would write it.

    Only the label's own term is evaluated where the target is a class.

    Args:
        evidence: `(B, K)`.
        target: `(B,)` classes or `(B, K)` soft targets.
        kind: `"log"`, `"digamma"` or `"mse"`.
        kl_weight: Weight of the regularizer.

    Returns:
        The sum over the batch.
    """
    alpha = evidence + 1
    strength = alpha.sum(-1, keepdim=True)
    soft = target.is_floating_point()
    label = target if soft else one_hot(target, evidence.shape[-1])
    if kind == "mse":
        probability = alpha / strength
        spread = probability * (1 - probability) / (strength + 1)
        loss = ((label - probability) ** 2 + spread).sum(-1)
    else:
        function = torch.log if kind == "log" else torch.digamma
        if soft:
            loss = (target * (function(strength) - function(alpha))).sum(-1)
        else:
            own = alpha.gather(-1, target.unsqueeze(-1))
            loss = (function(strength) - function(own)).squeeze(-1)
    if kl_weight:
        loss = loss + kl_weight * _kl_to_uniform(1 + (1 - label) * evidence)
    return loss.sum()


def _kl_to_uniform(alpha: Tensor) -> Tensor:
    strength = alpha.sum(-1, keepdim=True)
    volume = torch.lgamma(strength).squeeze(-1) - torch.lgamma(alpha).sum(-1)
    tilt = ((alpha - 1) * (torch.digamma(alpha) - torch.digamma(strength))).sum(-1)
    return volume - math.lgamma(alpha.shape[-1]) + tilt


def uncertainty(alpha: Tensor, fields: Sequence[str]) -> tuple[Tensor, ...]:
    """Compute the named fields of `ter_fast.uncertainty`, sharing what they have in common.

    Args:
        alpha: `(B, K)` concentrations >= 1.
        fields: Names in the order of `ter_fast.opinions.reference.FIELDS`.
    """
    classes = alpha.shape[-1]
    strength = alpha.sum(-1, keepdim=True)
    probability = alpha / strength
    found = {}
    if "vacuity" in fields:
        found["vacuity"] = (classes / strength).squeeze(-1)
    if "entropy" in fields or "mutual_information" in fields:
        found["entropy"] = -(probability * torch.log(probability)).sum(-1)
    if "aleatoric" in fields or "mutual_information" in fields:
        rise = torch.digamma(alpha + 1) - torch.digamma(strength + 1)
        found["aleatoric"] = -(probability * rise).sum(-1)
    if "mutual_information" in fields:
        found["mutual_information"] = found["entropy"] - found["aleatoric"]
    if "differential_entropy" in fields:
        total = strength.squeeze(-1)
        volume = torch.lgamma(alpha).sum(-1) - torch.lgamma(total)
        tilt = (total - classes) * torch.digamma(total)
        found["differential_entropy"] = volume + tilt - ((alpha - 1) * torch.digamma(alpha)).sum(-1)
    if "dissonance" in fields:
        found["dissonance"] = _dissonance((alpha - 1) / strength)
    return tuple(found[name] for name in fields)


def _dissonance(belief: Tensor) -> Tensor:
    one, other = belief.unsqueeze(-1), belief.unsqueeze(-2)
    both = one + other
    balance = torch.where(both > 0, 1 - (one - other).abs() / both, 0.0)
    # Of a class with itself the balance is 1, and no part of the sum.
    weighted = (balance * other).sum(-1) - torch.where(belief > 0, belief, 0.0)
    others = belief.sum(-1, keepdim=True) - belief
    return torch.where(others > 0, belief * weighted / others, 0.0).sum(-1)
