"""Registered operators over the compiled kernels: the only module that imports `ter_fast._C`.

Device, dtype, shape and contiguity are settled here, once. A kernel takes addresses and sizes; what
it computes is written down in `ter_fast.reference`, which also runs wherever no kernel does.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from ter_fast import reference

_REASON = ""
try:
    from ter_fast import _C
except ImportError as error:
    _COMPILED = False
    if find_spec("ter_fast._C") is None:
        _REASON = "the package was installed without a compiler"
    else:
        _REASON = f"the compiled extension does not load: {error}"
else:
    _COMPILED = True

_RULES = {"dempster": 0, "cumulative": 1, "averaging": 2, "weighted": 3}
_KERNEL_DTYPES = (torch.float32, torch.float64)
_HALF_DTYPES = (torch.float16, torch.bfloat16)
# Half the largest number: a float sum over the row stays finite however it is rounded.
_LIMITS = {dtype: torch.finfo(dtype).max / 2 for dtype in _KERNEL_DTYPES + _HALF_DTYPES}


@dataclass(frozen=True)
class Backend:
    """Say which implementation runs the operators on the CPU, and why.

    Attributes:
        name: `"C++ extension"` or `"pure torch"`.
        reason: Instruction set and threads, or why there is no extension.

    Example:
        >>> str(Backend("C++ extension", "AVX2, 4 threads"))
        'C++ extension (AVX2, 4 threads)'
    """

    name: str
    reason: str

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{self.name} ({self.reason})"


def backend() -> Backend:
    """Return the backend in use on the CPU; other devices run the reference.

    Example:
        >>> backend().name in ("C++ extension", "pure torch")
        True
    """
    if not _COMPILED:
        return Backend("pure torch", _REASON)
    threads = torch.get_num_threads()
    plural = "" if threads == 1 else "s"
    return Backend("C++ extension", f"{_C.instruction_set()}, {threads} thread{plural}")


def warn_if_uncompiled() -> None:
    """Warn that the pure-torch reference runs; for the import of the package to call once."""
    if not _COMPILED:
        warnings.warn(
            f"ter_fast runs on pure torch: {_REASON}. Results are the same, only slower; install "
            "a C++ compiler and reinstall ter_fast for the compiled kernels.",
            RuntimeWarning,
            stacklevel=3,
        )


def fuse(
    evidence: Tensor, rule: str, mask: Tensor | None, discount: Tensor | None
) -> reference.Fused:
    """Fuse the evidence of V views row by row, on the fastest backend there is.

    Args:
        evidence: `(V, B, K)` floating point, each element >= 0.
        rule: `"dempster"`, `"cumulative"`, `"averaging"` or `"weighted"`.
        mask: `(V, B)` bool on the same device, True where the view is present, or None.
        discount: `(V, B)` floating-point reliabilities on the same device, or None.

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
    limit = _LIMITS.get(dtype)
    if limit is None:
        expected = ", ".join(str(known) for known in _LIMITS)
        raise TypeError(f"evidence is {dtype}: convert it to one of {expected}")
    if not _COMPILED or evidence.device.type != "cpu":
        return reference.fuse(evidence, rule, mask, discount, limit)
    if dtype in _HALF_DTYPES:
        discount = None if discount is None else discount.float()
        wide = _dispatch(evidence.float(), rule, mask, discount, limit)
        return wide[0].to(dtype), wide[1].to(dtype), wide[2].to(dtype), wide[3].to(dtype)
    return _dispatch(evidence, rule, mask, discount, limit)


def _dispatch(
    evidence: Tensor, rule: str, mask: Tensor | None, discount: Tensor | None, limit: float
) -> reference.Fused:
    differentiate = torch.is_grad_enabled() and (
        evidence.requires_grad or (discount is not None and discount.requires_grad)
    )
    # Subclasses (fake tensors among them) and traced code need the registered operator; a plain
    # tensor without gradient saves the microseconds that the dispatcher takes.
    if differentiate or type(evidence) is not Tensor or torch.compiler.is_compiling():
        fused: reference.Fused = _Fuse.apply(  # type: ignore[no-untyped-call]
            evidence, discount, mask, rule, limit
        )
        return fused
    return _fuse_forward(evidence, rule, mask, discount, limit)


class _Fuse(torch.autograd.Function):
    """Fusion with its gradient; both directions are operators of their own."""

    @staticmethod
    def forward(
        evidence: Tensor, discount: Tensor | None, mask: Tensor | None, rule: str, limit: float
    ) -> reference.Fused:
        fused: reference.Fused = torch.ops.ter_fast.fuse_forward(
            evidence, rule, mask, discount, limit
        )
        return fused

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: reference.Fused) -> None:
        evidence, discount, mask, ctx.rule, ctx.limit = inputs
        ctx.save_for_backward(evidence, mask, discount)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        evidence, mask, discount = ctx.saved_tensors
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            # A gradient that is itself to be differentiated: the kernel has none of second order.
            return _differentiable_backward(
                evidence, ctx.rule, mask, discount, ctx.limit, gradients
            )
        grad_evidence, grad_discount = torch.ops.ter_fast.fuse_backward(
            evidence, ctx.rule, mask, discount, ctx.limit, *gradients
        )
        return grad_evidence, None if discount is None else grad_discount, None, None, None


