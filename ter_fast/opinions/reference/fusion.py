"""The reference of fusion and of inference."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ter_fast.opinions.confidence_kinds import CONFIDENCE_KINDS, check_kind
from ter_fast.opinions.fusion_rules import FUSION_RULES, unknown_rule
from ter_fast.opinions.trusted import is_trusted

Fused = tuple[Tensor, Tensor, Tensor, Tensor]
"""Fused evidence (B, K), and uncertainty, conflict and disagreement, each (B,)."""
MAX_EXP_EVIDENCE = 1e6
"""Evidence at which the `exp` activation is clamped: the end of the range fusion is exact over."""


class Predicted(NamedTuple):
    """Hold what `predict` returns about B samples.

    Attributes:
        probability: `(B, K)`.
        prediction: `(B,)` int64.
        confidence: `(B,)`.
        uncertainty: `(B,)`.
        conflict: `(B,)`.
        disagreement: `(B,)`.
        trusted: `(B,)` bool.
    """

    probability: Tensor
    prediction: Tensor
    confidence: Tensor
    uncertainty: Tensor
    conflict: Tensor
    disagreement: Tensor
    trusted: Tensor


def activate(logits: Tensor, activation: str) -> Tensor:
    """Turn logits into evidence >= 0: `ln(1 + exp(z))`, `max(z, 0)` or `exp(min(z, ln 1e6))`.

    An infinite logit stays infinite evidence and a NaN stays NaN under each, so that an overflow
    upstream is never trusted.

    Args:
        logits: `(..., K)`.
        activation: `"softplus"`, `"relu"` or `"exp"`.

    Returns:
        Evidence `(..., K)`.

    Raises:
        ValueError: If `activation` is none of the three.

    Example:
        >>> import torch
        >>> activate(torch.tensor([-1.0, 0.0, 2.0]), "relu")
        tensor([0., 0., 2.])
    """
    if activation not in _ACTIVATIONS:
        raise ValueError(
            f"activation {activation!r} is unknown: choose one of {', '.join(_ACTIVATIONS)}"
        )
    return _ACTIVATIONS[activation](logits)


def _softplus(logits: Tensor) -> Tensor:
    # Beyond torch's own threshold of 20 the identity is wrong by 2e-9, which float64 would show.
    return functional.softplus(logits, threshold=40.0)


def _clamped_exp(logits: Tensor) -> Tensor:
    # The strength (K classes, plus K) has to stay finite as well; only float16 is that narrow.
    reach = torch.finfo(logits.dtype).max / (4 * logits.shape[-1])
    clamped = logits.clamp(max=math.log(min(MAX_EXP_EVIDENCE, reach))).exp()
    return torch.where(torch.isposinf(logits), logits, clamped)


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "softplus": _softplus,
    "relu": functional.relu,
    "exp": _clamped_exp,
}


def fuse(
    evidence: Tensor,
    rule: str,
    mask: Tensor | None,
    discount: Tensor | None,
    limit: float,
    activation: str | None = None,
) -> Fused:
    """Fuse the evidence of V views row by row.

    Computes in float64 whatever the input, because 16 views of evidence 1e6 make 1e84; results are
    returned in the dtype of `evidence`.

    Args:
        evidence: `(V, B, K)`, each element >= 0; any logits with an `activation`.
        rule: One of `ter_fast.opinions.fusion_rules.FUSION_RULES`.
        mask: `(V, B)` bool, True where the view is present; None when all are.
        discount: `(V, B)` reliabilities in [0, 1]; None when all are 1.
        limit: Largest stored strength `sum_k e_k + K`; a row beyond it is scaled by `limit / S`.
        activation: Turns logits into evidence, as `activate` does in float64; None for evidence.

    Returns:
        Fused evidence `(B, K)`, uncertainty, conflict and disagreement, each `(B,)`. A row that has
        a NaN, an infinity, a negative evidence or a reliability outside [0, 1] in a present view is
        NaN throughout and passes no gradient; of logits, `-inf` is sound and means evidence 0.

    Raises:
        ValueError: If `rule` or `activation` is unknown.

    Example:
        >>> import torch
        >>> e = torch.tensor([[[2.0, 0.0]], [[2.0, 0.0]]])
        >>> fuse(e, "dempster", None, None, 1e38)[0]
        tensor([[6., 0.]])
    """
    row = _fuse_rows(evidence, rule, mask, discount, activation)
    strength = row.total + evidence.shape[-1]
    scale = limit / strength.clamp(min=limit)
    results = (row.evidence * scale.unsqueeze(-1), row.uncertainty, row.conflict, row.disagreement)
    stored, *scalars = (where_valid(row.valid, x).to(evidence.dtype) for x in results)
    return stored, scalars[0], scalars[1], scalars[2]


class _Rows(NamedTuple):
    """Fused rows in full precision; what they hold where not `valid` means nothing."""

    evidence: Tensor
    total: Tensor
    uncertainty: Tensor
    conflict: Tensor
    disagreement: Tensor
    valid: Tensor


def _fuse_rows(
    evidence: Tensor,
    rule: str,
    mask: Tensor | None,
    discount: Tensor | None,
    activation: str | None,
) -> _Rows:
    if rule not in FUSION_RULES:
        raise unknown_rule(rule)
    classes = evidence.shape[-1]
    wide = wide_dtype(evidence)
    views = evidence.to(wide)
    if activation is None:
        sound = ((views >= 0) & torch.isfinite(views)).all(-1)
    else:
        sound = (views < math.inf).all(-1)
    if discount is not None:
        sound = sound & (discount >= 0) & (discount <= 1)
    valid = (sound if mask is None else sound | ~mask).all(0)
    # Absent views and invalid rows are cut off here, so that no NaN reaches them in the gradient.
    used = valid.expand_as(sound) if mask is None else valid & mask
    views = torch.where(used.unsqueeze(-1), views, 0.0)
    if activation is not None:
        views = torch.where(used.unsqueeze(-1), activate(views, activation), 0.0)
    if discount is not None:
        views = _discount(views, torch.where(used, discount.to(wide), 1.0))
    present = used.sum(0).to(wide)

    fused = FUSION_RULES[rule].function(views, present)
    total = fused.sum(-1)
    return _Rows(
        fused,
        total,
        classes / (classes + total),
        _conflict(views),
        _disagreement(views, present),
        # An overflow of the accumulator itself (evidence far outside the contract) is invalid, too.
        valid & torch.isfinite(total),
    )


def wide_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype that the reference computes in on the device of x."""
    # Apple's MPS has no float64; there the range contract holds only as far as float32 reaches.
    return torch.float32 if x.device.type == "mps" else torch.float64


