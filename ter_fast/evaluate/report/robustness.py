"""What the robustness page says: did uncertainty rise with the damage, and where did trust break."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from ter_fast.evaluate.report.canvas import Plot
from ter_fast.evaluate.report.files import write_rows
from ter_fast.evaluate.report.formatting import count, interval, join_names, number, share, title_of
from ter_fast.evaluate.report.sections import MOST_ERRORS, Section
from ter_fast.evaluate.report.severity import change_plot, defined_estimate, severity_plot
from ter_fast.evaluate.report.summary import origin_facts
from ter_fast.evaluate.report.tables import Cell as Text
from ter_fast.evaluate.report.tables import Table, number_cell, table
from ter_fast.evaluate.robustness import Cell, Robustness, Trend
from ter_fast.evaluate.robustness.cells import level_text
from ter_fast.media.corrupt import CORRUPTIONS
from ter_fast.trust.results import Estimate

KINDS = {"audio": "Sound", "video": "Pictures", "cross": "Between sound and pictures"}

_COLUMNS = (
    "accuracy", "uncertainty", "aurc", "coverage", "trusted_precision", "lift", "answered",
)  # fmt: skip


def robustness_facts(robustness: Robustness) -> list[tuple[str, str]]:
    """Return what was measured, for the head of the page."""
    clips = count(robustness.samples)
    if robustness.excluded:
        clips += f"; {count(robustness.excluded)} more lack a modality"
    limit = robustness.threshold
    rule = "no threshold was calibrated, so nothing is trusted or mistrusted"
    if limit is not None:
        rule = f"the confidence is at least {number(limit, 4)}, or the threshold of what is left"
    return [
        *origin_facts(robustness.origin),
        ("Modalities", robustness.modalities.replace("+", " + ")),
        ("Clips", clips),
        ("Groups", count(robustness.groups)),
        ("Seed", str(robustness.seed)),
        ("Trusted when", rule),
    ]


def robustness_sections(robustness: Robustness) -> list[Section]:
    """Return the sections of the page in their order."""
    return list(_sections(robustness))


def robustness_plots(robustness: Robustness) -> list[Plot]:
    """Return one plot of each corruption."""
    return [severity_plot(robustness, name) for name in robustness.trends]


def _sections(robustness: Robustness) -> Iterator[Section]:
    trends = list(robustness.trends.values())
    yield Section(
        "verdict",
        "Does uncertainty rise with the damage?",
        lead=_verdict(robustness),
        plots=[change_plot(trends)],
        entries=[sentence(robustness, trend) for trend in trends],
    )
    plots = dict(zip(robustness.trends, robustness_plots(robustness), strict=True))
    for kind, title in KINDS.items():
        names = [name for name in plots if CORRUPTIONS[name].kind == kind]
        if names:
            held = [_cells_table(robustness, name) for name in names]
            yield Section(kind, title, plots=[plots[name] for name in names], tables=held)
    if robustness.errors:
        yield Section(
            "errors",
            "Files that could not be used",
            lead=[f"{count(len(robustness.errors), 'file')} could not be used."],
            entries=robustness.errors[:MOST_ERRORS],
        )


def _verdict(robustness: Robustness) -> list[str]:
    trends = list(robustness.trends.values())
    sentences = []
    for verdict, words in (
        ("rose", "Uncertainty rose with severity under {}."),
        ("fell", "It fell under {}: the worse the clip, the surer the model."),
        ("unclear", "It neither clearly rose nor clearly fell under {}."),
    ):
        names = [_title(trend) for trend in trends if trend.verdict == verdict]
        if names:
            sentences.append(words.format(join_names(names)))
    blind = [_title(trend) for trend in trends if trend.blind]
    if blind:
        sentences.append(
            f"Accuracy fell and uncertainty did not rise under {join_names(blind)}: there the model does "
            "not know what it has lost, and its confidence should not be relied on."
        )
    broke = [trend for trend in trends if trend.broke_at is not None]
    if broke:
        places = join_names([f"{_title(each)} (severity {each.broke_at})" for each in broke])
        sentences.append(
            f"Trusted precision clearly fell below that of the clean clips under {places}."
        )
    sentences.append(
        "A claim is made where both the mean rank correlation of a clip's uncertainty with severity and "
        "the change from the clean clips to the worst have paired 95\u00a0% intervals on one side of 0, "
        "resampled by group."
    )
    if robustness.note:
        sentences.append(f"Careful: {robustness.note}.")
    return sentences


def _title(trend: Trend) -> str:
    title = CORRUPTIONS[trend.corruption].title
    proper = title.isupper() or title.startswith("Gaussian")
    return title if proper else title[0].lower() + title[1:]


def sentence(robustness: Robustness, trend: Trend) -> str:
    """Say in words what one corruption did to uncertainty, to accuracy and to trust."""
    cells = robustness.of(trend.corruption)
    first, last = cells[0].figures, cells[-1].figures
    verb = {"rose": "rose", "fell": "fell", "unclear": "did not clearly change"}[trend.verdict]
    parts = [
        f"{CORRUPTIONS[trend.corruption].title}: uncertainty {verb}, from "
        f"{number(first['uncertainty'].value)} to {number(last['uncertainty'].value)} (rank correlation "
        f"with severity {_with_interval(trend.spearman)})"
    ]
    if trend.clear_falls and trend.verdict != "fell":
        steps = join_names([str(fall) for fall in trend.clear_falls])
        but = "but not at every step: " if trend.verdict == "rose" else ""
        parts.append(f"{but}it clearly fell at severity {steps}")
    parts.append(
        f"accuracy went from {number(first['accuracy'].value)} to {number(last['accuracy'].value)}"
    )
    if trust := _trust(cells, trend):
        parts.append(trust)
    if last["answered"].value < 1:
        missing = round((1 - last["answered"].value) * robustness.samples)
        parts.append(
            f"at the worst, {share(missing, robustness.samples)} of the clips have no modality left and "
            "no answer, which counts as wrong and wholly uncertain"
        )
    return "; ".join(parts) + "."


def _trust(cells: list[Cell], trend: Trend) -> str:
    """Say how trusted precision changed."""
    trusted = [cell for cell in cells[1:] if cell.trusted is not None and cell.trusted.any()]
    start = (
        defined_estimate("trusted_precision", cells[0]).value
        if cells[0].trusted is not None
        else math.nan
    )
    if math.isnan(start):
        return ""
    end = ""
    if trend.none_trusted_at is not None:
        end = f", and nothing is trusted at severity {trend.none_trusted_at}"
    if not trusted:
        return f"nothing is trusted from severity {trend.none_trusted_at} on"
    if trend.broke_at is not None:
        broken = next(cell for cell in cells if cell.severity == trend.broke_at)
        value = broken.figures["trusted_precision"].value
        return f"trusted precision broke at severity {trend.broke_at}, from {number(start)} to {number(value)}{end}"
    worst = min(trusted, key=lambda cell: cell.figures["trusted_precision"].value)
    value = worst.figures["trusted_precision"].value
    if value < start:
        return (
            f"trusted precision went from {number(start)} to {number(value)} at severity "
            f"{worst.severity}, a fall that its interval does not tell from chance{end}"
        )
    return f"trusted precision held{end}"


def _with_interval(figure: Estimate) -> str:
    ends = interval(figure)
    return f"{number(figure.value)}, interval {ends}" if ends else number(figure.value)


def _cells_table(robustness: Robustness, name: str) -> Table:
    columns = [each for each in _COLUMNS if each in robustness.clean.figures]
    rows = []
    for cell in robustness.of(name):
        row = [Text(str(cell.severity), "clean" if not cell.severity else "", float(cell.severity))]
        row.append(Text(level_text(cell.level).replace("-", "\u2212") or "none"))
        for column in columns:
            figure = defined_estimate(column, cell)
            row.append(number_cell(figure.value, small=interval(figure)))
        rows.append(row)
    corruption = CORRUPTIONS[name]
    return table(
        f"table-{name.replace('_', '-')}",
        corruption.title,
        (
            "Severity",
            corruption.measure[0].upper() + corruption.measure[1:],
            *(title_of(each) for each in columns),
        ),
        rows,
    )


def write_robustness_tables(robustness: Robustness, folder: Path) -> None:
    """Write every figure of every cell, the trends and every clip's answers as CSV."""
    cells = robustness.rows()
    write_rows(folder / "cells.csv", list(cells[0]), (list(row.values()) for row in cells))
    trends = robustness.to_dict()["trends"]
    keys = list(next(iter(trends.values())))
    write_rows(
        folder / "trends.csv",
        ("corruption", *keys),
        ([name, *(_flat(each[key]) for key in keys)] for name, each in trends.items()),
    )
    write_rows(
        folder / "corrupted-clips.csv",
        ("corruption", "severity", "path", "group", "target", "label", "correct", "confidence",
         "uncertainty", "trusted"),
        _clip_rows(robustness),
    )  # fmt: skip
    write_rows(
        folder / "corrupted-errors.csv", ("error",), ((error,) for error in robustness.errors)
    )


def _flat(value: object) -> str | float | int | bool | None:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return value if isinstance(value, (str, float, int)) else None


def _clip_rows(robustness: Robustness) -> Iterator[list[str | float | int | bool | None]]:
    for cell in (robustness.clean, *robustness.cells):
        held = cell.outcomes
        answered = ~(held.uncertainty >= 1) if held.uncertainty is not None else held.correct
        for row in range(len(held)):
            yield [
                cell.corruption or "clean",
                cell.severity,
                held.paths[row],
                held.groups[row],
                held.labels[held.target[row]],
                held.labels[held.prediction[row]] if answered[row] else "",
                bool(held.correct[row] and answered[row]),
                float(held.confidence[row]),
                None if held.uncertainty is None else float(held.uncertainty[row]),
                None if cell.trusted is None else bool(cell.trusted[row]),
            ]
