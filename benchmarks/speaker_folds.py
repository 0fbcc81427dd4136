"""How right and how trustworthy an expert of voices is about each of 29 speakers, none of them heard in training.

    python -m benchmarks.speaker_folds --work FOLDER [--data FOLDER] [--recipe RECIPE] [--only 0 1 …]
    python -m benchmarks.speaker_folds --render

nEMO and RAVDESS in five folds by speaker. In each a recipe is trained on three, stops and sets its threshold on the
fourth, and is tested on the last. `--only` trains some folds, for a process of its own; a run without it writes the
page, and trains what is not there yet. `--recipe default` takes some thirteen hours of one core.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.alternatives import readable_name
from ter_fast.data import Dataset, kfold, load_dataset
from ter_fast.predict.labelled_evidence import collect_evidence, outcomes
from ter_fast.train.recipes import Recipe, train
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.results import Estimate, estimates_of

RESULTS = Path(__file__).parent / "results"
RECIPE = Path(__file__).parent / "recipes" / "speaker_folds.yaml"
FOLDS = 5
SHOWN = (
    *("accuracy", "uar", "aurc", "ece", "trusted_precision"),
    *("coverage", "trusted_f1", "accept_all_f1"),
)
Row = dict[str, Any]


def answers_of(recipe: Recipe, fold: int, root: Path, work: Path) -> Row:
    """Return what the model of a fold says of its test part, training it if need be.

    Raises:
        ValueError: What is kept was made by another recipe or of other clips.
    """
    voices = load_dataset(f"nemo:{root / 'nemo'}+ravdess:{root / 'ravdess'}")
    data = kfold(voices, FOLDS)[fold]
    key = key_of(recipe, data)
    file = work / f"fold-{fold}.json"
    if file.is_file():
        kept: Row = json.loads(file.read_text(encoding="utf-8"))
        if kept["key"] != key:
            raise ValueError(
                f"{file} is of another recipe or other clips; give another --work folder"
            )
        return kept
    model = train(recipe, data, out=work / f"model-{fold}", progress=False)
    said = outcomes(model, collect_evidence(model, data.split("test"), progress=False))
    assert said.threshold is not None
    found: Row = {
        "key": key,
        "labels": said.labels,
        "threshold": said.threshold,
        "probability": said.probability.tolist(),
        "target": said.target.tolist(),
        "groups": said.groups,
        "paths": said.paths,
        "attributes": {name: said.attributes[name] for name in ("corpus", "sex")},
    }
    file.write_text(json.dumps(found) + "\n", encoding="utf-8")
    return found


def key_of(recipe: Recipe, data: Dataset) -> str:
    """Return what tells a recipe and its data from others."""
    clips = [(sample.name, sample.label, sample.split, sample.group) for sample in data]
    said = (recipe.experts, dict(recipe.calibrate), dict(recipe.last_layer), clips)
    return hashlib.sha256(repr(said).encode()).hexdigest()


def pooled(folds: Sequence[Row]) -> Outcomes:
    """Put the answers of all folds together.

    Each fold has a threshold of its own, so the confidence is how far the largest probability lies above it:
    the order of errors is then that in which a user of these thresholds would come to trust.
    """
    together = Outcomes.from_arrays(
        np.concatenate([fold["probability"] for fold in folds]),
        np.concatenate([fold["target"] for fold in folds]),
        confidence=np.concatenate(
            [np.max(fold["probability"], axis=1) - fold["threshold"] for fold in folds]
        ),
        threshold=0.0,
        labels=folds[0]["labels"],
        groups=[group for each in folds for group in each["groups"]],
        paths=[path for each in folds for path in each["paths"]],
        attributes={
            name: [value for each in folds for value in each["attributes"][name]]
            for name in folds[0]["attributes"]
        },
        name="nEMO + RAVDESS, every speaker unseen",
    )
    if len(set(together.paths)) < len(together):
        raise ValueError("a clip is tested in two folds: the data have changed between them")
    return together


def rows_of(answers: Outcomes, resamples: int = 2000) -> Iterator[Row]:
    """Yield figures of all clips, of each corpus, of each sex and of each speaker."""
    parts: list[tuple[str, str, Sequence[str]]] = [("all", "all", answers.groups)]
    for by, column in answers.attributes.items():
        parts += [(by, value, column) for value in sorted(set(column))]
    parts += [("speaker", speaker, answers.groups) for speaker in sorted(set(answers.groups))]
    for kind, name, values in parts:
        mask = np.array([kind == "all" or value == name for value in values])
        some = answers.subset(mask)
        figures = estimates_of(some, resamples)
        names = ("accuracy", "trusted_precision", "coverage") if kind == "speaker" else SHOWN
        yield {
            "part": kind,
            "name": name,
            "clips": len(some),
            "speakers": len(set(some.groups)),
            "recall": {
                emotion: float(some.correct[some.target == k].mean())
                for k, emotion in enumerate(some.labels)
                if (some.target == k).any()
            },
            "figures": {each: vars(figures[each]) for each in names},
        }


def page(found: Row) -> Iterator[str]:
    """Yield the page's lines."""
    rows: list[Row] = found["rows"]
    info = found["machine"]
    yield from ("# Voices of unseen speakers, in folds", "")
    yield (
        f"nEMO (9 speakers, Polish) and RAVDESS (20, English) in {FOLDS} folds by speaker: three to learn from, one "
        "to stop on and to set the threshold on, one to be tested on, so that every speaker is tested once and heard "
        f"by no part of the model before. The recipe is `{found['recipe']}`, one training a fold: "
        f"{', '.join(found['members'])}. Intervals: 2,000 draws of whole speakers. Confidence is the largest "
        "probability, and AURC that of its distance from the threshold of its fold."
    )
    yield from (
        "",
        f"| voices | {' | '.join(map(readable_name, SHOWN))} |",
        "|---" * (len(SHOWN) + 1) + "|",
    )
    wholes = [row for row in rows if row["part"] != "speaker"]
    for row in wholes:
        figures = " | ".join(str(Estimate(**row["figures"][name])) for name in SHOWN)
        about = f"{row['name']}: {row['clips']:,} clips of {row['speakers']}"
        yield f"| {about} | {figures} |"
    yield from ("", "## Recall by class", "")
    labels = list(wholes[0]["recall"])
    yield from (f"| voices | {' | '.join(labels)} |", "|---" * (len(labels) + 1) + "|")
    for row in wholes:
        cells = (
            f"{row['recall'][label]:.2f}" if label in row["recall"] else "–" for label in labels
        )
        yield f"| {row['name']} | {' | '.join(cells)} |"
    yield from ("", "## By speaker", "")
    speakers = [row for row in rows if row["part"] == "speaker"]
    right = sorted(row["figures"]["accuracy"]["value"] for row in speakers)
    low, half, high = np.quantile(right, (0.1, 0.5, 0.9))
    yield (
        f"Accuracy of one speaker: median {half:.3f}, the middle 80 % from {low:.3f} to {high:.3f}, least "
        f"{right[0]:.3f}, most {right[-1]:.3f}."
    )
    yield from (
        "",
        "| speaker | clips | accuracy | trusted precision | coverage |",
        "|---|---:|---:|---:|---:|",
    )
    for row in speakers:
        values = {name: each["value"] for name, each in row["figures"].items()}
        # Of nothing that is trusted, no share is right.
        cells = (
            "–" if name == "trusted_precision" and not values["coverage"] else f"{value:.3f}"
            for name, value in values.items()
        )
        yield f"| {row['name']} | {row['clips']:,} | {' | '.join(cells)} |"
    yield from (
        "",
        f"On {info['cpu']} ({info['cores']} cores), torch {info['torch']}.",
        "Made by `python -m benchmarks.speaker_folds`.",
    )


