"""Training on Lightning: prepare a dataset once in memory, then learn evidence from it."""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ter_fast.clip import SAMPLE_RATE
from ter_fast.config import TrainingRecord
from ter_fast.errors import DataError, TerFastError
from ter_fast.features import Batch, collate
from ter_fast.inference import Evidence, clip_evidence
from ter_fast.losses import TrustedCELoss
from ter_fast.metrics import unweighted_average_recall
from ter_fast.prepare import PreparedData, prepare
from ter_fast.scaling import fit_evidence_scale

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.model import Model


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        epochs: passes over the training data, at most.
        batch_size: windows in a step.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: AdamW's.
        kind: evidential loss, one of `ter_fast.losses.LOSSES`.
        kl_weight: final weight of the regularizer.
        annealing: epochs until it is reached.
        balance: weight of the classification term of `TrustedCELoss`.
        conflict_weight: weight of the disagreement of the modalities in the loss.
        label_smoothing: share of a target that is spread evenly over the classes.
        class_weight: "balanced" to weigh the loss by 1 / class count (mean 1), "" for equal weights;
            `class_balance` draws evenly instead, and both together would balance twice.
        modality_dropout: probability that a present modality is left out of the fused opinion in a step,
            never all of a window, so that a missing modality is met in training.
        class_balance: power of 1 / class count by which samples are drawn: 0 as they come, 1 evenly.
        crop_seconds: length of the random stretch of sound that a step sees.
        patience: epochs without a better validation score before training stops.
        monitor: validation score: "nll" (lowest) or "uar" (highest).
        precision: Lightning's, such as "32-true" or "bf16-mixed".
        ema: decay of the exponential moving average of the weights, which is what is validated and kept;
            0 keeps the weights themselves.
        seed: of the order of the data and of augmentation (the first weights are `Model.build`'s).
    """

    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 5e-2
    kind: str = "digamma"
    kl_weight: float = 0.05
    annealing: float = 10.0
    balance: float = 1.0
    conflict_weight: float = 0.0
    label_smoothing: float = 0.0
    class_weight: str = ""
    modality_dropout: float = 0.0
    class_balance: float = 0.5
    crop_seconds: float = 3.0
    patience: int = 8
    monitor: str = "nll"
    precision: str = "32-true"
    ema: float = 0.995
    seed: int = 0

    def __post_init__(self) -> None:
        if self.monitor not in ("nll", "uar"):
            raise ValueError(f"monitor is {self.monitor!r}; expected nll or uar")
        if self.class_weight not in ("", "balanced"):
            raise ValueError(
                f"class_weight is {self.class_weight!r}; expected balanced, or nothing"
            )
        if not 0 <= self.modality_dropout < 1:
            raise ValueError(f"modality_dropout is {self.modality_dropout}; expected 0 <= it < 1")


def fit(
    model: Model,
    train: Dataset,
    validation: Dataset | None = None,
    *,
    progress: bool = True,
    face_model: str | Path | None = None,
    max_unreadable: int | float = 0.05,
    **settings: Any,
) -> Model:
    """Train a model in place, from the weights it has, and return it at its best validation epoch.

    The loss is `TrustedCELoss` over the fused opinion and, where there are several, each modality.
    A model of one modality then has its evidence scale fitted on the validation data. Thresholds set
    before are dropped: `calibrate` anew.

    Args:
        model: the model.
        train: labelled clips; when `validation` is None, its own splits "train" and "validation" are
            used, and a tenth of the groups is held out where it has none.
        validation: labelled clips of other speakers or sources.
        progress: show progress bars.
        face_model: YuNet face detector, where the model asks for faces.
        max_unreadable: how many files may be unreadable on either side, as a number (int) or a share
            (float in [0, 1]); they are skipped, and a warning lists them.
        **settings: fields of `Settings`.

    Raises:
        DataError: data that do not fit the model, one group on both sides, or more unreadable files
            than allowed, which the message lists.
        TerFastError: Lightning is not installed.
        TypeError: an unknown setting.
    """
    try:
        import lightning
    except ImportError as error:
        raise TerFastError("training needs Lightning: pip install 'ter_fast[train]'") from error
    chosen = Settings(**settings)
    training, validating = _sides(train, validation)
    lightning.seed_everything(chosen.seed, workers=True, verbose=False)
    reading: dict[str, Any] = {
        "progress": progress, "face_model": face_model, "max_unreadable": max_unreadable
    }  # fmt: skip
    train_data = prepare(model, training, **reading)
    validation_data = prepare(model, validating, **reading)
    for data in (train_data, validation_data):
        data.report()
    for name in model.config.modalities:
        notes = [w.notes.get(name) for windows in train_data.clips for w in windows]
        if all(notes):
            raise DataError(
                f"no training clip has {name} ({notes[0]}); mend that, or train without {name}"
            )
    _run(model, train_data, validation_data, chosen, progress)
    model.eval()
    if len(model.config.experts) == 1:
        _fit_scale(model, validation_data)
    record = TrainingRecord(
        modalities=model.config.modalities,
        data=training.name,
        terms=training.terms,
        samples={"train": len(train_data.clips), "validation": len(validation_data.clips)},
        settings=asdict(chosen),
    )
    model.config = replace(
        model.config,
        thresholds={},
        window_thresholds={},
        training=(*model.config.training, record),
    )
    return model


def _sides(train: Dataset, validation: Dataset | None) -> tuple[Dataset, Dataset]:
    from ter_fast.data import with_validation

    if validation is None:
        train = with_validation(train)
        train, validation = train.split("train"), train.split("validation")
    if shared := sorted(train.groups() & validation.groups()):
        raise DataError(
            f"{len(shared)} groups stand in both training and validation data, such as {shared[0]!r}; "
            "split by speaker or source"
        )
    return train, validation


class _Windows(torch.utils.data.Dataset[tuple[dict[str, Tensor | None], Tensor]]):
    """The training windows: each with its clip's target, its sound cut to a random stretch."""

    def __init__(self, data: PreparedData, crop: int) -> None:
        self.items = [
            (owner, window) for owner, windows in enumerate(data.clips) for window in windows
        ]
        self.data, self.crop = data, crop

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[dict[str, Tensor | None], Tensor]:
        owner, window = self.items[index]
        values = dict(window.values)
        sound = values.get("audio")
        if sound is not None and len(sound) > self.crop:
            start = int(torch.randint(len(sound) - self.crop + 1, ()))
            values["audio"] = sound[start : start + self.crop]
        return values, self.data.targets[owner]


def _run(
    model: Model, train: PreparedData, validation: PreparedData, settings: Settings, progress: bool
) -> None:
    import lightning
    from lightning.pytorch.callbacks import (
        Callback,
        EarlyStopping,
        ModelCheckpoint,
        RichProgressBar,
        WeightAveraging,
    )

    class EpochLines(Callback):
        """One line per epoch, for logs: a bar that redraws itself is noise in a file."""

        def on_train_epoch_end(
            self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
        ) -> None:
            scores = "  ".join(
                f"{name} {float(value):.4f}" for name, value in trainer.callback_metrics.items()
            )
            print(
                f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {scores}",
                file=sys.stderr,
                flush=True,
            )

    counts = torch.bincount(train.labels, minlength=len(model.config.labels)).double().clamp_min(1)
    loss = TrustedCELoss(
        settings.balance,
        settings.kind,
        settings.kl_weight,
        settings.annealing,
        settings.conflict_weight,
        settings.label_smoothing,
        counts.mean() / counts if settings.class_weight else None,
    )

    class Task(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            # So that its weights of classes move to the device.
            self.loss = loss

        def training_step(self, batch: tuple[Batch, Tensor], index: int) -> Tensor:
            inputs, target = batch
            evidence, mask = model.evidence(inputs)
            fused, each = model.opinions(evidence, _thinned(mask, settings.modality_dropout))
            several = (
                {} if len(each) == 1 else {n: (o, mask[v]) for v, (n, o) in enumerate(each.items())}
            )
            share = index / max(1, self.trainer.num_training_batches)
            value: Tensor = loss(fused, several, target, self.current_epoch + share)
            self.log(
                "loss", value, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(target)
            )
            return value

        def validation_step(self, batch: Any, index: int) -> None:
            """Score all clips at once: windows average to clips, so no batch stands for itself."""
            scores = _scores(
                model, clip_evidence(model, validation.clips, validation.empty, 64), validation
            )
            self.log_dict(scores, prog_bar=True)

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(
                model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
            )
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer,
                settings.learning_rate,
                total_steps=int(self.trainer.estimated_stepping_batches),
                pct_start=0.15,
            )
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    windows = _Windows(train, int(settings.crop_seconds * SAMPLE_RATE))
    weight = (1 / counts[train.labels]) ** settings.class_balance
    sampler = torch.utils.data.WeightedRandomSampler(
        [float(weight[owner]) for owner, _ in windows.items], len(windows)
    )

    def join(items: Sequence[tuple[dict[str, Tensor | None], Tensor]]) -> tuple[Batch, Tensor]:
        return collate([values for values, _ in items], train.empty), torch.stack(
            [target for _, target in items]
        )

    loader = torch.utils.data.DataLoader(
        windows,
        settings.batch_size,
        sampler=sampler,
        collate_fn=join,
        drop_last=len(windows) > settings.batch_size,
    )
    precision: Any = settings.precision
    mode = {"nll": "min", "uar": "max"}[settings.monitor]
    task = Task()
    # A loaded model comes in evaluation mode, in which it would train without dropout or augmentation.
    model.train()
    quiet = logging.getLogger("lightning.pytorch").getEffectiveLevel()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Prepared data lie in memory: workers would only copy them. The dummy validation loader is ours.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*number of training batches.*")
        # A checkpoint of the weights alone would leave out their average.
        best = ModelCheckpoint(folder, monitor=settings.monitor, mode=mode)
        callbacks: list[Callback] = [
            best,
            EarlyStopping(settings.monitor, mode=mode, patience=settings.patience),
        ]
        if settings.ema:
            callbacks.append(WeightAveraging(avg_fn=partial(_average, settings.ema)))
        in_terminal = sys.stderr.isatty()
        if progress:
            callbacks.append(RichProgressBar() if in_terminal else EpochLines())
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        try:
            dummy = torch.utils.data.TensorDataset(torch.zeros(1))
            trainer = lightning.Trainer(
                max_epochs=settings.epochs, precision=precision, callbacks=callbacks, logger=False,
                enable_progress_bar=progress and in_terminal, enable_model_summary=False, gradient_clip_val=5.0,
                num_sanity_val_steps=0, accelerator="auto", devices=1,
            )  # fmt: skip
            trainer.fit(task, loader, torch.utils.data.DataLoader(dummy))
            state = torch.load(best.best_model_path, weights_only=True)["state_dict"]
        finally:
            logging.getLogger("lightning.pytorch").setLevel(quiet)
        task.load_state_dict(state)


def _thinned(mask: Tensor, share: float) -> Tensor:
    """Leave each modality out with a probability, but not the last of a window: `(V, B)`."""
    if not share or len(mask) == 1:
        return mask
    kept = mask & (torch.rand(mask.shape, device=mask.device) >= share)
    return torch.where(kept.any(0), kept, mask)


def _average(decay: float, mean: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
    """Update one tensor of the moving average, which forgets its random start faster than `decay`."""
    if not current.is_floating_point():
        return current
    count = float(updates)
    return torch.lerp(current, mean, min(decay, (1 + count) / (10 + count)))


def _scores(model: Model, found: Evidence, data: PreparedData) -> dict[str, float]:
    fused, _ = model.opinions(found.values.cpu(), found.mask.cpu())
    likelihood = (fused.probability.clamp_min(1e-12).log() * data.targets).sum(-1)
    return {
        "nll": -float(likelihood.mean()),
        "accuracy": float((fused.prediction == data.labels).float().mean()),
        "uar": unweighted_average_recall(fused.prediction.numpy(), data.labels.numpy()),
    }


def _fit_scale(model: Model, data: PreparedData) -> None:
    """Put the factor on the one expert's evidence that minimizes the validation clips' NLL."""
    name = model.config.modalities[0]
    evidence = clip_evidence(model, data.clips, data.empty, 64).values[0]
    try:
        with warnings.catch_warnings():
            # Validation clips that are all right push the factor to its bound: that is what it is for.
            warnings.filterwarnings("ignore", message="the evidence scale reached its bound")
            factor = fit_evidence_scale(evidence, data.targets)
    except DataError as error:
        # What was learned is worth more than its scale.
        warnings.warn(f"the evidence scale of {name} stays as it was: {error}", stacklevel=3)
        return
    expert = model.config.experts[name]
    scale = expert.evidence_scale * factor
    model.config = replace(model.config, experts={name: replace(expert, evidence_scale=scale)})
    model.get_buffer(f"experts.{name}.scale").fill_(scale)
