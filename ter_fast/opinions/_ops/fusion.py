"""The operators of fusion: `ter_fast::fuse_forward` and `ter_fast::fuse_backward`."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ter_fast.opinions import reference
from ter_fast.opinions._ops import native
from ter_fast.opinions._ops.native import address
from ter_fast.opinions.fusion_rules import FUSION_RULES

if native.COMPILED:
    from ter_fast.opinions._ops.native import _C

RULES = native.codes(FUSION_RULES, "RULES")
ACTIVATIONS = {None: 0, "softplus": 1, "relu": 2, "exp": 3}
CAP = math.log(reference.MAX_EXP_EVIDENCE)
# Half the largest number: a float sum over the row stays finite however it is rounded.
LIMITS = {dtype: torch.finfo(dtype).max / 2 for dtype in native.DTYPES}


def fuse(
    evidence: Tensor,
    rule: str,
    mask: Tensor | None,
    discount: Tensor | None,
    activation: str | None = None,
) -> reference.Fused:
    """Fuse the evidence of V views row by row, on the fastest backend there is.

    Args:
        evidence: `(V, B, K)` floating point, each element >= 0; any logits with an `activation`.
        rule: One of `ter_fast.opinions.fusion_rules.FUSION_RULES`.
        mask: `(V, B)` bool on the same device, True where the view is present, or None.
        discount: `(V, B)` floating-point reliabilities on the same device, or None.
        activation: `"softplus"`, `"relu"` or `"exp"` for logits; None for evidence.

    Returns:
        Fused evidence `(B, K)`, uncertainty, conflict and disagreement, each `(B,)`, in the dtype
        of `evidence`.

    Example:
        >>> import torch
        >>> fuse(torch.tensor([[[2.0, 0.0]], [[2.0, 0.0]]]), "dempster", None, None)[0]
        tensor([[6., 0.]])
    """
    dtype = evidence.dtype
    if discount is not None and discount.dtype is not dtype:
        discount = discount.to(dtype)
    limit = largest_strength(dtype)
    if not native.runs_kernel(evidence, evidence.shape[0], evidence.shape[2]):
        return reference.fuse(evidence, rule, mask, discount, limit, activation)
    if evidence.is_cpu and dtype not in native.CPU_DTYPES:
        discount = None if discount is None else discount.float()
        wide = _call(evidence.float(), rule, mask, discount, limit, activation)
        return wide[0].to(dtype), wide[1].to(dtype), wide[2].to(dtype), wide[3].to(dtype)
    return _call(evidence, rule, mask, discount, limit, activation)


def largest_strength(dtype: torch.dtype) -> float:
    """Return the largest strength that a row of this dtype stores."""
    limit = LIMITS.get(dtype)
    if limit is None:
        expected = ", ".join(str(known) for known in LIMITS)
        raise TypeError(f"evidence is {dtype}: convert it to one of {expected}")
    return limit


def fuse_packed(evidence: Tensor, rule: str, activation: str | None) -> Tensor | None:
    """Fuse into one buffer, for calls so small that allocating four is what takes the time.

    Args:
        evidence: `(V, B, K)`, as `fuse` takes it.
        rule: As `fuse` takes it.
        activation: As `fuse` takes it.

    Returns:
        `(B (K + 3),)`: the fused evidence of all rows, then each of the three scalars of all rows;
        None where this short way is not open (gradients, traced code, half precision, a GPU).

    Example:
        >>> import torch
        >>> fuse_packed(torch.tensor([[[6.0, 0.0]], [[0.0, 2.0]]]), "dempster", None)
        tensor([6.0000, 2.0000, 0.2000, 0.3750, 0.2344])
    """
    dtype = evidence.dtype
    # `needs_dispatcher` for one tensor, spelled out: here a call counts.
    if (
        not native.COMPILED
        or type(evidence) is not Tensor
        or not evidence.is_cpu
        or dtype not in native.CPU_DTYPES
        or (evidence.requires_grad and torch.is_grad_enabled())
        or native.is_watched()
        or evidence.is_neg()
    ):
        return None
    evidence = evidence.contiguous()
    views, rows, classes = evidence.shape
    packed = evidence.new_empty(rows * (classes + 3))
    fused = packed.data_ptr()
    column = rows * evidence.itemsize
    uncertainty = fused + classes * column
    _C.fuse_forward(
        evidence.data_ptr(),
        0,
        0,
        views,
        rows,
        classes,
        RULES[rule],
        ACTIVATIONS[activation],
        native.DTYPES[dtype],
        LIMITS[dtype],
        CAP,
        fused,
        uncertainty,
        uncertainty + column,
        uncertainty + 2 * column,
        -1,
        torch.get_num_threads(),
    )
    return packed


def _call(
    evidence: Tensor,
    rule: str,
    mask: Tensor | None,
    discount: Tensor | None,
    limit: float,
    activation: str | None,
) -> reference.Fused:
    if native.needs_dispatcher(evidence, discount):
        fused: reference.Fused = _Fuse.apply(  # type: ignore[no-untyped-call]
            evidence, discount, mask, rule, limit, activation
        )
        return fused
    return _forward(evidence, rule, mask, discount, limit, activation)


class _Fuse(torch.autograd.Function):
    """Fusion with its gradient; both directions are operators of their own."""

    @staticmethod
    def forward(
        evidence: Tensor,
        discount: Tensor | None,
        mask: Tensor | None,
        rule: str,
        limit: float,
        activation: str | None,
    ) -> reference.Fused:
        fused: reference.Fused = torch.ops.ter_fast.fuse_forward(
            evidence, rule, mask, discount, limit, activation
        )
        return fused

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: reference.Fused) -> None:
        evidence, discount, mask, ctx.rule, ctx.limit, ctx.activation = inputs
        ctx.save_for_backward(evidence, mask, discount)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        evidence, mask, discount = ctx.saved_tensors
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            # A gradient that is itself to be differentiated: the kernel has none of second order.
            outputs = reference.fuse(evidence, ctx.rule, mask, discount, ctx.limit, ctx.activation)
            return (*native.differentiate(outputs, gradients, (evidence, discount)), *[None] * 4)
        grad_evidence, grad_discount = torch.ops.ter_fast.fuse_backward(
            evidence, ctx.rule, mask, discount, ctx.limit, ctx.activation, *gradients
        )
        return grad_evidence, None if discount is None else grad_discount, None, None, None, None


def _forward(
    evidence: Tensor,
    rule: str,
    mask: Tensor | None,
    discount: Tensor | None,
    limit: float,
    activation: str | None,
) -> reference.Fused:
    evidence, mask, discount = ready(evidence, mask, discount)
    views, rows, classes = evidence.shape
    fused = evidence.new_empty(rows, classes)
    uncertainty = evidence.new_empty(rows)
    conflict = evidence.new_empty(rows)
    disagreement = evidence.new_empty(rows)
    _C.fuse_forward(
        evidence.data_ptr(),
        address(mask),
        address(discount),
        views,
        rows,
        classes,
        RULES[rule],
        ACTIVATIONS[activation],
        native.DTYPES[evidence.dtype],
        limit,
        CAP,
        fused.data_ptr(),
        uncertainty.data_ptr(),
        conflict.data_ptr(),
        disagreement.data_ptr(),
        *native.place(evidence),
    )
    return fused, uncertainty, conflict, disagreement


def _backward(
    evidence: Tensor,
    rule: str,
    mask: Tensor | None,
    discount: Tensor | None,
    limit: float,
    activation: str | None,
    *gradients: Tensor | None,
) -> tuple[Tensor, Tensor]:
    evidence, mask, discount = ready(evidence, mask, discount)
    views, rows, classes = evidence.shape
    # Bound to names, so that copies made here live until the kernel has read them.
    grad_fused, grad_uncertainty, grad_conflict, grad_disagreement = (
        None if g is None else g.to(evidence.dtype).contiguous() for g in gradients
    )
    grad_evidence = torch.empty_like(evidence)
    grad_discount = evidence.new_empty(0 if discount is None else (views, rows))
    _C.fuse_backward(
        evidence.data_ptr(),
        address(mask),
        address(discount),
        views,
        rows,
        classes,
        RULES[rule],
        ACTIVATIONS[activation],
        native.DTYPES[evidence.dtype],
        limit,
        CAP,
        address(grad_fused),
        address(grad_uncertainty),
        address(grad_conflict),
        address(grad_disagreement),
        grad_evidence.data_ptr(),
        grad_discount.data_ptr(),
        *native.place(evidence),
    )
    return grad_evidence, grad_discount


def ready(
    evidence: Tensor, mask: Tensor | None, discount: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Check what a kernel would read beyond its buffers on, and make the inputs contiguous."""
    allowed = native.CPU_DTYPES if evidence.is_cpu else tuple(native.DTYPES)
    if evidence.ndim != 3 or evidence.dtype not in allowed:
        names = ", ".join(str(dtype) for dtype in allowed)
        raise ValueError(
            f"evidence is {evidence.dtype} {tuple(evidence.shape)}: the kernel takes {names} "
            "(V, B, K)"
        )
    evidence = evidence.resolve_neg().contiguous()
    if mask is not None:
        if mask.dtype is not torch.bool or mask.shape != evidence.shape[:2]:
            raise ValueError(
                f"mask is {mask.dtype} {tuple(mask.shape)}: the kernel takes torch.bool "
                f"{tuple(evidence.shape[:2])}"
            )
        mask = mask.contiguous()
    if discount is not None:
        if discount.dtype is not evidence.dtype or discount.shape != evidence.shape[:2]:
            raise ValueError(
                f"discount is {discount.dtype} {tuple(discount.shape)}: the kernel takes "
                f"{evidence.dtype} {tuple(evidence.shape[:2])}"
            )
        discount = discount.resolve_neg().contiguous()
    return evidence, mask, discount


