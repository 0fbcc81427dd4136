"""What Lightning runs: the step, its validation, and the schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import lightning
import torch
from torch import Tensor
from torch.optim import lr_scheduler

from ter_fast.media.features import Batch
from ter_fast.opinions._views import drop_views
from ter_fast.opinions.losses import TrustedCELoss
from ter_fast.train.batches import Loader
from ter_fast.train.settings import Settings, parameter_groups

if TYPE_CHECKING:
    from ter_fast.experts.network import Network

_QUICK = 10.0


class Task(lightning.LightningModule):
    """A model that learns evidence.

    Args:
        model: The model.
        loss: Its loss.
        settings: How to train.
        loader: Gives the batches of a process, by its rank and the number of processes. A function, as
            are the others: the average of the weights copies this task with all that it holds.
        validate: Gives the scores of all validation clips.
        offer: Hears the scores after each epoch, with this task as it was validated.
    """

    def __init__(
        self,
        model: Network,
        loss: TrustedCELoss,
        settings: Settings,
        loader: Callable[[int, int], Loader],
        validate: Callable[[], dict[str, float]],
        offer: Callable[[dict[str, float], Task], None],
    ) -> None:
        super().__init__()
        self.model = model
        # So that its weights of classes move to the device.
        self.loss = loss
        self.settings = settings
        self.reliability = (
            LearnedReliability(len(model.config.modalities)) if settings.learn_reliability else None
        )
        self.loader, self.validate, self.offer = loader, validate, offer

    def train_dataloader(self) -> Loader:
        """Return this process's share of the training windows."""
        return self.loader(self.trainer.global_rank, self.trainer.world_size)

    def val_dataloader(self) -> Any:
        """Return one empty batch: validation is of all clips at once."""
        return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(1)))

    def on_fit_start(self) -> None:
        """Let processes that share a seed differ in dropout, augmentation and stretches of sound."""
        if self.trainer.world_size > 1:
            torch.manual_seed(self.settings.seed + self.trainer.global_rank)

    def training_step(self, batch: tuple[Batch, Tensor], index: int) -> Tensor:
        """Return the loss of a batch."""
        inputs, target = batch
        evidence, mask = self.model.evidence(inputs)
        fused, each = self.model.opinions(
            evidence,
            drop_views(mask, self.settings.modality_dropout),
            None if self.reliability is None else self.reliability(),
        )
        several = (
            {} if len(each) == 1 else {n: (o, mask[v]) for v, (n, o) in enumerate(each.items())}
        )
        share = index / max(1, self.trainer.num_training_batches)
        value: Tensor = self.loss(fused, several, target, self.current_epoch + share)
        self.log(
            "loss", value, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(target),
            sync_dist=self.trainer.world_size > 1,
        )  # fmt: skip
        return value

    def validation_step(self, batch: Any, index: int) -> None:
        """Score all clips at once, in one process: windows average to clips."""
        self.keep_reliability()
        scores = self.validate() if self.trainer.is_global_zero else {}
        scores = self.trainer.strategy.broadcast(scores)
        self.offer(scores, self)
        self.log_dict(scores, prog_bar=True, sync_dist=self.trainer.world_size > 1)

    def keep_reliability(self) -> None:
        """Put the reliabilities as they are now into the model's configuration, where they are learned."""
        if self.reliability is not None:
            config, learned = self.model.config, self.reliability().tolist()
            self.model.config = config.with_reliability(
                dict(zip(config.modalities, learned, strict=True))
            )

    def configure_optimizers(self) -> Any:
        """Return AdamW and the schedule of its learning rate."""
        groups = parameter_groups(self.model, self.settings)
        if self.reliability is not None:
            # Decay would pull every reliability to a half.
            groups.append({"params": self.reliability.parameters(), "weight_decay": 0.0})
        optimizer = torch.optim.AdamW(
            groups,
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = schedule_of(optimizer, self.settings, steps)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


class LearnedReliability(torch.nn.Module):
    """One reliability per modality, w = sigmoid(10 a), so that it moves ten times as fast as a weight."""

    def __init__(self, modalities: int, start: float = 0.9) -> None:
        super().__init__()
        first = torch.logit(torch.full((modalities,), start, dtype=torch.float32)) / _QUICK
        self.amount = torch.nn.Parameter(first)

    def forward(self) -> Tensor:
        """Return w `(V,)` in (0, 1)."""
        return torch.sigmoid(_QUICK * self.amount)


def schedule_of(
    optimizer: torch.optim.Optimizer, settings: Settings, steps: int
) -> lr_scheduler.LRScheduler:
    """Return the schedule of the learning rate over `steps` steps.

    Reference: one-cycle: Smith and Topin 2018; cosine: Loshchilov and Hutter 2017.
    """
    if settings.schedule == "one-cycle":
        # torch divides by the length of a rise of a single step, which is none.
        share = 0.0 if settings.warmup * steps == 1 else settings.warmup
        return lr_scheduler.OneCycleLR(
            optimizer,
            [group["lr"] for group in optimizer.param_groups],
            total_steps=steps,
            pct_start=share,
        )
    rising = round(settings.warmup * steps)
    after: lr_scheduler.LRScheduler
    if settings.schedule == "constant":
        if not rising:
            return lr_scheduler.ConstantLR(optimizer, 1.0, 1)
        return lr_scheduler.LinearLR(optimizer, 1 / (rising + 1), total_iters=rising)
    if not rising:
        return lr_scheduler.CosineAnnealingLR(optimizer, steps)
    up = lr_scheduler.LinearLR(optimizer, 1 / (rising + 1), total_iters=rising)
    after = lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps - rising))
    return lr_scheduler.SequentialLR(optimizer, [up, after], [rising])


def average(decay: float, mean: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
    """Update one tensor of the moving average, which forgets its random start faster than `decay`."""
    if not current.is_floating_point():
        return current
    count = float(updates)
    return torch.lerp(current, mean, min(decay, (1 + count) / (10 + count)))
