"""`fit`: from two datasets and settings to a trained model."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ter_fast.data.splits import sides
from ter_fast.errors import DataError, TerFastError, warn
from ter_fast.experts.config import TrainingRecord
from ter_fast.experts.provenance import groups_by_split
from ter_fast.opinions.default_device import on_cpu_by_default
from ter_fast.predict.prepare import PreparedData, prepare
from ter_fast.train.checkpoints import hold_folder
from ter_fast.train.interrupt import TrainingStopped
from ter_fast.train.machine import is_first_process, precision_here, processes_of
from ter_fast.train.out_of_distribution import drop_ood, learn_ood
from ter_fast.train.session import learn
from ter_fast.train.settings import Settings, parameter_groups
from ter_fast.train.validation import fit_scale

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.experts.network import Network


@on_cpu_by_default
def fit(
    model: Network,
    train: Dataset,
    validation: Dataset | None = None,
    *,
    progress: bool = True,
    face_model: str | Path | None = None,
    max_unreadable: int | float = 0.05,
    checkpoints: str | Path | None = None,
    resume: bool = False,
    devices: int | None = None,
    strategy: str = "auto",
    title: str = "",
    **settings: Any,
) -> Network:
    """Train a model in place, from the weights it has, and return it at its best validation epoch.

    The loss is `TrustedCELoss` over the fused opinion and, where there are several, each modality.
    A model of one modality then has its evidence scale fitted on the validation data. Thresholds set
    before are dropped: `calibrate` again. OOD guards are dropped, and retrained at the end where there were
    any, or where the setting `ood` asks for them.

    With `checkpoints`, the state is kept after every epoch, and a run that was killed at any moment ends,
    once it is called again with `resume`, with the weights of one that ran through, bit for bit on as many
    threads of the same machine; a run that had ended does nothing more.

    Under `torchrun`, or with several `devices`, every process learns from its share of each epoch's draws,
    gradients and running statistics are averaged, the first process validates for all, and all return the
    same model: save it in one. Each process prepares all data in its own memory, because any window may be
    drawn in any of them, and the folder of checkpoints must be one that all see. When a process is killed,
    all end: call the command again, rather than let `torchrun --max-restarts` do it, after which the
    processes do not find each other on CPUs (gloo).

    Ctrl-C stops before the next step and leaves the model at its best epoch so far, with its evidence scale and
    its record, but without OOD guards; a second Ctrl-C does not wait for the step. With `checkpoints` the
    next call goes on after the last epoch that was over.

    Args:
        model: The model.
        train: Labelled clips; when `validation` is None, its own splits "train" and "validation" are
            used, and a tenth of the groups is held out where it has none.
        validation: Labelled clips of other speakers or sources.
        progress: Show progress bars.
        face_model: YuNet ONNX file for OpenCV; None for the built-in face detector.
        max_unreadable: How many files may be unreadable on either side, as a number (int) or a share
            (float in [0, 1]); they are skipped, and a warning lists them.
        checkpoints: Folder for latest.ckpt, from which training goes on, and best.ckpt.
        resume: Go on with the run in `checkpoints`, where there is one.
        devices: How many processes on this machine; None for what `torchrun` started, else 1. Without
            `torchrun` Lightning starts the others by running the same command.
        strategy: Lightning's; "auto" is DistributedDataParallel for several processes.
        title: Of what is trained, before each epoch's progress, such as "member 2 of 7".
        **settings: Fields of `Settings`.

    Raises:
        DataError: A setting out of its range, data that do not fit the model, one group on both sides, more
            unreadable files than allowed, which the message lists, or checkpoints that are damaged, of
            another run, or being written by one.
        TerFastError: Lightning is not installed.
        TrainingStopped: Ctrl-C was pressed, as said above.
        TypeError: An unknown setting.
    """
    try:
        import lightning
    except ImportError as error:
        raise TerFastError("training needs Lightning: pip install 'ter_fast[train]'") from error
    chosen = Settings(**settings)
    chosen = replace(chosen, precision=precision_here(chosen.precision))
    if chosen.learn_reliability and len(model.config.experts) == 1:
        raise DataError(
            "learn_reliability weighs modalities against each other, and the model has one; leave it out"
        )
    # A rate for backbones that are not there is said before an hour of decoding, not after.
    parameter_groups(model, chosen)
    devices, nodes = processes_of(devices)
    first = is_first_process()
    progress = progress and first
    training, validating = sides(train, validation)
    lightning.seed_everything(chosen.seed, workers=True, verbose=False)
    reading: dict[str, Any] = {
        "progress": progress, "face_model": face_model, "max_unreadable": max_unreadable
    }  # fmt: skip
    train_data = prepare(model, training, **reading)
    validation_data = prepare(model, validating, **reading)
    if first:
        for data in (train_data, validation_data):
            data.report()
    for name in model.config.modalities:
        notes = [w.notes.get(name) for windows in train_data.clips for w in windows]
        if all(notes):
            raise DataError(
                f"no training clip has {name} ({notes[0]}); fix that, or train without {name}"
            )
    guarded = drop_ood(model) or chosen.ood
    folder = None if checkpoints is None else Path(checkpoints)
    stopped = None
    with hold_folder(folder) if folder is not None and first else nullcontext():
        try:
            learn(
                model,
                train_data,
                validation_data,
                chosen,
                progress=progress,
                folder=folder,
                resume=resume,
                devices=devices,
                nodes=nodes,
                strategy=strategy,
                title=title,
            )
        except TrainingStopped as error:
            if not error.best:
                raise
            stopped = error
    model.eval()
    if len(model.config.experts) == 1:
        fit_scale(model, validation_data)
    if guarded and stopped is None:
        _learn_ood(model, train_data, validation_data, training.name)
    record = TrainingRecord(
        modalities=model.config.modalities,
        data=training.name,
        terms=training.terms,
        samples={"train": len(train_data.clips), "validation": len(validation_data.clips)},
        settings=asdict(chosen),
        groups=groups_by_split(train=training, validation=validating),
        stopped_in=0 if stopped is None else stopped.epoch,
    )
    model.config = replace(model.config.uncalibrated(), training=(*model.config.training, record))
    if stopped is not None:
        raise stopped
    return model


def fit_prepared(
    model: Network,
    train: PreparedData,
    validation: PreparedData,
    settings: Settings,
    *,
    progress: bool = False,
) -> Network:
    """Train a model in place on clips that lie in memory already, to its best validation epoch.

    No groups are compared, no evidence scale is fitted, no record and no checkpoint is kept: `fit` does
    all that. Out-of-distribution guards are dropped, and fitted again only where the settings say so.

    Args:
        model: The model.
        train: Clips as the model's experts read them.
        validation: Clips of other speakers or sources.
        settings: How to train.
        progress: Show progress.

    Raises:
        DataError: The settings ask for `ood`, which the data do not teach.
        TerFastError: Lightning is not installed.
    """
    try:
        import lightning

        from ter_fast.train.session import learn
    except ImportError as error:
        raise TerFastError("training needs Lightning: pip install 'ter_fast[train]'") from error
    settings = replace(settings, precision=precision_here(settings.precision))
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    drop_ood(model)
    learn(
        model, train, validation, settings, progress=progress, folder=None, resume=False,
        devices=1, nodes=1, strategy="auto",
    )  # fmt: skip
    if settings.ood:
        learn_ood(model, train, validation)
    return model.eval()


def _learn_ood(model: Network, train: PreparedData, validation: PreparedData, data: str) -> None:
    try:
        learn_ood(model, train, validation, data)
    except DataError as error:
        # A trained model without a guard is worth more than none.
        warn(f"nothing is discounted as out of distribution: {error}")
