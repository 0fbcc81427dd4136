"""A model's configuration: everything but its weights, as dataclasses that read and write JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

from ter_fast.errors import ModelError
from ter_fast.experts.legacy import config_values
from ter_fast.experts.out_of_distribution import OutOfDistributionConfig
from ter_fast.opinions.opinion import ACTIVATIONS, CONFIDENCE_KINDS, RULES
from ter_fast.trust.conformal import ConformalSets
from ter_fast.trust.trusted_threshold import TrustedThreshold

FORMAT_VERSION = 1
FACES = ("detect", "whole")
_Record = TypeVar("_Record")


@dataclass(frozen=True)
class VideoInput:
    """How pictures are taken from a clip.

    Attributes:
        frames: Frames sampled from each window.
        size: Side of the square that the encoder reads, in pixels.
        channels: 1 for luma, 3 for RGB.
        faces: "detect" crops the largest face of each frame; "whole" takes the frame's centre square.
    """

    frames: int = 16
    size: int = 48
    channels: int = 1
    faces: str = "detect"

    def __post_init__(self) -> None:
        if self.faces not in FACES:
            raise ModelError(f"faces is {self.faces!r}; expected one of {', '.join(FACES)}")
        if self.frames < 1 or self.size < 16 or self.channels not in (1, 3):
            raise ModelError(
                f"frames={self.frames}, size={self.size}, channels={self.channels}; expected at least 1 frame, "
                "16 pixels and 1 or 3 channels"
            )


@dataclass(frozen=True)
class ExpertConfig:
    """One modality's expert.

    Attributes:
        encoder: Name under which its encoder is registered.
        options: Keyword arguments of that encoder.
        labels: The classes that its head knows.
        evidence_scale: Factor on its evidence, fitted on its validation data so that scales match.
        reliability: w in [0, 1] by which fusion discounts its opinion, b' = w b, u' = 1 - w (1 - u);
            learned by `calibrate(…, reliability=True)` or in training. Its own opinion, as a prediction
            shows it, stays as it is.
        ood: When its own opinion is discounted because the input is out of distribution (OOD):
            unlike what it was trained on; None for never.
    """

    encoder: str
    options: Mapping[str, Any]
    labels: tuple[str, ...]
    evidence_scale: float = 1.0
    reliability: float = 1.0
    ood: OutOfDistributionConfig | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.reliability <= 1:
            raise ModelError(f"reliability is {self.reliability}; expected a number from 0 to 1")


@dataclass(frozen=True)
class TrainingRecord:
    """What an expert learned from.

    Attributes:
        modalities: Of the experts that learned.
        data: Name of the data.
        terms: Of the data.
        samples: How many clips, by split.
        settings: That reproduce it.
        groups: The speakers or sources of each split, or how many, where they are too many to be named (see
            `ter_fast.experts.provenance`); without a split that names none, and empty where nothing is on record.
        stopped_in: The epoch, counted from 1, in which someone stopped it; 0 where it ended by itself.
    """

    modalities: tuple[str, ...]
    data: str
    terms: str
    samples: Mapping[str, int]
    settings: Mapping[str, Any]
    groups: Mapping[str, tuple[str, ...] | int] = field(default_factory=dict)
    stopped_in: int = 0


@dataclass(frozen=True)
class ModelConfig:
    """Everything about a model but its weights.

    Attributes:
        labels: Class names, the order of every probability vector.
        experts: By modality.
        video: How pictures are taken, where "video" is one of the modalities.
        rule: Fusion rule.
        activation: From logits to evidence.
        confidence: Which confidence is compared with the threshold.
        disagreement_limit: Predictions whose modalities disagree more are not trusted; None sets no limit.
        window_seconds: Clips longer than this are cut in windows.
        thresholds: By set of present modalities ("audio", "audio+video"), of whole clips.
        window_thresholds: Likewise, of the windows that longer clips are cut in.
        conformal: Likewise, the rules that make label sets, of whole clips.
        window_conformal: Likewise, of windows.
        training: What it was trained on.
    """

    labels: tuple[str, ...]
    experts: Mapping[str, ExpertConfig]
    video: VideoInput | None = None
    rule: str = "dempster"
    activation: str = "softplus"
    confidence: str = "one_minus_vacuity"
    disagreement_limit: float | None = None
    window_seconds: float = 10.0
    thresholds: Mapping[str, TrustedThreshold] = field(default_factory=dict)
    window_thresholds: Mapping[str, TrustedThreshold] = field(default_factory=dict)
    conformal: Mapping[str, ConformalSets] = field(default_factory=dict)
    window_conformal: Mapping[str, ConformalSets] = field(default_factory=dict)
    training: tuple[TrainingRecord, ...] = ()

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ModelError(
                f"labels are {list(self.labels)}; expected at least two different class names"
            )
        if not self.experts:
            raise ModelError("a model needs at least one modality; give experts")
        for option, value, known in (
            ("rule", self.rule, RULES),
            ("activation", self.activation, ACTIVATIONS),
            ("confidence", self.confidence, CONFIDENCE_KINDS),
        ):
            if value not in known:
                raise ModelError(f"{option} is {value!r}; expected one of {', '.join(known)}")
        for name, expert in self.experts.items():
            if unknown := sorted(set(expert.labels) - set(self.labels)):
                raise ModelError(
                    f"expert {name!r} knows classes that the model lacks: {', '.join(unknown)}"
                )
        limit = self.disagreement_limit
        if limit is not None and not limit >= 0:
            raise ModelError(f"disagreement_limit is {limit}; expected a number of 0 or more")
        for sets in (*self.conformal.values(), *self.window_conformal.values()):
            if sets.classes != len(self.labels):
                raise ModelError(
                    f"its label sets are over {sets.classes} classes, the model has {len(self.labels)}; "
                    "calibrate it again"
                )
        if not self.window_seconds > 0:
            raise ModelError(f"window_seconds is {self.window_seconds}; expected seconds above 0")
        if "video" in self.experts and self.video is None:
            raise ModelError(
                "a model with the modality 'video' needs `video`, how pictures are taken"
            )

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the order of every stacked tensor."""
        return tuple(self.experts)

    @property
    def discount(self) -> tuple[float, ...] | None:
        """Reliability of each modality `(V,)`, for `fuse` and `decide`; None where all are 1."""
        weights = tuple(expert.reliability for expert in self.experts.values())
        return weights if any(weight != 1 for weight in weights) else None

    @property
    def has_label_sets(self) -> bool:
        """Whether any predictions have label sets, of clips or of windows."""
        return bool(self.conformal or self.window_conformal)

    @property
    def terms(self) -> tuple[str, ...]:
        """Terms of the data that the weights were trained on, each once."""
        return tuple(dict.fromkeys(record.terms for record in self.training if record.terms))

    def with_thresholds(self, thresholds: Mapping[str, TrustedThreshold]) -> ModelConfig:
        """Return this configuration with some thresholds replaced."""
        return replace(self, thresholds={**self.thresholds, **thresholds})

    def with_reliability(self, reliability: Mapping[str, float]) -> ModelConfig:
        """Return this configuration with the reliability of some modalities replaced."""
        return replace(
            self,
            experts={
                name: replace(expert, reliability=reliability.get(name, expert.reliability))
                for name, expert in self.experts.items()
            },
        )

    def with_ood(self, ood: Mapping[str, OutOfDistributionConfig | None]) -> ModelConfig:
        """Return this configuration with the OOD guard of some modalities replaced.

        Thresholds and label sets that these modalities have a part in are dropped: they rest on other opinions.
        """
        experts = {
            name: replace(expert, ood=ood.get(name, expert.ood))
            for name, expert in self.experts.items()
        }
        return replace(
            self,
            experts=experts,
            thresholds=_without(self.thresholds, ood),
            window_thresholds=_without(self.window_thresholds, ood),
            conformal=_without(self.conformal, ood),
            window_conformal=_without(self.window_conformal, ood),
        )

    def uncalibrated(self) -> ModelConfig:
        """Return this configuration without thresholds and label sets."""
        return replace(self, thresholds={}, window_thresholds={}, conformal={}, window_conformal={})

    def to_json(self, **extra: Any) -> str:
        """Return the configuration as JSON text, with further top-level entries."""
        values = asdict(self)
        for name in ("conformal", "window_conformal"):
            # What is not used is not written, so that older versions read the rest.
            if not values[name]:
                del values[name]
        for record in values["training"]:
            if not record["stopped_in"]:
                del record["stopped_in"]
        return json.dumps({"ter_fast": FORMAT_VERSION, **extra, **values}, indent=2) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Build a configuration from parsed JSON.

        Raises:
            ModelError: An entry is missing, unknown or of the wrong type.
        """
        numbers: dict[str, Any] = {}
        try:
            values = config_values(values)
            for name in ("disagreement_limit", "window_seconds"):
                if values.get(name) is not None:
                    numbers[name] = float(values[name])
            if (version := values.get("ter_fast", FORMAT_VERSION)) != FORMAT_VERSION:
                raise ModelError(
                    f"it has format {version}, this ter_fast reads {FORMAT_VERSION}: update ter_fast"
                )
            own = {each.name for each in fields(cls)} | {"ter_fast", "weights_sha256"}
            if unknown := sorted(set(values) - own):
                raise ModelError(f"unknown entries in {cls.__name__}: {', '.join(unknown)}")
            return cls(
                labels=_names(values["labels"]),
                experts={
                    name: _build(
                        ExpertConfig,
                        {
                            **expert,
                            "labels": _names(expert["labels"]),
                            "evidence_scale": float(expert.get("evidence_scale", 1.0)),
                            "reliability": float(expert.get("reliability", 1.0)),
                            "ood": OutOfDistributionConfig.from_dict(expert.get("ood")),
                        },
                    )
                    for name, expert in values["experts"].items()
                },
                video=None if values.get("video") is None else _build(VideoInput, values["video"]),
                thresholds=_thresholds(values.get("thresholds", {})),
                window_thresholds=_thresholds(values.get("window_thresholds", {})),
                conformal=_label_sets(values.get("conformal", {})),
                window_conformal=_label_sets(values.get("window_conformal", {})),
                training=tuple(
                    _build(
                        TrainingRecord,
                        {
                            **record,
                            "modalities": tuple(record["modalities"]),
                            "groups": _groups(record.get("groups", {})),
                        },
                    )
                    for record in values.get("training", ())
                ),
                **{
                    name: values[name]
                    for name in ("rule", "activation", "confidence")
                    if name in values
                },
                **numbers,
            )
        except KeyError as error:
            raise ModelError(f"the entry {error} is missing") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"an entry has the wrong form ({error})") from error


def _without(records: Mapping[str, _Record], modalities: Iterable[str]) -> dict[str, _Record]:
    """Return the records of the sets of modalities that none of these have a part in."""
    gone = set(modalities)
    return {name: each for name, each in records.items() if not gone & set(name.split("+"))}


def _thresholds(records: Mapping[str, Any]) -> dict[str, TrustedThreshold]:
    return {
        name: _build(TrustedThreshold, {**record, "threshold": float(record["threshold"])})
        for name, record in records.items()
    }


def _label_sets(records: Mapping[str, Any]) -> dict[str, ConformalSets]:
    return {
        name: _build(
            ConformalSets,
            {**record, "alpha": float(record["alpha"]), "quantile": float(record["quantile"])},
        )
        for name, record in records.items()
    }


def _groups(values: Any) -> dict[str, tuple[str, ...] | int]:
    return {
        split: each if isinstance(each, int) else _names(each) for split, each in values.items()
    }


def _names(values: Any) -> tuple[str, ...]:
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{values!r} is not a list of names")
    return tuple(values)


def _build(kind: Any, values: Mapping[str, Any]) -> Any:
    if unknown := sorted(set(values) - {each.name for each in fields(kind)}):
        raise ModelError(f"unknown entries in {kind.__name__}: {', '.join(unknown)}")
    return kind(**values)
