"""What is compared: sets, rows, settings and protocol, read from YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.comparison.folds import Protocol
from benchmarks.comparison.methods import METHODS
from ter_fast.data.settings import read_settings
from ter_fast.errors import DataError


@dataclass(frozen=True)
class ComparisonConfig:
    """What is compared.

    Attributes:
        sets: Name of each feature set and its file.
        methods: Name of each row and its settings; "method" among them names one of `METHODS`, the
            row's own name does otherwise, and "of_sets" has settings by set. With a `protocol`,
            "views" names the views that the row is given, "validation" is its own number of
            validation groups, and "choose: failure_rate" finds that one on them.
        settings: Settings of every method.
        of_sets: Settings by set, on top.
        seeds: How many draws.
        first_seed: Number of the first, so that draws on which settings were chosen can be left out.
        reference: Row that others are compared with, draw by draw.
        title: Of the page.
        notes: What the page says beside the tables.
        protocol: Folds of whole groups instead of draws by chance, see `Protocol`.
        confidences: Rows of which the page compares every kind of confidence; with `protocol`.
        published: By set and method, the two accuracies in % that others published, normal and
            conflictive, which the page shows beside its own.
        as_published: Prepare samples as published code does, see `split_as_published`; without `protocol`.
    """

    sets: Mapping[str, Path]
    methods: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    of_sets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: int = 10
    first_seed: int = 0
    reference: str = ""
    title: str = "Comparison"
    notes: tuple[str, ...] = ()
    protocol: Protocol | None = None
    confidences: tuple[str, ...] = ()
    published: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    as_published: bool = False

    @property
    def draws(self) -> range:
        """Numbers of the draws, which seed everything."""
        return range(self.first_seed, self.first_seed + self.seeds)

    def settings_of(self, row: str, name: str) -> dict[str, Any]:
        """Return the settings of a row on a set: common ones, the set's, the row's, the row's on it."""
        own = dict(self.methods[row])
        on_it = own.pop("of_sets", {}).get(name, {})
        return {**self.settings, **self.of_sets.get(name, {}), **own, **on_it}

    @classmethod
    def read(cls, path: str | Path, data: str | Path | None = None) -> ComparisonConfig:
        """Read a configuration in YAML.

        Args:
            path: The file.
            data: Folder that files of sets are relative to; that of the configuration when left out.

        Raises:
            DataError: The file cannot be read, or says what there is not.
        """
        file = Path(path)
        content = read_settings(file, ("sets", "methods"), cls.__dataclass_fields__)
        folder = file.parent if data is None else Path(data)
        if problem := _problem(content):
            raise DataError(f"{file}: {problem}")
        content["sets"] = {name: folder / where for name, where in content["sets"].items()}
        rows = content["methods"]
        if not isinstance(rows, dict):
            rows = dict.fromkeys(rows)
        content["methods"] = {name: row or {} for name, row in rows.items()}
        for key in ("notes", "confidences"):
            content[key] = tuple(content.get(key, ()))
        if content.get("protocol") is not None:
            content["protocol"] = Protocol.read(content["protocol"], file)
        for name, row in content["methods"].items():
            method = row.get("method", content.get("settings", {}).get("method", name))
            if method not in METHODS:
                raise DataError(f"{file}: {method!r} is no method; choose of {', '.join(METHODS)}")
        return cls(**content)


def _problem(content: Mapping[str, Any]) -> str:
    """Return what is wrong with a configuration, nothing where all is well."""
    sets, methods = content["sets"], content["methods"]
    rows = methods if isinstance(methods, dict) else dict.fromkeys(map(str, methods or ()))
    if not (isinstance(sets, dict) and sets and all(isinstance(f, str) for f in sets.values())):
        return f"sets is {sets!r}; expected names and their files"
    if not rows or not all(isinstance(row, dict | None) for row in rows.values()):
        return f"methods is {methods!r}; expected names, or names and their settings"
    for key, least in (("seeds", 1), ("first_seed", 0)):
        number = content.get(key, least)
        if not isinstance(number, int) or number < least:
            return f"{key} is {number!r}; expected a whole number from {least}"
    if not isinstance(content.get("as_published", False), bool):
        return f"as_published is {content['as_published']!r}; expected true or false"
    if content.get("as_published") and content.get("protocol") is not None:
        return "as_published is of draws by chance, and protocol of folds; leave one of them out"
    if content.get("reference") and content["reference"] not in rows:
        return f"reference is {content['reference']!r}; expected a row of methods"
    for key in ("notes", "confidences"):
        if not isinstance(content.get(key, []), list):
            return f"{key} is {content[key]!r}; expected a list"
    if unknown := sorted(set(map(str, content.get("confidences", []))) - set(rows)):
        return f"confidences names {unknown[0]!r}; expected rows of methods"
    own = [(f"of_sets of {name}", (row or {}).get("of_sets", {})) for name, row in rows.items()]
    for key, by_set in [("of_sets", content.get("of_sets", {})), *own]:
        if not isinstance(by_set, dict) or not all(isinstance(s, dict) for s in by_set.values()):
            return f"{key} is {by_set!r}; expected sets and their settings"
        if unknown := sorted(set(by_set) - set(sets)):
            return f"{key} names the set {unknown[0]!r}; expected some of {', '.join(sets)}"
    published = content.get("published", {})
    if not isinstance(published, dict) or not all(map(_are_pairs, published.values())):
        return f"published is {published!r}; expected sets, methods, and two accuracies of each"
    if unknown := sorted(set(published) - set(sets)):
        return f"published names the set {unknown[0]!r}; expected some of {', '.join(sets)}"
    if not isinstance(content.get("settings", {}), dict):
        return f"settings is {content['settings']!r}; expected names and values"
    return ""


def _are_pairs(rows: Any) -> bool:
    return isinstance(rows, dict) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, int | float) for x in pair)
        for pair in rows.values()
    )
