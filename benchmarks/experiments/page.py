"""The page of a plan: written from its lines of figures alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.experiments.corruption_tables import table, under_corruptions, value
from benchmarks.experiments.plan import Experiment, Plan
from benchmarks.experiments.summary import Line
from benchmarks.records import read_json_lines
from ter_fast.errors import DataError
from ter_fast.media.files import write_atomically

_MAIN = (
    ("accuracy", "accuracy", 100), ("UAR", "uar", 100), ("AURC", "aurc", 1000),
    ("failure AUROC", "failure_auroc", 100), ("ECE", "ece", 100), ("coverage", "coverage", 100),
    ("trusted precision", "trusted_precision", 100), ("trusted recall", "trusted_recall", 100),
    ("trusted F1", "trusted_f1", 100), ("lift", "lift", 100),
)  # fmt: skip


def read_lines(path: Path) -> list[Line]:
    """Return the figures in a file of JSON lines.

    Raises:
        DataError: There is no such file, or a line is damaged.
    """
    return read_json_lines(path, ("experiment", "table", "row"))


def write_lines(lines: Iterable[Line], path: Path) -> list[Line]:
    """Write figures as JSON lines, all of them or nothing, and return them."""
    found = list(lines)
    write_atomically(path, "".join(json.dumps(each) + "\n" for each in found), parents=True)
    return found


def write_page(plan: Plan, lines: Sequence[Line], path: Path, command: str = "") -> None:
    """Write the tables of every experiment as Markdown.

    Args:
        plan: Titles, experiments, published figures and notes.
        lines: What `summarize` found.
        path: The page.
        command: That makes it, for its foot.

    Raises:
        DataError: There are no figures of this plan.
    """
    text = [f"# {plan.title}", ""]
    text += _explained()
    there = False
    for experiment in plan.experiments.values():
        own = [line for line in lines if line["experiment"] == experiment.name]
        if own:
            there = True
            text += ["", f"## {experiment.name}", "", *_experiment(plan, experiment, own)]
    if not there:
        raise DataError("there are no figures of this plan; run it first")
    if plan.notes:
        text += ["", "## Notes", "", *(f"- {note}" for note in plan.notes)]
    if command:
        text += ["", f"Made by `{command}`."]
    write_atomically(path, "\n".join(text) + "\n", parents=True)


def _explained() -> list[str]:
    return [
        "In % but for AURC, times 1000 (lower is better). Brackets hold 95 % intervals that resample "
        "whole speakers or sources; with fewer than 20 of them they are too narrow. Answers of all folds "
        "and seeds are pooled. A prediction is trusted from the confidence on where, on the "
        "validation clips of its fold, trusted precision meets trusted recall; lift is trusted F1 minus "
        "that of trusting everything."
    ]


def _experiment(plan: Plan, experiment: Experiment, lines: Sequence[Line]) -> list[str]:
    main = _of(lines, "main")
    split = f"{experiment.folds} folds by group" if experiment.folds else "the split of its authors"
    text = [
        f"`{experiment.data}`: {split}, {experiment.validation:.0%} of the training groups held out for "
        f"validation. {main[0]['terms']}.",
        "",
        *table(
            ["", "clips", "groups", "seeds", "folds", *(title for title, _, _ in _MAIN), "s"],
            [
                [
                    line["row"],
                    *(str(line[name]) for name in ("clips", "groups", "seeds", "folds")),
                    *(_with_interval(line["figures"].get(name), factor) for _, name, factor in _MAIN),
                    f"{line['seconds']:.0f}",
                ]
                for line in main
            ],
        ),
        "",
        "clips: test clips that the row answers, which have what it reads, each counted once; groups: those "
        "that they come from; s: seconds to train a fold.",
    ]  # fmt: skip
    text += _differences(plan.reference, main)
    published = [each for each in plan.published if each["experiment"] == experiment.name]
    if published:
        cells = [[each["what"], each["figure"], each.get("remark", "")] for each in published]
        text += ["", "Published, by others:", "", *table(["", "figure", ""], cells)]
    text += _failure(_of(lines, "failure"))
    text += under_corruptions(_of(lines, "corruption"))
    text += _ood(_of(lines, "ood"))
    return text + _groups(_of(lines, "group"))


def _differences(reference: str, lines: Sequence[Line]) -> list[str]:
    compared = [line for line in lines if line["differences"] and line["row"] != reference]
    if not compared:
        return []
    names = list(compared[0]["differences"])
    cells = [
        [
            line["row"],
            *(
                _with_interval(line["differences"][name], 1000 if name == "aurc" else 100, "+")
                for name in names
            ),
        ]
        for line in compared
    ]
    titles = [name.replace("_", " ") for name in names]
    head = f"Difference to {reference}, in pairs:"
    return ["", head, "", *table(["", *titles], cells)]


def _of(lines: Sequence[Line], table: str) -> list[Line]:
    return [line for line in lines if line["table"] == table]


def _failure(lines: Sequence[Line]) -> list[str]:
    kinds = list(dict.fromkeys(kind for line in lines for kind in line["figures"]))
    if not kinds:
        return []
    cells = []
    for line in lines:
        found = [line["figures"].get(kind, {}) for kind in kinds]
        cells.append([line["row"], *(value(each.get("failure_auroc"), 100) for each in found)])
    return [
        "", "### Which confidence knows its errors", "",
        "AUROC of right against wrong answers.", "", *table(["", *kinds], cells),
    ]  # fmt: skip


def _ood(lines: Sequence[Line]) -> list[str]:
    if not lines:
        return []
    names = list(dict.fromkeys(line["ood"] for line in lines))
    rows = list(dict.fromkeys(line["row"] for line in lines))
    found = {(line["row"], line["ood"]): line for line in lines}
    cells = [
        [row, *(_with_interval(_figure(found.get((row, name)), "trusted"), 100) for name in names)]
        for row in rows
    ]
    text = ["", "### Out-of-distribution clips that are trusted", "", "Share of clips that are none of these data and "
            "are trusted all the same; 0 is right.", "", *table(["", *names], cells)]  # fmt: skip
    cells = []
    for row in rows:
        for kind in dict.fromkeys(
            k for line in lines if line["row"] == row for k in line["scores"]
        ):
            each = [
                found[row, name]["scores"][kind] if (row, name) in found else {} for name in names
            ]
            cells.append(
                [
                    row,
                    kind,
                    *(f"{value(e.get('auroc'), 100)} / {value(e.get('fpr95'), 100)}" for e in each),
                ]
            )
    return [
        *text, "", "### Telling out-of-distribution clips from test clips", "",
        "AUROC / false positive rate where 95 % of the test clips pass, by score.", "",
        *table(["", "score", *names], cells),
    ]  # fmt: skip


def _groups(lines: Sequence[Line]) -> list[str]:
    cells = [
        [
            line["row"], line["attribute"], line["value"], str(line["clips"]),
            *(_with_interval(line["figures"].get(name), 100)
              for name in ("accuracy", "coverage", "trusted_precision")),
        ]
        for line in lines
    ]  # fmt: skip
    head = ["", "attribute", "value", "clips", "accuracy", "coverage", "trusted precision"]
    return ["", "### Trust by group", "", *table(head, cells)] if cells else []


def _figure(line: Line | None, name: str) -> Any:
    return None if line is None else line["figures"].get(name)


def _with_interval(
    figure: Sequence[float | None] | None, factor: float, sign: str = ""
) -> str:  # fmt: skip
    text = value(figure, factor, sign)
    if figure is None or figure[1] is None or figure[2] is None:
        return text
    return f"{text} [{factor * figure[1]:{sign}.1f}, {factor * figure[2]:{sign}.1f}]"
