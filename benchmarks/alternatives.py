"""What a user would take instead, on the same held-out clips: the shipped experts beside two that are at hand.

    python -m benchmarks.alternatives --cache FOLDER [--data FOLDER] [--model default] [--again ours …]
    python -m benchmarks.alternatives --render

Voices: logistic regression on the 88 functionals of eGeMAPS (openSMILE), fitted on the training speakers of the
shipped model. Faces: the mini-Xception of FER2013 by Arriaga et al. 2017, as published. Every system's
threshold is chosen by one rule, on the same validation clips. What a system answered is kept in the cache,
and asked for again with --again; reading all voices with openSMILE takes about half an hour.

Needs `ter_fast[bench]`, and the folder that TER_FAST_DATA names with nemo/, ravdess/, fer2013/ and models/.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import classifiers, machine
from benchmarks.classifiers import Answers
from ter_fast import Model
from ter_fast.data import Dataset, load_dataset
from ter_fast.trust.criterion import by_criterion
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.results import differences, estimates_of

RESULTS = Path(__file__).parent / "results"
CRITERION = "balance"
SHOWN = ("accuracy", "uar", "aurc", "trusted_precision", "coverage", "trusted_f1", "accept_all_f1")
COMPARED = ("accuracy", "uar", "aurc", "trusted_precision", "coverage")
OURS, EGEMAPS, XCEPTION = "ter_fast", "eGeMAPS + logistic regression", "FER2013 mini-Xception"
SYSTEMS = {"voices": (OURS, EGEMAPS), "faces": (OURS, XCEPTION)}
Row = dict[str, Any]


def calibrate_on_validation(answers: Answers, data: Dataset, name: str) -> Outcomes:
    """Return the answers to the test part, with the threshold that the validation part sets."""
    validation = answers.outcomes(data.split("validation").samples, f"{name} validation")
    chosen = by_criterion(CRITERION, validation).threshold
    return replace(answers.outcomes(data.split("test").samples, name), threshold=chosen)


def compare(
    systems: dict[str, Answers], data: Dataset, name: str, by: str = "", resamples: int = 2000
) -> list[Row]:
    """Return each system's figures on a test, ours first, and what it has less or more than ours."""
    found = {system: calibrate_on_validation(each, data, name) for system, each in systems.items()}
    parts = {name: np.ones(len(next(iter(found.values()))), bool)}
    for value in sorted({*next(iter(found.values())).attributes.get(by, ())}):
        parts[f"{value} alone"] = np.array(
            [each == value for each in next(iter(found.values())).attributes[by]]
        )
    rows = []
    for part, chosen in parts.items():
        first = None
        for system, each in found.items():
            answers = each.subset(chosen)
            figures = estimates_of(answers, resamples)
            row: Row = {
                "test": name, "part": part, "system": system, "clips": len(answers),
                "groups": len(set(answers.groups)), "threshold": answers.threshold,
                "figures": {key: vars(figures[key]) for key in SHOWN},
            }  # fmt: skip
            if first is None:
                first = answers
            else:
                less = differences(first, answers, resamples)
                row["ours_minus_it"] = {
                    key: {"value": d.difference, "low": d.low, "high": d.high}
                    for key in COMPARED
                    for d in (less[key],)
                }
            rows.append(row)
    return rows


# -- the run --------------------------------------------------------------------------------------


