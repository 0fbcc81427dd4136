"""Evidential losses: how well a Dirichlet opinion predicts a label, and how honest its confidence is."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ter_fast.opinion import Opinion

KINDS = ("log", "digamma", "mse")
_REDUCTIONS = ("mean", "sum", "none")


def evidential_loss(
    evidence: Tensor,
    target: Tensor,
    kind: str = "digamma",
    kl_weight: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    r"""Compute an evidential loss and its Kullback-Leibler regularizer.

    With alpha = e + 1, S = sum_k alpha_k, p = alpha / S and alpha~ = y + (1 - y) alpha::

        log      sum_k y_k (log S - log alpha_k)
        digamma  sum_k y_k (psi(S) - psi(alpha_k))
        mse      sum_k (y_k - p_k)^2 + p_k (1 - p_k) / (S + 1)
        kl       KL(Dir(alpha~) || Dir(1))

    and the result is `kind + kl_weight * kl`.

    Args:
        evidence: `(…, K)`, >= 0.
        target: `(…)` class indices, or `(…, K)` soft targets that sum to one (rater votes).
        kind: "log", "digamma" or "mse".
        kl_weight: weight of the regularizer.
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar, or `(…)` for reduction "none".

    Raises:
        ValueError: an unknown kind or reduction, or a target whose shape or classes do not fit.

    Reference:
        Sensoy, Kaplan & Kandemir, "Evidential deep learning", 2018, eq. 3-5; Han et al., TMC, 2021, eq. 8.

    Example:
        >>> evidence = torch.tensor([[8.0, 0.0, 0.0]])
        >>> round(evidential_loss(evidence, torch.tensor([0])).item(), 4)
        0.2111
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; expected one of {', '.join(KINDS)}")
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction is {reduction!r}; expected one of {', '.join(_REDUCTIONS)}")
    soft = _soft_target(evidence, target)
    alpha = evidence + 1
    strength = alpha.sum(-1, keepdim=True)
    if kind == "log":
        loss = (soft * (strength.log() - alpha.log())).sum(-1)
    elif kind == "digamma":
        loss = (soft * (torch.digamma(strength) - torch.digamma(alpha))).sum(-1)
    else:
        probability = alpha / strength
        variance = probability * (1 - probability) / (strength + 1)
        loss = ((soft - probability).square() + variance).sum(-1)
    if kl_weight:
        loss = loss + kl_weight * kl_to_uniform(soft + (1 - soft) * alpha)
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


def kl_to_uniform(alpha: Tensor) -> Tensor:
    """Return KL(Dir(alpha) || Dir(1, …, 1)) of `(…, K)` concentrations: `(…)`.

    lnG(S) - lnG(K) - sum_k lnG(alpha_k) + sum_k (alpha_k - 1)(psi(alpha_k) - psi(S))

    Example:
        >>> round(kl_to_uniform(torch.ones(3)).item(), 6)
        0.0
    """
    # In float32 these terms cancel to errors of 18 where the evidence is 1e6.
    exact = alpha.double()
    strength = exact.sum(-1, keepdim=True)
    normalizer = (
        torch.lgamma(strength.squeeze(-1))
        - math.lgamma(alpha.shape[-1])
        - torch.lgamma(exact).sum(-1)
    )
    spread = ((exact - 1) * (torch.digamma(exact) - torch.digamma(strength))).sum(-1)
    return (normalizer + spread).to(alpha.dtype)


def _soft_target(evidence: Tensor, target: Tensor) -> Tensor:
    classes = evidence.shape[-1]
    if target.shape == evidence.shape and target.is_floating_point():
        return target.to(evidence.dtype)
    if target.shape != evidence.shape[:-1] or target.is_floating_point():
        raise ValueError(
            f"target is {target.dtype} {tuple(target.shape)}; expected class indices "
            f"{tuple(evidence.shape[:-1])} or soft targets {tuple(evidence.shape)}"
        )
    if not torch.compiler.is_compiling() and target.numel():
        low, high = int(target.min()), int(target.max())
        if low < 0 or high >= classes:
            raise ValueError(
                f"target holds class {low if low < 0 else high}; expected 0 to {classes - 1}"
            )
    return F.one_hot(target.long(), classes).to(evidence.dtype)


