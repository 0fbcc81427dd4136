"""What a card tells beyond a model's configuration: figures, splits, notes; and where it is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ter_fast.errors import DataError, ModelError
from ter_fast.experts.card.checks import is_evaluation, is_robustness, is_split
from ter_fast.experts.legacy import evaluation_values

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.experts.config import ModelConfig

MOST_LISTED = 60
"""Speakers or sources of a split beyond which they are counted, not named."""

_SHOWN = (
    *("name", "modalities", "pairing", "samples", "excluded", "groups", "threshold", "figures"),
    *("subgroups", "confusion", "labels", "note", "known_groups"),
)
_MOST_BYTES = 2**25
_DAMAGED = "does not hold a card's facts; delete it and measure again"


class Figures(Protocol):
    """What an evaluation is to a card."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values."""


Given: TypeAlias = Figures | Mapping[str, Any] | str | Path
"""Figures: an evaluation, its plain values, or the file that holds them."""


@dataclass(frozen=True)
class CardFacts:
    """What a card tells beyond the configuration; kept in card.json.

    Attributes:
        title: Heading of the card; "" for one made of the modalities.
        evaluations: Figures on labelled data (see `ter_fast.evaluate.Evaluation.to_dict`).
        robustness: Figures under corruptions (see `ter_fast.evaluate.robustness.Robustness.to_dict`).
        splits: Who is on which side of the data (see `splits_of`).
        notes: Further limits, in Markdown.
    """

    title: str = ""
    evaluations: tuple[Mapping[str, Any], ...] = ()
    robustness: tuple[Mapping[str, Any], ...] = ()
    splits: tuple[Mapping[str, Any], ...] = ()
    notes: str = ""

    def to_json(self, model: str) -> str:
        """Return the facts as JSON, with the checksum of the configuration that they are about."""
        return json.dumps({"model_sha256": model, **asdict(self)}, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: str | Path, model: str) -> CardFacts:
        """Read the facts of a model; none where there are none, or where they are about another.

        Args:
            path: Of card.json.
            model: Checksum of the configuration.

        Raises:
            DataError: The file is damaged.

        Example:
            >>> CardFacts.read("no/such/card.json", "").evaluations
            ()
        """
        file = Path(path)
        if not file.is_file():
            return cls()
        values = _read_json(file)
        if values.pop("model_sha256", None) != model:
            return cls()
        if isinstance(values.get("evaluations"), list):
            values["evaluations"] = [evaluation_values(each) for each in values["evaluations"]]
        lists = {"evaluations": is_evaluation, "robustness": is_robustness, "splits": is_split}
        whole = (
            set(values) == {each.name for each in fields(cls)}
            and all(isinstance(values[name], str) for name in ("title", "notes"))
            and all(isinstance(values[name], list) for name in lists)
            and all(check(each) for name, check in lists.items() for each in values[name])
        )
        if not whole:
            raise DataError(f"{file} {_DAMAGED}")
        return cls(**{**values, **{name: tuple(values[name]) for name in lists}})

    def update(
        self,
        evaluations: Iterable[Given] | None = None,
        robustness: Iterable[Given] | None = None,
        datasets: Iterable[Dataset] | None = None,
        title: str | None = None,
        notes: str | None = None,
    ) -> CardFacts:
        """Return these facts with what is given in place of what was there; None keeps it."""
        values = {
            "title": None if title is None else " ".join(title.split()),
            "evaluations": None if evaluations is None else tuple(map(figures_in, evaluations)),
            "robustness": None if robustness is None else tuple(map(trends_in, robustness)),
            "splits": None if datasets is None else tuple(map(splits_of, datasets)),
            "notes": notes,
        }
        changes: dict[str, Any] = {name: each for name, each in values.items() if each is not None}
        return replace(self, **changes)

    def gaps(self, config: ModelConfig) -> tuple[str, ...]:
        """Return what a card cannot say of a model from what is known of it, each a sentence.

        Example:
            >>> from ter_fast import Model
            >>> config = Model.build(["calm", "tense"], modalities=("audio",)).config
            >>> CardFacts().gaps(config)[0]
            'how good it is: no evaluation was given (ter-fast evaluate --out x.json)'
        """
        harm = "ter-fast evaluate --corrupt suite --out y.json"
        told = {
            "how good it is: no evaluation was given (ter-fast evaluate --out x.json)": self.evaluations,
            f"what noise and other damage do: no robustness was given ({harm})": self.robustness,
            "who is on which side of the data, and how many clips of each class: no data were given": self.splits,
            "from when on to trust it: it has no threshold (ter-fast calibrate)": config.thresholds,
            "under which terms it may be passed on: no terms of its training data are on record": config.terms,
        }
        return tuple(sentence for sentence, known in told.items() if not known)


