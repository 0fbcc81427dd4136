"""`ter-fast calibrate --familiarity`: what a model takes for familiar, learned or forgotten."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ter_fast.errors import TerFastError

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.model import Model


def learn_or_forget(
    model: Model,
    datasets: Sequence[Dataset],
    split: str,
    *,
    learn: bool,
    promise: bool,
    face_model: Path | None,
    progress: bool,
) -> None:
    """Let a model learn what is familiar from each dataset's training split, or forget it.

    Thresholds go with it without a word, because the command sets new ones.

    Raises:
        TerFastError: a promise is asked for on the same split, two datasets hold a modality, or a dataset
            teaches nothing.
    """
    from ter_fast.train import drop_familiarity, fit_familiarity

    if not learn:
        drop_familiarity(model)
        return
    if promise:
        raise TerFastError(
            f"--familiarity sets a limit on the split {split!r}, and a promise made on it would be void: run "
            "calibrate with --familiarity first, then with --risk on other data"
        )
    names = [name for each in datasets for name in each.modalities if name in model.config.experts]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TerFastError(
            f"several datasets hold {', '.join(twice)}, and --familiarity learns it from one: join them with + "
            "in one --data"
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the thresholds of .* dropped")
        for each in datasets:
            fit_familiarity(
                model, each.split("train"), each.split(split), face_model=face_model, progress=progress
            )  # fmt: skip
