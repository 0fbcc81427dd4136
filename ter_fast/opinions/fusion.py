"""Fuse the opinions of several modalities into one."""

from __future__ import annotations

from ter_fast.opinions import _ops
from ter_fast.opinions._views import Values, Views, check_discount, check_mask, check_views
from ter_fast.opinions.fusion_rules import FUSION_RULES, unknown_rule
from ter_fast.opinions.opinion import ACTIVATIONS, Opinion

# Elements up to which one buffer for all results is faster than one for each.
_SMALL = 1 << 15


def fuse(
    evidence: Views,
    rule: str = "dempster",
    mask: Values | None = None,
    discount: Values | None = None,
    activation: str | None = None,
) -> Opinion:
    """Fuse V opinions per sample into one, in any order of the views.

    `ter_fast.opinions.fusion_rules` has the rules with their equations: `dempster`, the default, fuses to
    evidence `e_k = K (prod_v (1 + e_vk / K) - 1)`.

    A masked view is absent: its contents, NaN included, change nothing, and its gradient is 0. A
    view that is present with evidence 0 has seen the sample and knows nothing: it changes nothing
    under a rule that is `neutral`, and dilutes `averaging`. With all views masked the evidence is 0 and the
    uncertainty 1.

    A reliability `w` first turns a view's opinion into `b' = w b`, `u' = 1 - w (1 - u)`. Evidence,
    uncertainty, conflict and disagreement are those of the discounted opinions, for every rule, and
    all four are differentiable with respect to evidence and discount. Where `weighted` meets no
    evidence at all, its gradient is that of `averaging`; where two views' probabilities are equal,
    the subgradient of the disagreement is 0.

    Uncertainty is right to a relative 1e-5 and conflict to an absolute 1e-6 for float32 evidence up
    to 1e6, 16 views and 1,024 classes: rows whose sums could leave the range or the precision of
    float32 are fused in float64. Results have the dtype of the evidence; half precision is computed
    in float32 and rounded once, so give float32 where a threshold is to be met. Fused evidence too
    large for the dtype is scaled by one factor per row; uncertainty, conflict and disagreement are
    computed before that. A row is NaN, and passes no gradient, where a present view has NaN,
    infinite or negative evidence, or a reliability outside [0, 1].

    Args:
        evidence: `(V, ..., K)`, or a sequence of V tensors `(..., K)`; elements >= 0. NumPy arrays and
            lists of numbers as well, here and below.
        rule: One of `ter_fast.opinions.opinion.RULES`.
        mask: `(V, ...)` or `(V,)` bool, True where a view is present; None when all are.
        discount: `(V, ...)` or `(V,)` reliabilities in [0, 1]; None for 1.
        activation: One of `ter_fast.opinions.opinion.ACTIVATIONS` where `evidence` holds logits, which are
            then turned into evidence in the same pass; None for evidence.

    Returns:
        The fused opinion, with `conflict` (the mass Dempster's rule discards) and `disagreement`
        (mean over pairs of present views of `1/2 |p_v - p_w|_1 (1 - u_v) (1 - u_w)`).

    Raises:
        TypeError: If evidence or discount is not floating point, or the mask is not bool.
        ValueError: If rule or activation is unknown, or shapes, dtypes or devices do not fit together.

    Reference:
        Xu et al. 2024 (disagreement); the sources of the rules are in `ter_fast.opinions.fusion_rules`.

    Example:
        >>> import torch
        >>> audio, video = torch.tensor([[6.0, 0.0]]), torch.tensor([[0.0, 2.0]])
        >>> opinion = fuse([audio, video])
        >>> opinion.evidence, opinion.conflict
        (tensor([[6., 2.]]), tensor([0.3750]))
        >>> fuse([audio, video], mask=torch.tensor([[True], [False]])).evidence
        tensor([[6., 0.]])
    """
    if rule not in FUSION_RULES:
        raise unknown_rule(rule)
    if activation is not None and activation not in ACTIVATIONS:
        raise ValueError(
            f"activation {activation!r} is unknown: choose one of {', '.join(ACTIVATIONS)}, or "
            "None when giving evidence"
        )
    evidence = check_views(evidence, "evidence" if activation is None else "logits")
    shape = evidence.shape
    if mask is None and discount is None and evidence.numel() <= _SMALL and len(shape) == 3:
        packed = _ops.fuse_packed(evidence, rule, activation)
        if packed is not None:
            return Opinion._packed(packed, shape[1], shape[2])
    if mask is not None:
        mask = check_mask(mask, evidence)
    if discount is not None:
        discount = check_discount(discount, evidence)
    if len(shape) == 3:
        fused, uncertainty, conflict, disagreement = _ops.fuse(
            evidence, rule, mask, discount, activation
        )
        return Opinion._from_checked(fused, conflict, disagreement, uncertainty)
    batch = shape[1:-1]
    flat = evidence.reshape(shape[0], batch.numel(), shape[-1])
    fused, *scalars = _ops.fuse(flat, rule, mask, discount, activation)
    uncertainty, conflict, disagreement = (x.reshape(batch) for x in scalars)
    return Opinion._from_checked(fused.reshape(shape[1:]), conflict, disagreement, uncertainty)