def where_valid(valid: Tensor, value: Tensor) -> Tensor:
    """Return the rows of `value` that are valid, NaN in the others."""
    return torch.where(valid.unsqueeze(-1) if value.ndim > 1 else valid, value, math.nan)


def _discount(views: Tensor, reliability: Tensor) -> Tensor:
    """Return `K w e / (K + (1 - w) sum e)`, the evidence of the opinion (w b, 1 - w (1 - u))."""
    classes = views.shape[-1]
    w = reliability.unsqueeze(-1)
    return views * (classes * w / (classes + (1 - w) * views.sum(-1, keepdim=True)))


def _conflict(views: Tensor) -> Tensor:
    """Return the mass Dempster's rule discards, `D / (1 + t)`, as running sums of positive terms."""
    scaled = views / views.shape[-1]
    discarded = torch.zeros_like(scaled[0, ..., 0])
    together = torch.zeros_like(discarded)
    product = torch.zeros_like(scaled[0])
    for s in scaled:
        sigma = s.sum(-1)
        others = product.sum(-1, keepdim=True) - product
        discarded = discarded * (1 + sigma) + (s * others).sum(-1)
        together = together + sigma * (1 + together)
        product = product + s * (1 + product)
    return discarded / (1 + together)


def _disagreement(views: Tensor, present: Tensor) -> Tensor:
    """Return the mean over pairs of present views of `1/2 |p_v - p_w|_1 (1 - u_v) (1 - u_w)`."""
    count, classes = views.shape[0], views.shape[-1]
    total = views.sum(-1)
    strength = total + classes
    probability = (views + 1) / strength.unsqueeze(-1)
    confidence = total / strength
    disagreement = torch.zeros_like(total[0])
    for v in range(count):
        for w in range(v + 1, count):
            distance = (probability[v] - probability[w]).abs().sum(-1) / 2
            disagreement = disagreement + distance * confidence[v] * confidence[w]
    # A masked view has confidence 0, so only the number of pairs has to know about the mask.
    return disagreement / (present * (present - 1) / 2).clamp(min=1)


