"""Evidential losses: how well a Dirichlet opinion predicts a label, and how honest its confidence is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ter_fast import _ops, reference
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

    and the result is `kind + kl_weight * kl`. Soft targets weigh the classes; the target gets no
    gradient.

    A row with NaN, infinite or negative evidence is NaN, value and gradient, so that training
    notices; so is one with a class outside 0 to K - 1 on a device where looking for it would wait.

    In float32 the loss is within 2e-6 max(1, |loss|) of its value in float64, and each element of
    the gradient within 2e-6, for evidence up to 1e6 and a `kl_weight` up to 1; with the regularizer
    and K above 100 the first bound is K/100 times as wide, up to K = 1000.

    Args:
        evidence: `(…, K)`, >= 0.
        target: `(…)` class indices, or `(…, K)` soft targets that sum to one (rater votes).
        kind: "log", "digamma" or "mse".
        kl_weight: weight of the regularizer.
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar, or `(…)` for reduction "none", in the dtype of the evidence.

    Raises:
        TypeError: evidence that is not floating point.
        ValueError: an unknown kind or reduction, fewer than two classes, or a target whose shape,
            device or classes do not fit.

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
    target = _checked_target(evidence, target)
    classes = evidence.shape[-1]
    flat = target.reshape(-1, classes) if target.is_floating_point() else target.reshape(-1)
    loss = _ops.evidential_loss(evidence.reshape(-1, classes), flat, kind, float(kl_weight))
    if reduction == "none":
        return loss.reshape(evidence.shape[:-1])
    return loss.mean() if reduction == "mean" else loss.sum()


def kl_to_uniform(alpha: Tensor) -> Tensor:
    """Return KL(Dir(alpha) || Dir(1, …, 1)) of `(…, K)` concentrations: `(…)`.

    lnG(S) - lnG(K) - sum_k lnG(alpha_k) + sum_k (alpha_k - 1)(psi(alpha_k) - psi(S))

    Computed in float64 without the terms of Stirling's formula that drop out of the sum, which cost
    errors of 18 in float32 where the evidence is 1e6.

    Example:
        >>> round(kl_to_uniform(torch.tensor([7.0, 1.0])).item(), 4)  # ln 7 - 6 / 7
        1.0888
    """
    return reference.kl_to_uniform(alpha)


def _checked_target(evidence: Tensor, target: Tensor) -> Tensor:
    """Return the target as int64 classes or as soft targets in the dtype of the evidence."""
    if not evidence.is_floating_point():
        raise TypeError(f"evidence is {evidence.dtype}; expected a floating-point tensor (…, K)")
    if evidence.ndim == 0 or evidence.shape[-1] < 2:
        raise ValueError(
            f"evidence has shape {tuple(evidence.shape)}; expected (…, K) with at least two classes"
        )
    if target.device != evidence.device:
        raise ValueError(
            f"target is on {target.device} but the evidence is on {evidence.device}; move one of them"
        )
    classes = evidence.shape[-1]
    if target.shape == evidence.shape and target.is_floating_point():
        return target.to(evidence.dtype)
    if target.shape != evidence.shape[:-1] or target.is_floating_point():
        raise ValueError(
            f"target is {target.dtype} {tuple(target.shape)}; expected class indices "
            f"{tuple(evidence.shape[:-1])} or soft targets {tuple(evidence.shape)}"
        )
    target = target.long()
    # Looking at the classes on another device would wait for it, and traced ones cannot be looked at;
    # there the loss of a class that is none is NaN instead.
    seen = type(target) is Tensor and target.is_cpu and not _ops.is_watched()
    if seen and target.numel():
        low, high = int(target.min()), int(target.max())
        if low < 0 or high >= classes:
            raise ValueError(
                f"target holds class {low if low < 0 else high}; expected 0 to {classes - 1}"
            )
    return target


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
        loss = self._one(fused.evidence, target, weight).mean()
        for opinion, present in modalities.values():
            # Cut off before the loss, because a factor of 0 behind it would not stop a NaN.
            evidence = torch.where(present.unsqueeze(-1), opinion.evidence, 0)
            each = torch.where(present, self._one(evidence, target, weight), 0)
            loss = loss + each.sum() / present.sum().clamp_min(1)
        return loss

    def _one(self, evidence: Tensor, target: Tensor, kl_weight: float) -> Tensor:
        if self.balance:
            # One pass: balance (edl + kl_weight / balance kl) = balance edl + kl_weight kl.
            loss = self.balance * evidential_loss(
                evidence, target, self.kind, kl_weight / self.balance, "none"
            )
        else:
            loss = kl_weight * _kl_of_the_others(evidence, _checked_target(evidence, target))
        if self.balance < 1:
            label = target.argmax(-1) if target.is_floating_point() else target
            correct = (evidence.argmax(-1) == label).to(evidence.dtype)
            confidence = (1 - evidence.shape[-1] / (evidence.sum(-1) + evidence.shape[-1])).clamp(
                1e-6, 1 - 1e-6
            )
            loss = loss + (1 - self.balance) * F.binary_cross_entropy(
                confidence, correct, reduction="none"
            )
        return loss


def _kl_of_the_others(evidence: Tensor, target: Tensor) -> Tensor:
    soft = target
    if not target.is_floating_point():
        soft = target.unsqueeze(-1) == torch.arange(evidence.shape[-1], device=evidence.device)
    return kl_to_uniform(1 + (1 - soft.to(evidence.dtype)) * evidence)
