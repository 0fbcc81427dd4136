"""A card's metadata: what stands between its first two lines of dashes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ter_fast.experts.card.facts import CardFacts
from ter_fast.experts.config import ModelConfig

_TASKS = {
    ("audio",): ("audio-classification", "Audio Classification"),
    ("video",): ("video-classification", "Video Classification"),
    ("audio", "video"): ("video-classification", "Video Classification"),
}
_METRICS = {
    "accuracy": ("accuracy", "Accuracy"),
    "uar": ("recall", "Unweighted average recall"),
    "macro_f1": ("f1", "Macro F1"),
    "aurc": ("aurc", "Area under the risk-coverage curve"),
    "trusted_precision": ("precision", "Trusted precision"),
    "coverage": ("coverage", "Coverage at the trusted threshold"),
}


def title_of(config: ModelConfig, facts: CardFacts) -> str:
    """Return the card's heading."""
    return facts.title or f"Trusted emotion recognition from {' and '.join(config.modalities)}"


def metadata(config: ModelConfig, facts: CardFacts) -> dict[str, Any]:
    """Return the metadata that the hub sorts and shows models by."""
    task, task_name = _TASKS.get(tuple(sorted(config.modalities)), ("other", "Classification"))
    tags = [
        "emotion-recognition",
        "evidential-deep-learning",
        "uncertainty",
        "selective-prediction",
    ]
    found: dict[str, Any] = {
        "license": "other",
        "license_name": "terms-of-the-training-data",
        "library_name": "ter_fast",
        "tags": [*tags, *config.modalities],
    }
    if task != "other":
        found["pipeline_tag"] = task
    results: list[dict[str, Any]] = []
    kinds: list[str] = []
    for evaluation in facts.evaluations:
        data = evaluation["name"] or "data"
        name = f"{data} ({evaluation['modalities']})" if evaluation["modalities"] else data
        if metrics := _metrics(evaluation["figures"]):
            kinds += [metric["type"] for metric in metrics]
            results.append(
                {
                    "task": {"type": task, "name": task_name},
                    "dataset": {"type": _slug(name), "name": name},
                    "metrics": metrics,
                }
            )
    if results:
        found["metrics"] = [*dict.fromkeys(kinds)]
        found["model-index"] = [{"name": title_of(config, facts), "results": results}]
    return found


def _metrics(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    # The hub takes numbers alone, and JSON has null where a figure has no value.
    return [
        {"type": kind, "name": name, "value": figures[figure]["value"]}
        for figure, (kind, name) in _METRICS.items()
        if figures.get(figure, {}).get("value") is not None
    ]


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "data"
