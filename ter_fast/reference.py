"""The pure-torch twin of every kernel: their specification, and the fallback where none is built.

Everything here is differentiable by torch's own autograd, so the gradient of a kernel is held to
the same contract as its value.
"""

from __future__ import annotations

import torch
from torch import Tensor

Fused = tuple[Tensor, Tensor, Tensor, Tensor]
"""Fused evidence (B, K), and uncertainty, conflict and disagreement, each (B,)."""


def fuse(
    evidence: Tensor, rule: str, mask: Tensor | None, discount: Tensor | None, limit: float
) -> Fused:
    """Fuse the evidence of V views row by row.

    Computes in float64 whatever the input, because 16 views of evidence 1e6 make 1e84; results are
    returned in the dtype of `evidence`.

    Args:
        evidence: `(V, B, K)`, each element >= 0.
        rule: `"dempster"`, `"cumulative"`, `"averaging"` or `"weighted"`.
        mask: `(V, B)` bool, True where the view is present; None when all are.
        discount: `(V, B)` reliabilities in [0, 1]; None when all are 1.
        limit: Largest stored strength `sum_k e_k + K`; a row beyond it is scaled by `limit / S`.

    Returns:
        Fused evidence `(B, K)`, uncertainty, conflict and disagreement, each `(B,)`. A row that has
        a NaN, an infinity, a negative evidence or a reliability outside [0, 1] in a present view is
        NaN throughout and passes no gradient.

    Raises:
        ValueError: If `rule` is none of the four.

    Example:
        >>> import torch
        >>> e = torch.tensor([[[2.0, 0.0]], [[2.0, 0.0]]])
        >>> fuse(e, "dempster", None, None, 1e38)[0]
        tensor([[6., 0.]])
    """
    dtype = evidence.dtype
    classes = evidence.shape[-1]
    # Apple's MPS has no float64; there the range contract holds only as far as float32 reaches.
    wide = torch.float32 if evidence.device.type == "mps" else torch.float64
    views = evidence.to(wide)
    absent = None if mask is None else ~mask
    sound = ((views >= 0) & torch.isfinite(views)).all(-1)
    if discount is not None:
        sound = sound & (discount >= 0) & (discount <= 1)
    valid = (sound if absent is None else sound | absent).all(0)
    # Absent views and invalid rows are cut off here, so that no NaN reaches them in the gradient.
    used = valid.expand_as(sound) if mask is None else valid & mask
    views = torch.where(used.unsqueeze(-1), views, 0.0)
    if discount is not None:
        views = _discounted(views, torch.where(used, discount.to(wide), 1.0))
    present = used.sum(0).to(wide)

    fused = _RULES[_checked(rule)](views, present)
    total = fused.sum(-1)
    strength = classes + total
    uncertainty = classes / strength
    scale = limit / strength.clamp(min=limit)
    results = (
        fused * scale.unsqueeze(-1),
        uncertainty,
        _conflict(views),
        _disagreement(views, present),
    )
    # An overflow of the accumulator itself (evidence far outside the contract) is invalid, too.
    valid = valid & torch.isfinite(total)
    nan = float("nan")
    stored, *scalars = (
        torch.where(valid.unsqueeze(-1) if x.ndim > 1 else valid, x, nan).to(dtype) for x in results
    )
    return stored, scalars[0], scalars[1], scalars[2]


def _checked(rule: str) -> str:
    if rule not in _RULES:
        raise ValueError(f"rule {rule!r} is unknown: choose one of {', '.join(_RULES)}")
    return rule


def _discounted(views: Tensor, reliability: Tensor) -> Tensor:
    """Return `K w e / (K + (1 - w) sum e)`, the evidence of the opinion (w b, 1 - w (1 - u))."""
    classes = views.shape[-1]
    w = reliability.unsqueeze(-1)
    return views * (classes * w / (classes + (1 - w) * views.sum(-1, keepdim=True)))


def _dempster(views: Tensor, present: Tensor) -> Tensor:
    classes = views.shape[-1]
    product = torch.zeros_like(views[0])
    for s in views / classes:
        product = product + s * (1 + product)
    return classes * product


def _cumulative(views: Tensor, present: Tensor) -> Tensor:
    return views.sum(0)


def _averaging(views: Tensor, present: Tensor) -> Tensor:
    return views.sum(0) / present.clamp(min=1).unsqueeze(-1)


def _weighted(views: Tensor, present: Tensor) -> Tensor:
    total = views.sum(-1)
    confidence = total / (total + views.shape[-1])
    normalizer = confidence.sum(0)
    vacuous = normalizer == 0
    # At evidence 0 everywhere the rule has directional derivatives but no gradient; equal weights
    # are the derivative along the diagonal, where all views move together.
    weight = torch.where(
        vacuous, 1 / present.clamp(min=1), confidence / torch.where(vacuous, 1.0, normalizer)
    )
    return (weight.unsqueeze(-1) * views).sum(0)


_RULES = {
    "dempster": _dempster,
    "cumulative": _cumulative,
    "averaging": _averaging,
    "weighted": _weighted,
}


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
