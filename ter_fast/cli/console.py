"""Tables for people: thresholds and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ter_fast.cli.common import escape_markup
from ter_fast.experts.config import ModelConfig
from ter_fast.trust.baselines import baselines_of
from ter_fast.trust.subgroups import Subgroup
from ter_fast.trust.trusted_threshold import TrustedThreshold

if TYPE_CHECKING:
    from ter_fast.evaluate.evaluation import Evaluation
    from ter_fast.trust.metrics import Comparison


def new_table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table in the look that all tables of the package have.

    Example:
        >>> new_table("class", "clips").row_count
        0
    """
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def thresholds_table(config: ModelConfig) -> RenderableType:
    """Return a model's trusted thresholds and how they did where they were chosen.

    Those of the windows that long clips are cut in follow those of whole clips, where there are any.
    """
    parts: list[RenderableType] = []
    if config.discount is not None:
        weights = zip(config.modalities, config.discount, strict=True)
        said = ", ".join(f"{name} {weight:.3f}" for name, weight in weights)
        parts.append(Text(f"Reliability, by which fusion discounts: {said}"))
    if config.thresholds:
        parts += _thresholds("Trusted thresholds", "clips", config.thresholds, config.confidence)
    if config.window_thresholds:
        if not config.thresholds:
            parts.append(Text("No trusted threshold of whole clips yet: run calibrate.", "yellow"))
        title = f"Trusted thresholds of windows of {config.window_seconds:g} s"
        parts += _thresholds(title, "windows", config.window_thresholds, config.confidence)
    if not (config.thresholds or config.window_thresholds):
        parts.append(Text("No trusted threshold yet: run calibrate.", "yellow"))
        return Group(*parts, *_label_sets(config))
    if config.disagreement_limit is not None:
        parts.append(
            Text(f"not trusted above a disagreement of {config.disagreement_limit:.4f}", "dim")
        )
    return Group(*parts, *_label_sets(config))


def _label_sets(config: ModelConfig) -> list[RenderableType]:
    """Say what label sets cover, one line for each set of modalities; nothing where there are none."""
    lines = [f"{name}: {each.guarantee}" for name, each in config.conformal.items()]
    lines += [f"{name}: {each.guarantee}" for name, each in config.window_conformal.items()]
    return [Text("\n".join(lines), "dim")] if lines else []


def _thresholds(
    title: str, unit: str, records: Mapping[str, TrustedThreshold], used: str
) -> list[RenderableType]:
    columns = {
        "precision": "precision",
        "recall": "recall",
        "f1": "F1",
        "accept_all_f1": "F1 of all",
        "coverage": "coverage",
    }
    table = new_table("modalities", "threshold", *columns.values(), title=title)
    origins = []
    for name, record in records.items():
        table.add_row(
            name,
            f"{record.threshold:.4f}",
            *(
                f"{record.scores[column]:.3f}" if column in record.scores else "–"
                for column in columns
            ),
        )
        units = f"{record.pairing} pairs" + " of windows" * (unit == "windows")
        apart = record.guarantee.get("held_out")
        origins.append(
            f"{name}: by {record.criterion} on {record.samples} {units if record.pairing else unit} of {record.data}"
            + (f", and {apart} more to choose what was tested" if apart else "")
        )
    origins += [
        f"{name}, guaranteed: {record.guarantee_text}"
        for name, record in records.items()
        if record.guarantee_text
    ]
    origins += [
        f"{name}: {_ranking(record, used)}"
        for name, record in records.items()
        if record.best_confidence
    ]
    parts: list[RenderableType] = [table, Text("\n".join(origins), "dim")]
    parts += [
        Text(
            f"warning: {name}: the model is no better than always guessing one class: right in "
            f"{record.scores['model_accuracy']:.3f} of these {unit}, and the most frequent class is "
            f"{record.scores['majority_share']:.3f} of them. The threshold means little; train longer or on more "
            "clips, and check the labels.",
            "yellow",
        )
        for name, record in records.items()
        if not record.beats_guessing
    ]
    return parts


def _ranking(record: TrustedThreshold, used: str) -> str:
    """Say which confidence ranked errors best where the threshold was chosen."""
    areas, best = record.aurc_by_confidence, record.best_confidence
    text = f"{best} ranks errors best there (AURC {areas[best]:.4f}"
    if areas.get(used, math.nan) > areas[best]:
        text += f"; {used}, which is in use, {areas[used]:.4f}"
    return f"{text})"


