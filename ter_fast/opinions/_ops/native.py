"""The compiled extension: whether it is there, where it runs, and what its calls expect.

The only module that imports `ter_fast._C`, which `extension` finds.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.compiler import is_compiling

from ter_fast.opinions._ops import extension

# There is no public way to ask for these, and a kernel that ran past them would be silently wrong.
_tracing_state = torch._C._get_tracing_state
_dispatch_modes = torch._C._len_torch_dispatch_stack
_transforms = torch._C._functorch.peek_interpreter_stack

INSTRUCTION_SETS = ("baseline", "AVX2", "AVX-512")
"""Names that the environment variable `TER_FAST_INSTRUCTION_SET` may have, to lower what is used."""

_REASON = extension.provide()
COMPILED = not _REASON
if COMPILED:
    from ter_fast import _C as _C  # noqa: PLC0414  (for the operators beside this module)

    if (wish := os.environ.get("TER_FAST_INSTRUCTION_SET")) not in (None, *INSTRUCTION_SETS):
        raise ValueError(
            f"TER_FAST_INSTRUCTION_SET is {wish!r}: set it to one of {', '.join(INSTRUCTION_SETS)}, "
            "or unset it for the best that the processor has"
        )

DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}
"""The codes by which the extension knows what a buffer holds."""

CPU_DTYPES = (torch.float32, torch.float64)
"""What the CPU's kernels take; half precision is converted, and computed in float32."""

# What a GPU thread keeps of a row at hand; larger rows run the reference.
MAX_CUDA_VIEWS = 16
MAX_CUDA_CLASSES = 1024


def codes(names: Iterable[str], table: str) -> dict[str, int]:
    """Return the codes by which the extension knows the names of a table.

    Args:
        names: Of the package, in order.
        table: Attribute of the extension that holds its own.

    Raises:
        ImportError: If they are not the same: a kernel without a branch for a name would be wrong.
    """
    known = tuple(names)
    compiled = getattr(_C, table, ()) if COMPILED else known
    if compiled != known:
        raise ImportError(
            f"the compiled extension has {table} {compiled}, the package {known}: it was compiled "
            "from other sources, so reinstall ter_fast; or csrc lacks what was added to the package"
        )
    return {name: code for code, name in enumerate(known)}


@dataclass(frozen=True)
class Backend:
    """Say which implementation runs the operators on a device, and why.

    Attributes:
        name: `"C++ extension"`, `"CUDA extension"` or `"pure torch"`.
        reason: Instruction set and threads, architectures, or why there is no extension.

    Example:
        >>> str(Backend("C++ extension", "AVX2, 4 threads"))
        'C++ extension (AVX2, 4 threads)'
    """

    name: str
    reason: str

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{self.name} ({self.reason})"


def backend(device: str = "cpu") -> Backend:
    """Return the backend in use on a device: `"cpu"` or `"cuda"`.

    Example:
        >>> backend().name in ("C++ extension", "pure torch")
        True
    """
    if not COMPILED:
        return Backend("pure torch", _REASON)
    if device == "cpu":
        threads = torch.get_num_threads()
        plural = "" if threads == 1 else "s"
        return Backend("C++ extension", f"{_C.instruction_set()}, {threads} thread{plural}")
    if not _C.cuda_architectures:
        return Backend(
            "pure torch",
            f"built without CUDA kernels, because {_C.without_cuda}; to build them, in a checkout: "
            "pip install -C cmake.define.TER_FAST_CUDA=ON .",
        )
    if torch.cuda.is_available() and not _has_image(torch.cuda.current_device()):
        major, minor = torch.cuda.get_device_capability()
        return Backend(
            "pure torch",
            f"built for compute capabilities {_C.cuda_architectures}, and this GPU has {major}{minor}; "
            "to build for it, in a checkout on this machine: pip install .",
        )
    return Backend("CUDA extension", f"compute capabilities {_C.cuda_architectures}")


