"""Which process of how many this is."""

from __future__ import annotations

import os

import torch

from ter_fast.errors import DataError


def is_first_process() -> bool:
    """Say whether this is the process that writes, prints and calibrates; alone it is."""
    from lightning.pytorch.utilities import rank_zero_only

    # Unlike torch's, known before the processes meet.
    return getattr(rank_zero_only, "rank", None) in (None, 0)


def processes_of(devices: int | None) -> tuple[int, int]:
    """Return how many processes each machine has, and how many machines there are.

    Args:
        devices: processes on this machine that were asked for; None for what `torchrun` started, else 1.

    Raises:
        DataError: fewer than one, or another number than `torchrun` started.
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