def _differentiable_backward(
    evidence: Tensor,
    rule: str,
    mask: Tensor | None,
    discount: Tensor | None,
    limit: float,
    gradients: tuple[Tensor | None, ...],
) -> tuple[Tensor | None, ...]:
    outputs = reference.fuse(evidence, rule, mask, discount, limit)
    used = [
        (output, gradient)
        for output, gradient in zip(outputs, gradients, strict=True)
        if gradient is not None and output.requires_grad
    ]
    inputs = [x for x in (evidence, discount) if x is not None and x.requires_grad]
    found = iter(
        torch.autograd.grad(
            [output for output, _ in used],
            inputs,
            [gradient for _, gradient in used],
            create_graph=True,
        )
    )
    grad_evidence = next(found) if evidence.requires_grad else None
    grad_discount = next(found) if discount is not None and discount.requires_grad else None
    return grad_evidence, grad_discount, None, None, None


def _fuse_forward(
    evidence: Tensor, rule: str, mask: Tensor | None, discount: Tensor | None, limit: float
) -> reference.Fused:
    evidence, mask, discount = _ready(evidence, mask, discount)
    views, rows, classes = evidence.shape
    fused = evidence.new_empty(rows, classes)
    uncertainty = evidence.new_empty(rows)
    conflict = evidence.new_empty(rows)
    disagreement = evidence.new_empty(rows)
    _C.fuse_forward(
        evidence.data_ptr(),
        0 if mask is None else mask.data_ptr(),
        0 if discount is None else discount.data_ptr(),
        views,
        rows,
        classes,
        _RULES[rule],
        evidence.dtype is torch.float64,
        limit,
        fused.data_ptr(),
        uncertainty.data_ptr(),
        conflict.data_ptr(),
        disagreement.data_ptr(),
        torch.get_num_threads(),
    )
    return fused, uncertainty, conflict, disagreement


def _fuse_backward(
    evidence: Tensor,
    rule: str,
    mask: Tensor | None,
    discount: Tensor | None,
    limit: float,
    *gradients: Tensor | None,
) -> tuple[Tensor, Tensor]:
    evidence, mask, discount = _ready(evidence, mask, discount)
    views, rows, classes = evidence.shape
    # Bound to names, so that copies made here live until the kernel has read them.
    grad_fused, grad_uncertainty, grad_conflict, grad_disagreement = (
        None if g is None else g.to(evidence.dtype).contiguous() for g in gradients
    )
    grad_evidence = torch.empty_like(evidence)
    grad_discount = evidence.new_empty(0 if discount is None else (views, rows))
    _C.fuse_backward(
        evidence.data_ptr(),
        0 if mask is None else mask.data_ptr(),
        0 if discount is None else discount.data_ptr(),
        views,
        rows,
        classes,
        _RULES[rule],
        evidence.dtype is torch.float64,
        limit,
        0 if grad_fused is None else grad_fused.data_ptr(),
        0 if grad_uncertainty is None else grad_uncertainty.data_ptr(),
        0 if grad_conflict is None else grad_conflict.data_ptr(),
        0 if grad_disagreement is None else grad_disagreement.data_ptr(),
        grad_evidence.data_ptr(),
        grad_discount.data_ptr(),
        torch.get_num_threads(),
    )
    return grad_evidence, grad_discount


def _ready(
    evidence: Tensor, mask: Tensor | None, discount: Tensor | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Check what a kernel would read beyond its buffers on, and make the inputs contiguous."""
    if evidence.ndim != 3 or evidence.dtype not in _KERNEL_DTYPES:
        raise ValueError(
            f"evidence is {evidence.dtype} {tuple(evidence.shape)}: the kernel takes float32 or "
            "float64 (V, B, K)"
        )
    evidence = evidence.contiguous()
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
        discount = discount.contiguous()
    return evidence, mask, discount


def _fake_forward(
    evidence: Tensor, rule: str, mask: Tensor | None, discount: Tensor | None, limit: float
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
    *gradients: Tensor | None,
) -> tuple[Tensor, Tensor]:
    views, rows = evidence.shape[0], evidence.shape[1]
    grad_evidence = evidence.new_empty(evidence.shape)
    return grad_evidence, evidence.new_empty(0 if discount is None else (views, rows))


_INPUTS = "Tensor evidence, str rule, Tensor? mask, Tensor? discount, float limit"
_GRADIENTS = (
    "Tensor? grad_fused, Tensor? grad_uncertainty, Tensor? grad_conflict, Tensor? grad_disagreement"
)


def _register() -> None:
    torch.library.define(
        "ter_fast::fuse_forward", f"({_INPUTS}) -> (Tensor, Tensor, Tensor, Tensor)"
    )
    torch.library.define(
        "ter_fast::fuse_backward", f"({_INPUTS}, {_GRADIENTS}) -> (Tensor, Tensor)"
    )
    torch.library.impl("ter_fast::fuse_forward", "CPU", _fuse_forward)
    torch.library.impl("ter_fast::fuse_backward", "CPU", _fuse_backward)
    torch.library.register_fake("ter_fast::fuse_forward", _fake_forward)
    torch.library.register_fake("ter_fast::fuse_backward", _fake_backward)


if _COMPILED:
    _register()
