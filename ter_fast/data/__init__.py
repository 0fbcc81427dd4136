"""Labelled data: manifests, adapters of published corpora, and splits that keep groups apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from ter_fast.data.check import DatasetCheck, check_dataset
from ter_fast.data.cremad import load_cremad
from ter_fast.data.dataset import EMOTIONS, SPLITS, Dataset, Sample, shared_groups
from ter_fast.data.enterface import load_enterface
from ter_fast.data.fer2013 import load_fer2013
from ter_fast.data.folders import load_folders
from ter_fast.data.iemocap import load_iemocap
from ter_fast.data.manifest import load_manifest
from ter_fast.data.meld import load_meld
from ter_fast.data.messages import closest_name
from ter_fast.data.music_video import load_music_video
from ter_fast.data.nemo import load_nemo
from ter_fast.data.protocols import with_protocol
from ter_fast.data.ravdess import load_ravdess
from ter_fast.data.speech import load_emodb, load_savee, load_tess
from ter_fast.data.splits import holdout, kfold, with_validation
from ter_fast.errors import DataError

__all__ = [
    "EMOTIONS",
    "SPLITS",
    "Dataset",
    "DatasetCheck",
    "Sample",
    "check_dataset",
    "holdout",
    "kfold",
    "load_cremad",
    "load_dataset",
    "load_emodb",
    "load_enterface",
    "load_fer2013",
    "load_folders",
    "load_iemocap",
    "load_manifest",
    "load_meld",
    "load_music_video",
    "load_nemo",
    "load_ravdess",
    "load_savee",
    "load_tess",
    "shared_groups",
    "with_protocol",
    "with_validation",
]


def _load_shards(path: str) -> Dataset:
    from ter_fast.data.shards import load_shards

    return load_shards(path)


# The options that each adapter takes after a "?", as in "ravdess:PATH?calm=keep".
_ADAPTERS: dict[str, tuple[Callable[..., Dataset], tuple[str, ...]]] = {
    "cremad": (load_cremad, ("label", "modality", "votes")),
    "emodb": (load_emodb, ("boredom",)),
    "enterface": (load_enterface, ()),
    "fer2013": (load_fer2013, ("label",)),
    "folders": (load_folders, ()),
    "iemocap": (load_iemocap, ("classes", "modality")),
    "meld": (load_meld, ()),
    "music_video": (load_music_video, ("split",)),
    "nemo": (load_nemo, ()),
    "ravdess": (load_ravdess, ("calm", "channel", "modality")),
    "savee": (load_savee, ("modality",)),
    "shards": (_load_shards, ()),
    "tess": (load_tess, ()),
}
_TABLES = (".csv", ".parquet")
# Two letters at least: "C:\clips.csv" names a drive, not an adapter.
_PREFIX = re.compile(r"([A-Za-z_][A-Za-z0-9_-]+):")


def load_dataset(
    spec: str,
    labels: Iterable[str] | None = None,
    protocol: str | None = None,
    check: bool = True,
) -> Dataset:
    """Read a dataset, or the union of several, from a short description.

    Args:
        spec: A corpus as ``"ravdess:PATH"`` (also cremad, emodb, enterface, fer2013, iemocap,
            meld, music_video, nemo, savee, tess), ``"folders:PATH"`` with a folder for each
            class, a manifest ``"x.csv"`` or ``"x.parquet"``, or several of these joined by ``+``.
            Options follow a ``?``, joined by ``&``: ``"ravdess:PATH?calm=keep&channel=all"``,
            ``"music_video:PATH?split=clean"``, ``"cremad:PATH?protocol=5-fold-1"``.
        labels: Class names to put the dataset on, such as a model's.
        protocol: How to split each corpus, by name (`ter_fast.data.with_protocol`), where its
            description does not say.
        check: Whether to check the dataset; without, groups may stand on both sides of a split,
            and files of a manifest be missing.

    Returns:
        The dataset, checked by `Dataset.check`.

    Raises:
        DataError: An unknown adapter, option or kind of file (the message lists the known
            ones), or a dataset that fails `Dataset.check`.

    Example:
        >>> load_dataset("ravdes:clips")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: unknown dataset 'ravdes:clips'; ... Did you mean 'ravdess'?
    """
    wanted = None if labels is None else tuple(labels)
    parts = [_load_one(part, wanted, protocol, check) for part in _parts(spec)]
    dataset = reduce(add, parts)
    if wanted is not None:
        dataset = dataset.aligned(wanted)
    if check:
        dataset.check()
    return dataset


def _parts(spec: str) -> list[str]:
    """Cut at ``+``, but not inside a path that has a plus sign of its own."""
    parts: list[str] = []
    for piece in spec.split("+"):
        table = _is_table(_source(piece)[1])
        if parts and not (_PREFIX.match(piece) or (table and _is_complete(parts[-1]))):
            parts[-1] += f"+{piece}"
        else:
            parts.append(piece)
    return parts


def _is_table(part: str) -> bool:
    return part.lower().endswith(_TABLES)


def _is_complete(part: str) -> bool:
    name, path, _ = _source(part)
    return _is_table(path) or (name in _ADAPTERS and Path(path).exists())


def _source(part: str) -> tuple[str, str, str]:
    """Take ``name:path?options`` apart; the name of a manifest is empty."""
    match = _PREFIX.match(part)
    name = match[1] if match else ""
    path = part[match.end() :] if match else part
    if "?" in path and not Path(path).exists():
        path, _, options = path.rpartition("?")
        return name, path, options
    return name, path, ""


def _load_one(
    part: str, labels: tuple[str, ...] | None, protocol: str | None, check: bool
) -> Dataset:
    name, path, options = _source(part)
    if name in _ADAPTERS and path:
        loader, known = _ADAPTERS[name]
        chosen = _options(name, options, (*known, "protocol"))
        named = chosen.pop("protocol", protocol)
        dataset = loader(path, **chosen)
    elif not name and _is_table(path):
        named = _options(path, options, ("protocol",)).get("protocol", protocol)
        dataset = load_manifest(path, labels=labels, check=check)
    else:
        raise DataError(_unknown(part, name))
    return dataset if named is None else with_protocol(dataset, named)


def _unknown(part: str, name: str) -> str:
    forms = ", ".join(f"{adapter}:PATH" for adapter in _ADAPTERS)
    advice = "Give one of these, or several joined by '+'."
    if name:
        advice = closest_name(name, _ADAPTERS)
    elif Path(part).is_dir():
        advice = f"Say which corpus the folder holds, as in folders:{part}"
    return (
        f"unknown dataset {part!r}; expected a manifest (.csv or .parquet) or one of {forms}. "
        f"{advice}"
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
