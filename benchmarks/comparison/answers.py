"""What a row of a grouped comparison answers for every sample, when its group is tested on."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparison.config import ComparisonConfig
from benchmarks.comparison.folds import Fold, grouped_folds
from benchmarks.comparison.kept_answers import Answers, file_of, load, save
from benchmarks.comparison.methods import ONE_TABLE, build
from benchmarks.comparison.sets import ViewSet, load_grouped
from ter_fast.errors import DataError
from ter_fast.multiview import TrustedClassifier
from ter_fast.multiview.views import Array
from ter_fast.opinions.opinion import CONFIDENCE_KINDS, Opinion

ROW_KEYS = ("method", "views", "validation", "choose")
"""Settings of a row that are not its classifier's."""

_OF_ANSWERS = ("rule", "failure_rate", "confidence")
"""Parameters of `TrustedClassifier` that change nothing in training where each view learns alone."""

Trained = dict[str, Any]
"""Classifiers that are trained already, by all that they depend on."""


def run_folds(
    comparison: ComparisonConfig, folder: Path, only: Sequence[str] = ()
) -> Iterator[tuple[str, str, int, Answers]]:
    """Answer for every set, seed and row; yield set, row, seed and answers.

    Args:
        comparison: What to compare, with a protocol.
        folder: Where answers are kept by their settings: a run that was cut off goes on there.
        only: Names of sets, all when empty.

    Raises:
        DataError: A set cannot be read, there is none of a name, or a method cannot do with its settings.
    """
    assert comparison.protocol is not None
    if unknown := sorted(set(only) - set(comparison.sets)):
        raise DataError(f"there is no set {unknown[0]!r}; choose of {', '.join(comparison.sets)}")
    for name, file in comparison.sets.items():
        if only and name not in only:
            continue
        views = load_grouped(file, comparison.protocol, name)
        for seed in comparison.draws:
            trained: Trained = {}
            for row in comparison.methods:
                settings = comparison.settings_of(row, name)
                kept = folder / file_of(comparison, file, row, seed, settings)
                found = load(kept, len(views.labels))
                if found is None:
                    try:
                        found = answers_of(comparison, views, row, seed, settings, trained)
                    except (ValueError, TypeError) as error:
                        raise DataError(f"{row!r} on {name}, seed {seed}: {error}") from error
                    save(kept, found)
                yield name, row, seed, found


def answers_of(
    comparison: ComparisonConfig,
    views: ViewSet,
    row: str,
    seed: int,
    settings: Mapping[str, Any],
    trained: Trained | None = None,
) -> Answers:
    """Fit a row on each fold, and answer for the groups that it left out.

    Args:
        comparison: What is compared, with a protocol.
        views: The set.
        row: Name of the row.
        seed: Of folds, weights and order.
        settings: Of the row.
        trained: Classifiers of rows before this one: those that would train alike are taken from here.

    Raises:
        DataError: The row names a view that there is not, or something to choose that there is not.
    """
    assert comparison.protocol is not None
    assert views.groups is not None
    own = {key: settings[key] for key in ROW_KEYS if key in settings}
    rest = {key: value for key, value in settings.items() if key not in ROW_KEYS}
    given = own.get("views", list(views.names))
    if not isinstance(given, list) or not given or not set(given) <= set(views.names):
        raise DataError(f"views is {given!r}; expected some of {', '.join(views.names)}")
    chosen = own.get("choose")
    if chosen not in (None, "failure_rate"):
        raise DataError(f"choose is {chosen!r}; expected failure_rate, or leave it out")
    arrays = {name: views.views[views.names.index(name)] for name in given}
    method = str(own.get("method", row))
    count, classes = len(views.labels), int(views.labels.max()) + 1
    found = Answers(np.zeros((count, classes)), np.zeros((count, classes)), np.full(count, np.inf))
    trained = {} if trained is None else trained
    folds = grouped_folds(views.groups, comparison.protocol, seed, own.get("validation"))
    for number, fold in enumerate(folds):
        model: Any = build(method, [view.shape[1] for view in arrays.values()], seed, rest)
        began = time.perf_counter()
        key = repr((number, method, given, own.get("validation"), _training(model)))
        if key in trained:
            model = copy(trained[key]).set_params(**model.get_params())
        else:
            model.fit(_rows(method, arrays, fold.train), views.labels[fold.train])
            if type(model) is TrustedClassifier:
                trained[key] = copy(model)
        if chosen:
            model.choose_failure_rate(
                _rows(method, arrays, fold.validation), views.labels[fold.validation]
            )
        found.seconds += time.perf_counter() - began
        _answer(found, model, method, arrays, views.labels, fold)
    return found


