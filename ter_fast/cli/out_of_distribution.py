"""`ter-fast calibrate --ood`: learn or drop a model's out-of-distribution guard."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ter_fast.errors import TerFastError

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.model import Model


def learn_or_drop(
    model: Model,
    datasets: Sequence[Dataset],
    split: str,
    *,
    learn: bool,
    with_risk: bool,
    face_model: Path | None,
    progress: bool,
) -> None:
    """Learn an out-of-distribution guard from each dataset's training split, or drop it.

    Thresholds are dropped without a warning, because the command sets new ones.

    Raises:
        TerFastError: A guarantee is asked for on the same split, two datasets hold a modality, or a dataset
            teaches nothing.
    """
    from ter_fast.train import drop_ood, fit_ood

    if not learn:
        drop_ood(model)
        return
    if with_risk:
        raise TerFastError(
            f"--ood sets a limit on the split {split!r}, and a guarantee made on it would be void: run "
            "calibrate with --ood first, then with --risk on other data"
        )
    names = [name for each in datasets for name in each.modalities if name in model.config.experts]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TerFastError(
            f"several datasets hold {', '.join(twice)}, and --ood learns it from one: join them with + "
            "in one --data"
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the thresholds of .* dropped")
        for dataset in datasets:
            fit_ood(
                model, dataset.split("train"), dataset.split(split), face_model=face_model, progress=progress
            )  # fmt: skip
