"""Datasets from short descriptions, such as ``"ravdess:PATH?calm=keep+mine.csv"``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from ter_fast.data.dataset import Dataset
from ter_fast.data.folders import load_folders
from ter_fast.data.manifest import load_manifest
from ter_fast.data.messages import closest_name
from ter_fast.data.protocols import with_protocol
from ter_fast.data.registry import CORPORA, NAME
from ter_fast.data.renaming import put_on, rename_labels, unify
from ter_fast.errors import DataError


def _load_shards(path: str) -> Dataset:
    from ter_fast.data.shards import load_shards

    return load_shards(path)


_TABLES = (".csv", ".parquet")
_FORMATS: dict[str, Callable[[str], Dataset]] = {"folders": load_folders, "shards": _load_shards}
_PREFIX = re.compile(f"({NAME.pattern}):")


def load_dataset(
    spec: str,
    labels: Iterable[str] | None = None,
    protocol: str | None = None,
    check: bool = True,
    rename: Mapping[str, str] | None = None,
) -> Dataset:
    """Read a dataset, or the union of several, from a short description.

    Labels that are other spellings of the given ones, or of those of other datasets of the union, are taken as these,
    and a warning says so: happy and Happiness as happiness, but calm never as neutral.

    Args:
        spec: A registered corpus as ``"ravdess:PATH"`` (`CORPORA` names all), ``"folders:PATH"``
            with a folder for each class, ``"shards:PATH"``, a manifest ``"x.csv"`` or
            ``"x.parquet"``, or several of these joined by ``+``.
            Options follow a ``?``, joined by ``&``: ``"ravdess:PATH?calm=keep&channel=all"``,
            ``"music_video:PATH?split=clean"``, ``"cremad:PATH?protocol=5-fold-1"``.
        labels: Class names to put the dataset on, such as a model's.
        protocol: How to split each corpus, by name (`ter_fast.data.with_protocol`), where its
            description does not say.
        check: Whether to check the dataset; without, groups may stand on both sides of a split,
            and files of a manifest be missing.
        rename: New label by old label, before anything else is done with labels.

    Returns:
        The dataset, checked by `Dataset.check`.

    Raises:
        DataError: An unknown corpus, option or kind of file (the message lists the known
            ones), a label that is not among those given, one to rename that there is not, or a dataset
            that fails `Dataset.check`.

    Example:
        >>> load_dataset("ravdes:clips")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: unknown dataset 'ravdes:clips'; ... Did you mean 'ravdess'?
    """
    return load_datasets([spec], labels, protocol, check, rename)[0]


def load_datasets(
    specs: Sequence[str],
    labels: Iterable[str] | None = None,
    protocol: str | None = None,
    check: bool = True,
    rename: Mapping[str, str] | None = None,
) -> list[Dataset]:
    """Read several datasets, each by itself; see `load_dataset`.

    Args:
        specs: One description a dataset.
        labels: Class names to put each of them on.
        protocol: How to split each corpus.
        check: Whether to check each of them.
        rename: New label by old label, which one of the datasets at least must have.

    Raises:
        DataError: As of `load_dataset`.
    """
    wanted = None if labels is None else tuple(sorted(set(labels)))
    parts = [[_load_one(part, protocol, check) for part in _parts(spec)] for spec in specs]
    renamed = iter(rename_labels([part for union in parts for part in union], rename or {}))
    datasets = []
    for union in parts:
        dataset = reduce(add, unify([next(renamed) for _ in union]))
        if wanted is not None:
            dataset = put_on(dataset, wanted)
        if check:
            dataset.check()
        datasets.append(dataset)
    return datasets


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
    return _is_table(path) or (name in _prefixes() and Path(path).exists())


def _source(part: str) -> tuple[str, str, str]:
    """Take ``name:path?options`` apart; the name of a manifest is empty."""
    match = _PREFIX.match(part)
    name = match[1] if match else ""
    path = part[match.end() :] if match else part
    if "?" in path and not Path(path).exists():
        path, _, options = path.rpartition("?")
        return name, path, options
    return name, path, ""


def _load_one(part: str, protocol: str | None, check: bool) -> Dataset:
    name, path, options = _source(part)
    if name in _prefixes() and path:
        corpus = CORPORA.get(name)
        chosen = _options(name, options, (*(corpus.options if corpus else ()), "protocol"))
        named = chosen.pop("protocol", protocol)
        dataset = corpus.load(path, **chosen) if corpus else _FORMATS[name](path)
    elif not name and _is_table(path):
        named = _options(path, options, ("protocol",)).get("protocol", protocol)
        dataset = load_manifest(path, check=check)
    else:
        raise DataError(_unknown(part, name))
    return dataset if named is None else with_protocol(dataset, named)


def _prefixes() -> list[str]:
    """Return the names that may stand before a path."""
    return [*CORPORA, *_FORMATS]


def _unknown(part: str, name: str) -> str:
    forms = ", ".join(f"{known}:PATH" for known in _prefixes())
    advice = "Give one of these, or several joined by '+'."
    if name:
        advice = closest_name(name, _prefixes())
    elif Path(part).suffix.lower() in (".tsv", ".txt", ".xlsx", ".xls", ".ods", ".json", ".jsonl"):
        advice = "Save the table as comma-separated .csv in UTF-8, or as .parquet."
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
