"""The operators of uncertainty: `ter_fast::uncertainty` and `ter_fast::uncertainty_backward`."""

from __future__ import annotations

from itertools import compress
from typing import Any

import torch
from torch import Tensor

from ter_fast.opinions import reference
from ter_fast.opinions._ops import native
from ter_fast.opinions._ops.native import address

if native.COMPILED:
    from ter_fast.opinions._ops.native import _C


def uncertainty(alpha: Tensor, fields: tuple[str, ...]) -> tuple[Tensor, ...]:
    """Measure the uncertainty of Dirichlets row by row, on the fastest backend there is.

    Args:
        alpha: `(B, K)` floating point, each element > 0.
        fields: Names out of `reference.FIELDS`, in that order.

    Returns:
        One `(B,)` for each field, in the dtype of `alpha`; `reference.uncertainty` says what.

    Example:
        >>> import torch
        >>> uncertainty(torch.tensor([[7.0, 1.0]]), ("vacuity",))
        (tensor([0.2500]),)
    """
    known = all(name in reference.FIELDS for name in fields)
    if not known or not native.runs_kernel(alpha, 1, alpha.shape[-1]):
        return reference.uncertainty(alpha, fields)
    wanted = [int(name in fields) for name in reference.FIELDS]
    dtype = alpha.dtype
    if alpha.is_cpu and dtype not in native.CPU_DTYPES:
        if dtype not in native.DTYPES:
            return reference.uncertainty(alpha, fields)
        return tuple(x.to(dtype) for x in _call(alpha.float(), wanted))
    return tuple(_call(alpha, wanted))


def _call(alpha: Tensor, wanted: list[int]) -> list[Tensor]:
    if not native.needs_dispatcher(alpha):
        return _forward(alpha, wanted)
    measures: tuple[Tensor, ...] = _Uncertainty.apply(  # type: ignore[no-untyped-call]
        alpha, wanted
    )
    return list(measures)


class _Uncertainty(torch.autograd.Function):
    """The measures with their gradient; both directions are operators of their own."""

    @staticmethod
    def forward(alpha: Tensor, wanted: list[int]) -> tuple[Tensor, ...]:
        return tuple(torch.ops.ter_fast.uncertainty(alpha, wanted))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        alpha, ctx.wanted = inputs
        ctx.save_for_backward(alpha)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        (alpha,) = ctx.saved_tensors
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            # A gradient that is itself to be differentiated: the kernel has none of second order.
            fields = tuple(compress(reference.FIELDS, ctx.wanted))
            outputs = reference.uncertainty(alpha, fields)
            return (*native.differentiate(outputs, gradients, (alpha,)), None)
        given = iter(gradients)
        each = [next(given) if is_wanted else None for is_wanted in ctx.wanted]
        return torch.ops.ter_fast.uncertainty_backward(alpha, *each), None


def _forward(alpha: Tensor, wanted: list[int]) -> list[Tensor]:
    alpha = _ready(alpha)
    rows, classes = alpha.shape
    measures = [alpha.new_empty(rows) if is_wanted else None for is_wanted in wanted]
    _C.uncertainty_forward(
        alpha.data_ptr(),
        rows,
        classes,
        native.DTYPES[alpha.dtype],
        *[*map(address, measures), *native.place(alpha)],
    )
    return [measure for measure in measures if measure is not None]


def _backward(alpha: Tensor, *gradients: Tensor | None) -> Tensor:
    alpha = _ready(alpha)
    rows, classes = alpha.shape
    # Bound to a name, so that copies made here live until the kernel has read them.
    each = [None if g is None else g.to(alpha.dtype).contiguous() for g in gradients]
    for gradient in each:
        if gradient is not None and (gradient.shape != (rows,) or gradient.device != alpha.device):
            raise ValueError(
                f"a gradient is {tuple(gradient.shape)} on {gradient.device}: the kernel takes "
                f"({rows},) on {alpha.device}"
            )
    grad_alpha = torch.empty_like(alpha)
    _C.uncertainty_backward(
        alpha.data_ptr(),
        rows,
        classes,
        native.DTYPES[alpha.dtype],
        *[*map(address, each), grad_alpha.data_ptr(), *native.place(alpha)],
    )
    return grad_alpha


def _ready(alpha: Tensor) -> Tensor:
    """Check what a kernel would read beyond its buffers on, and make the input contiguous."""
    allowed = native.CPU_DTYPES if alpha.is_cpu else tuple(native.DTYPES)
    if alpha.ndim != 2 or alpha.dtype not in allowed:
        names = ", ".join(str(dtype) for dtype in allowed)
        raise ValueError(
            f"alpha is {alpha.dtype} {tuple(alpha.shape)}: the kernel takes {names} (B, K)"
        )
    return alpha.contiguous()


def _fake_forward(alpha: Tensor, wanted: list[int]) -> list[Tensor]:
    return [alpha.new_empty(alpha.shape[0]) for is_wanted in wanted if is_wanted]


def _fake_backward(alpha: Tensor, *gradients: Tensor | None) -> Tensor:
    return alpha.new_empty(alpha.shape)


if native.COMPILED:
    native.register(
        "uncertainty", "(Tensor alpha, int[] wanted) -> Tensor[]", _forward, _fake_forward
    )
    native.register(
        "uncertainty_backward",
        "(Tensor alpha, "
        + ", ".join(f"Tensor? grad_{name}" for name in reference.FIELDS)
        + ") -> Tensor",
        _backward,
        _fake_backward,
    )
