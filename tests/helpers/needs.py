"""What some tests need beyond `ter_fast[test]`, and what a skip then says: what to install.

A test says by a marker what it needs: `extra("torchcodec")` an extra of ter_fast, `gpu` an NVIDIA GPU,
`gpu(2)` two, `data` the folder that TER_FAST_DATA names. `tests/conftest.py` skips it where that is
missing. The other marks here skip by themselves.
"""

from __future__ import annotations

import importlib
import os
from functools import cache

import pytest
import torch

from helpers.cuda_on_host import harness
from ter_fast.opinions import _ops

EXTRAS = {
    "torchcodec": "torchcodec.decoders",
    "dali-cuda13": "nvidia.dali",
    "shards": "webdataset",
    "docs": "mkdocs",
}
"""Extras that `ter_fast[test]` leaves out, and the module by which each is known to be installed."""

needs_kernels = pytest.mark.skipif(
    _ops.backend().name == "pure torch",
    reason="needs the compiled kernels: install a C++ compiler, then ter_fast again",
)
needs_compiler = pytest.mark.skipif(
    harness.compiler() is None, reason="needs a C++ compiler: install g++ or set CXX"
)


@cache
def missing_extra(name: str) -> str:
    """Return why the extra cannot be used here; the empty string where it can."""
    try:
        importlib.import_module(EXTRAS[name])
    except ImportError:
        return f"needs ter_fast[{name}]"
    except RuntimeError as error:  # torchcodec, without the libraries of FFmpeg
        said = str(error).strip().partition("\n")[0]
        return f"needs ter_fast[{name}] to load; install the system's ffmpeg ({said})"
    return ""


def missing_data() -> str:
    """Return why there is no real data here; the empty string where it was named."""
    if os.environ.get("TER_FAST_DATA"):
        return ""
    return "needs TER_FAST_DATA, a folder with the data that CONTRIBUTING.md lists"


def missing_gpu(count: int = 1) -> str:
    """Return why that many GPUs cannot be used here; the empty string where they can."""
    if torch.cuda.device_count() >= count:
        return ""
    return "needs an NVIDIA GPU" if count == 1 else f"needs {count} NVIDIA GPUs"