def figures_in(source: Given) -> dict[str, Any]:
    """Return the figures of an evaluation, as far as a card shows them.

    Args:
        source: An evaluation, its plain values, a file that `to_json` wrote, or the folder of a report.

    Raises:
        DataError: The file cannot be read, is damaged, or holds something else.
    """
    values = evaluation_values(_values(source, "evaluation.json"))
    if not is_evaluation(values):
        raise DataError(
            f"{_source_name(source)} holds no evaluation; give what `Evaluation.to_json` or `ter-fast evaluate "
            "--out x.json` wrote"
        )
    return {name: values[name] for name in _SHOWN if name in values}


def trends_in(source: Given) -> dict[str, Any]:
    """Return the figures under corruptions.

    Args:
        source: Of `Model.evaluate_corrupted`, its plain values, a file that `to_json` wrote, or the
            folder of a report.

    Raises:
        DataError: The file cannot be read, is damaged, or holds something else.
    """
    values = _values(source, "robustness.json")
    if not is_robustness(values):
        raise DataError(
            f"{_source_name(source)} holds no figures under corruptions; give what `ter-fast evaluate --corrupt "
            "suite --out x.json` wrote"
        )
    return {name: values[name] for name in ("name", "modalities", "samples", "cells", "trends")}


def splits_of(dataset: Dataset) -> dict[str, Any]:
    """Return who is on which side of a dataset: clips, speakers or sources, and classes by split.

    Example:
        >>> from ter_fast.data import Dataset, Sample
        >>> clips = [Sample(f"{i}.wav", "ab"[i % 2], "train", f"x:{i}") for i in range(4)]
        >>> splits_of(Dataset("mine", ("a", "b"), tuple(clips), "CC0", ("audio",)))["train"]["groups"]
        ['x:0', 'x:1', 'x:2', 'x:3']
    """
    facts: dict[str, Any] = {"name": dataset.name, "modalities": list(dataset.modalities)}
    for split in dict.fromkeys(sample.split for sample in dataset if sample.split):
        part = dataset.split(split)
        groups = sorted(part.groups())
        facts[split] = {
            "clips": len(part),
            "classes": part.class_counts(),
            "groups": groups if len(groups) <= MOST_LISTED else len(groups),
        }
    return facts


def parameters_in(weights: Path) -> dict[str, int]:
    """Return how many numbers each expert's weights are, by modality.

    Raises:
        ModelError: The file holds no model's weights.
    """
    from safetensors import SafetensorError, safe_open

    counts: dict[str, int] = {}
    try:
        with safe_open(weights, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                expert = name.split(".")[1]
                counts[expert] = counts.get(expert, 0) + math.prod(file.get_slice(name).get_shape())
    except (SafetensorError, OSError, IndexError) as error:
        raise ModelError(
            f"{weights} holds no model's weights ({error}); copy the model's folder again"
        ) from error
    return counts


def _values(source: Given, name: str) -> dict[str, Any]:
    if isinstance(source, (str, Path)):
        path = Path(source)
        return _read_json(path / name if path.is_dir() else path)
    return dict(source if isinstance(source, Mapping) else source.to_dict())


def _source_name(source: Given) -> str:
    return str(source) if isinstance(source, (str, Path)) else "what was given"


def _read_json(file: Path) -> dict[str, Any]:
    try:
        # NaN and infinity are not of JSON, and no figures.
        values = json.loads(read_text(file), parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not JSON ({error}); write it again") from error
    if not isinstance(values, dict):
        raise DataError(f"{file} holds no figures; write it again")
    return values


def read_text(path: str | Path) -> str:
    """Read a file of text that a card is made of.

    Raises:
        DataError: There is none, it cannot be read, is no UTF-8, or is larger than any such file.

    Example:
        >>> read_text("nowhere.md")
        Traceback (most recent call last):
        ter_fast.errors.DataError: nowhere.md cannot be read (No such file or directory); check the path
    """
    file = Path(path)
    try:
        if file.is_file() and file.stat().st_size > _MOST_BYTES:
            raise DataError(f"{file} has more than {_MOST_BYTES >> 20} MiB; give the right file")
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is no text in UTF-8 ({error}); write it again") from error
