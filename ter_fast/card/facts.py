"""What a card tells beyond a model's configuration: figures, splits, notes; and where it is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ter_fast.errors import DataError

if TYPE_CHECKING:
    from ter_fast.data import Dataset

MOST_LISTED = 60
"""Speakers or sources of a split beyond which they are counted, not named."""

_SHOWN = (
    *("name", "modalities", "pairing", "samples", "excluded", "groups", "threshold", "figures"),
    *("breakdowns", "confusion", "labels", "note"),
)


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
        title: heading of the card; "" for one made of the modalities.
        evaluations: figures on labelled data (see `ter_fast.evaluate.Evaluation.to_dict`).
        robustness: figures under corruptions (see `ter_fast.robustness.Robustness.to_dict`).
        splits: who is on which side of the data (see `splits_of`).
        notes: further limits, in Markdown.
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
            path: of card.json.
            model: checksum of the configuration.

        Raises:
            DataError: the file is damaged.

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
        if set(values) != {each.name for each in fields(cls)}:
            raise DataError(f"{file} does not hold a card's facts; delete it and measure again")
        lists = {name: tuple(values[name]) for name in ("evaluations", "robustness", "splits")}
        return cls(**{**values, **lists})

    def updated(
        self,
        evaluations: Iterable[Given] | None = None,
        robustness: Iterable[Given] | None = None,
        datasets: Iterable[Dataset] | None = None,
        title: str | None = None,
        notes: str | None = None,
    ) -> CardFacts:
        """Return these facts with what is given in place of what was there; None keeps it."""
        given = {
            "title": title,
            "evaluations": None if evaluations is None else tuple(map(figures_in, evaluations)),
            "robustness": None if robustness is None else tuple(map(trends_in, robustness)),
            "splits": None if datasets is None else tuple(map(splits_of, datasets)),
            "notes": notes,
        }
        known: dict[str, Any] = {name: each for name, each in given.items() if each is not None}
        return replace(self, **known)


def figures_in(source: Given) -> dict[str, Any]:
    """Return the figures of an evaluation, or of a file that `to_json` wrote, as far as a card shows them.

    Raises:
        DataError: the file cannot be read, or holds something else.
    """
    values = _values(source)
    if "figures" not in values or "confusion" not in values:
        raise DataError(
            f"{_named(source)} holds no evaluation; give what `Evaluation.to_json` or `ter-fast evaluate "
            "--out x.json` wrote"
        )
    return {name: values[name] for name in _SHOWN if name in values}


def trends_in(source: Given) -> dict[str, Any]:
    """Return the figures under corruptions, or of a file that `to_json` wrote.

    Raises:
        DataError: the file cannot be read, or holds something else.
    """
    values = _values(source)
    if "trends" not in values or "cells" not in values:
        raise DataError(
            f"{_named(source)} holds no figures under corruptions; give what `ter-fast evaluate --corrupt "
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
    found: dict[str, Any] = {"name": dataset.name, "modalities": list(dataset.modalities)}
    for split in dict.fromkeys(sample.split for sample in dataset if sample.split):
        part = dataset.split(split)
        groups = sorted(part.groups())
        found[split] = {
            "clips": len(part),
            "classes": part.class_counts(),
            "groups": groups if len(groups) <= MOST_LISTED else len(groups),
        }
    return found


def parameters_in(weights: Path) -> dict[str, int]:
    """Return how many numbers each expert's weights are, by modality."""
    from safetensors import safe_open

    found: dict[str, int] = {}
    with safe_open(weights, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - it is no mapping
            expert = name.split(".")[1]
            found[expert] = found.get(expert, 0) + math.prod(file.get_slice(name).get_shape())
    return found


def _values(source: Given) -> dict[str, Any]:
    if isinstance(source, (str, Path)):
        return _read_json(Path(source))
    return dict(source if isinstance(source, Mapping) else source.to_dict())


def _named(source: Given) -> str:
    return str(source) if isinstance(source, (str, Path)) else "what was given"


def _read_json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise DataError(f"{file} is not JSON ({error}); write it again") from error
    if not isinstance(values, dict):
        raise DataError(f"{file} holds no figures; write it again")
    return values
