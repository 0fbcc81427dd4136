"""What a recipe says, read from YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ter_fast.data.settings import read_settings
from ter_fast.errors import DataError, TerFastError
from ter_fast.experts.config import VideoInput
from ter_fast.experts.legacy import calibration_values
from ter_fast.train.last_layer import check_last_layer
from ter_fast.train.settings import Settings

# What `ter_fast.train.calibrate.calibrate` is told; the data and the progress are not a recipe's to say.
CALIBRATION = (
    *("criterion", "risk", "delta", "guarantee_for", "confidence", "reliability", "seed"),
    *("disagreement_limit", "disagreement_quantile", "unit"),
)

LAST_LAYER = ("class_balance", "penalty")


@dataclass(frozen=True)
class Member:
    """One network of an expert, trained alone.

    Attributes:
        encoder: Its name.
        options: Of the encoder.
        video: How pictures are taken, fields of `VideoInput`; empty for what the encoder wants.
        train: Fields of `ter_fast.train.Settings`; its seed is also that of the first weights.
        modality: That it reads.

    Raises:
        DataError: An option, field or value that there is not.
    """

    modality: str
    encoder: str
    options: Mapping[str, Any] = field(default_factory=dict)
    video: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, values, kind in (
            ("train", self.train, Settings),
            ("video", self.video, VideoInput),
        ):
            names = [each.name for each in fields(kind)]
            if not isinstance(values, Mapping) or not set(values) <= set(names):
                raise DataError(
                    f"{self.modality}: {what} is {values!r}; expected some of {', '.join(names)}"
                )
        if not isinstance(self.options, Mapping):
            raise DataError(
                f"{self.modality}: options is {self.options!r}; expected values by name"
            )
        # Values out of range show now, not after hours of training another member.
        _ = self.settings, VideoInput(**self.video)

    @property
    def settings(self) -> Settings:
        """How it is trained."""
        return Settings(**self.train)


@dataclass(frozen=True)
class Recipe:
    """Experts, how each is trained, and how the joined model is calibrated.

    Attributes:
        name: Of the recipe.
        experts: By modality, the members whose logits its expert averages (see `ter_fast.experts.ensembles`).
        rule: Of fusion.
        calibrate: Arguments of `ter_fast.train.calibrate.calibrate`.
        last_layer: By modality whose expert's last layer is retrained at the end, `class_balance`
            and `penalty` of `ter_fast.train.fit_last_layer`.

    Example:
        >>> Recipe.read("default").experts["audio"][0].encoder
        'logmel_cnn'
    """

    name: str
    experts: Mapping[str, tuple[Member, ...]]
    rule: str = "dempster"
    calibrate: Mapping[str, Any] = field(default_factory=dict)
    last_layer: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str | Path) -> Recipe:
        """Read a recipe: one that the package ships, by name, or a YAML file.

        Raises:
            DataError: There is none of that name, or the file says what there is not.
        """
        ours = shipped_recipes()
        file = ours.get(str(name), Path(name))
        if not file.is_file():
            raise DataError(
                f"there is no recipe {str(name)!r}; give one of {', '.join(ours)}, or a YAML file"
            )
        content = read_settings(
            file, ("experts",), [n for n in cls.__dataclass_fields__ if n != "name"]
        )
        if "calibrate" in content:
            content["calibrate"] = calibration_values(content["calibrate"])
        try:
            return cls(file.stem, _experts(content.pop("experts")), **content)._check()
        except TerFastError as error:
            raise DataError(f"{file}: {error}") from error

    def _check(self) -> Recipe:
        given = self.calibrate
        if not isinstance(given, Mapping) or not set(given) <= set(CALIBRATION):
            raise DataError(f"calibrate is {given!r}; expected some of {', '.join(CALIBRATION)}")
        layers = self.last_layer
        if not isinstance(layers, Mapping) or not set(layers) <= set(self.experts):
            raise DataError(f"last_layer is {layers!r}; expected some of {', '.join(self.experts)}")
        for modality, options in layers.items():
            if not isinstance(options, Mapping) or not set(options) <= set(LAST_LAYER):
                raise DataError(
                    f"last_layer: {modality} is {options!r}; expected some of {', '.join(LAST_LAYER)}"
                )
            check_last_layer(**options)
        return self


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes of the package, by name."""
    return {file.stem: file for file in sorted(Path(__file__).parent.glob("*.yaml"))}


def _experts(content: object) -> dict[str, tuple[Member, ...]]:
    if not isinstance(content, Mapping) or not content:
        raise DataError(f"experts is {content!r}; expected modalities and their members")
    found = {}
    for modality, members in content.items():
        if not isinstance(members, Sequence) or isinstance(members, str) or not members:
            raise DataError(f"{modality} is {members!r}; expected a list of members")
        found[str(modality)] = tuple(_member(str(modality), member) for member in members)
    return found


def _member(modality: str, given: object) -> Member:
    known = [each.name for each in fields(Member) if each.name != "modality"]
    if not isinstance(given, Mapping) or "encoder" not in given or not set(given) <= set(known):
        raise DataError(
            f"{modality} has the member {given!r}; expected encoder and, where wanted, {', '.join(known[1:])}"
        )
    return Member(modality, **given)