class _Masses(NamedTuple):
    """What confidences are made of: see `ter_fast.opinions.confidence_kinds`."""

    belief: Tensor
    probability: Tensor
    uncertainty: Tensor


def predict(
    evidence: Tensor,
    rule: str,
    mask: Tensor | None,
    discount: Tensor | None,
    activation: str | None,
    confidence_kind: str,
    threshold: float | Tensor,
    disagreement_limit: float,
) -> Predicted:
    """Fuse V views row by row and decide which rows are trusted; there is no gradient.

    A row is trusted where `confidence >= threshold`, `disagreement <= disagreement_limit` and there
    is any evidence at all. Confidence and disagreement are compared as they are returned, in the
    dtype of `evidence`, so that a threshold taken from a returned confidence accepts it.

    Args:
        evidence: `(V, B, K)`, each element >= 0; any logits with an `activation`.
        rule: One of `ter_fast.opinions.fusion_rules.FUSION_RULES`.
        mask: `(V, B)` bool, True where the view is present; None when all are.
        discount: `(V, B)` reliabilities in [0, 1]; None when all are 1.
        activation: Turns logits into evidence, as `activate` does in float64; None for evidence.
        confidence_kind: One of `ter_fast.opinions.confidence_kinds.CONFIDENCE_KINDS`.
        threshold: Lowest trusted confidence, of all rows or `(B,)` in the dtype of `evidence`, one
            for each; NaN to trust nothing.
        disagreement_limit: Highest trusted disagreement; infinity for no limit.

    Returns:
        The decisions. The prediction is the class with the most evidence, the lowest of equals. A
        row that `fuse` makes NaN has prediction 0, is NaN in all else and is not trusted.

    Raises:
        ValueError: If a rule, an activation or a kind of confidence is unknown.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[[6.0, -1.0], [0.0, 0.0]]])
        >>> arguments = ("dempster", None, None, "relu", "one_minus_vacuity", 0.5, float("inf"))
        >>> predict(logits, *arguments).trusted
        tensor([ True, False])
    """
    check_kind(confidence_kind)
    kind = CONFIDENCE_KINDS[confidence_kind]
    dtype = evidence.dtype
    with torch.no_grad():
        row = _fuse_rows(evidence, rule, mask, discount, activation)
        belief = row.evidence * (row.uncertainty / evidence.shape[-1]).unsqueeze(-1)
        probability = (row.evidence + 1) / (row.total + evidence.shape[-1]).unsqueeze(-1)
        # The returned uncertainty and 1 - uncertainty add up to one, as they do in an Opinion.
        rounded = row.uncertainty.to(dtype)
        masses = _Masses(belief, probability, rounded)
        confidence = (kind.unrounded or kind.function)(masses).to(dtype)
        confidence = where_valid(row.valid, confidence)
        disagreement = where_valid(row.valid, row.disagreement).to(dtype)
        trusted = is_trusted(confidence, threshold, disagreement, disagreement_limit)
        return Predicted(
            where_valid(row.valid, probability).to(dtype),
            torch.where(row.valid, row.evidence.argmax(-1), 0),
            confidence,
            where_valid(row.valid, rounded),
            where_valid(row.valid, row.conflict).to(dtype),
            disagreement,
            trusted & (row.total > 0),
        )