def evaluation_table(evaluation: Evaluation) -> RenderableType:
    """Return the figures of an evaluation."""
    pairs = f"{evaluation.pairing} pairs" if evaluation.pairing else "clips"
    title = (
        f"{evaluation.modalities} on {evaluation.samples} {pairs} of {evaluation.name} "
        f"({evaluation.groups} group{'' if evaluation.groups == 1 else 's'}"
        + (f"; {evaluation.excluded} lack a modality)" if evaluation.excluded else ")")
    )
    table = new_table(
        "figure", "value", "95 % interval",
        title=escape_markup(title),
    )  # fmt: skip
    for name, figure in evaluation.figures.items():
        ends = "–" if math.isnan(figure.low) else f"{figure.low:.4f} … {figure.high:.4f}"
        table.add_row(name.replace("_", " "), f"{figure.value:.4f}", ends)
    parts: list[RenderableType] = [*_baselines(evaluation), table]
    parts += [
        _subgroup_table(by, rows) for by, rows in evaluation.subgroups.items() if by != "group"
    ]
    ranking = new_table(
        "confidence", "AURC, lower is better", title="Which confidence ranks errors best"
    )
    for name, area in sorted(evaluation.aurc_by_confidence.items(), key=lambda pair: pair[1]):
        ranking.add_row(name, f"{area:.4f}")
    parts.append(ranking)
    if evaluation.outcomes.guarantee:
        parts.append(Text(f"the threshold's guarantee: {evaluation.outcomes.guarantee}"))
    if evaluation.outcomes.conformal is not None:
        parts.append(Text(f"guaranteed: {evaluation.outcomes.conformal.guarantee}"))
    if known := evaluation.known_groups:
        text = f"the model learned from {len(known)} of these groups, by their names: the figures flatter it"
        parts.append(Text(text, "yellow"))
    if evaluation.note:
        parts.append(Text(evaluation.note, "yellow"))
    if evaluation.without_confidence:
        parts.append(
            Text(
                f"{evaluation.without_confidence} clips have no confidence and are never trusted",
                "red",
            )
        )
    if evaluation.errors:
        parts.append(
            Text(
                f"{len(evaluation.errors)} clips could not be used; the first: {evaluation.errors[0]}",
                "red",
            )
        )
    return Group(*parts)


def _baselines(evaluation: Evaluation) -> list[RenderableType]:
    """Say what accuracy costs nothing, and whether the model has more."""
    base = baselines_of(evaluation.outcomes)
    parts: list[RenderableType] = []
    if base.never_predicted:
        names = ", ".join(base.never_predicted)
        parts.append(Text(f"never predicted, though in these clips: {names}", "yellow"))
    if not base.beaten:
        parts.append(Text(f"the model is no better than always guessing {base.label}", "yellow"))
    text = (
        f"right: {base.accuracy:.4f} of the clips, against {base.chance:.4f} by chance and {base.share:.4f} by always "
        f"guessing {base.label}"
    )
    return [*parts, Text(text)]


def comparison_table(
    differences: Mapping[str, Comparison], first: str, second: str
) -> RenderableType:
    """Return the differences between two models on the same clips."""
    table = new_table(
        "figure",
        "difference",
        "95 % interval",
        "p",
        title=f"{escape_markup(first)} minus {escape_markup(second)}",
    )
    for name, each in differences.items():
        table.add_row(
            name.replace("_", " "),
            f"{each.difference:+.4f}",
            f"{each.low:+.4f} … {each.high:+.4f}",
            f"{each.p_value:.3f}",
        )
    note = "Resampled in pairs by group. A p-value each, not corrected for looking at many figures."
    return Group(table, Text(note, "dim"))


def _subgroup_table(by: str, rows: Mapping[str, Subgroup]) -> Table:
    columns = {
        "accuracy": "accuracy",
        "trusted_precision": "trusted precision",
        "trusted_recall": "trusted recall",
        "coverage": "coverage",
        "conformal_coverage": "label set coverage",
    }
    held = {key: name for key, name in columns.items() if key in next(iter(rows.values())).figures}
    table = new_table(by, "clips", *held.values(), title=f"By {by}")
    for value, row in rows.items():
        # Where nothing is trusted, precision is 1 by definition, which reads like praise.
        none_trusted = "coverage" in row.figures and row.figures["coverage"].value == 0
        cells = (
            "–" if none_trusted and key == "trusted_precision" else f"{row.figures[key].value:.3f}"
            for key in held
        )
        table.add_row(escape_markup(value), str(row.samples), *cells)
    return table
