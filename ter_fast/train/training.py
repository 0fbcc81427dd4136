"""`train_model`: from labelled clips to a calibrated model on disk, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ter_fast.data.splits import with_validation
from ter_fast.experts.config import VideoInput
from ter_fast.experts.network import Network
from ter_fast.train.calibrate import calibrate
from ter_fast.train.fitting import fit
from ter_fast.train.interrupt import CalibrationStopped, TrainingStopped
from ter_fast.train.machine import is_first_process
from ter_fast.train.output import Output

if TYPE_CHECKING:
    from ter_fast.data import Dataset


def train_model(
    dataset: Dataset,
    out: str | Path,
    encoders: Mapping[str, tuple[str, Mapping[str, Any]]] | Sequence[str] = (),
    *,
    network: type[Network] = Network,
    video: VideoInput | None = None,
    activation: str = "exp",
    validation_share: float = 0.1,
    exist_ok: bool = True,
    checkpoints: str | Path | None = None,
    face_model: str | Path | None = None,
    progress: bool = True,
    seed: int = 0,
    **settings: Any,
) -> Network:
    """Build a model, train it, save it, set its thresholds on the validation split, and save it again.

    This is what `ter-fast train` does. A run with `checkpoints` that was stopped or killed goes on when it is
    called again, and may then replace what it saved itself.

    Args:
        dataset: Labelled clips with the split "train"; where there is no split "validation", some groups are
            held out.
        out: Folder for the model.
        encoders: What `Model.build` takes as modalities; empty for the built-in encoders of those of the data.
        network: Class of the model, `ter_fast.Model` or another `Network`.
        video: How pictures are taken.
        activation: From logits to evidence.
        validation_share: Of the groups held out where there is no validation split.
        exist_ok: Whether a model that lies in `out` may be replaced; else that is refused before the work starts.
        checkpoints: Folder for the state after each epoch.
        face_model: YuNet's ONNX file; None for the one that was fetched.
        progress: Show it.
        seed: Of the first weights, the choice of groups held out, and training.
        **settings: Further arguments of `ter_fast.train.fit`.

    Returns:
        The model, as it lies in `out`; of several processes only the first saves and calibrates.

    Raises:
        ModelError: `out` cannot be written to, or holds a model that may not be replaced.
        DataError: Data that training or calibration refuses; in the latter case the trained model is saved.
        TrainingStopped: Ctrl-C in training; the best epoch so far is saved, without thresholds.
        CalibrationStopped: Ctrl-C in calibration; the trained model is saved, without thresholds.
    """
    output = Output(out, exist_ok, checkpoints)
    output.check()
    dataset = with_validation(dataset, validation_share, seed)
    model = network.build(
        dataset.labels,
        encoders or dataset.modalities,
        video=video,
        seed=seed,
        activation=activation,
    )
    try:
        fit(
            model,
            dataset,
            checkpoints=checkpoints,
            resume=True,
            face_model=face_model,
            progress=progress,
            seed=seed,
            **settings,
        )
    except TrainingStopped as stopped:
        if stopped.best and is_first_process():
            output.save(model)
        raise
    if not is_first_process():
        return model
    # Hours of training are not lost to a validation split that no threshold can be set on.
    output.save(model)
    try:
        calibrate(model, dataset.split("validation"), face_model=face_model, progress=progress)
    except KeyboardInterrupt as stopped:
        raise CalibrationStopped from stopped
    output.save(model)
    return model
