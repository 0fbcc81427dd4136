"""What training runs on: the processes, and the precision of this machine's arithmetic."""

from __future__ import annotations

import os

import torch

from ter_fast.errors import DataError, warn

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
        warn(
            "this machine does not multiply in bfloat16, so precision bf16-mixed is far slower than "
            "32-true; auto chooses between them"
        )
    return asked


def is_first_process() -> bool:
    """Say whether this is the process that writes, prints and calibrates; alone it is."""
    from lightning.pytorch.utilities import rank_zero_only

    # Unlike torch's, known before the processes meet.
    return getattr(rank_zero_only, "rank", None) in (None, 0)


def processes_of(devices: int | None) -> tuple[int, int]:
    """Return how many processes each machine has, and how many machines there are.

    Args:
        devices: Processes on this machine that were asked for; None for what `torchrun` started, else 1.

    Raises:
        DataError: Fewer than one, or another number than `torchrun` started.
    """
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        if devices not in (None, local):
            raise DataError(
                f"devices is {devices}, and torchrun started {local} processes on this machine; leave devices out"
            )
        return local, int(os.environ["WORLD_SIZE"]) // local
    if devices is not None and devices < 1:
        raise DataError(f"devices is {devices}; expected a number of processes from 1 on")
    return devices or 1, 1