def warn_if_uncompiled() -> None:
    """Warn that the pure-torch reference runs; for the import of the operators to call once."""
    if not COMPILED:
        warnings.warn(
            f"ter_fast runs on pure torch: {_REASON}. Results are the same, only slower.",
            RuntimeWarning,
            stacklevel=3,
        )


def runs_kernel(tensor: Tensor, views: int, classes: int) -> bool:
    """Say whether a kernel takes opinions of this size on the device of `tensor`."""
    if not COMPILED:
        return False
    kind = tensor.device.type
    if kind == "cpu":
        return True
    return (
        kind == "cuda"
        and views <= MAX_CUDA_VIEWS
        and classes <= MAX_CUDA_CLASSES
        and _has_image(tensor.device.index)
    )


@cache
def _has_image(device: int) -> bool:
    # ROCm calls its devices "cuda", too.
    if not _C.cuda_architectures or torch.version.hip is not None:
        return False
    return _C.cuda_supports(device)


def place(tensor: Tensor) -> tuple[int, int]:
    """Return where a call runs: a CUDA device and its current stream, or -1 and CPU threads."""
    if tensor.is_cpu:
        return -1, torch.get_num_threads()
    device = tensor.device
    return device.index, torch.cuda.current_stream(device).cuda_stream


def address(tensor: Tensor | None) -> int:
    """Return the address of a tensor's first element; 0 for None."""
    return 0 if tensor is None else tensor.data_ptr()


def needs_dispatcher(*tensors: Tensor | None) -> bool:
    """Say whether a call has to go through the registered operator.

    Subclasses (fake tensors among them), traced code and gradients need it; a plain tensor without
    gradient saves the microseconds that the dispatcher takes.
    """
    if is_watched():
        return True
    gradients = torch.is_grad_enabled()
    return any(
        t is not None and (type(t) is not Tensor or (gradients and t.requires_grad))
        for t in tensors
    )


def is_watched() -> bool:
    """Say whether torch traces or transforms what runs: compile, trace, dispatch modes, func, jvp."""
    return (
        is_compiling()
        or _tracing_state() is not None
        or _dispatch_modes() > 0
        or _transforms() is not None
        or forward_ad._current_level >= 0
    )


def differentiates(tensor: Tensor) -> bool:
    """Say whether torch may ask for a derivative by this tensor, backward, forward or transformed."""
    return (
        (torch.is_grad_enabled() and tensor.requires_grad)
        or forward_ad._current_level >= 0
        or _transforms() is not None
    )


def register(
    name: str, schema: str, kernel: Callable[..., object], fake: Callable[..., object]
) -> None:
    """Define `ter_fast::<name>`, with one implementation for every device that has kernels."""
    torch.library.define(f"ter_fast::{name}", schema)
    torch.library.impl(f"ter_fast::{name}", "CPU", kernel)
    if _C.cuda_architectures:
        torch.library.impl(f"ter_fast::{name}", "CUDA", kernel)
    torch.library.register_fake(f"ter_fast::{name}", fake)


def differentiate(
    outputs: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    inputs: Sequence[Tensor | None],
) -> tuple[Tensor | None, ...]:
    """Return the gradients of outputs of the reference, themselves differentiable.

    Args:
        outputs: What the reference computed.
        gradients: With respect to each output; None for zero.
        inputs: What to differentiate by; None, or one that needs no gradient, gives None.
    """
    used = [
        (output, gradient)
        for output, gradient in zip(outputs, gradients, strict=True)
        if gradient is not None and output.requires_grad
    ]
    wanted = [x for x in inputs if x is not None and x.requires_grad]
    found = iter(
        torch.autograd.grad(
            [output for output, _ in used],
            wanted,
            [gradient for _, gradient in used],
            create_graph=True,
            allow_unused=True,
        )
    )
    return tuple(next(found) if x is not None and x.requires_grad else None for x in inputs)
