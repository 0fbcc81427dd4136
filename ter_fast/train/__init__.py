"""Training on Lightning: prepare a dataset once in memory, then learn evidence from it."""

from __future__ import annotations

from ter_fast.train.fitting import fit, fit_ood, fit_prepared
from ter_fast.train.last_layer import fit_last_layer
from ter_fast.train.machine import is_first_process
from ter_fast.train.out_of_distribution import drop_ood
from ter_fast.train.settings import SCHEDULES, Settings

__all__ = [
    "SCHEDULES",
    "Settings",
    "drop_ood",
    "fit",
    "fit_last_layer",
    "fit_ood",
    "fit_prepared",
    "is_first_process",
]
