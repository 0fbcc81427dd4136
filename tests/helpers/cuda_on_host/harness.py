"""Builds the CUDA kernels for the host and calls them on torch tensors."""

from __future__ import annotations

import ctypes
import math
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SHIM = Path(__file__).parent
ROOT = SHIM.parents[2]
FLAGS = (
    *("-std=c++17", "-O1", "-g", "-fPIC", "-ffp-contract=off"),
    *("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"),
    *(f"-I{SHIM}", f"-I{ROOT / 'csrc'}", "-include", "cuda_runtime.h", "-x", "c++"),
)
SENTINEL = 123.0


def compiler() -> str | None:
    """Return the C++ compiler, or None where there is none."""
    named = (os.environ.get("CXX") or "c++", "g++", "clang++")
    return next((found for name in named if (found := shutil.which(name))), None)


def build(cxx: str, folder: Path) -> ctypes.CDLL:
    """Compile what nvcc compiles, and what stands in for the GPU, into a shared library.

    TER_FAST_CUDA_ON_HOST_FLAGS adds options, such as those of a sanitizer.
    """
    extra = os.environ.get("TER_FAST_CUDA_ON_HOST_FLAGS", "").split()
    sources = [*sorted((ROOT / "csrc/cuda").glob("*.cu")), *sorted(SHIM.glob("*.cpp"))]
    objects = [folder / f"{source.stem}.o" for source in sources]
    # Two at a time: each takes seconds, and there may be more of them than cores or memory for.
    for begin in range(0, len(sources), 2):
        running = [
            subprocess.Popen([cxx, *FLAGS, *extra, "-c", str(source), "-o", str(target)])
            for source, target in zip(
                sources[begin : begin + 2], objects[begin : begin + 2], strict=True
            )
        ]
        assert [process.wait() for process in running] == [0] * len(running)
    library = folder / "libcuda_on_host.so"
    subprocess.run([cxx, "-shared", *extra, *map(str, objects), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def _fields(*groups: tuple[Any, str]) -> list[tuple[str, Any]]:
    return [(name, kind) for kind, names in groups for name in names.split()]


class FuseArguments(ctypes.Structure):
    """The struct of that name in csrc/kernels.h, as are those below."""

    _fields_ = _fields(
        (ctypes.c_void_p, "evidence mask discount"),
        (ctypes.c_int64, "views rows classes"),
        (ctypes.c_int, "rule activation dtype"),
        (ctypes.c_double, "limit cap"),
    )


class FuseForward(ctypes.Structure):
    _fields_ = _fields(
        (FuseArguments, "arguments"),
        (ctypes.c_void_p, "fused uncertainty conflict disagreement"),
    )


class FuseBackward(ctypes.Structure):
    _fields_ = _fields(
        (FuseArguments, "arguments"),
        (ctypes.c_void_p, "grad_fused grad_uncertainty grad_conflict grad_disagreement"),
        (ctypes.c_void_p, "grad_evidence grad_discount"),
    )


class Predict(ctypes.Structure):
    _fields_ = _fields(
        (FuseArguments, "arguments"),
        (ctypes.c_int, "kind"),
        (ctypes.c_void_p, "thresholds"),
        (ctypes.c_double, "threshold disagreement_limit"),
        (ctypes.c_void_p, "probability prediction confidence uncertainty conflict"),
        (ctypes.c_void_p, "disagreement trusted"),
    )


class LossForward(ctypes.Structure):
    _fields_ = _fields(
        (ctypes.c_void_p, "evidence soft label"),
        (ctypes.c_int64, "rows classes"),
        (ctypes.c_int, "kind"),
        (ctypes.c_double, "kl_weight"),
        (ctypes.c_int, "dtype"),
        (ctypes.c_void_p, "loss gradient"),
    )


class UncertaintyForward(ctypes.Structure):
    _fields_ = _fields(
        (ctypes.c_void_p, "alpha"),
        (ctypes.c_int64, "rows classes"),
        (ctypes.c_int, "dtype"),
        (ctypes.c_void_p, "vacuity entropy aleatoric mutual_information"),
        (ctypes.c_void_p, "differential_entropy dissonance"),
    )


class UncertaintyBackward(ctypes.Structure):
    _fields_ = _fields(
        (ctypes.c_void_p, "alpha"),
        (ctypes.c_int64, "rows classes"),
        (ctypes.c_int, "dtype"),
        (ctypes.c_void_p, "grad_vacuity grad_entropy grad_aleatoric grad_mutual_information"),
        (ctypes.c_void_p, "grad_differential_entropy grad_dissonance grad_alpha"),
    )


class Buffers:
    """Tensors that lie `offset` elements off any alignment, between elements nobody may write.

    What is handed out holds a number that no kernel writes by accident, and is kept alive.
    """

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset
        self.margins: list[Tensor] = []

    def empty(self, *shape: int, dtype: torch.dtype) -> Tensor:
        count = math.prod(shape)
        memory = torch.full((count + self.offset + 9,), SENTINEL).to(dtype)
        self.margins += [memory[: self.offset], memory[self.offset + count :]]
        return memory[self.offset : self.offset + count].view(shape)

    def copy(self, values: Tensor) -> Tensor:
        return self.empty(*values.shape, dtype=values.dtype).copy_(values)

    def check(self) -> None:
        for margin in self.margins:
            assert bool((margin == torch.tensor(SENTINEL).to(margin.dtype)).all())


def address(tensor: Tensor | None) -> int | None:
    """Return where a tensor begins; None, which is null, for none or an empty one."""
    return None if tensor is None or tensor.numel() == 0 else tensor.data_ptr()


def call(library: ctypes.CDLL, name: str, arguments: ctypes.Structure, device: int = 0) -> None:
    """Call a launcher; what it throws is a RuntimeError here."""
    launcher = getattr(library, name)
    launcher.restype = ctypes.c_char_p
    error = launcher(ctypes.byref(arguments), device)
    if error is not None:
        raise RuntimeError(error.decode())
