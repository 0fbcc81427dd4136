"""Which clip goes into which shard, decided before anything is decoded."""

from __future__ import annotations

import os
import random
import zlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ter_fast.shards.settings import ShardSettings, digest, settings_record

if TYPE_CHECKING:
    from ter_fast.data import Dataset, Sample

_UNSPLIT = "all"


@dataclass(frozen=True)
class Shard:
    """One tar to write: its name, and the positions of its clips in the dataset."""

    name: str
    clips: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """A dataset spread over shards.

    Attributes:
        shards: What to write.
        facts: By position, what is stored of each clip beside its media.
        digest: SHA-256 of all that decides the bytes: settings, samples, face model.
    """

    shards: tuple[Shard, ...]
    facts: tuple[dict[str, Any], ...]
    digest: str


def make_plan(dataset: Dataset, settings: ShardSettings, finder_sha256: str) -> Plan:
    """Spread a dataset's clips over shards, each split apart and shuffled.

    Shuffled, so that a reader which takes the shards one after another sees all classes and
    speakers in each.

    Args:
        dataset: What to store.
        settings: Says how many clips a shard holds, and the seed.
        finder_sha256: Checksum of the face model; ``""`` without one.

    Example:
        >>> from ter_fast.data import Dataset, Sample
        >>> clips = tuple(Sample(f"{i}.wav", "fear", "train", "1") for i in range(5))
        >>> data = Dataset("mine", ("fear",), clips, "CC0", ("audio",))
        >>> [shard.name for shard in make_plan(data, ShardSettings(clips_per_shard=3), "").shards]
        ['train-00000', 'train-00001']
    """
    folder = _common_folder(dataset)
    facts = tuple(_facts(sample, folder, dataset.labels) for sample in dataset)
    by_split: dict[str, list[int]] = defaultdict(list)
    for position, sample in enumerate(dataset):
        by_split[sample.split].append(position)
    shards = []
    for split, positions in sorted(by_split.items()):
        random.Random(settings.seed).shuffle(positions)
        for number, begin in enumerate(range(0, len(positions), settings.clips_per_shard)):
            clips = tuple(positions[begin : begin + settings.clips_per_shard])
            shards.append(Shard(f"{split or _UNSPLIT}-{number:05d}", clips))
    whole = {
        "settings": settings_record(settings),
        "labels": dataset.labels,
        "modalities": dataset.modalities,
        "faces": finder_sha256,
        "clips": [[each, _stamp(sample)] for each, sample in zip(facts, dataset, strict=True)],
    }
    return Plan(tuple(shards), facts, digest(whole))


def _facts(sample: Sample, folder: str, labels: tuple[str, ...]) -> dict[str, Any]:
    attributes = {k: v for k, v in sample.attributes.items() if k != "audio_path"}
    source = os.path.relpath(sample.path, folder) if folder else sample.path
    return {
        "source": Path(source).as_posix(),
        "label": sample.label,
        "class": labels.index(sample.label),
        "split": sample.split,
        "group": sample.group,
        "target": None if sample.target is None else list(sample.target),
        "attributes": attributes,
    }


def _common_folder(dataset: Dataset) -> str:
    """Return the folder that holds everything, so that the same corpus elsewhere gives the same bytes."""
    folders = {os.path.dirname(os.path.abspath(sample.path)) for sample in dataset}
    try:
        return os.path.commonpath(folders)
    except ValueError:  # several drives, or no sample
        return ""


def _stamp(sample: Sample) -> int:
    """Tell one content from another cheaply: a table's picture by checksum, a file by size."""
    if sample.image is not None:
        return zlib.crc32(sample.image)
    apart = sample.attributes.get("audio_path")
    return sum(_size(path) for path in (sample.path, apart) if path)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