def main() -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("TER_FAST_DATA"))
    parser.add_argument("--work", type=Path, help="folder for models and answers")
    parser.add_argument("--recipe", default=str(RECIPE), help="name or YAML file")
    parser.add_argument("--only", type=int, nargs="*", choices=range(FOLDS), help="folds")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument(
        "--render", action="store_true", help="write the page of figures that are there"
    )
    given = parser.parse_args()
    file = given.out / "speaker_folds.json"
    if not given.render:
        if given.data is None or given.work is None:
            parser.error("give --work and --data (or TER_FAST_DATA), or --render")
        recipe = Recipe.read(given.recipe)
        recipe = replace(recipe, experts={"audio": recipe.experts["audio"]})
        given.work.mkdir(parents=True, exist_ok=True)
        chosen = range(FOLDS) if given.only is None else given.only
        folds = [answers_of(recipe, fold, Path(given.data), given.work) for fold in chosen]
        if given.only is not None:
            return
        found = {
            "machine": machine.describe(),
            "recipe": recipe.name,
            "members": [
                f"{m.encoder} ({m.settings.epochs} epochs)" for m in recipe.experts["audio"]
            ],
            "rows": list(rows_of(pooled(folds))),
        }
        file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    lines = page(json.loads(file.read_text(encoding="utf-8")))
    file.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(file.with_suffix(".md"))


if __name__ == "__main__":
    main()
