"""Train and measure every row on every fold, keeping each, so that a run can be cut off and go on."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiments.answers import Answer, Judge
from benchmarks.experiments.corruption import Voice, corrupted
from benchmarks.experiments.material import Material, MaterialFold, dataset_of, load, select
from benchmarks.experiments.plan import Experiment, Plan, Row
from benchmarks.experiments.training import build, train
from ter_fast.errors import DataError
from ter_fast.media.corrupt import suite
from ter_fast.media.files import replace_file
from ter_fast.model import Model
from ter_fast.predict.prepare import PreparedData
from ter_fast.train.encoded import encode

VOICES = 24
"""Clips of the training part whose sound makes babble."""


@dataclass(frozen=True)
class Unit:
    """What is kept of one row, seed and fold: `folder/model`, `folder/answers.npz`, settings of both."""

    experiment: Experiment
    row: Row
    seed: int
    fold: int
    folder: Path

    @property
    def name(self) -> str:
        """Return what a log calls it."""
        return f"{self.experiment.name} · {self.row.name} · seed {self.seed} · fold {self.fold}"

    @property
    def answers(self) -> Path:
        """Return the file of its answers."""
        return self.folder / "answers.npz"


def units(plan: Plan, work: Path) -> Iterator[Unit]:
    """Yield every unit of a plan; folds of a published split are one."""
    for experiment in plan.experiments.values():
        for seed in plan.seeds_of(experiment):
            for fold in range(max(1, experiment.folds)):
                for row in plan.rows_of(experiment):
                    where = work / experiment.name / row.name / f"seed-{seed}-fold-{fold}"
                    yield Unit(experiment, row, seed, fold, where)


def run(plan: Plan, data: Path, work: Path, only: Sequence[str] = ()) -> Iterator[str]:
    """Train and measure what is not kept yet; yield a line for each.

    Args:
        plan: What to do.
        data: Folder that descriptions of data are relative to.
        work: Folder for models and answers, outside of any repository.
        only: "EXPERIMENT", "EXPERIMENT/ROW" or "EXPERIMENT/ROW/FOLD", to leave the rest to another
            process; all when empty.

    Raises:
        DataError: Data that cannot be read, nothing of such a name, or units kept with other settings.
    """
    chosen = [unit for unit in units(plan, work) if not only or any(_is(unit, o) for o in only)]
    if not chosen:
        raise DataError(
            f"nothing is called {', '.join(only)}; give EXPERIMENT, EXPERIMENT/ROW or "
            f"EXPERIMENT/ROW/FOLD with {', '.join(plan.experiments)} and {', '.join(plan.rows)}"
        )
    waiting = [unit for unit in chosen if not is_done(plan, unit)]
    for experiment in plan.experiments.values():
        own = [unit for unit in waiting if unit.experiment.name == experiment.name]
        if own:
            yield from _experiment(plan, experiment, own, data)


def _is(unit: Unit, name: str) -> bool:
    own = f"{unit.experiment.name}/{unit.row.name}/{unit.fold}"
    return own == name or own.startswith(f"{name}/")


def training_settings(plan: Plan, unit: Unit) -> dict[str, Any]:
    """Return all that decides a unit's weights."""
    experiment = unit.experiment
    return _plain({
        "data": experiment.data, "folds": experiment.folds, "validation": experiment.validation,
        "split_seed": experiment.split_seed, "family": unit.row.family,
        "model": plan.model_of(experiment, unit.row), "train": plan.train_of(experiment, unit.row),
    })  # fmt: skip


def evaluation_settings(experiment: Experiment) -> dict[str, Any]:
    """Return all that decides what is measured."""
    names = ("corruptions", "severities", "corrupted", "ood", "ood_clips", "by")
    return _plain({name: getattr(experiment, name) for name in names})


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(settings))
    return found


