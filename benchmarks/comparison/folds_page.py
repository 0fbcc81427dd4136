"""The page of a comparison in folds of whole groups: written from its figures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.comparison.config import ComparisonConfig
from benchmarks.comparison.figures import RANKING, TRUSTED, figures_of_set, made_with
from benchmarks.comparison.folds import PARITY, Protocol
from benchmarks.comparison.kept_answers import Answers
from benchmarks.comparison.recorded import Figures, write_figures, write_page
from benchmarks.comparison.tables import Column, cell, difference, table, table_of_kinds
from ter_fast.errors import DataError
from ter_fast.opinions.opinion import CONFIDENCE_KINDS

_KIND = Column("aurc", "AURC x1000", 1000.0, 0, -1)
_DIFFERENCES = ("accuracy", "uar", "nll", "aurc", "failure_auroc", "ece", "lift")


def write_folds_figures(
    comparison: ComparisonConfig,
    answers: Mapping[str, Mapping[str, Sequence[Answers]]],
    path: Path,
    resamples: int = 2000,
) -> None:
    """Write all that the page shows as JSON.

    Args:
        comparison: What was compared, with a protocol.
        answers: By set and row, the answers of every seed.
        path: The file.
        resamples: Of groups, for the intervals.

    Raises:
        DataError: A set cannot be read.
    """
    sets = {n: figures_of_set(comparison, n, rows, resamples) for n, rows in answers.items()}
    write_figures(path, sets)


def write_folds_page(comparison: ComparisonConfig, page: Path, command: str = "") -> None:
    """Write the tables as Markdown, from the JSON of the page's name and nothing else.

    Args:
        comparison: What was compared, with a protocol.
        page: The page.
        command: The command that makes it, for its foot.

    Raises:
        DataError: There is no such JSON, it is damaged, or its figures were made with other settings.
    """

    def lines_of(content: dict[str, Any]) -> list[str]:
        if not content:
            raise DataError("there are no figures; run the comparison first, without --render")
        lines = [f"# {comparison.title}"]
        for name, found in content.items():
            lines += ["", f"## {name}", "", *_section(comparison, name, found)]
        if comparison.notes:
            lines += ["", "## Notes", "", *(f"- {note}" for note in comparison.notes)]
        return lines + (["", f"Made by `{command}`."] if command else [])

    write_page(page, lines_of)


def _section(comparison: ComparisonConfig, name: str, found: Mapping[str, Any]) -> list[str]:
    _check(comparison, name, found)
    protocol = comparison.protocol
    assert protocol is not None
    rows: Figures = found["figures"]
    lines = _explained(comparison, protocol, found)
    lines += ["", "### Answers", "", *_table(rows, RANKING)]
    if any("coverage" in row for row in rows.values()):
        lines += ["", "### At the threshold of trust", "", *_table(rows, TRUSTED)]
    if comparison.reference:
        lines += ["", f"### Against {comparison.reference}", ""]
        lines += _differences(found["minus reference"], protocol)
    if alone := [c for c in _alone(protocol) if any(c.key in row for row in rows.values())]:
        lines += ["", "### With one view alone", ""]
        lines += [
            "Accuracy when the other views of a row that was trained on all are missing: masked, or at "
            "the mean of the training samples where a method takes one table.",
            "",
            *_table({n: row for n, row in rows.items() if alone[0].key in row}, alone),
        ]
    if kinds := found["aurc by confidence"]:
        lines += ["", "### Which confidence ranks errors best", ""]
        lines += _kinds(kinds, found["aurc minus max_probability"])
    return lines


def _check(comparison: ComparisonConfig, name: str, found: Mapping[str, Any]) -> None:
    if name not in comparison.sets:
        raise DataError(
            f"there are figures of the set {name!r}, which the configuration does not name; name it, "
            "or run the comparison again"
        )
    before, now = found["made with"], made_with(comparison, name)
    if changed := [key for key in now if before[key] != now[key]]:
        raise DataError(
            f"the figures of {name} were made with other {', '.join(changed)} than the configuration "
            "says now; run the comparison again, without --render"
        )


def _explained(
    comparison: ComparisonConfig, protocol: Protocol, found: Mapping[str, Any]
) -> list[str]:
    seeds = comparison.draws
    alike = ", odd and even numbers alike (men and women)" if protocol.strata == PARITY else ""
    return [
        f"{found['samples']:,} samples of {found['groups']} groups ({protocol.group}). {protocol.folds} folds of whole "
        f"groups{alike}, dealt anew for each of {len(seeds)} seeds ({seeds[0]} to {seeds[-1]}). Of the groups "
        f"outside a fold {protocol.validation} choose its threshold of trust (where the trusted are as many as the "
        "correct: balance) and its temperature; the others train; the fold's own are seen by neither. A row "
        "of 0 validation groups trains on all, and has no threshold.",
        "",
        f"95 % intervals in brackets: whole groups drawn {found['resamples']:,} times, all answers of all seeds for a "
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


def _differences(rows: Figures, protocol: Protocol) -> list[str]:
    known = {column.key: column for column in (*RANKING, *TRUSTED)}
    columns = [known[key] for key in _DIFFERENCES] + _alone(protocol)
    body = [
        [name, *(difference(row.get(column.key), column) for column in columns)]
        for name, row in rows.items()
    ]
    return [
        "Differences in pairs, row minus reference, over the same groups drawn; **+** where all of the "
        "interval is on the better side of 0, **-** where all is on the worse. One in twenty such marks "
        "is expected by chance where there is no difference.",
        "",
        *table(["", *(column.title for column in columns)], body),
    ]


def _kinds(kinds: Figures, differences: Figures) -> list[str]:
    return [
        "AURC x1000 (lower is better) of each kind of confidence; behind it, where it is another, the "
        "paired difference to max_probability.",
        "",
        *table_of_kinds(kinds, differences, CONFIDENCE_KINDS, _KIND),
    ]


def _alone(protocol: Protocol) -> list[Column]:
    return [Column(f"alone_{name}", f"{name} alone %") for name in protocol.views]
