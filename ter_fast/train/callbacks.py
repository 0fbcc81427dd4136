"""Callbacks of Lightning: what is said of each epoch, what processes share, and when to stop."""

from __future__ import annotations

import sys
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, RichProgressBar

from ter_fast.train.interrupt import Stop


class StopWhenAsked(Callback):
    """Stop before the next step once Ctrl-C was pressed."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop

    def on_train_batch_start(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Look whether it was."""
        self.stop.check()


def epoch_of(title: str, trainer: lightning.Trainer) -> str:
    """Return what is trained and the epoch, counted from 1."""
    before = f"{title}, " if title else ""
    return f"{before}epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"


class EpochBar(RichProgressBar):
    """Lightning's bar, which says what is trained and counts epochs from 1, as all else does."""

    def __init__(self, title: str = "") -> None:
        super().__init__(console_kwargs={"stderr": True})
        self.title = title

    def _get_train_description(self, current_epoch: int) -> str:
        # As wide as the other description, so that bars stay in line.
        return epoch_of(self.title, self.trainer).ljust(len(self.validation_description))


class EpochLines(Callback):
    """One line per epoch, for logs: a bar that redraws itself is noise in a file."""

    def __init__(self, title: str = "") -> None:
        self.title = title

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Print the epoch and its scores on standard error."""
        scores = "  ".join(
            f"{name} {float(value):.4f}" for name, value in trainer.callback_metrics.items()
        )
        epoch = epoch_of(self.title, trainer)
        print(f"{epoch}  {scores}", file=sys.stderr, flush=True)


class SharedStatistics(Callback):
    """Give all processes the mean of their running statistics, so that they stay one model."""

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Average the running means and variances of batch normalization."""
        found = [
            buffer
            for name, buffer in pl_module.named_buffers()
            if name.endswith(("running_mean", "running_var"))
        ]
        if found:
            joined = torch.cat([buffer.flatten() for buffer in found])
            torch.distributed.all_reduce(joined)
            sizes = [buffer.numel() for buffer in found]
            parts = torch.split(joined.div_(trainer.world_size), sizes)
            for buffer, part in zip(found, parts, strict=True):
                buffer.copy_(part.view_as(buffer))