def main() -> None:
    """Ask every system that has no answers yet, and write figures and page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("TER_FAST_DATA"))
    parser.add_argument("--model", default="default", help="name or folder of ours")
    parser.add_argument("--cache", type=Path, help="folder for answers and features")
    parser.add_argument("--again", nargs="*", default=[], choices=["ours", "peers"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument(
        "--render", action="store_true", help="write the page of figures that are there"
    )
    arguments = parser.parse_args()
    figures = arguments.out / "alternatives.json"
    if not arguments.render:
        if arguments.data is None or arguments.cache is None:
            parser.error("give --cache and --data (or TER_FAST_DATA), or --render")
        arguments.cache.mkdir(parents=True, exist_ok=True)
        found = measure(arguments.data, arguments.model, arguments.cache, set(arguments.again))
        figures.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page = "\n".join(page_of(json.loads(figures.read_text(encoding="utf-8")))) + "\n"
    figures.with_suffix(".md").write_text(page, encoding="utf-8")
    print(figures.with_suffix(".md"))


def measure(root: Path, name: str, cache: Path, again: set[str]) -> Row:
    """Return everything that the page shows."""
    model = Model.from_pretrained(name).eval()
    voices = f"nemo:{root / 'nemo'}+ravdess:{root / 'ravdess'}"
    data = {
        "voices": load_dataset(voices, model.config.labels),
        "faces": load_dataset(f"fer2013:{root / 'fer2013'}", model.config.labels),
    }
    by_raters = load_dataset(f"fer2013:{root / 'fer2013'}?label=ferplus", model.config.labels)
    ways: dict[tuple[str, str], Callable[[Dataset], Answers]] = {
        ("voices", OURS): lambda d: classifiers.ours(model, held_out(d), "voices"),
        ("faces", OURS): lambda d: classifiers.ours(model, held_out(d), "faces"),
        ("voices", EGEMAPS): lambda d: classifiers.egemaps(d, cache / "egemaps.npz"),
        ("faces", XCEPTION): lambda d: classifiers.mini_xception(
            held_out(d), root / "models" / "fer2013_mini_xception.hdf5"
        ),
    }
    found: dict[str, dict[str, Answers]] = {"voices": {}, "faces": {}}
    for (kind, system), way in ways.items():
        file = cache / f"{kind}-{system.split()[0].lower()}.npz"
        if not file.is_file() or ("ours" if system == OURS else "peers") in again:
            print(f"asking {system} about {kind}", file=sys.stderr)
            way(data[kind]).save(file)
        found[kind][system] = Answers.read(file)
    rows = compare(found["voices"], data["voices"], "voices, nEMO + RAVDESS", "corpus")
    rows += compare(found["faces"], by_raters, "faces, label = FER+ majority")
    rows += compare(found["faces"], data["faces"], "faces, FER2013's own label")
    return {
        "machine": machine.describe(),
        "date": datetime.now(UTC).date().isoformat(),
        "splits": {
            "voices": agreement(model, "audio", data["voices"]),
            "faces": agreement(model, "video", by_raters, data["faces"]),
        },
        "weights_sha256": weights_of(model),
        "rows": rows,
        "times": [
            {"what": kind, "system": system, "facts": each.facts, "count": len(each.seconds)}
            | dict(
                zip(
                    ("low", "median", "high"),
                    np.quantile(each.seconds, (0.1, 0.5, 0.9)),
                    strict=True,
                )
            )
            for kind, systems in found.items()
            for system, each in systems.items()
        ],
    }


def held_out(data: Dataset) -> Dataset:
    """Return the validation and the test part."""
    return replace(data, samples=data.split("validation").samples + data.split("test").samples)


def weights_of(model: Model) -> str:
    """Return what tells one model's weights from another's."""
    state = model.state_dict()
    return hashlib.sha256(
        b"".join(state[key].numpy().tobytes() for key in sorted(state))
    ).hexdigest()


def agreement(model: Model, modality: str, *ways: Dataset) -> Row:
    """Return how many clips the model learned from, by its own record, and how many this run takes for those.

    Labels of one corpus may be taken in several ways, which leave out different clips.
    """
    records = [each for each in model.config.training if modality in each.modalities]
    recorded = dict(records[-1].samples) if records else {}
    counted = [{split: len(way.split(split)) for split in recorded} for way in ways]
    here = recorded if recorded in counted else counted[0]
    return {"modality": modality, "here": here, "recorded": recorded}


# -- the page -------------------------------------------------------------------------------------

ABOUT = """\
What a user would take instead, on the same held-out clips as the shipped model. One rule sets every system's
threshold: the largest probability at which trusted precision meets trusted recall (`balance`) on the validation
clips, so that figures here differ from those of a model whose own thresholds were set otherwise. 95 % intervals from
2,000 draws of whole speakers (of pictures with their copies, for faces); differences are resampled in pairs.

