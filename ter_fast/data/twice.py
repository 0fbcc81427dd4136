"""Samples that are one and the same, whatever their files are called."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Protocol

from ter_fast.data.files import FileKey, file_key
from ter_fast.data.messages import counted_examples
from ter_fast.errors import DataError, warn


class _Sample(Protocol):
    """What is looked at of `ter_fast.data.Sample`."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def span(self) -> tuple[float, float] | None: ...
    @property
    def image(self) -> bytes | None: ...
    @property
    def attributes(self) -> Mapping[str, str]: ...


def check_twice(dataset: str, samples: Iterable[_Sample]) -> None:
    """Refuse samples that are there twice, also under another spelling of the path or through a link.

    Args:
        dataset: Its name, for messages.
        samples: All of them.

    Raises:
        DataError: The same stretch of the same file stands in two splits, or twice in one.

    Warns:
        UserWarning: Hard links to one file stand in the same split, as tools against duplicates leave them.
    """
    found: dict[object, list[_Sample]] = defaultdict(list)
    for sample in samples:
        found[_key(sample)].append(sample)
    several = [same for same in found.values() if len(same) > 1]
    linked = [_spellings(same) for same in several if _are_links(same)]
    twice = [_spellings(same) for same in several if not _are_links(same)]
    if twice:
        raise DataError(
            f"{dataset} names {counted_examples(twice, 'path')} more than once. Keep one entry of each."
        )
    if linked:
        warn(
            f"{dataset} has {counted_examples(linked, 'file')} under more than one name, by "
            f"hard links. Each counts as often; keep one name of each."
        )


def _key(sample: _Sample) -> object:
    # Pictures inside a table have a path of no file.
    file: FileKey = sample.path if sample.image is not None else file_key(sample.path)
    sound = sample.attributes.get("audio_path")
    # Two who speak at once share a span of the film, each with a sound of their own.
    return file, sample.span, sound if sound is None else file_key(sound)


def _are_links(same: list[_Sample]) -> bool:
    real = {os.path.realpath(sample.path) for sample in same}
    return len(real) == len(same) and len({sample.split for sample in same}) == 1


def _spellings(same: list[_Sample]) -> str:
    names = list(dict.fromkeys(sample.name for sample in same))
    splits = sorted({sample.split for sample in same})
    where = f" in {' and '.join(splits)}" if len(splits) > 1 else ""
    return " = ".join(names[:3]) + where
