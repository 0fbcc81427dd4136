"""Clips decoded once, their folds, and the out-of-distribution clips among which a model should trust nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiments.corruption import Pictures
from benchmarks.experiments.plan import Experiment
from benchmarks.experiments.signals import signal
from ter_fast.data import Dataset, holdout, kfold, load_dataset
from ter_fast.errors import DataError
from ter_fast.media.resampling import SAMPLE_RATE
from ter_fast.model import Model
from ter_fast.predict.prepare import PreparedData, prepare
from ter_fast.predict.source import Window

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class MaterialFold:
    """Clips of one fold, by their numbers: to train on, to choose by, to test on."""

    train: Rows
    validation: Rows
    test: Rows


@dataclass(frozen=True)
class OutOfDistributionClips:
    """Clips that are none of the data: each one window, and the group that it is resampled with."""

    clips: list[list[Window]]
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Material:
    """All clips of an experiment in memory.

    Attributes:
        data: The clips that could be used.
        dataset: Their entries.
        folds: How they are split.
        ood: By name.
        pictures: Where corrupted pictures come from.
    """

    data: PreparedData
    dataset: Dataset
    folds: tuple[MaterialFold, ...]
    ood: dict[str, OutOfDistributionClips]
    pictures: Pictures


def dataset_of(experiment: Experiment, folder: Path) -> Dataset:
    """Read an experiment's data."""
    return load_dataset(locate(experiment.data, folder))


def locate(description: str, folder: Path) -> str:
    """Put the data folder before every path of a description.

    Example:
        >>> locate("ravdess:speech?calm=keep+mine.csv", Path("data"))
        'ravdess:data/speech?calm=keep+data/mine.csv'
    """
    found = []
    for part in description.split("+"):
        name, colon, path = part.rpartition(":") if ":" in part else ("", "", part)
        found.append(f"{name}{colon}{(folder / path).as_posix()}")
    return "+".join(found)


def load(experiment: Experiment, dataset: Dataset, model: Model, folder: Path) -> Material:
    """Decode an experiment's clips and out-of-distribution clips as a model reads them.

    Args:
        experiment: Says what to read and how to split it.
        dataset: Its data, of `dataset_of`.
        model: Any model of the experiment that has all of its modalities.
        folder: The data folder.

    Raises:
        DataError: Nothing can be read, or it cannot be split so.
    """
    data = prepare(model, dataset, progress=False)
    data.report()
    kept = replace(dataset, samples=data.samples)
    folds = split(experiment, kept)
    ood = {
        name: _ood_clips(experiment, what, model, folder, data)
        for name, what in experiment.ood.items()
    }
    return Material(data, kept, folds, ood, Pictures(kept, model.preprocessor()))


def split(experiment: Experiment, dataset: Dataset) -> tuple[MaterialFold, ...]:
    """Return the folds: test groups of each in turn, validation groups out of the others.

    Raises:
        DataError: Groups or classes are too few.
    """
    seed = experiment.split_seed
    if experiment.folds:
        made = kfold(dataset, experiment.folds, seed)
        parts = [_relabelled(each, {"validation": "train"}) for each in made]
    elif not {"train", "test"} <= {sample.split for sample in dataset}:
        raise DataError(
            f"{dataset.name} comes without train and test splits; give folds: 5, for example"
        )
    else:
        parts = [dataset]
    return tuple(_fold(part, experiment.validation, seed) for part in parts)


def _relabelled(dataset: Dataset, names: dict[str, str]) -> Dataset:
    samples = (replace(each, split=names.get(each.split, each.split)) for each in dataset)
    return replace(dataset, samples=tuple(samples))


def _fold(dataset: Dataset, share: float, seed: int) -> MaterialFold:
    if not any(sample.split == "validation" for sample in dataset):
        dataset = holdout(dataset, share, seed=seed)
    names = np.array([sample.split for sample in dataset])
    return MaterialFold(
        *(np.flatnonzero(names == name) for name in ("train", "validation", "test"))
    )


def select(
    data: PreparedData, rows: Sequence[int] | Rows, modalities: Sequence[str]
) -> PreparedData:
    """Return some clips, and of them what some modalities read; clips without any of it are left out."""
    clips, kept = [], []
    for row in map(int, rows):
        windows = [
            window
            for window in data.clips[row]
            if any(window.values.get(name) is not None for name in modalities)
        ]
        if windows:
            clips.append(windows)
            kept.append(row)
    if not kept:
        raise DataError(f"no clip of this part has {' or '.join(modalities)}; check the data")
    return PreparedData(
        clips,
        data.labels[kept],
        data.targets[kept],
        tuple(data.samples[row] for row in kept),
        {name: data.empty[name] for name in modalities},
        data.errors,
    )


def _ood_clips(
    experiment: Experiment, what: str, model: Model, folder: Path, known: PreparedData
) -> OutOfDistributionClips:
    """Return clips as long as the known ones, so that length gives nothing away."""
    sounds = [
        w.values["audio"] for clip in known.clips for w in clip if w.values.get("audio") is not None
    ]
    size = (
        int(np.median([len(sound) for sound in sounds if sound is not None]))
        if sounds
        else SAMPLE_RATE
    )
    count = experiment.ood_clips
    if what.startswith("signal:"):
        made = [signal(what[7:], size, seed) for seed in range(count)]
        windows = [[Window({"audio": sound}, {}, 0.0, size / SAMPLE_RATE)] for sound in made]
        return OutOfDistributionClips(windows, tuple(f"signal {place}" for place in range(count)))
    dataset = load_dataset(locate(what, folder))
    draw = np.random.default_rng(experiment.split_seed)
    chosen = np.sort(draw.permutation(len(dataset))[:count])
    labels = model.config.labels
    # Their classes are none of the model's, and do not matter.
    samples = tuple(replace(dataset[int(i)], label=labels[0], target=None) for i in chosen)
    found = prepare(model, replace(dataset, labels=labels, samples=samples), progress=False)
    return OutOfDistributionClips(
        [[_cut(windows[0], size)] for windows in found.clips], tuple(found.groups)
    )


def _cut(window: Window, size: int) -> Window:
    sound = window.values.get("audio")
    if sound is None or len(sound) <= size:
        return window
    values = {**window.values, "audio": sound[:size].clone()}
    return replace(window, values=values, end=window.start + size / SAMPLE_RATE)
