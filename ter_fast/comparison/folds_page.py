"""The page of a comparison in folds of whole groups, and its figures as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ter_fast.comparison.config import Comparison
from ter_fast.comparison.figures import (
    RANKING,
    TRUSTED,
    draws_of,
    figures_of,
    kinds_of_confidence,
)
from ter_fast.comparison.folds import PARITY, Protocol
from ter_fast.comparison.kept_answers import Answers
from ter_fast.comparison.sets import ViewSet, load_grouped
from ter_fast.comparison.tables import MISSING, Column, cell, difference, recorded, table
from ter_fast.metrics import Bootstrap, Replicates
from ter_fast.opinion import CONFIDENCE_KINDS

Figures = Mapping[str, Mapping[str, Replicates]]
Answered = Mapping[str, Sequence[Answers]]

_KIND = Column("aurc", "AURC x1000", 1000.0, 0, -1)
_DIFFERENCES = ("accuracy", "uar", "nll", "aurc", "failure_auroc", "ece", "lift")


def write_folds_page(
    comparison: Comparison,
    answers: Mapping[str, Answered],
    page: Path,
    command: str = "",
    resamples: int = 2000,
) -> None:
    """Write the tables as Markdown, and their figures beside them as JSON.

    Args:
        comparison: What was compared, with a protocol.
        answers: By set and row, the answers of every seed.
        page: The page; the JSON has its name.
        command: The command that makes it, for its foot.
        resamples: Of groups, for the intervals.

    Raises:
        DataError: A set cannot be read.
    """
    assert comparison.protocol is not None
    lines, figures = [f"# {comparison.title}"], {}
    for name, rows in answers.items():
        views = load_grouped(comparison.sets[name], comparison.protocol, name)
        text, figures[name] = _section(comparison, views, rows, resamples)
        lines += ["", f"## {name}", "", *text]
    if comparison.notes:
        lines += ["", "## Notes", "", *(f"- {note}" for note in comparison.notes)]
    if command:
        lines += ["", f"Made by `{command}`."]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    text_of_figures = json.dumps(figures, indent=1, ensure_ascii=False)
    page.with_suffix(".json").write_text(text_of_figures + "\n", encoding="utf-8")


def _section(
    comparison: Comparison, views: ViewSet, answers: Answered, resamples: int
) -> tuple[list[str], dict[str, Any]]:
    assert comparison.protocol is not None
    assert views.groups is not None
    draws = draws_of(views.groups, comparison.seeds, resamples)
    rows = {row: figures_of(parts, views.labels, draws) for row, parts in answers.items()}
    kinds = {
        row: kinds_of_confidence(answers[row], views.labels, draws)
        for row in comparison.confidences
        if row in answers
    }
    lines = _explained(comparison, comparison.protocol, views, draws)
    lines += ["", "### Answers", "", *_table(rows, RANKING)]
    if any("coverage" in row for row in rows.values()):
        lines += ["", "### At the threshold of trust", "", *_table(rows, TRUSTED)]
    if against := rows.get(comparison.reference):
        lines += ["", f"### Against {comparison.reference}", ""]
        lines += _differences(rows, against, views)
    if missing := [c for c in _alone(views) if any(c.key in row for row in rows.values())]:
        lines += ["", "### With one view alone", ""]
        lines += [
            "Accuracy when the other views of a row that was trained on all are missing: masked, or at "
            "the mean of the training samples where a method takes one table.",
            "",
            *_table({n: row for n, row in rows.items() if missing[0].key in row}, missing),
        ]
    if kinds:
        lines += ["", "### Which confidence ranks errors best", "", *_kinds(kinds)]
    return lines, _recorded(comparison, rows, kinds)


def _explained(
    comparison: Comparison, protocol: Protocol, views: ViewSet, draws: Bootstrap
) -> list[str]:
    seeds = comparison.draws
    alike = ", odd and even numbers alike (men and women)" if protocol.strata == PARITY else ""
    return [
        f"{len(views.labels):,} samples of {draws.n_groups} groups ({protocol.group}). {protocol.folds} folds of whole "
        f"groups{alike}, dealt anew for each of {len(seeds)} seeds ({seeds[0]} to {seeds[-1]}). Of the groups "
        f"outside a fold {protocol.validation} choose its threshold of trust (where the trusted are as many as the "
        "correct: balance) and its temperature; the others train; the fold's own are seen by neither. A row "
        "of 0 validation groups trains on all, and has no threshold.",
        "",
        f"95 % intervals in brackets: whole groups drawn {draws.resamples:,} times, all answers of all seeds for a "
        "group together, so they say how figures vary over groups like these; with about 20 groups such intervals "
        "cover some 92 % (see `ter_fast.metrics.Bootstrap`). Confidences of folds are pooled as they "
        "are. ECE: 15 bins of equal width.",
    ]


def _table(rows: Figures, columns: Sequence[Column]) -> list[str]:
    body = [
        [name, *(cell(row.get(column.key), column) for column in columns)]
        for name, row in rows.items()
    ]
    return table(["", *(column.title for column in columns)], body)


def _differences(rows: Figures, against: Mapping[str, Replicates], views: ViewSet) -> list[str]:
    known = {column.key: column for column in (*RANKING, *TRUSTED)}
    columns = [known[key] for key in _DIFFERENCES] + _alone(views)
    body = [
        [name, *(difference(row.get(c.key), against.get(c.key), c) for c in columns)]
        for name, row in rows.items()
        if row is not against
    ]
    return [
        "Differences in pairs, row minus reference, over the same groups drawn; **+** where all of the "
        "interval is on the better side of 0, **-** where all is on the worse. One in twenty such marks "
        "is expected by chance where there is no difference.",
        "",
        *table(["", *(column.title for column in columns)], body),
    ]


def _kinds(kinds: Figures) -> list[str]:
    body = []
    for name, row in kinds.items():
        best = row["max_probability"]
        body.append(
            [name]
            + [
                (cell(row[kind], _KIND) + _against(row[kind], best)) if kind in row else MISSING
                for kind in CONFIDENCE_KINDS
            ]
        )
    return [
        "AURC x1000 (lower is better) of each kind of confidence; behind it, where it is another, the "
        "paired difference to max_probability.",
        "",
        *table(["", *CONFIDENCE_KINDS], body),
    ]


def _against(figure: Replicates, other: Replicates) -> str:
    return "" if figure is other else f"; {difference(figure, other, _KIND)}"


def _alone(views: ViewSet) -> list[Column]:
    return [Column(f"alone_{name}", f"{name} alone %") for name in views.names]


def _recorded(comparison: Comparison, rows: Figures, kinds: Figures) -> dict[str, Any]:
    found: dict[str, Any] = {
        "seeds": list(comparison.draws),
        "figures": {n: {k: recorded(f) for k, f in row.items()} for n, row in rows.items()},
    }
    if against := rows.get(comparison.reference):
        found[f"minus {comparison.reference}"] = {
            name: {key: recorded(row[key] - against[key]) for key in row if key in against}
            for name, row in rows.items()
            if row is not against
        }
    if kinds:
        found["aurc by confidence"] = {
            n: {k: recorded(f) for k, f in row.items()} for n, row in kinds.items()
        }
    return found
