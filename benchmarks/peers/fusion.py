"""Fusion as TMC publishes it, and in closed form."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

Opinion = tuple[Tensor, Tensor, Tensor, Tensor]
"""Fused evidence (B, K), and uncertainty, conflict and disagreement, each (B,)."""


def tmc_combine(evidence: Tensor) -> Tensor:
    """Combine views one after another by the table of products of their masses.

    `C = sum_{i != j} b1_i b2_j`, `b_k = (b1_k b2_k + b1_k u2 + b2_k u1) / (1 - C)`,
    `u = u1 u2 / (1 - C)`, `e_k = K b_k / u`, with `C` from the K x K outer product of beliefs.

    Args:
        evidence: `(V, B, K)`.

    Returns:
        Fused evidence `(B, K)`.

    Reference:
        Han et al., Trusted Multi-View Classification, ICLR 2021, definition 4.
    """
    return reduce(_combine_two, evidence.unbind(0))


def _combine_two(one: Tensor, other: Tensor) -> Tensor:
    classes = one.shape[-1]
    belief, uncertainty = [], []
    for evidence in (one, other):
        alpha = evidence + 1
        strength = alpha.sum(-1, keepdim=True)
        belief.append((alpha - 1) / strength)
        uncertainty.append(classes / strength)
    table = torch.bmm(belief[0].unsqueeze(-1), belief[1].unsqueeze(1))
    agreed = torch.diagonal(table, dim1=-2, dim2=-1).sum(-1)
    conflict = (table.sum(dim=(1, 2)) - agreed).unsqueeze(-1)
    fused_belief = (
        belief[0] * belief[1] + belief[0] * uncertainty[1] + belief[1] * uncertainty[0]
    ) / (1 - conflict)
    fused_uncertainty = uncertainty[0] * uncertainty[1] / (1 - conflict)
    return fused_belief * (classes / fused_uncertainty)


def closed_form(evidence: Tensor) -> Tensor:
    """Combine views by `K (prod_v (1 + e_vk / K) - 1)`: fused evidence `(B, K)` and no more.

    Args:
        evidence: `(V, B, K)`.
    """
    classes = evidence.shape[-1]
    return classes * (torch.prod(1 + evidence / classes, 0) - 1)


def fuse(
    evidence: Tensor,
    rule: str = "dempster",
    mask: Tensor | None = None,
    discount: Tensor | None = None,
    activation: str | None = None,
) -> Opinion:
    """Compute all that `ter_fast.fuse` returns, in the dtype of the evidence.

    Half precision is computed in float32 and rounded once, as it is there.

    Args:
        evidence: `(V, B, K)`; logits with an activation.
        rule: One of `ter_fast.opinions.opinion.RULES`.
        mask: `(V, B)` bool, True where a view is present.
        discount: `(V, B)` reliabilities.
        activation: `"softplus"`, or None for evidence.
    """
    if evidence.dtype in (torch.bfloat16, torch.float16):
        wide = None if discount is None else discount.float()
        one, two, three, four = fuse(evidence.float(), rule, mask, wide, activation)
        dtype = evidence.dtype
        return one.to(dtype), two.to(dtype), three.to(dtype), four.to(dtype)
    classes = evidence.shape[-1]
    if activation == "softplus":
        evidence = torch.nn.functional.softplus(evidence)
    if mask is not None:
        evidence = torch.where(mask.unsqueeze(-1), evidence, 0.0)
    total = evidence.sum(-1)
    if discount is not None:
        factor = classes * discount / (classes + (1 - discount) * total)
        evidence = evidence * factor.unsqueeze(-1)
        total = total * factor
    single = classes / (total + classes)
    present = None if mask is None else mask.sum(0)
    dempster = closed_form(evidence)
    fused = dempster if rule == "dempster" else _combine(evidence, rule, single, present)
    uncertainty = classes / (fused.sum(-1) + classes)
    by_dempster = uncertainty if rule == "dempster" else classes / (dempster.sum(-1) + classes)
    conflict = 1 - single.prod(0) / by_dempster
    return fused, uncertainty, conflict, _disagreement(evidence, single, present)


def _combine(evidence: Tensor, rule: str, single: Tensor, present: Tensor | None) -> Tensor:
    if rule == "cumulative":
        return evidence.sum(0)
    if rule == "averaging":
        if present is None:
            return evidence.mean(0)
        return evidence.sum(0) / present.clamp(min=1).unsqueeze(-1)
    confidence = 1 - single
    weight = confidence / confidence.sum(0)
    return (weight.unsqueeze(-1) * evidence).sum(0)


def _disagreement(evidence: Tensor, single: Tensor, present: Tensor | None) -> Tensor:
    views, _, classes = evidence.shape
    confidence = 1 - single
    probability = (evidence + 1) * (single / classes).unsqueeze(-1)
    if views == 2 and present is None:
        distance = (probability[0] - probability[1]).abs().sum(-1) / 2
        return distance * confidence[0] * confidence[1]
    one, other = torch.triu_indices(views, views, 1, device=evidence.device)
    distance = (probability[one] - probability[other]).abs().sum(-1) / 2
    pairs = distance * confidence[one] * confidence[other]
    if present is None:
        return pairs.mean(0)
    return pairs.sum(0) / (present * (present - 1) / 2).clamp(min=1)
