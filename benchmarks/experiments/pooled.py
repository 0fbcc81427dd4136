"""The answers that `run` kept, put together over folds and seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiments.answers import TRUST, Answer, balanced, ensemble
from benchmarks.experiments.run import Unit
from ter_fast.errors import DataError
from ter_fast.opinions.trusted import is_trusted


@dataclass(frozen=True, eq=False)
class Pooled:
    """Answers of one method to one condition, over folds and seeds.

    Attributes:
        target: (N,) true classes; -1 for out-of-distribution clips.
        group: (N,) speakers or sources.
        probability: (N, K).
        scores: By kind, (N,).
        threshold: (N,) of each clip's own model.
        by: Attributes of each clip.
        path: (N,) names of the clips, numbers of out-of-distribution clips.
    """

    target: NDArray[np.int64]
    group: NDArray[np.str_]
    probability: NDArray[np.float64]
    scores: Mapping[str, NDArray[np.float64]]
    threshold: NDArray[np.float64]
    by: Mapping[str, NDArray[np.str_]]
    path: NDArray[np.str_]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Return which answers are right; a clip that nothing is known of is answered wrong."""
        right = self.probability.argmax(1) == self.target
        return np.asarray(right & ~np.isnan(self.scores[TRUST]))

    @property
    def prediction(self) -> NDArray[np.int64]:
        """Return the classes that are answered, another than the true one where nothing is known."""
        found, classes = self.probability.argmax(1), self.probability.shape[1]
        unknown = np.isnan(self.scores[TRUST])
        return np.asarray(np.where(unknown, (self.target + 1) % classes, found))

    @property
    def clips(self) -> int:
        """Return how many clips were answered, each counted once whatever the seeds and folds."""
        return len(np.unique(self.path))

    @property
    def trusted(self) -> NDArray[np.bool_]:
        """Return which answers their model trusts."""
        return is_trusted(self.scores[TRUST], self.threshold)


@dataclass(frozen=True, eq=False)
class Kept:
    """The answers of one seed and fold."""

    seed: int
    fold: int
    arrays: Mapping[str, NDArray[Any]]
    thresholds: Mapping[str, float]
    seconds: float
    terms: str

    @classmethod
    def read(cls, unit: Unit) -> Kept:
        """Read what `run` kept.

        Raises:
            DataError: A file is damaged.
        """
        try:
            about = json.loads((unit.folder / "evaluation.json").read_text(encoding="utf-8"))
            trained = unit.folder / "model" / "training.json"
            seconds = float(json.loads(trained.read_text(encoding="utf-8"))["seconds"])
            # NumPy leaves a file open that it opened and cannot read.
            with unit.answers.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            return cls(unit.seed, unit.fold, arrays, about["thresholds"], seconds, about["terms"])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise DataError(f"{unit.answers} is damaged ({error}); remove {unit.folder}") from error

    def answer(self, condition: str, method: str) -> Answer:
        """Return the answers of a method under a condition."""
        start = f"{condition}/{method}/score/"
        scores = {
            name.removeprefix(start): values.astype(np.float64)
            for name, values in self.arrays.items()
            if name.startswith(start)
        }
        return Answer(self.arrays[f"{condition}/{method}/probability"].astype(np.float64), scores)


def pool(condition: str, method: str, parts: Sequence[Kept]) -> Pooled | None:
    """Return the answers of one method to a condition; None where it was not measured."""
    found = []
    for kept in parts:
        place = "test" if condition == "clean" else condition
        if f"{place}/{method}/probability" not in kept.arrays:
            return None
        found.append(_one(kept, condition, kept.answer(place, method), kept.thresholds[method]))
    return _joined(found)


def pool_ensembles(condition: str, whole: Mapping[int, Sequence[Kept]]) -> Pooled | None:
    """Return the answers of each fold's models together."""
    found = []
    for members in whole.values():
        place = "test" if condition == "clean" else condition
        if f"{place}//probability" not in members[0].arrays:
            return None
        held = ensemble([member.answer("validation", "") for member in members])
        threshold = balanced(held, members[0].arrays["validation/target"])
        answer = ensemble([member.answer(place, "") for member in members])
        found.append(_one(members[0], condition, answer, threshold))
    return _joined(found)


def _one(kept: Kept, condition: str, answer: Answer, threshold: float) -> Pooled:
    arrays, size = kept.arrays, len(answer.probability)
    limits = np.full(size, threshold)
    if condition.startswith("ood "):
        group = arrays[f"{condition}/group"]
        return Pooled(
            np.full(size, -1), group, answer.probability, answer.scores, limits, {},
            np.arange(size).astype(str),
        )  # fmt: skip
    by = {
        name.removeprefix("test/by/"): values
        for name, values in arrays.items()
        if name.startswith("test/by/")
    }
    test = Pooled(
        arrays["test/target"], arrays["test/group"], answer.probability, answer.scores, limits, by,
        arrays["test/path"],
    )  # fmt: skip
    if condition == "test":
        return test
    rows = arrays["corrupted"]
    if condition == "clean":
        return some(test, rows)
    return Pooled(
        test.target[rows], test.group[rows], answer.probability, answer.scores, limits, {},
        test.path[rows],
    )  # fmt: skip


def some(answers: Pooled, rows: NDArray[Any]) -> Pooled:
    """Return some of the answers."""
    return Pooled(
        answers.target[rows], answers.group[rows], answers.probability[rows],
        {kind: values[rows] for kind, values in answers.scores.items()},
        answers.threshold[rows], {name: values[rows] for name, values in answers.by.items()},
        answers.path[rows],
    )  # fmt: skip


def _joined(parts: Sequence[Pooled]) -> Pooled:
    return Pooled(
        np.concatenate([part.target for part in parts]),
        np.concatenate([part.group for part in parts]),
        np.concatenate([part.probability for part in parts]),
        {kind: np.concatenate([p.scores[kind] for p in parts]) for kind in parts[0].scores},
        np.concatenate([part.threshold for part in parts]),
        {name: np.concatenate([p.by[name] for p in parts]) for name in parts[0].by},
        np.concatenate([part.path for part in parts]),
    )


def check_folds(name: str, kept: Sequence[Kept]) -> None:
    """Check that no clip is tested in two folds of a seed.

    Raises:
        DataError: One is, so that what one fold was tested on another has learned from.
    """
    seen: dict[tuple[int, str], int] = {}
    for each in kept:
        for path in each.arrays["test/path"].tolist():
            if seen.setdefault((each.seed, path), each.fold) != each.fold:
                raise DataError(
                    f"row {name!r}, seed {each.seed}: {path} is tested in fold {seen[each.seed, path]} and in "
                    f"fold {each.fold}, so the data have changed between them; give another --work folder"
                )


def by_seed(kept: Sequence[Kept]) -> dict[int, list[Kept]]:
    """Return by fold the models of all seeds, where there are several and every seed is done."""
    seeds = {each.seed for each in kept}
    by_fold: dict[int, list[Kept]] = {}
    for each in kept:
        by_fold.setdefault(each.fold, []).append(each)
    if len(seeds) < 2:
        return {}
    return {fold: each for fold, each in by_fold.items() if len(each) == len(seeds)}
