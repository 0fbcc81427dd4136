"""Labelled data: manifests, the adapters of four corpora, and splits that keep groups apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from ter_fast.data.dataset import EMOTIONS, SPLITS, Dataset, Sample, shared_groups
from ter_fast.data.fer2013 import load_fer2013
from ter_fast.data.manifest import load_manifest
from ter_fast.data.music_video import load_music_video
from ter_fast.data.nemo import load_nemo
from ter_fast.data.ravdess import load_ravdess
from ter_fast.data.splits import holdout, with_validation
from ter_fast.errors import DataError

__all__ = [
    "EMOTIONS",
    "SPLITS",
    "Dataset",
    "Sample",
    "holdout",
    "load_dataset",
    "load_fer2013",
    "load_manifest",
    "load_music_video",
    "load_nemo",
    "load_ravdess",
    "shared_groups",
    "with_validation",
]

# The options that each adapter takes after a "?", as in "ravdess:PATH?calm=keep".
_ADAPTERS: dict[str, tuple[Callable[..., Dataset], tuple[str, ...]]] = {
    "fer2013": (load_fer2013, ("label",)),
    "music_video": (load_music_video, ("split",)),
    "nemo": (load_nemo, ()),
    "ravdess": (load_ravdess, ("calm", "channel", "modality")),
}
_TABLES = (".csv", ".parquet")
# Two letters at least: "C:\clips.csv" names a drive, not an adapter.
_PREFIX = re.compile(r"([A-Za-z_][A-Za-z0-9_-]+):")


def load_dataset(spec: str, labels: Iterable[str] | None = None) -> Dataset:
    """Read a dataset, or the union of several, from a short description.

    Args:
        spec: ``"ravdess:PATH"``, ``"nemo:PATH"``, ``"fer2013:PATH"``, ``"music_video:PATH"``,
            a manifest ``"x.csv"`` or ``"x.parquet"``, or several of these joined by ``+``.
            Options follow a ``?``, joined by ``&``: ``"ravdess:PATH?calm=keep&channel=all"``,
            ``"music_video:PATH?split=clean"``.
        labels: Class names to put the dataset on, such as a model's.

    Returns:
        The dataset, already checked.

    Raises:
        DataError: An unknown adapter, option or kind of file (the message lists the known
            ones), or a dataset that fails `Dataset.check`.

    Example:
        >>> load_dataset("ravdes:clips")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: unknown dataset 'ravdes:clips'; ...
    """
    wanted = None if labels is None else tuple(labels)
    dataset = reduce(add, [_load_one(part, wanted) for part in _parts(spec)])
    if wanted is not None:
        dataset = dataset.aligned(wanted)
    dataset.check()
    return dataset


def _parts(spec: str) -> list[str]:
    """Cut at ``+``, but not inside a path that has a plus sign of its own."""
    parts: list[str] = []
    for piece in spec.split("+"):
        if parts and not (_PREFIX.match(piece) or (_is_table(piece) and _is_complete(parts[-1]))):
            parts[-1] += f"+{piece}"
        else:
            parts.append(piece)
    return parts


def _is_table(part: str) -> bool:
    return part.lower().endswith(_TABLES)


def _is_complete(part: str) -> bool:
    name, path, _ = _source(part)
    return _is_table(part) or (name in _ADAPTERS and Path(path).exists())


def _source(part: str) -> tuple[str, str, str]:
    """Take ``name:path?options`` apart; the name of a manifest is empty."""
    match = _PREFIX.match(part)
    name = match[1] if match else ""
    path = part[match.end() :] if match else part
    if "?" in path and not Path(path).exists():
        path, _, options = path.rpartition("?")
        return name, path, options
    return name, path, ""


def _load_one(part: str, labels: tuple[str, ...] | None) -> Dataset:
    name, path, options = _source(part)
    if name in _ADAPTERS and path:
        loader, known = _ADAPTERS[name]
        return loader(path, **_options(name, options, known))
    if not name and _is_table(path):
        return load_manifest(path, labels=labels)
    forms = ", ".join(f"{adapter}:PATH" for adapter in _ADAPTERS)
    raise DataError(
        f"unknown dataset {part!r}; expected a manifest (.csv or .parquet) or one of {forms}. "
        f"Give one of these, or several joined by '+'."
    )


def _options(name: str, options: str, known: tuple[str, ...]) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for option in filter(None, options.split("&")):
        key, equals, value = option.partition("=")
        if key not in known or not equals:
            expected = ", ".join(f"{k}=…" for k in known) or "none"
            raise DataError(
                f"{name}: unknown option {option!r}; expected {expected}. Correct or remove it."
            )
        chosen[key] = value
    return chosen
