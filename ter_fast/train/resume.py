"""The callback and the plugin through which Lightning writes and reads a run's latest state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from ter_fast.train.checkpoints import (
    LATEST,
    generator_states,
    read_checkpoint,
    set_generator_states,
    write_checkpoint,
)


class WholeFiles(TorchCheckpointIO):
    """Write checkpoints at once and with a checksum, and read them without executing anything."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint; see `write_checkpoint`."""
        write_checkpoint(Path(path), checkpoint)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint on the CPU; see `read_checkpoint`."""
        return read_checkpoint(Path(path))


class Latest(Checkpoint):
    """Keep the state after each epoch: weights, optimizer, schedule, averages, callbacks, generators.

    Args:
        folder: Where latest.ckpt is kept.
        run: What makes the run; see `run_of`.
    """

    def __init__(self, folder: Path, run: dict[str, Any]) -> None:
        self.folder, self.run = folder, run
        self.generators: list[dict[str, Any]] | None = None
        self.rank = 0

    def restore(self) -> None:
        """Put the generators where they were when an epoch's first draw came; only after a resume."""
        if self.generators is None:
            return
        set_generator_states(self.generators[self.rank])
        self.generators = None
        # The state is that of the last epoch's end, after which a data loader drew its workers' seed.
        torch.empty((), dtype=torch.int64).random_()

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Write the state."""
        trainer.save_checkpoint(self.folder / LATEST)

    def on_save_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Add what Lightning leaves out: the run, whether it is over, and the generators."""
        generators: list[Any] = [generator_states()]
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, generators[0])
            generators = gathered
        done = trainer.current_epoch + 1
        checkpoint["ter_fast"] = {
            "run": self.run,
            "epochs": done,
            "finished": bool(trainer.should_stop or done >= (trainer.max_epochs or 0)),
            "generators": generators,
        }

    def on_load_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Take the generators' states, which `restore` sets when training draws first."""
        self.rank = trainer.global_rank
        self.generators = checkpoint["ter_fast"]["generators"]