def _training(model: Any) -> dict[str, Any]:
    """Return the parameters that training depends on."""
    params = dict(model.get_params())
    if type(model) is TrustedClassifier and not model.train_fused:
        for name in _OF_ANSWERS:
            params.pop(name)
    return params


def kinds_of(model: Any, given: Any, probability: Array) -> dict[str, Array]:
    """Return each kind of confidence (N,) that a classifier offers: its opinions' or its probabilities'.

    Those without opinions have no vacuity and no belief.
    """
    if hasattr(model, "opinions"):
        fused = model.opinions(given)[0]
        kinds = {kind: _array(fused.confidence_of(kind)) for kind in CONFIDENCE_KINDS}
    else:
        import torch

        # Evidence so large that the expected probability is the probability.
        as_if = Opinion(torch.from_numpy(np.ascontiguousarray(probability * 1e15)))
        kinds = {
            kind: _array(as_if.confidence_of(kind))
            for kind in ("max_probability", "margin", "one_minus_entropy")
        }
    own = model.confidence_of(given) if hasattr(model, "confidence_of") else probability.max(1)
    return {"own": np.asarray(own, np.float64), **kinds}


def _answer(
    found: Answers,
    model: Any,
    method: str,
    arrays: Mapping[str, Array],
    labels: Array,
    fold: Fold,
) -> None:
    """Fill in what the model says of the fold's test rows."""
    classes = found.probability.shape[1]
    given = _rows(method, arrays, fold.test)
    probability = _wide(model, given, classes)
    found.probability[fold.test] = found.tempered[fold.test] = probability
    for kind, values in kinds_of(model, given, probability).items():
        found.confidence.setdefault(kind, np.zeros(len(labels)))[fold.test] = values
    if len(fold.validation):
        held = _rows(method, arrays, fold.validation)
        sure, true = _wide(model, held, classes), labels[fold.validation]
        confidence = kinds_of(model, held, sure)["own"]
        found.threshold[fold.test] = _balanced(confidence, sure.argmax(1) == true)
        found.tempered[fold.test] = _tempered(probability, sure, true)
    if len(arrays) > 1:
        means = {name: view[fold.train].mean(0) for name, view in arrays.items()}
        for name in arrays:
            alone = _rows(method, _without(arrays, name, fold.test, means, method), slice(None))
            answer = _wide(model, alone, classes).argmax(1)
            found.alone.setdefault(name, np.zeros(len(labels), np.int64))[fold.test] = answer


def _without(
    arrays: Mapping[str, Array], kept: str, rows: Array, means: Mapping[str, Array], method: str
) -> dict[str, Array]:
    """Return rows of which all views but one are missing: NaN, or means where there is one table."""
    return {
        name: view[rows]
        if name == kept
        else np.broadcast_to(
            means[name] if method in ONE_TABLE else np.nan, (len(rows), view.shape[1])
        )
        for name, view in arrays.items()
    }


def _balanced(confidence: Array, correct: Array) -> float:
    from ter_fast.trust.thresholds import sweep

    best = sweep(confidence, correct).best("balance")
    return np.inf if best is None else best.threshold


def _tempered(probability: Array, held: Array, true: Array) -> Array:
    """Return probabilities at the temperature that makes validation labels likeliest."""
    from scipy.special import softmax

    from ter_fast.trust.scaling import fit_temperature

    with warnings.catch_warnings():
        # A bound is an answer like any other here; the figures show what it is worth.
        warnings.filterwarnings("ignore", "the temperature reached its bound", UserWarning)
        temperature = fit_temperature(_log(held), true)
    return np.asarray(softmax(_log(probability) / temperature, axis=1))


def _log(probability: Array) -> Array:
    return np.asarray(np.log(np.maximum(probability, 1e-12)))


def _wide(model: Any, given: Any, classes: int) -> Array:
    """Return probabilities (N, K) of all classes, 0 for those that the model was not trained on."""
    probability = np.zeros((len(given) if _is_table(given) else len(given[0]), classes))
    probability[:, model.classes_] = model.predict_proba(given)
    return probability


def _is_table(given: Any) -> bool:
    return isinstance(given, np.ndarray)


def _rows(method: str, arrays: Mapping[str, Array], rows: Any) -> Any:
    chosen = [view[rows] for view in arrays.values()]
    return np.concatenate(chosen, 1) if method in ONE_TABLE else chosen


def _array(value: Any) -> Array:
    return np.asarray(value.double().cpu().numpy())
