"""Which clip goes into which shard, decided before anything is decoded."""

from __future__ import annotations

import hashlib
import os
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ter_fast.data.shards.extras import describe_extras
from ter_fast.data.shards.settings import ShardSettings, digest, settings_record

if TYPE_CHECKING:
    from ter_fast.data import Dataset, Sample

_UNSPLIT = "all"
_PLACES = 4
_PIECE = 1 << 16


@dataclass(frozen=True)
class Shard:
    """One tar to write: its name, and the positions of its clips in the dataset."""

    name: str
    clips: tuple[int, ...]


@dataclass(frozen=True)
class ShardPlan:
    """A dataset spread over shards.

    Attributes:
        shards: What to write.
        facts: By position, what is stored of each clip beside its media.
        digest: SHA-256 of all that decides the bytes: settings, samples, face model.
    """

    shards: tuple[Shard, ...]
    facts: tuple[dict[str, Any], ...]
    digest: str


def make_plan(dataset: Dataset, settings: ShardSettings, finder_sha256: str) -> ShardPlan:
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
    # A film of which a hundred clips are cut is looked at once.
    printed = cache(fingerprint)
    whole = {
        "settings": settings_record(settings),
        "labels": dataset.labels,
        "modalities": dataset.modalities,
        "faces": finder_sha256,
        "clips": [
            [each, _stamp(sample, printed)] for each, sample in zip(facts, dataset, strict=True)
        ],
    }
    return ShardPlan(tuple(shards), facts, digest(whole))


def _facts(sample: Sample, folder: str, labels: tuple[str, ...]) -> dict[str, Any]:
    attributes = {k: v for k, v in sample.attributes.items() if k != "audio_path"}
    source = os.path.relpath(sample.path, folder) if folder else sample.path
    return {
        "source": Path(source).as_posix(),
        **({} if sample.span is None else {"span": list(sample.span)}),
        "label": sample.label,
        "class": labels.index(sample.label),
        "split": sample.split,
        "group": sample.group,
        "target": None if sample.target is None else list(sample.target),
        "attributes": attributes,
        **describe_extras(sample),
    }


def _common_folder(dataset: Dataset) -> str:
    """Return the folder that holds everything, so that the same corpus elsewhere gives the same bytes."""
    folders = {os.path.dirname(os.path.abspath(sample.path)) for sample in dataset}
    try:
        return os.path.commonpath(folders)
    except ValueError:  # several drives, or no sample
        return ""


def _stamp(sample: Sample, printed: Callable[[str], str]) -> list[str]:
    """Tell one content from another: a table's picture by all of it, a file by size and pieces."""
    if sample.image is not None:
        return [hashlib.sha256(sample.image).hexdigest()]
    apart = sample.attributes.get("audio_path")
    return [printed(path) for path in (sample.path, apart) if path]


def fingerprint(path: str) -> str:
    """Return a SHA-256 of a file's size and of its bytes at four places.

    Not of its date, which copying a corpus changes, nor of all of it, which would read every film
    once more at every start: a film encoded again differs in all four places, but one altered by
    hand between them, at the same length, is taken for the same. Up to 256 KiB, all bytes count.

    Args:
        path: The file; without it there, ``""`` is returned.

    Example:
        >>> fingerprint("nowhere.mp4")
        ''
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            found = hashlib.sha256(str(size).encode())
            for place in range(_PLACES):
                file.seek(max(0, size - _PIECE) * place // (_PLACES - 1))
                found.update(file.read(_PIECE))
    except OSError:
        return ""
    return found.hexdigest()
