"""Training on Lightning: prepare a dataset once in memory, then learn evidence from it."""

from __future__ import annotations

from ter_fast.train.fitting import fit, fit_prepared
from ter_fast.train.interrupt import CalibrationStopped, TrainingStopped
from ter_fast.train.last_layer import fit_last_layer
from ter_fast.train.machine import is_first_process
from ter_fast.train.out_of_distribution import drop_ood, fit_ood, fit_ood_by_dataset
from ter_fast.train.settings import SCHEDULES, Settings
from ter_fast.train.training import train_model

__all__ = [
    "SCHEDULES",
    "CalibrationStopped",
    "Settings",
    "TrainingStopped",
    "drop_ood",
    "fit",
    "fit_last_layer",
    "fit_ood",
    "fit_ood_by_dataset",
    "fit_prepared",
    "is_first_process",
    "train_model",
]
