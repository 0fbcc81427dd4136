"""Experts of one modality each, trained apart, as the experts of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ter_fast.errors import ModelError
from ter_fast.experts.config import ExpertConfig, ModelConfig


def joint_config(
    experts: Mapping[str, ModelConfig],
    merge: Mapping[str, str] | None = None,
    rule: str = "dempster",
) -> ModelConfig:
    """Return the configuration of a model that joins one expert of each of these.

    The classes are the union by name. Each expert keeps its evidence scale and its reliability, and its
    own threshold where it knows all classes; there is no joint threshold.

    Args:
        experts: By modality, the configuration of a model that has it.
        merge: Class -> class, to merge classes; see `Model.from_experts`.
        rule: Fusion rule.

    Raises:
        ModelError: No model, one that lacks its modality, a class to merge that none knows, or models
            that differ in activation, confidence or window.

    Example:
        >>> face = ModelConfig(("a", "b"), {"text": ExpertConfig("vector_mlp", {"size": 3}, ("a", "b"))})
        >>> joint_config({"text": face}, {"b": "c"}).labels
        ('a', 'c')
    """
    merge = merge or {}
    known = {label for config in experts.values() for label in config.labels}
    if unknown := sorted(set(merge) - known):
        raise ModelError(
            f"merge names {', '.join(unknown)}, which no expert knows; they know {', '.join(sorted(known))}"
        )
    if not experts:
        raise ModelError(
            "from_experts needs at least one model, such as audio=Model.from_pretrained(…)"
        )
    labels: dict[str, None] = {}
    configs: dict[str, ExpertConfig] = {}
    for name, config in experts.items():
        if name not in config.experts:
            raise ModelError(
                f"the model given for {name!r} has only {', '.join(config.modalities)}"
            )
        expert = config.experts[name]
        configs[name] = replace(
            expert, labels=tuple(merge.get(label, label) for label in expert.labels)
        )
        labels |= dict.fromkeys(configs[name].labels)
    first = next(iter(experts.values()))
    for option in ("activation", "confidence", "window_seconds"):
        values = {getattr(config, option) for config in experts.values()}
        if len(values) > 1:
            raise ModelError(
                f"the experts differ in {option} ({', '.join(map(str, sorted(values)))}); train them alike"
            )
    alike = {name: config for name, config in experts.items() if set(config.labels) == set(labels)}

    def kept(records: str) -> dict[str, Any]:
        return {
            name: getattr(config, records)[name]
            for name, config in alike.items()
            if name in getattr(config, records)
        }

    return ModelConfig(
        labels=tuple(sorted(labels)),
        experts=configs,
        video=experts["video"].video if "video" in experts else None,
        rule=rule,
        activation=first.activation,
        confidence=first.confidence,
        window_seconds=first.window_seconds,
        thresholds=kept("thresholds"),
        window_thresholds=kept("window_thresholds"),
        conformal=kept("conformal"),
        window_conformal=kept("window_conformal"),
        training=tuple(
            record
            for name, config in experts.items()
            for record in config.training
            if name in record.modalities
        ),
    )