def _fake_forward(
    evidence: Tensor,
    rule: str,
    mask: Tensor | None,
    discount: Tensor | None,
    limit: float,
    activation: str | None,
) -> reference.Fused:
    rows, classes = evidence.shape[1], evidence.shape[2]
    one, two, three = (evidence.new_empty(rows) for _ in range(3))
    return evidence.new_empty((rows, classes)), one, two, three


def _fake_backward(
    evidence: Tensor,
    rule: str,
    mask: Tensor | None,
    discount: Tensor | None,
    limit: float,
    activation: str | None,
    *gradients: Tensor | None,
) -> tuple[Tensor, Tensor]:
    views, rows = evidence.shape[0], evidence.shape[1]
    grad_evidence = evidence.new_empty(evidence.shape)
    return grad_evidence, evidence.new_empty(0 if discount is None else (views, rows))


_INPUTS = "Tensor evidence, str rule, Tensor? mask, Tensor? discount, float limit, str? activation"
_GRADIENTS = (
    "Tensor? grad_fused, Tensor? grad_uncertainty, Tensor? grad_conflict, Tensor? grad_disagreement"
)

if native.COMPILED:
    native.register(
        "fuse_forward", f"({_INPUTS}) -> (Tensor, Tensor, Tensor, Tensor)", _forward, _fake_forward
    )
    native.register(
        "fuse_backward", f"({_INPUTS}, {_GRADIENTS}) -> (Tensor, Tensor)", _backward, _fake_backward
    )