- **eGeMAPS + logistic regression**: the 88 functionals of openSMILE's eGeMAPSv02, standardized; strength and class
  weights by the NLL of the validation speakers; the same training, validation and test speakers as the shipped model.
- **FER2013 mini-Xception** (Arriaga et al. 2017), as published. By its authors' script it learned from the first
  80 % of FER2013, which is the whole training part, and its epoch was the one with the least loss on the rest,
  which holds this very test: the test is not new to it. The pictures that set its threshold here are among those
  that it learned from. It learned FER2013's own labels, ours FER+ votes: the two tests on faces favour one each.
- openSMILE's licence is for research and private use; a product needs another.
"""


def page_of(found: Row) -> Iterator[str]:
    """Yield the page's lines."""
    info = found["machine"]
    yield from ("# The shipped model beside what else is at hand", "", ABOUT)
    for test in dict.fromkeys(row["test"] for row in found["rows"]):
        rows = [row for row in found["rows"] if row["test"] == test]
        yield from (f"## {test[0].upper()}{test[1:]}", "")
        yield "| clips | system | " + " | ".join(map(readable_name, SHOWN)) + " |"
        yield "|---" * (len(SHOWN) + 2) + "|"
        for row in rows:
            part = "all" if row["part"] == test else row["part"]
            where = f"{part}: {row['clips']:,} of {row['groups']:,} groups"
            yield f"| {where} | {row['system']} | {cells(row['figures'], SHOWN)} |"
        yield ""
        yield "Ours minus it, on the same clips:"
        yield from ("", "| clips | system | " + " | ".join(map(readable_name, COMPARED)) + " |")
        yield "|---" * (len(COMPARED) + 2) + "|"
        for row in rows:
            if "ours_minus_it" in row:
                part = "all" if row["part"] == test else row["part"]
                yield f"| {part} | {row['system']} | {cells(row['ours_minus_it'], COMPARED, '+')} |"
        yield ""
    yield from ("## Time of one answer on one core", "")
    yield (
        "A voice is a file that is read and decoded; a face is a crop in memory. CPU time, so that a busy machine "
        "counts for little: median, and the middle 80 %."
    )
    yield from ("", "| | system | milliseconds | |", "|---|---|---|---|")
    for each in found["times"]:
        low, median, high = (1e3 * each[key] for key in ("low", "median", "high"))
        spread = f"{median:.1f} [{low:.1f}, {high:.1f}]"
        yield f"| {each['what']}, {each['count']} times | {each['system']} | {spread} | {each['facts']} |"
    yield ""
    yield (f"On {info['cpu']} ({info['cores']} cores), torch {info['torch']}, {found['date']}.")
    for each in found["splits"].values():
        if each["here"] != each["recorded"]:
            yield (
                f"\n**The shipped {each['modality']} expert records {each['recorded']} clips, and these splits have "
                f"{each['here']}: it was trained on others, and its figures here may be of clips that it knows.**"
            )


def cells(figures: Mapping[str, Any], names: tuple[str, ...], sign: str = "") -> str:
    """Return figures with their intervals, for a row."""
    return " | ".join(
        f"{f['value']:{sign}.3f} [{f['low']:{sign}.3f}, {f['high']:{sign}.3f}]"
        for f in (figures[name] for name in names)
    )


def readable_name(name: str) -> str:
    """Return what a figure is called."""
    known = {
        "uar": "UAR",
        "aurc": "AURC",
        "ece": "ECE",
        "trusted_f1": "trusted F1",
        "accept_all_f1": "accept-all F1",
    }
    return known.get(name, name.replace("_", " "))


if __name__ == "__main__":
    main()
