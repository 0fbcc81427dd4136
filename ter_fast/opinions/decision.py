"""From the logits of several modalities to a decision, in one pass without gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ter_fast.opinions import _ops
from ter_fast.opinions._views import (
    Values,
    Views,
    as_tensor,
    check_discount,
    check_mask,
    check_views,
)
from ter_fast.opinions.confidence_kinds import check_kind
from ter_fast.opinions.fusion_rules import FUSION_RULES, unknown_rule
from ter_fast.opinions.opinion import ACTIVATIONS
from ter_fast.opinions.trusted import is_trusted, is_within

__all__ = ["Decision", "decide", "is_trusted", "is_within"]


@dataclass(frozen=True, eq=False)
class Decision:
    """Hold what was predicted, how confidently, and whether it is trusted.

    Attributes:
        probability: `(..., K)`, `alpha_k / S` of the fused opinion.
        prediction: `(...,)` int64, the class with the most evidence; the lowest of equals.
        confidence: `(...,)` in [0, 1], of the kind that was asked for.
        uncertainty: `(...,)`, vacuity `K / S` of the fused opinion.
        conflict: `(...,)`, the mass Dempster's rule discards.
        disagreement: `(...,)`, mean pairwise disagreement of the views that are present.
        trusted: `(...,)` bool; None without a threshold.

    Example:
        >>> import torch
        >>> decide(torch.tensor([[[9.0, 0.0]]]), activation="relu").trusted is None
        True
    """

    probability: Tensor
    prediction: Tensor
    confidence: Tensor
    uncertainty: Tensor
    conflict: Tensor
    disagreement: Tensor
    trusted: Tensor | None


def decide(
    logits: Views,
    rule: str = "dempster",
    activation: str | None = "softplus",
    mask: Values | None = None,
    discount: Values | None = None,
    confidence: str = "one_minus_vacuity",
    threshold: Values | None = None,
    disagreement_limit: float | None = None,
) -> Decision:
    """Fuse V modalities per sample and say what they show, how surely, and whether to trust it.

    The same as `evidence_from_logits`, `fuse`, `Opinion.confidence_of` and `Opinion.trusted` after
    one another, for inference: one pass, no gradient, and probabilities and confidences from the
    sums themselves, so that evidence too large to be stored does no harm. A prediction is trusted iff
    `confidence >= threshold` and, where a limit is set, `disagreement <= disagreement_limit`.

    Never trusted, however low the threshold: a sample without any evidence (all modalities masked),
    and one with NaN, infinite or negative evidence in a modality that is present or with a
    reliability outside [0, 1], which has prediction 0 and is NaN in everything else.

    Args:
        logits: `(V, ..., K)`, or a sequence of V tensors `(..., K)`; evidence >= 0 where
            `activation` is None. NumPy arrays and lists of numbers as well, here and below.
        rule: One of `ter_fast.opinions.opinion.RULES`.
        activation: One of `ter_fast.opinions.opinion.ACTIVATIONS`; None when given evidence.
        mask: `(V, ...)` or `(V,)` bool, True where a view is present; None when all are.
        discount: `(V, ...)` or `(V,)` reliabilities in [0, 1]; None for 1.
        confidence: One of `ter_fast.opinions.opinion.CONFIDENCE_KINDS`.
        threshold: Lowest trusted confidence: a number for all, or a tensor that broadcasts to
            `(...,)`, with NaN where nothing is to be trusted (a model has a threshold for each set
            of modalities). None when there is none, and then `trusted` is None.
        disagreement_limit: Highest trusted disagreement; None for no limit.

    Returns:
        The decisions, with floating-point fields in the dtype of `logits`.

    Raises:
        TypeError: If logits or discount is not floating point, or the mask is not bool.
        ValueError: If rule, activation or kind of confidence is unknown, or shapes, dtypes or
            devices do not fit together.

    Reference:
        Han et al., Trusted Multi-View Classification, 2021 (fusion); "A Trustworthy Method for
        Multimodal Emotion Recognition", arXiv 2508.07625 (trusted predictions).

    Example:
        >>> import torch
        >>> audio, video = torch.tensor([[6.0, -1.0]]), torch.tensor([[-3.0, 2.0]])
        >>> decision = decide([audio, video], activation="relu", threshold=0.75)
        >>> decision.probability, decision.confidence, decision.trusted
        (tensor([[0.7000, 0.3000]]), tensor([0.8000]), tensor([True]))
        >>> decide([audio, video], activation="relu", threshold=0.75, disagreement_limit=0.1).trusted
        tensor([False])
    """
    if activation is not None and activation not in ACTIVATIONS:
        raise ValueError(
            f"activation {activation!r} is unknown: choose one of {', '.join(ACTIVATIONS)}, or "
            "None when giving evidence"
        )
    check_kind(confidence)
    if rule not in FUSION_RULES:
        raise unknown_rule(rule)
    views = check_views(logits, "evidence" if activation is None else "logits")
    mask = None if mask is None else check_mask(mask, views)
    if discount is not None:
        discount = check_discount(discount, views).detach()
    batch = views.shape[1:-1]
    probability, *each = _ops.predict(
        views.detach().reshape(views.shape[0], batch.numel(), views.shape[-1]),
        rule,
        mask,
        discount,
        activation,
        confidence,
        _threshold(threshold, views),
        math.inf if disagreement_limit is None else float(disagreement_limit),
    )
    if len(batch) != 1:
        probability = probability.reshape(*batch, probability.shape[-1])
        each = [value.reshape(batch) for value in each]
    prediction, certainty, uncertainty, conflict, disagreement, trusted = each
    return Decision(
        probability,
        prediction,
        certainty,
        uncertainty,
        conflict,
        disagreement,
        None if threshold is None else trusted,
    )


def _threshold(threshold: Values | None, views: Tensor) -> float | Tensor:
    if threshold is None or isinstance(threshold, (int, float)):
        return math.nan if threshold is None else float(threshold)
    if not isinstance(threshold, Tensor):
        threshold = as_tensor(threshold, "threshold").to(views.device)
    batch = views.shape[1:-1]
    if threshold.device != views.device:
        raise ValueError(
            f"threshold is on {threshold.device} but the logits are on {views.device}: move one of them"
        )
    try:
        wide = threshold.to(views.dtype).expand(batch)
    except RuntimeError:
        raise ValueError(
            f"threshold has shape {tuple(threshold.shape)}: logits of shape {tuple(views.shape)} "
            f"need a number, or what broadcasts to {tuple(batch)}"
        ) from None
    return wide.reshape(batch.numel())
