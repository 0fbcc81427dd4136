"""The operator of the evidential losses: `ter_fast::evidential_loss`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ter_fast.opinions import reference
from ter_fast.opinions._ops import native
from ter_fast.opinions._ops.fusion import largest_strength
from ter_fast.opinions._ops.native import address

if native.COMPILED:
    from ter_fast.opinions._ops.native import _C

KINDS = {"log": 0, "digamma": 1, "mse": 2}


def evidential_loss(evidence: Tensor, target: Tensor, kind: str, kl_weight: float) -> Tensor:
    """Compute an evidential loss and its regularizer row by row, on the fastest backend there is.

    Args:
        evidence: `(B, K)` floating point, each element >= 0.
        target: `(B,)` integer classes or `(B, K)` floating-point soft targets, on the same device.
        kind: `"log"`, `"digamma"` or `"mse"`.
        kl_weight: Weight of the regularizer.

    Returns:
        `(B,)` in the dtype of `evidence`; `reference.evidential_loss` says what.

    Example:
        >>> import torch
        >>> evidential_loss(torch.tensor([[8.0, 0.0, 0.0]]), torch.tensor([0]), "log", 0.0)
        tensor([0.2007])
    """
    largest_strength(evidence.dtype)
    if kind not in KINDS or not native.runs_kernel(evidence, 1, evidence.shape[-1]):
        return reference.evidential_loss(evidence, target, kind, kl_weight)
    dtype = evidence.dtype
    if evidence.is_cpu and dtype not in native.CPU_DTYPES:
        evidence = evidence.float()
    target = target.detach().to(evidence.dtype if target.is_floating_point() else torch.int64)
    return _call(evidence, target, kind, kl_weight).to(dtype)


def _call(evidence: Tensor, target: Tensor, kind: str, kl_weight: float) -> Tensor:
    if not native.needs_dispatcher(evidence, target):
        return _forward(evidence, target, kind, kl_weight, False)[0]
    if native.differentiates(evidence):
        loss: Tensor = _EvidentialLoss.apply(  # type: ignore[no-untyped-call]
            evidence, target, kind, kl_weight
        )[0]
        return loss
    value: Tensor = torch.ops.ter_fast.evidential_loss(evidence, target, kind, kl_weight, False)[0]
    return value


class _EvidentialLoss(torch.autograd.Function):
    """The loss with its gradient, which the same pass computes."""

    @staticmethod
    def forward(
        evidence: Tensor, target: Tensor, kind: str, kl_weight: float
    ) -> tuple[Tensor, Tensor]:
        both: tuple[Tensor, Tensor] = torch.ops.ter_fast.evidential_loss(
            evidence, target, kind, kl_weight, True
        )
        return both

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        evidence, target, ctx.kind, ctx.kl_weight = inputs
        ctx.save_for_backward(evidence, target, output[1])
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        evidence, target, gradient = ctx.saved_tensors
        by_loss = gradients[0]
        if by_loss is None:
            return None, None, None, None
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            # A gradient that is itself to be differentiated: the kernel has none of second order.
            loss = reference.evidential_loss(evidence, target, ctx.kind, ctx.kl_weight)
            return (*native.differentiate((loss,), (by_loss,), (evidence,)), None, None, None)
        return by_loss.unsqueeze(-1) * gradient, None, None, None


def _forward(
    evidence: Tensor, target: Tensor, kind: str, kl_weight: float, differentiated: bool
) -> tuple[Tensor, Tensor]:
    evidence, target = _ready(evidence, target)
    rows, classes = evidence.shape
    loss = evidence.new_empty(rows)
    gradient = evidence.new_empty((rows, classes) if differentiated else 0)
    soft = target.is_floating_point()
    _C.loss_forward(
        evidence.data_ptr(),
        target.data_ptr() if soft else 0,
        0 if soft else target.data_ptr(),
        rows,
        classes,
        KINDS[kind],
        kl_weight,
        native.DTYPES[evidence.dtype],
        loss.data_ptr(),
        address(gradient if differentiated else None),
        *native.place(evidence),
    )
    return loss, gradient


def _ready(evidence: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Check what a kernel would read beyond its buffers on, and make the inputs contiguous."""
    allowed = native.CPU_DTYPES if evidence.is_cpu else tuple(native.DTYPES)
    if evidence.ndim != 2 or evidence.dtype not in allowed:
        names = ", ".join(str(dtype) for dtype in allowed)
        raise ValueError(
            f"evidence is {evidence.dtype} {tuple(evidence.shape)}: the kernel takes {names} (B, K)"
        )
    hard = target.dtype is torch.int64 and target.shape == evidence.shape[:1]
    soft = target.dtype is evidence.dtype and target.shape == evidence.shape
    if not (hard or soft) or target.device != evidence.device:
        raise ValueError(
            f"target is {target.dtype} {tuple(target.shape)} on {target.device}: the kernel takes "
            f"torch.int64 {tuple(evidence.shape[:1])} or {evidence.dtype} "
            f"{tuple(evidence.shape)} on {evidence.device}"
        )
    return evidence.contiguous(), target.contiguous()


def _fake(
    evidence: Tensor, target: Tensor, kind: str, kl_weight: float, differentiated: bool
) -> tuple[Tensor, Tensor]:
    shape = evidence.shape if differentiated else (0,)
    return evidence.new_empty(evidence.shape[0]), evidence.new_empty(shape)


if native.COMPILED:
    native.register(
        "evidential_loss",
        "(Tensor evidence, Tensor target, str kind, float kl_weight, bool differentiated) "
        "-> (Tensor loss, Tensor gradient)",
        _forward,
        _fake,
    )
