"""One run of Lightning over prepared data, from its first step or from where it was killed."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ter_fast.opinions.losses import TrustedCELoss
from ter_fast.predict.evidence import clip_evidence
from ter_fast.predict.prepare import PreparedData
from ter_fast.train.batches import Loader, training_loader, window_counts
from ter_fast.train.checkpoints import LATEST, Best, find_run, run_of
from ter_fast.train.interrupt import Stop, StopAsked, TrainingStopped, catch_interrupt
from ter_fast.train.machine import is_first_process
from ter_fast.train.settings import Settings
from ter_fast.train.validation import scores

if TYPE_CHECKING:
    from ter_fast.experts.network import Network
    from ter_fast.train.task import Task


def learn(
    model: Network,
    train: PreparedData,
    validation: PreparedData,
    settings: Settings,
    *,
    progress: bool,
    folder: Path | None = None,
    resume: bool = False,
    devices: int = 1,
    nodes: int = 1,
    strategy: str = "auto",
    title: str = "",
) -> None:
    """Give a model the weights of its best validated epoch.

    Args:
        model: The model.
        train: What it learns from.
        validation: What it is scored on.
        settings: How.
        progress: Show bars in a terminal, a line per epoch elsewhere.
        folder: Of the checkpoints, or None.
        resume: Go on with the run in `folder`, where there is one.
        devices: Processes on each machine.
        nodes: Machines.
        strategy: Lightning's.
        title: Of what is trained, before each epoch's line.

    Raises:
        DataError: Checkpoints that cannot be written or read, or are of another run.
        TrainingStopped: Ctrl-C was pressed; the model has the best weights so far.
    """
    from ter_fast.train.resume import Latest
    from ter_fast.train.task import Task

    several = devices * nodes > 1
    latest = found = None
    run = {} if folder is None else run_of(model, train, validation, settings, devices * nodes)
    best = Best(settings.monitor, settings.monitor == "uar", run)
    if folder is not None:
        found = find_run(folder, run, resume)
        latest = Latest(folder, run)
        if is_first_process():
            best.folder = folder
    if found is not None and folder is not None:
        best.load(folder)
        if progress:
            print(_where(found["ter_fast"], settings, folder), file=sys.stderr, flush=True)
    # Functions, because the average of the weights copies the task with what it holds, data included.
    counts = window_counts(train, len(model.config.labels))

    def loader(rank: int, processes: int) -> Loader:
        before = latest.restore if latest is not None else lambda: None
        return training_loader(train, settings, rank, processes, before)

    def validate() -> dict[str, float]:
        evidence = clip_evidence(model, validation.clips, validation.empty, 64)
        return scores(model, evidence, validation)

    def offer(found: dict[str, float], task: Task) -> None:
        best.offer(found, task, task.current_epoch + 1)

    loss = TrustedCELoss(
        settings.balance,
        settings.kind,
        settings.kl_weight,
        settings.annealing,
        settings.conflict_weight,
        settings.label_smoothing,
        counts.mean() / counts if settings.class_weight else None,
    )
    task = Task(model, loss, settings, loader, validate, offer)
    if found is None or not found["ter_fast"]["finished"]:
        # A loaded model comes in evaluation mode, in which it would train without dropout or augmentation.
        model.train()
        with _quiet(), catch_interrupt() as stop:
            trainer = _trainer(
                settings, progress, latest, devices, nodes, _strategy(strategy, several, model),
                stop, title,
            )  # fmt: skip
            path = None if found is None or folder is None else str(folder / LATEST)
            try:
                trainer.fit(task, ckpt_path=path, weights_only=True)
            # With several processes, one that stops breaks off what the others wait for.
            except (StopAsked, Exception) as error:
                if not stop.asked:
                    raise
                stopped = TrainingStopped(
                    trainer.current_epoch + 1, settings.epochs, best.epoch, best.scores, title
                )
                if best.state:
                    _take(task, best)
                raise stopped from error
    _take(task, best)


def _take(task: Task, best: Best) -> None:
    task.load_state_dict(best.state)
    task.keep_reliability()


def _where(kept: dict[str, Any], settings: Settings, folder: Path) -> str:
    if kept["finished"]:
        return f"{folder} holds a run that has ended after epoch {kept['epochs']}; nothing is left to train"
    return f"going on after epoch {kept['epochs']} of {settings.epochs}, from {folder / LATEST}"


def _strategy(strategy: str, several: bool, model: Network) -> Any:
    if strategy != "auto" or not several:
        return strategy
    from lightning.pytorch.strategies import DDPStrategy

    # A batch of a joint model may lack a modality, whose expert then has no gradient.
    return DDPStrategy(find_unused_parameters=len(model.config.experts) > 1)


def _trainer(
    settings: Settings,
    progress: bool,
    latest: Any,
    devices: int,
    nodes: int,
    strategy: Any,
    stop: Stop,
    title: str,
) -> Any:
    import lightning
    from lightning.pytorch.callbacks import EarlyStopping, WeightAveraging

    from ter_fast.train.callbacks import EpochBar, EpochLines, SharedStatistics, StopWhenAsked
    from ter_fast.train.resume import WholeFiles
    from ter_fast.train.task import average

    mode = {"nll": "min", "uar": "max"}[settings.monitor]
    callbacks: list[Any] = [
        StopWhenAsked(stop),
        EarlyStopping(settings.monitor, mode=mode, patience=settings.patience),
    ]
    if devices * nodes > 1:
        # Before the average of the weights, which takes the statistics in.
        callbacks.append(SharedStatistics())
    if settings.ema:
        callbacks.append(WeightAveraging(avg_fn=partial(average, settings.ema)))
    in_terminal = sys.stderr.isatty()
    if progress:
        callbacks.append(EpochBar(title) if in_terminal else EpochLines(title))
    if latest is not None:
        callbacks.append(latest)
    precision: Any = settings.precision
    return lightning.Trainer(
        max_epochs=settings.epochs, precision=precision, callbacks=callbacks, logger=False,
        enable_progress_bar=progress and in_terminal, enable_model_summary=False,
        enable_checkpointing=latest is not None, plugins=[WholeFiles()],
        gradient_clip_val=settings.gradient_clip or None, num_sanity_val_steps=0,
        use_distributed_sampler=False, accelerator="auto", devices=devices, num_nodes=nodes,
        strategy=strategy,
    )  # fmt: skip


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning from saying what this package decides on purpose."""
    loggers = [logging.getLogger(f"lightning.{name}") for name in ("pytorch", "fabric")]
    levels = [logger.getEffectiveLevel() for logger in loggers]
    with warnings.catch_warnings():
        # Prepared data lie in memory: workers would only copy them. The validation loader is empty.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*number of training batches.*")
        # A frozen backbone is meant to stay in evaluation mode.
        warnings.filterwarnings("ignore", message=".*module\\(s\\) in eval mode.*")
        # Lightning's own, with torch from 2.9 on.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
