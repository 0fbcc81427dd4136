"""Fuse the opinions of several modalities into one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ter_fast import _ops
from ter_fast.opinion import RULES, Opinion


def fuse(
    evidence: Tensor | Sequence[Tensor],
    rule: str = "dempster",
    mask: Tensor | None = None,
    discount: Tensor | Sequence[float] | None = None,
) -> Opinion:
    """Fuse V opinions per sample into one, in any order of the views.

    | rule | fused evidence e_k |
    |---|---|
    | `dempster` | `K (prod_v (1 + e_vk / K) - 1)` |
    | `cumulative` | `sum_v e_vk` |
    | `averaging` | `(1/V) sum_v e_vk` over the V views that are present |
    | `weighted` | `sum_v c_v e_vk / sum_v c_v` with `c_v = sum_k e_vk / S_v` |

    A masked view is absent: its contents, NaN included, change nothing, and its gradient is 0. A
    view that is present with evidence 0 has seen the sample and knows nothing: neutral for every
    rule but `averaging`, which it dilutes. With all views masked the evidence is 0 and the
    uncertainty 1.

    A reliability `w` first turns a view's opinion into `b' = w b`, `u' = 1 - w (1 - u)`. Evidence,
    uncertainty, conflict and disagreement are those of the discounted opinions, for every rule, and
    all four are differentiable with respect to evidence and discount. Where `weighted` meets no
    evidence at all, its gradient is that of `averaging`; where two views' probabilities are equal,
    the subgradient of the disagreement is 0.

    Sums are kept in float64 for float32 input and results have the dtype of the evidence; half
    precision is computed in float32 and rounded once, so give float32 where a threshold is to be
    met. Fused evidence too large for the dtype is scaled by one factor per row; uncertainty,
    conflict and disagreement are computed before that. A row is NaN, and passes no gradient,
    where a present view has NaN, infinite or negative evidence, or a reliability outside [0, 1].

    Args:
        evidence: `(V, ..., K)`, or a sequence of V tensors `(..., K)`; elements >= 0.
        rule: One of `ter_fast.opinion.RULES`.
        mask: `(V, ...)` or `(V,)` bool, True where a view is present; None when all are.
        discount: `(V, ...)` or `(V,)` reliabilities in [0, 1]; None for 1.

    Returns:
        The fused opinion, with `conflict` (the mass Dempster's rule discards) and `disagreement`
        (mean over pairs of present views of `1/2 |p_v - p_w|_1 (1 - u_v) (1 - u_w)`).

    Raises:
        TypeError: If evidence or discount is not floating point, or the mask is not bool.
        ValueError: If the rule is unknown, or shapes, dtypes or devices do not fit together.

    Reference:
        Han et al., Trusted Multi-View Classification, 2021, definition 4 (`dempster`); Jøsang,
        Subjective Logic, 2016, chapter 12; Xu et al. 2024 (disagreement).

    Example:
        >>> import torch
        >>> audio, video = torch.tensor([[6.0, 0.0]]), torch.tensor([[0.0, 2.0]])
        >>> opinion = fuse([audio, video])
        >>> opinion.evidence, opinion.conflict
        (tensor([[6., 2.]]), tensor([0.3750]))
        >>> fuse([audio, video], mask=torch.tensor([[True], [False]])).evidence
        tensor([[6., 0.]])
    """
    if rule not in RULES:
        raise ValueError(f"rule {rule!r} is unknown: choose one of {', '.join(RULES)}")
    if not isinstance(evidence, Tensor):
        evidence = _stacked(evidence)
    shape = evidence.shape
    if not evidence.is_floating_point():
        raise TypeError(f"evidence is {evidence.dtype}: give a floating-point tensor (V, ..., K)")
    if len(shape) < 2 or shape[0] < 1 or shape[-1] < 2:
        raise ValueError(
            f"evidence has shape {tuple(shape)}: expected (V, ..., K) with at least one view and "
            "two classes"
        )
    if mask is not None:
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
            given = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
            raise TypeError(
                f"mask is {given}: give a torch.bool tensor, True where a view is present"
            )
        mask = _per_view(mask, evidence, "mask")
    if discount is not None:
        discount = _per_view(_reliability(discount, evidence), evidence, "discount")
    if len(shape) == 3:
        fused, uncertainty, conflict, disagreement = _ops.fuse(evidence, rule, mask, discount)
        return Opinion._checked(fused, conflict, disagreement, uncertainty)
    batch = shape[1:-1]
    flat = evidence.reshape(shape[0], batch.numel(), shape[-1])
    fused, *scalars = _ops.fuse(flat, rule, mask, discount)
    uncertainty, conflict, disagreement = (x.reshape(batch) for x in scalars)
    return Opinion._checked(fused.reshape(shape[1:]), conflict, disagreement, uncertainty)


def _stacked(views: Sequence[Tensor]) -> Tensor:
    if not views:
        raise ValueError("evidence is an empty sequence: give at least one view (..., K)")
    for view in views:
        if not isinstance(view, Tensor):
            raise TypeError(f"a view is {type(view).__name__}: give tensors of evidence (..., K)")
    first = views[0]
    for index, view in enumerate(views):
        given = (tuple(view.shape), view.dtype, view.device)
        expected = (tuple(first.shape), first.dtype, first.device)
        if given != expected:
            raise ValueError(
                f"view {index} has (shape, dtype, device) {given} but view 0 has {expected}: "
                "all views need the same"
            )
    return torch.stack(list(views))


def _reliability(discount: Tensor | Sequence[float], evidence: Tensor) -> Tensor:
    if not isinstance(discount, Tensor):
        if not all(0 <= w <= 1 for w in discount):
            raise ValueError(f"discount is {list(discount)}: reliabilities lie in [0, 1]")
        return torch.tensor(discount, dtype=evidence.dtype, device=evidence.device)
    if not discount.is_floating_point():
        raise TypeError(f"discount is {discount.dtype}: give floating-point reliabilities")
    return discount


def _per_view(value: Tensor, evidence: Tensor, name: str) -> Tensor:
    """Check a per-view tensor and return it as `(V, B)`."""
    shape = evidence.shape[:-1]
    if value.device != evidence.device:
        raise ValueError(
            f"{name} is on {value.device} but the evidence is on {evidence.device}: move one of them"
        )
    if value.shape == shape[:1] and len(shape) > 1:
        value = value.reshape(-1, *(1 for _ in shape[1:])).expand(shape)
    if value.shape != shape:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}: evidence of shape {tuple(evidence.shape)} "
            f"needs {tuple(shape)} or ({shape[0]},)"
        )
    return value.reshape(shape[0], shape[1:].numel())
