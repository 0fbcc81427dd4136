"""The loss that models are trained with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ter_fast.opinions.default_device import on_cpu_by_default
from ter_fast.opinions.losses.evidential import KINDS, evidential_loss, kl_to_uniform
from ter_fast.opinions.losses.targets import check_target, soft_target
from ter_fast.opinions.losses.variants import fisher_loss, focal_loss, relaxed_loss
from ter_fast.opinions.opinion import Opinion

Loss = Callable[[Tensor, Tensor], Tensor]

_VARIANTS: dict[str, Loss] = {
    "focal": partial(focal_loss, reduction="none"),
    "fisher": partial(fisher_loss, reduction="none"),
    "relaxed": partial(relaxed_loss, reduction="none"),
}

LOSSES = (*KINDS, *_VARIANTS)
"""Names of the losses that `TrustedCELoss` takes."""


class TrustedCELoss(nn.Module):
    """Trusted cross-entropy: classify well, and know when not.

    Over the fused opinion plus every modality that is present::

        balance * edl + (1 - balance) * BCE(c, stop_gradient[prediction = y]) + kl_weight(t) * kl
        kl_weight(t) = lambda_max * min(1, t / T)

    and, over the fused opinion, `conflict_weight * disagreement`. The middle term rewards a
    confidence c = 1 - u that knows its own errors. This is our reading of the loss that TER names
    but whose formula was not at hand; the last is RCML's, who ask the modalities to agree.

    Args:
        balance: Weight of the classification term in [0, 1]; 1 leaves the trust term out.
        kind: One of `LOSSES`, or a function of evidence `(B, K)` and target to losses `(B,)`, such
            as `partial(focal_loss, gamma=1.0, reduction="none")`. "log" is the cross-entropy of the
            expected probability. Whatever the kind, the trust term and the regularizer are those of
            the evidence as it is given, so with "relaxed" not of evidence over its prior weight.
        lambda_max: Final weight of the regularizer; at 1 it can stop training.
        annealing: T, epochs until `lambda_max` is reached.
        conflict_weight: Weight of the mean disagreement of the modalities.
        label_smoothing: Share of a target that is spread evenly over the classes, in [0, 1).
        class_weight: `(K,)` weights >= 0; a sample counts by that of its class, and means are
            weighted means.

    Reference:
        "A Trustworthy Method for Multimodal Emotion Recognition", arXiv 2508.07625; Xu et al.,
        "Reliable conflictive multi-view learning", 2024, eq. 13 (disagreement).

    Example:
        >>> import torch
        >>> loss = TrustedCELoss()
        >>> fused = Opinion(torch.tensor([[9.0, 0.0]]))
        >>> bool(loss(fused, {}, torch.tensor([0]), epoch=0) < loss(fused, {}, torch.tensor([1]), epoch=0))
        True
    """

    class_weight: Tensor | None

    @on_cpu_by_default
    def __init__(
        self,
        balance: float = 1.0,
        kind: str | Loss = "digamma",
        lambda_max: float = 0.1,
        annealing: float = 10.0,
        conflict_weight: float = 0.0,
        label_smoothing: float = 0.0,
        class_weight: Tensor | Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= balance <= 1:
            raise ValueError(f"balance is {balance}; expected a number from 0 to 1")
        if kind not in LOSSES if isinstance(kind, str) else not callable(kind):
            raise ValueError(
                f"kind is {kind!r}; expected one of {', '.join(LOSSES)}, or a function of evidence "
                "and target"
            )
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing}; expected 0 <= it < 1")
        for name, value in (("lambda_max", lambda_max), ("conflict_weight", conflict_weight)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value}; expected at least 0, and finite")
        self.balance, self.kind = balance, kind
        self.lambda_max, self.annealing = lambda_max, annealing
        self.conflict_weight, self.label_smoothing = conflict_weight, label_smoothing
        weight = None if class_weight is None else torch.as_tensor(class_weight).float()
        if weight is not None and (
            weight.ndim != 1 or not weight.any() or not ((weight >= 0) & (weight < math.inf)).all()
        ):
            raise ValueError(
                f"class_weight is {class_weight}; expected (K,) numbers >= 0, not all 0"
            )
        self.register_buffer("class_weight", weight, persistent=False)

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
            fused: Opinion over `(B, K)` evidence.
            modalities: By name, its opinion and its `(B,)` mask of presence; empty when there is but one.
            target: `(B,)` classes or `(B, K)` soft targets.
            epoch: Epochs done, fractions allowed.
        """
        target = check_target(fused.evidence, target)
        weight = self._sample_weight(fused.evidence, target)
        if self.label_smoothing:
            classes = fused.evidence.shape[-1]
            soft = soft_target(fused.evidence, target)
            target = (1 - self.label_smoothing) * soft + self.label_smoothing / classes
        kl_weight = self.kl_weight(epoch)
        loss = _mean(self._one(fused.evidence, target, kl_weight), weight)
        for opinion, present in modalities.values():
            # Cut off before the loss, because a factor of 0 behind it would not stop a NaN.
            evidence = torch.where(present.unsqueeze(-1), opinion.evidence, 0)
            each = torch.where(present, self._one(evidence, target, kl_weight), 0)
            loss = loss + _mean(each, weight * present)
        if self.conflict_weight and len(modalities) > 1 and fused.disagreement is not None:
            loss = loss + self.conflict_weight * _mean(fused.disagreement, weight)
        return loss

    def _sample_weight(self, evidence: Tensor, target: Tensor) -> Tensor:
        if self.class_weight is None:
            return torch.ones(evidence.shape[:-1], dtype=evidence.dtype, device=evidence.device)
        if len(self.class_weight) != evidence.shape[-1]:
            raise ValueError(
                f"class_weight has {len(self.class_weight)} classes; expected {evidence.shape[-1]}"
            )
        return (soft_target(evidence, target) * self.class_weight.to(evidence.dtype)).sum(-1)

    def _one(self, evidence: Tensor, target: Tensor, kl_weight: float) -> Tensor:
        loss = self._classification(evidence, target, kl_weight)
        if self.balance < 1:
            label = target.argmax(-1) if target.is_floating_point() else target
            correct = (evidence.argmax(-1) == label).to(evidence.dtype)
            confidence = (1 - evidence.shape[-1] / (evidence.sum(-1) + evidence.shape[-1])).clamp(
                1e-6, 1 - 1e-6
            )
            loss = loss + (1 - self.balance) * functional.binary_cross_entropy(
                confidence, correct, reduction="none"
            )
        return loss

    def _classification(self, evidence: Tensor, target: Tensor, kl_weight: float) -> Tensor:
        """Return balance * edl + kl_weight * kl."""
        if self.balance and isinstance(self.kind, str) and self.kind in KINDS:
            # One pass: balance (edl + kl_weight / balance kl) = balance edl + kl_weight kl.
            return self.balance * evidential_loss(
                evidence, target, self.kind, kl_weight / self.balance, "none"
            )
        loss = kl_weight * kl_to_uniform(1 + (1 - soft_target(evidence, target)) * evidence)
        if self.balance:
            edl = _VARIANTS[self.kind] if isinstance(self.kind, str) else self.kind
            loss = loss + self.balance * edl(evidence, target)
        return loss


def _mean(loss: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean, 0 where no sample counts."""
    return (loss * weight).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)