def is_done(plan: Plan, unit: Unit) -> bool:
    """Say whether a unit's answers are kept.

    Raises:
        DataError: What is kept was made with other settings, or is damaged.
    """
    for file, now in (
        (unit.folder / "model" / "training.json", training_settings(plan, unit)),
        (unit.folder / "evaluation.json", evaluation_settings(unit.experiment)),
    ):
        if file.is_file():
            try:
                before = json.loads(file.read_text(encoding="utf-8"))["settings"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise DataError(f"{file} is damaged ({error}); remove {file.parent}") from error
            if before != now:
                changed = sorted(key for key in now if before.get(key) != now[key])
                raise DataError(
                    f"{file} was made with other settings ({', '.join(changed)}); give another "
                    f"--work folder, or remove {file.parent if file.name[0] == 't' else unit.folder}"
                )
    return unit.answers.is_file() and (unit.folder / "evaluation.json").is_file()


def _experiment(
    plan: Plan, experiment: Experiment, own: Sequence[Unit], folder: Path
) -> Iterator[str]:
    dataset = dataset_of(experiment, folder)
    # Whatever a row uses, all modalities are decoded once.
    whole = {**plan.model_of(experiment, Row("")), "use": None}
    whole["use"] = tuple(whole.get("modalities", {}))
    began = time.perf_counter()
    material = load(experiment, dataset, build(dataset.labels, whole, "evidential"), folder)
    yield f"{experiment.name}: {len(material.dataset)} clips read in {_since(began)}"
    fold = -1
    for unit in own:
        if unit.fold != fold:
            # No other fold tests these clips, so their corrupted pictures would only take memory.
            material.pictures.kept.clear()
            fold = unit.fold
        yield _unit(plan, unit, material)


def _unit(plan: Plan, unit: Unit, material: Material) -> str:
    fold = material.folds[unit.fold]
    settings = training_settings(plan, unit)
    labels = material.dataset.labels
    model = build(labels, settings["model"], unit.row.family, unit.seed)
    parts = [
        select(material.data, rows, model.config.modalities)
        for rows in (fold.train, fold.validation, fold.test)
    ]
    kept = unit.folder / "model"
    text = ""
    if kept.is_dir():
        model = Model.from_pretrained(kept).eval()
    else:
        began = time.perf_counter()
        train(model, unit.row.family, parts[0], parts[1], settings["train"], unit.seed)
        seconds = time.perf_counter() - began
        text = f"trained in {seconds:.0f} s, "
        if not _keep(model, kept, {"settings": settings, "seconds": round(seconds, 1)}):
            # Answers are those of the model that is kept: another process was here first.
            is_done(plan, unit)
            model = Model.from_pretrained(kept).eval()
    began = time.perf_counter()
    arrays, thresholds = measure(model, unit, material, fold, parts)
    unit.folder.mkdir(parents=True, exist_ok=True)
    _save(unit.answers, arrays)
    about = {
        "settings": evaluation_settings(unit.experiment),
        "thresholds": thresholds,
        "terms": material.dataset.terms,
    }
    _write(unit.folder / "evaluation.json", json.dumps(about))
    right = arrays["test//probability"].argmax(1) == arrays["test/target"]
    return f"{unit.name}: {100 * right.mean():.1f} %, {text}measured in {_since(began)}"


def measure(
    model: Model, unit: Unit, material: Material, fold: MaterialFold, parts: Sequence[PreparedData]
) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
    """Return every answer of a fold's model as arrays by "condition/method/what", and its thresholds."""
    training, validation, test = parts
    experiment = unit.experiment
    judge, known = Judge.fit(model, unit.row.family, training, validation)
    arrays: dict[str, NDArray[Any]] = {
        **_about("validation", validation, ()),
        **_about("test", test, experiment.by),
    }

    def note(condition: str, answers: dict[str, Answer]) -> None:
        for method, answer in answers.items():
            arrays[f"{condition}/{method}/probability"] = answer.probability.astype(np.float32)
            for kind, score in answer.scores.items():
                arrays[f"{condition}/{method}/score/{kind}"] = score.astype(np.float32)

    note("validation", known)
    note("test", judge.answers(encode(model, test.clips, test.empty)))
    rows = _spread(len(test.clips), experiment.corrupted)
    arrays["corrupted"] = rows
    some = select(test, rows, model.config.modalities)
    voices = _voices(training)
    asked = suite(model.config.modalities)
    for name in (name for name in experiment.corruptions if name in asked):
        for severity in experiment.severities:
            clips = corrupted(some, name, severity, voices, material.pictures)
            note(f"{name}-{severity}", judge.answers(encode(model, clips, test.empty)))
    for name, outside in material.ood.items() if "audio" in model.config.modalities else ():
        note(f"ood {name}", judge.answers(encode(model, outside.clips, test.empty)))
        arrays[f"ood {name}/group"] = np.array(outside.groups)
    return arrays, dict(judge.thresholds)


def _about(condition: str, data: PreparedData, by: Sequence[str]) -> dict[str, NDArray[Any]]:
    found = {
        f"{condition}/target": data.labels.numpy(),
        f"{condition}/group": np.array(data.groups),
        f"{condition}/path": np.array([sample.name for sample in data.samples]),
    }
    for name in by:
        values = [sample.attributes.get(name, "") for sample in data.samples]
        found[f"{condition}/by/{name}"] = np.array(values)
    return found


def _voices(data: PreparedData) -> list[Voice]:
    found = [
        Voice(sound, label)
        for windows, label in zip(data.clips, data.labels.tolist(), strict=True)
        for window in windows
        if (sound := window.values.get("audio")) is not None
    ]
    return [found[int(place)] for place in _spread(len(found), VOICES)]


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Return at most some numbers, evenly spread, since clips lie in the order of their speakers."""
    if not most or most >= count:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))


def _keep(model: Model, folder: Path, about: dict[str, Any]) -> bool:
    """Save a model, whole or not at all; say whether, since one that is there already stays."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        model.save_pretrained(partial)
        _write(partial / "training.json", json.dumps(about))
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        return False
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return True


def _save(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    def write(place: Path) -> None:
        np.savez_compressed(place, allow_pickle=False, **arrays)

    replace_file(path, write)


def _write(path: Path, text: str) -> None:
    replace_file(path, text + "\n")


def _since(began: float) -> str:
    return f"{time.perf_counter() - began:.0f} s"
