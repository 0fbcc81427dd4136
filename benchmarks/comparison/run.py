"""Fit and score every method on every draw of every set, and keep each result as a line of JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparison.config import ComparisonConfig
from benchmarks.comparison.methods import ONE_TABLE, build
from benchmarks.comparison.protocol import Split, split, split_as_published
from benchmarks.comparison.sets import ViewSet, load_views
from benchmarks.records import read_json_lines
from ter_fast.errors import DataError
from ter_fast.multiview.views import Array

CONDITIONS = ("normal", "conflictive")
_NEEDED = ("set", "method", "seed", "seconds", *CONDITIONS)


def run(
    comparison: ComparisonConfig, results: Path, only: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """Fit and score what is not among the results yet; append and yield each.

    Args:
        comparison: What to compare.
        results: File of JSON lines; a run that was cut off goes on where it ended.
        only: Names of sets, to leave the others to another process; all when empty.

    Raises:
        DataError: A set cannot be read, there is none of a name, a method cannot do with its settings,
            or results were found with other settings.
    """
    if unknown := sorted(set(only) - set(comparison.sets)):
        raise DataError(f"there is no set {unknown[0]!r}; choose of {', '.join(comparison.sets)}")
    draw = split_as_published if comparison.as_published else split
    before = read_results(results)
    for each in before:
        _same_preparation(each, comparison, results)
    done = {_key(each): each.get("settings") for each in before}
    results.parent.mkdir(parents=True, exist_ok=True)
    for name, file in comparison.sets.items():
        if only and name not in only:
            continue
        views: ViewSet | None = None
        for seed in comparison.draws:
            drawn: Split | None = None
            for row in comparison.methods:
                settings = comparison.settings_of(row, name)
                if (name, row, seed) in done:
                    _same_settings(done[name, row, seed], settings, (name, row), results)
                    continue
                views = load_views(file, name) if views is None else views
                drawn = draw(views, seed) if drawn is None else drawn
                found = {"set": name, "method": row, "seed": seed, "settings": dict(settings)}
                if comparison.as_published:
                    found["as_published"] = True
                method = str(settings.pop("method", row))
                try:
                    found |= _scored(method, drawn, seed, settings)
                except (ValueError, TypeError) as error:
                    raise DataError(f"{row!r} on {name}, draw {seed}: {error}") from error
                with results.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(found) + "\n")
                yield found


def read_results(path: Path) -> list[dict[str, Any]]:
    """Return the results in a file of JSON lines; none where there is no file.

    Raises:
        DataError: A line is damaged.
    """
    return read_json_lines(path, _NEEDED) if path.exists() else []


def check_settings(comparison: ComparisonConfig, results: Path) -> None:
    """Check that the results in a file were found with the settings that the comparison names now.

    Raises:
        DataError: The file cannot be read, a line is damaged, or its settings are others.
    """
    for found in read_json_lines(results, _NEEDED):
        _same_preparation(found, comparison, results)
        name, row, seed = _key(found)
        if name in comparison.sets and row in comparison.methods and seed in comparison.draws:
            now = comparison.settings_of(row, name)
            _same_settings(found.get("settings"), now, (name, row), results)


def _key(result: Mapping[str, Any]) -> tuple[str, str, int]:
    return result["set"], result["method"], result["seed"]


def _same_preparation(result: Mapping[str, Any], comparison: ComparisonConfig, path: Path) -> None:
    before = bool(result.get("as_published", False))
    if before != comparison.as_published:
        raise DataError(
            f"{path} has results with as_published: {str(before).lower()}, and the comparison says otherwise; give "
            "another folder, or remove the file"
        )


def _same_settings(
    before: Mapping[str, Any] | None, now: Mapping[str, Any], row: tuple[str, str], path: Path
) -> None:
    # Results of releases before this one say no settings.
    if before is not None and before != json.loads(json.dumps(now)):
        raise DataError(
            f"{path} has results of {row[1]!r} on {row[0]} with the settings {before}, not {now}; give "
            "another folder, or remove those lines"
        )


def _scored(method: str, drawn: Split, seed: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    model: Any = build(method, [view.shape[1] for view in drawn.train], seed, settings)
    began = time.perf_counter()
    model.fit(_given(method, drawn.train), drawn.train_labels)
    found: dict[str, Any] = {"seconds": round(time.perf_counter() - began, 2)}
    for condition, views in zip(CONDITIONS, (drawn.test, drawn.conflictive), strict=True):
        probability = model.predict_proba(_given(method, views))
        confidence = (
            model.confidence_of(_given(method, views))
            if hasattr(model, "confidence_of")
            else probability.max(1)
        )
        found[condition] = scores(probability, drawn.test_labels, confidence, model.classes_)
    return found


def scores(
    probability: Array, labels: Array, confidence: Array, classes: Array
) -> dict[str, float]:
    """Return accuracy, calibration and trust of answers.

    Args:
        probability: (N, K).
        labels: (N,).
        confidence: (N,).
        classes: (K,) the labels that the columns stand for.

    Example:
        >>> found = scores(np.eye(2), np.array([0, 1]), np.ones(2), np.array([0, 1]))
        >>> found["accuracy"], found["aurc"]
        (1.0, 0.0)
    """
    from ter_fast.trust.metrics.calibration_error import calibration_curve
    from ter_fast.trust.thresholds import sweep

    prediction = probability.argmax(1)
    correct = classes[prediction] == labels
    found = sweep(confidence, correct)
    true = np.searchsorted(classes, labels)
    known = (true < len(classes)) & (classes[np.minimum(true, len(classes) - 1)] == labels)
    chance = np.where(known, probability[np.arange(len(labels)), np.where(known, true, 0)], 0.0)
    return {
        "accuracy": float(correct.mean()),
        "nll": float(-np.log(np.maximum(chance, 1e-12)).mean()),
        "ece": float(calibration_curve(probability.max(1), correct).ece),
        "aurc": float(found.aurc),
        "failure_auroc": float(found.failure_auroc),
    }


def _given(method: str, views: tuple[Array, ...]) -> Any:
    return np.concatenate(views, 1) if method in ONE_TABLE else list(views)
