"""Which floating-point precision to train in on this machine."""

from __future__ import annotations

import warnings

import torch

AUTO = "auto"
_BFLOAT16, _FLOAT32 = "bf16-mixed", "32-true"


def computes_in_bfloat16() -> bool:
    """Say whether the device that training takes multiplies matrices in bfloat16, not by a detour."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if torch.backends.mps.is_available():
        return False
    if hasattr(torch.cpu, "get_capabilities"):
        known = torch.cpu.get_capabilities()
        return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
    # Before torch said so in public.
    found = (
        getattr(torch.cpu, name, bool)()
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return any(found)


def precision_here(asked: str) -> str:
    """Return the precision to train in: for "auto" mixed bfloat16 where the device has it, else float32.

    Mixed bfloat16 that was asked for by name stays, with a warning on a processor that makes it up from
    float32: a step of `logmel_cnn` then takes several times as long as without.

    Args:
        asked: "auto", or a precision of Lightning's.
    """
    if asked == AUTO:
        return _BFLOAT16 if computes_in_bfloat16() else _FLOAT32
    if asked == _BFLOAT16 and not torch.cuda.is_available() and not computes_in_bfloat16():
        warnings.warn(
            "this machine does not multiply in bfloat16, so precision bf16-mixed is far slower than "
            "32-true; auto chooses between them",
            stacklevel=3,
        )
    return asked
