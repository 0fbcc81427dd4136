"""What training draws: the order of the windows, the stretch of sound of each, and their batches."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ter_fast.media.features import Batch, collate
from ter_fast.media.resampling import SAMPLE_RATE
from ter_fast.predict.prepare import PreparedData
from ter_fast.train.settings import Settings

Item = tuple[dict[str, Tensor | None], Tensor]
Loader = DataLoader[Item]


class Windows(Dataset[Item]):
    """The training windows: each with its clip's target, its sound cut to a random stretch."""

    def __init__(self, data: PreparedData, crop: int) -> None:
        self.items = [
            (owner, window) for owner, windows in enumerate(data.clips) for window in windows
        ]
        self.data, self.crop = data, crop

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Item:
        owner, window = self.items[index]
        values = dict(window.values)
        sound = values.get("audio")
        if sound is not None and len(sound) > self.crop:
            start = int(torch.randint(len(sound) - self.crop + 1, ()))
            values["audio"] = sound[start : start + self.crop]
        return values, self.data.targets[owner]


class Draws(Sampler[int]):
    """One process's share of an epoch's draws, which are by weight and with replacement.

    One process draws from torch's global generator. Several draw the same indices from the seed and the
    epoch, and deal them out: process `rank` takes every `processes`-th from its own on, so that the
    shares are of one length and together are the epoch.

    Args:
        weights: Of each index, in any unit `(N,)`.
        seed: Of the draws of several processes.
        rank: This process.
        processes: How many there are.
        before: Called before an epoch's first draw.

    Example:
        >>> shares = [list(Draws([1, 1, 1, 1], 7, rank, 2)) for rank in (0, 1)]
        >>> [len(share) for share in shares], shares == [list(Draws([1] * 4, 7, r, 2)) for r in (0, 1)]
        ([2, 2], True)
    """

    def __init__(
        self,
        weights: Sequence[float],
        seed: int = 0,
        rank: int = 0,
        processes: int = 1,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self.weights = torch.as_tensor(weights, dtype=torch.double)
        self.seed, self.rank, self.processes, self.before = seed, rank, processes, before
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is drawn next; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.weights) / self.processes)

    def __iter__(self) -> Iterator[int]:
        self.before()
        generator = None
        if self.processes > 1:
            # Far apart, so that no epoch of one seed repeats one of the next seed.
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        count = len(self) * self.processes
        drawn = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        yield from drawn[self.rank :: self.processes].tolist()


def window_counts(data: PreparedData, classes: int) -> Tensor:
    """Return how many windows of each class there are, `(K,)` float64, at least 1.

    Windows are what is drawn and what the loss is a mean over, so classes are balanced by them: clips of one
    class may be longer than those of another.
    """
    windows = torch.tensor([len(clip) for clip in data.clips])
    return torch.bincount(data.labels, windows.double(), classes).clamp_min(1)


def draw_weights(data: PreparedData, settings: Settings) -> Tensor:
    """Return how often a window of each clip is drawn, `(N,)` float64, up to a factor.

    That is 1 / count to the power `class_balance`, of the windows of its class, or with `balance_corpora` of its
    class in its corpus: a class that some corpora lack is then drawn less than one that all have.

    Args:
        data: The training clips.
        settings: Give `class_balance` and `balance_corpora`.
    """
    corpora = [
        sample.attributes.get("corpus", "") if settings.balance_corpora else ""
        for sample in data.samples
    ]
    cells = list(zip(corpora, data.labels.tolist(), strict=True))
    counts: Counter[tuple[str, int]] = Counter()
    for cell, windows in zip(cells, data.clips, strict=True):
        counts[cell] += len(windows)
    windows_of = torch.tensor([counts[cell] for cell in cells], dtype=torch.double)
    return (1 / windows_of.clamp_min(1)) ** settings.class_balance


def training_loader(
    data: PreparedData,
    settings: Settings,
    rank: int,
    processes: int,
    before: Callable[[], None],
) -> Loader:
    """Return one process's batches of an epoch.

    Args:
        data: The training clips.
        settings: Give the size of a batch, the weights of the draws and the length of the sound.
        rank: This process.
        processes: How many there are.
        before: Called before an epoch's first draw.
    """
    windows = Windows(data, int(settings.crop_seconds * SAMPLE_RATE))
    weight = draw_weights(data, settings)
    weights = [float(weight[owner]) for owner, _ in windows.items]
    sampler = Draws(weights, settings.seed, rank, processes, before)

    def join(items: Sequence[Item]) -> tuple[Batch, Tensor]:
        return collate([values for values, _ in items], data.empty), torch.stack(
            [target for _, target in items]
        )

    return DataLoader(
        windows,
        settings.batch_size,
        sampler=sampler,
        collate_fn=join,
        drop_last=len(sampler) > settings.batch_size,
    )