class TrustedCELoss(nn.Module):
    """Trusted cross-entropy: classify well, and know when not.

    Over the fused opinion plus every modality that is present::

        balance * edl + (1 - balance) * BCE(c, stop_gradient[prediction = y]) + kl_weight(t) * kl
        kl_weight(t) = lambda_max * min(1, t / T)

    The middle term rewards a confidence c = 1 - u that knows its own errors. This is our reading of the
    loss that TER names but whose formula was not at hand.

    Args:
        balance: weight of the classification term in [0, 1]; 1 leaves the trust term out.
        kind: evidential loss, "log" or "digamma".
        lambda_max: final weight of the regularizer; at 1 it can stop training.
        annealing: T, epochs until `lambda_max` is reached.

    Reference:
        "A Trustworthy Method for Multimodal Emotion Recognition", arXiv 2508.07625.

    Example:
        >>> loss = TrustedCELoss()
        >>> fused = Opinion(torch.tensor([[9.0, 0.0]]))
        >>> bool(loss(fused, {}, torch.tensor([0]), epoch=0) < loss(fused, {}, torch.tensor([1]), epoch=0))
        True
    """

    def __init__(
        self,
        balance: float = 1.0,
        kind: str = "digamma",
        lambda_max: float = 0.1,
        annealing: float = 10.0,
    ) -> None:
        super().__init__()
        if not 0 <= balance <= 1:
            raise ValueError(f"balance is {balance}; expected a number from 0 to 1")
        if kind not in ("log", "digamma"):
            raise ValueError(f"kind is {kind!r}; expected log or digamma")
        self.balance, self.kind, self.lambda_max, self.annealing = (
            balance,
            kind,
            lambda_max,
            annealing,
        )

    def kl_weight(self, epoch: float) -> float:
        """Return the regularizer's weight after `epoch` epochs."""
        return self.lambda_max * (min(1.0, epoch / self.annealing) if self.annealing > 0 else 1.0)

    def forward(
        self,
        fused: Opinion,
        modalities: Mapping[str, tuple[Opinion, Tensor]],
        target: Tensor,
        epoch: float,
    ) -> Tensor:
        """Return the mean loss over the batch.

        Args:
            fused: opinion over `(B, K)` evidence.
            modalities: by name, its opinion and its `(B,)` mask of presence; empty when there is but one.
            target: `(B,)` classes or `(B, K)` soft targets.
            epoch: epochs done, fractions allowed.
        """
        weight = self.kl_weight(epoch)
        loss = self._one(fused, target, weight).mean()
        for opinion, present in modalities.values():
            each = torch.where(present, self._one(opinion, target, weight), 0)
            loss = loss + each.sum() / present.sum().clamp_min(1)
        return loss

    def _one(self, opinion: Opinion, target: Tensor, kl_weight: float) -> Tensor:
        evidence = opinion.evidence
        edl = evidential_loss(evidence, target, self.kind, 0.0, "none")
        loss = self.balance * edl
        if kl_weight:
            soft = _soft_target(evidence, target)
            loss = loss + kl_weight * kl_to_uniform(soft + (1 - soft) * (evidence + 1))
        if self.balance < 1:
            label = target.argmax(-1) if target.is_floating_point() else target
            correct = (opinion.prediction == label).to(evidence.dtype)
            confidence = (1 - evidence.shape[-1] / (evidence.sum(-1) + evidence.shape[-1])).clamp(
                1e-6, 1 - 1e-6
            )
            loss = loss + (1 - self.balance) * F.binary_cross_entropy(
                confidence, correct, reduction="none"
            )
        return loss
