"""The tables behind the page, as CSV files that spreadsheets and pandas read."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ter_fast.evaluate.report.curves import risk_curve, thin_curve
from ter_fast.evaluate.report.label_sets import sizes_of
from ter_fast.evaluate.report.modalities import ModalitySummary, beliefs_of, summaries_of
from ter_fast.evaluate.report.sections import subgroup_names
from ter_fast.evaluate.report.tables import RISKS, trust_table
from ter_fast.trust.metrics.calibration_error import calibration_curve
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.results import Estimate
from ter_fast.trust.thresholds import sweep

if TYPE_CHECKING:
    from ter_fast.evaluate.evaluation import Evaluation

Value = str | float | int | bool | None


def write_tables(evaluation: Evaluation, folder: Path) -> None:
    """Write every table of an evaluation into a folder that is there."""
    figures = evaluation.figures.items()
    write_rows(
        folder / "figures.csv",
        ("figure", "value", "low", "high"),
        ((name, *_ends(figure)) for name, figure in figures),
    )
    for by, name in subgroup_names(evaluation).items():
        rows = evaluation.subgroups[by]
        held = list(next(iter(rows.values())).figures)
        header = [by, "clips", "groups"]
        header += [f"{each}{end}" for each in held for end in ("", "_low", "_high")]
        write_rows(
            folder / f"{name}.csv",
            header,
            (
                (value, row.samples, row.groups, *(x for each in held for x in _ends(row.figures[each])))
                for value, row in rows.items()
            ),
        )  # fmt: skip
    for name, matrix in (
        ("confusion", evaluation.confusion),
        ("trusted-confusion", evaluation.trusted_confusion),
    ):
        if matrix is not None:
            labelled = zip(evaluation.labels, matrix, strict=True)
            rows_of: Iterable[list[Value]] = ([label, *row] for label, row in labelled)
            write_rows(folder / f"{name}.csv", ("true", *evaluation.labels), rows_of)
    kinds = sorted(evaluation.aurc_by_confidence.items(), key=lambda pair: pair[1])
    write_rows(folder / "confidence-kinds.csv", ("confidence", "aurc"), kinds)
    _write_curves(evaluation, folder)
    _write_bins(evaluation, folder)
    _write_modalities(evaluation.outcomes, folder)
    _write_label_sets(evaluation.outcomes, folder)
    rows_of_clips = evaluation.outcomes.rows()
    header = list(rows_of_clips[0])
    write_rows(
        folder / "clips.csv", header, ([row[key] for key in header] for row in rows_of_clips)
    )
    write_rows(folder / "errors.csv", ("error",), ((error,) for error in evaluation.errors))


def _write_curves(evaluation: Evaluation, folder: Path) -> None:
    answers = evaluation.outcomes
    curve = sweep(answers.ranked, answers.correct)
    columns = ("threshold", "accepted", "accepted_correct", "precision", "recall", "f1", "accuracy")
    # Those that the figure draws: every one of a small evaluation, and clips.csv holds the rest.
    kept = thin_curve(curve.threshold, (curve.precision, curve.recall, curve.f1))
    held = [getattr(curve, name)[kept].tolist() for name in columns]
    write_rows(folder / "thresholds.csv", columns, zip(*held, strict=True))
    risks = risk_curve(curve)
    write_rows(
        folder / "risk-coverage.csv",
        ("coverage", "risk", "generalized_risk", "best_risk", "best_generalized_risk"),
        zip(
            risks.coverage.tolist(), risks.risk.tolist(), risks.generalized.tolist(),
            risks.best_risk.tolist(), risks.best_generalized.tolist(), strict=True,
        ),
    )  # fmt: skip
    if (counts := trust_table(answers)) is not None:
        write_rows(
            folder / "trust.csv",
            ("", "trusted", "not trusted"),
            (
                ("right", counts.right_trusted, counts.right_not),
                ("wrong", counts.wrong_trusted, counts.wrong_not),
            ),
        )


def _write_bins(evaluation: Evaluation, folder: Path) -> None:
    answers = evaluation.outcomes
    bins = calibration_curve(answers.probability, answers.target)
    write_rows(
        folder / "reliability.csv",
        ("probability_from", "probability_to", "clips", "mean_probability", "accuracy"),
        zip(
            bins.edges[:-1].tolist(), bins.edges[1:].tolist(), bins.count.tolist(),
            bins.confidence.tolist(), bins.accuracy.tolist(), strict=True,
        ),
    )  # fmt: skip
    curve = sweep(answers.ranked, answers.correct)
    write_rows(
        folder / "coverage-at-risk.csv",
        ("risk", "coverage"),
        ((risk, curve.coverage_at_risk(risk)) for risk in RISKS),
    )


def _write_modalities(answers: Outcomes, folder: Path) -> None:
    if not answers.modalities:
        return
    columns = [each.name for each in fields(ModalitySummary)]
    write_rows(
        folder / "modalities.csv",
        ("modality", *columns[1:]),
        ([getattr(each, name) for name in columns] for each in summaries_of(answers)),
    )
    write_rows(
        folder / "beliefs.csv",
        ("modality", "class", "belief_in_its_clips", "belief_in_others"),
        ((name, *row) for name in answers.modalities for row in beliefs_of(answers, name)),
    )


def _write_label_sets(answers: Outcomes, folder: Path) -> None:
    if answers.conformal is None:
        return
    size, held = sizes_of(answers)
    write_rows(
        folder / "label-sets.csv",
        ("labels_in_the_set", "clips", "hold_the_true_label"),
        zip(range(len(size)), size.tolist(), held.tolist(), strict=True),
    )


def _ends(figure: Estimate) -> tuple[float, float, float]:
    return figure.value, figure.low, figure.high


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Iterable[Value]]) -> None:
    """Write a table as CSV, an empty cell where there is no value."""
    # File names may hold bytes that are no text; they are written as escapes, not refused.
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([_plain(value) for value in row] for row in rows)


def _plain(value: Value) -> Value:
    """Return an empty cell where there is no value."""
    return None if isinstance(value, float) and math.isnan(value) else value
