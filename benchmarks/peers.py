"""What `fuse` is compared with: the published formulas in eager and compiled torch."""

from __future__ import annotations

import torch
from torch import Tensor


def tmc_combine(evidence: Tensor) -> Tensor:
    """Combine two views by the table of products of their masses.

    `C = sum_{i != j} b1_i b2_j`, `b_k = (b1_k b2_k + b1_k u2 + b2_k u1) / (1 - C)`,
    `u = u1 u2 / (1 - C)`, `e_k = K b_k / u`, with `C` from the K x K outer product of beliefs.

    Args:
        evidence: `(2, B, K)`.

    Returns:
        Fused evidence `(B, K)`.

    Reference:
        Han et al., Trusted Multi-View Classification, ICLR 2021, definition 4.
    """
    classes = evidence.shape[-1]
    alpha = evidence + 1
    strength = alpha.sum(-1, keepdim=True)
    belief = (alpha - 1) / strength
    uncertainty = classes / strength
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


def closed_form_opinion(evidence: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute all that `fuse` returns for two views, in the dtype of the evidence.

    Args:
        evidence: `(2, B, K)`.

    Returns:
        Fused evidence `(B, K)`, uncertainty, conflict and disagreement, each `(B,)`.
    """
    classes = evidence.shape[-1]
    fused = closed_form(evidence)
    single = classes / (evidence.sum(-1) + classes)
    uncertainty = classes / (fused.sum(-1) + classes)
    conflict = 1 - single[0] * single[1] / uncertainty
    probability = (evidence + 1) * (single / classes).unsqueeze(-1)
    distance = (probability[0] - probability[1]).abs().sum(-1) / 2
    return fused, uncertainty, conflict, distance * (1 - single[0]) * (1 - single[1])
