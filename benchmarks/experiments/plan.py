"""What is trained and measured: experiments (data and protocol) by rows (models), from one YAML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.experiments.signals import SIGNALS
from ter_fast.data.settings import read_settings
from ter_fast.errors import DataError
from ter_fast.media.corrupt import CORRUPTIONS, SEVERITIES, suite

FAMILIES = ("evidential", "softmax")


@dataclass(frozen=True)
class Experiment:
    """Data, how they are split, and what is measured on them.

    Attributes:
        name: Of the experiment.
        data: Description as `ter_fast.data.load_dataset` takes it, paths relative to the data folder.
        folds: By group; 0 for the split that the data come with.
        validation: Share of the training groups held out to stop training and to set thresholds.
        split_seed: Of the folds and of what is held out.
        seeds: Of training, each a run of its own; None for the plan's.
        model: How models are built, on top of the plan's (see `Plan`).
        train: Fields of `ter_fast.train.Settings`, on top of the plan's.
        corruptions: Names of `ter_fast.media.corrupt.CORRUPTIONS`. A row is asked about those of what it
            reads; about those between sound and pictures if it reads both.
        severities: Of each.
        corrupted: Most test clips of a fold that are corrupted, drawn evenly; 0 for all.
        ood: By name, clips that are none of these data: a description, or "signal:NAME".
        ood_clips: Most clips of each.
        by: Attributes of clips by which trust is broken down.
    """

    name: str
    data: str
    folds: int = 5
    validation: float = 0.2
    split_seed: int = 0
    seeds: tuple[int, ...] | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    corruptions: tuple[str, ...] = ()
    severities: tuple[int, ...] = (1, 3, 5)
    corrupted: int = 0
    ood: Mapping[str, str] = field(default_factory=dict)
    ood_clips: int = 200
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One model that is trained in every experiment.

    Attributes:
        name: Of the row.
        family: "evidential", or "softmax" for the same network under cross-entropy, whose
            probabilities are also cooled by a temperature and averaged over dropout masks.
        model: On top of the plan's and the experiment's.
        train: likewise.
        only: Experiments that it is part of; empty for all.
        ensemble: Also average this row over the seeds.
    """

    name: str
    family: str = "evidential"
    model: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    ensemble: bool = False


@dataclass(frozen=True)
class Plan:
    """Everything that a page shows.

    Attributes:
        title: Of the page.
        experiments: By name.
        rows: By name.
        seeds: Of training.
        reference: Row that others are compared with, in pairs.
        model: `modalities` by name with their `encoder` and its options, and any of `use` (the
            modalities of this model), `video` (fields of `VideoInput`), and fields of `ModelConfig`.
        train: Fields of `ter_fast.train.Settings`.
        published: Figures of others, each with `experiment`, `what`, `figure` and `remark`.
        notes: What the page says beside the tables.
    """

    title: str
    experiments: Mapping[str, Experiment]
    rows: Mapping[str, Row]
    seeds: tuple[int, ...] = (0,)
    reference: str = ""
    model: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    published: tuple[Mapping[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def model_of(self, experiment: Experiment, row: Row) -> dict[str, Any]:
        """Return how a row's model is built in an experiment."""
        return merge(self.model, experiment.model, row.model)

    def modalities_of(self, experiment: Experiment, row: Row) -> tuple[str, ...]:
        """Return what a row reads in an experiment."""
        settings = self.model_of(experiment, row)
        return tuple(settings.get("use", settings.get("modalities", ())))

    def train_of(self, experiment: Experiment, row: Row) -> dict[str, Any]:
        """Return how a row is trained in an experiment."""
        peer = {"kind": "log", "kl_weight": 0.0} if row.family == "softmax" else {}
        return merge(self.train, experiment.train, peer, row.train)

    def seeds_of(self, experiment: Experiment) -> tuple[int, ...]:
        """Return the seeds of an experiment."""
        return self.seeds if experiment.seeds is None else experiment.seeds

    def rows_of(self, experiment: Experiment) -> list[Row]:
        """Return the rows that are part of an experiment."""
        return [row for row in self.rows.values() if not row.only or experiment.name in row.only]

    @classmethod
    def read(cls, path: str | Path) -> Plan:
        """Read a configuration in YAML.

        Raises:
            DataError: The file cannot be read, or says what there is not.
        """
        file = Path(path)
        needed = ("title", "experiments", "rows")
        content = read_settings(file, needed, cls.__dataclass_fields__)
        try:
            return cls(
                **{
                    **{key: _frozen(value) for key, value in content.items()},
                    "experiments": _named(Experiment, content["experiments"], "experiments"),
                    "rows": _named(Row, content["rows"], "rows"),
                }
            ).check()
        except (DataError, TypeError) as error:
            raise DataError(f"{file}: {error}") from error

    def check(self) -> Plan:
        """Return the plan itself, once it says nothing that there is not.

        Raises:
            DataError: A name with a slash, an unknown reference, family, corruption, severity, signal or
                experiment, or no seed.
        """
        if cut := [name for name in (*self.rows, *self.experiments) if "/" in name]:
            raise DataError(
                f"{cut[0]!r} has a slash, which parts names in --only and in folders; give another name"
            )
        if self.reference and self.reference not in self.rows:
            raise DataError(
                f"reference is {self.reference!r}; expected one of {', '.join(self.rows)}"
            )
        for row in self.rows.values():
            if row.family not in FAMILIES:
                raise DataError(f"row {row.name!r}: family {row.family!r} is none of {FAMILIES}")
            if absent := sorted(set(row.only) - set(self.experiments)):
                raise DataError(f"row {row.name!r}: there is no experiment {absent[0]!r}")
        for experiment in self.experiments.values():
            read = {self.modalities_of(experiment, row) for row in self.rows_of(experiment)}
            asked = {name for names in read for name in suite(names)}
            known = [name for name in CORRUPTIONS if name in asked]
            signals = [s[7:] for s in experiment.ood.values() if s.startswith("signal:")]
            for what, given, possible in (
                ("corruption of what a row reads", experiment.corruptions, known),
                ("severity", experiment.severities, SEVERITIES),
                ("signal", signals, list(SIGNALS)),
            ):
                if unknown := [name for name in given if name not in possible]:
                    raise DataError(
                        f"experiment {experiment.name!r}: {unknown[0]!r} is no {what}; choose of {possible}"
                    )
            if not self.seeds_of(experiment):
                raise DataError(f"experiment {experiment.name!r} has no seed; give at least one")
        return self


def merge(*settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the later ones on top, mappings in mappings merged likewise.

    Example:
        >>> merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
        {'a': {'b': 1, 'c': 3}}
    """
    found: dict[str, Any] = {}
    for setting in settings:
        for key, value in setting.items():
            old = found.get(key)
            both = isinstance(old, Mapping) and isinstance(value, Mapping)
            found[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return found


def _named(kind: type[Any], content: object, what: str) -> dict[str, Any]:
    if not isinstance(content, Mapping) or not content:
        raise DataError(f"{what} is {content!r}; expected names and their settings")
    found = {}
    for name, given in content.items():
        if not isinstance(given, Mapping | None):
            raise DataError(f"{what}: {name} is {given!r}; expected settings by name")
        settings = {key: _frozen(value) for key, value in (given or {}).items()}
        if unknown := sorted(set(settings) - set(kind.__dataclass_fields__)):
            raise DataError(
                f"{what}: {name} has the setting {unknown[0]!r}; expected some of "
                f"{', '.join(kind.__dataclass_fields__)}"
            )
        found[str(name)] = kind(**{**settings, "name": str(name)})
    return found


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
