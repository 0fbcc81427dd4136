"""Tables for people: predictions, thresholds, figures, and what this installation can do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ter_fast import _ops
from ter_fast.breakdown import Breakdown
from ter_fast.config import ModelConfig, TrustedThreshold
from ter_fast.opinion import Opinion
from ter_fast.prediction import Prediction, Predictions
from ter_fast.timeline import clock

if TYPE_CHECKING:
    from ter_fast.evaluate import Evaluation
    from ter_fast.metrics import Comparison
    from ter_fast.model import Model

_NOTICE = "Labels are expressions as acted or perceived, not what a person feels."


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _verdict(prediction: Prediction) -> Text:
    if prediction.error:
        return Text("failed", "bold red")
    if prediction.trusted is None:
        return Text("?", "yellow")
    return Text("✓ yes", "bold green") if prediction.trusted else Text("✗ no", "bold yellow")


def _say(opinion: Opinion | None, labels: tuple[str, ...]) -> str:
    if opinion is None:
        return "–"
    return f"{labels[int(opinion.prediction)]} {float(opinion.confidence):.2f}"


@dataclass(frozen=True)
class PredictionTable:
    """What `ter-fast predict` prints: a line per clip, and below it why it is not trusted.

    Attributes:
        predictions: the clips.
        config: of the model that predicted them.
        per_window: the rows are windows, whose times are part of their names.
    """

    predictions: Predictions
    config: ModelConfig
    per_window: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        modalities = self.config.modalities
        header = [
            Text(name, "bold") for name in ("clip", "label", "confidence", "trusted?", *modalities)
        ]
        rows = [self._row(prediction) for prediction in self.predictions]
        widths = [
            max(cell.cell_len for cell in column) for column in zip(header, *rows, strict=True)
        ]
        # Names give way first: everything else is what the reader came for.
        spare = options.max_width - sum(widths[1:]) - 2 * (len(widths) - 1)
        widths[0] = min(widths[0], max(12, spare))
        yield _line(header, widths)
        yield Text("─" * (sum(widths) + 2 * (len(widths) - 1)), "dim")
        for prediction, row in zip(self.predictions, rows, strict=True):
            yield _line(row, widths)
            for why in [prediction.error] if prediction.error else prediction.reasons:
                yield Padding(Text(why, "red" if prediction.error else "dim"), (0, 0, 0, 4))
        count, failed = len(self.predictions), len(self.predictions.failed)
        trusted = len(self.predictions.trusted)
        yield Text()
        yield Text(
            f"{count} {'window' if self.per_window else 'clip'}{'s' if count != 1 else ''}: "
            f"{trusted} trusted, "
            f"{count - trusted - failed} not, {failed} failed. Confidence / threshold; "
            f"then what each modality alone says. {_NOTICE}",
            "dim",
        )
        for promise in dict.fromkeys(each.promise for each in self.predictions if each.promise):
            yield Text(f"Promised: {promise}.", "dim")

    def _row(self, prediction: Prediction) -> list[Text]:
        threshold = "" if prediction.threshold is None else f" / {prediction.threshold:.2f}"
        return [
            Text(f"{prediction.path} {_times(prediction)}" if self.per_window else prediction.path),
            Text(prediction.label or "–", "bold"),
            Text(f"{prediction.confidence:.2f}{threshold}" if prediction.label else "–"),
            _verdict(prediction),
            *(
                Text(_say(prediction.opinions.get(name), self.config.labels))
                for name in self.config.modalities
            ),
        ]


def _times(prediction: Prediction) -> str:
    if math.isnan(prediction.start):
        return ""
    return f"{clock(prediction.start)}–{clock(prediction.end)}"


def live_line(prediction: Prediction) -> Text:
    """Return one window of a stream as one line: its times, its label, and whether to trust it.

    Example:
        >>> live_line(Prediction("cam", 4.0, 8.0, "calm", confidence=0.9, trusted=True)).plain
        '0:04–0:08  calm  0.90  ✓ yes'
    """
    parts = [
        Text(_times(prediction), "dim"),
        Text(prediction.label or "–", "bold"),
        Text(f"{prediction.confidence:.2f}" if prediction.label else "–"),
        _verdict(prediction),
    ]
    if not prediction.trusted:
        parts.append(Text("; ".join(prediction.reasons), "dim"))
    return Text("  ").join(parts)


def _line(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    padded = []
    for cell, width in zip(cells, widths, strict=True):
        text = cell.copy()
        if text.cell_len > width:
            # The end of a long path tells clips apart.
            text = Text("…" + text.plain[text.cell_len - width + 1 :], text.style)
        text.pad_right(width - text.cell_len)
        padded.append(text)
    return Text("  ").join(padded)


def thresholds_table(config: ModelConfig) -> RenderableType:
    """Return a model's trusted thresholds and how they did where they were chosen."""
    columns = {
        "precision": "precision",
        "recall": "recall",
        "f1": "F1",
        "accept_all_f1": "F1 of all",
        "coverage": "coverage",
    }
    table = _table("modalities", "threshold", *columns.values(), title="Trusted thresholds")
    origins = []
    for name, record in config.thresholds.items():
        table.add_row(
            name,
            f"{record.threshold:.4f}",
            *(f"{record.scores[each]:.3f}" if each in record.scores else "–" for each in columns),
        )
        clips = f"{record.pairing} pairs" if record.pairing else "clips"
        apart = record.guarantee.get("held_out")
        origins.append(
            f"{name}: by {record.criterion} on {record.samples} {clips} of {record.data}"
            + (f", and {apart} more to choose what was tested" if apart else "")
        )
    origins += [
        f"{name}, promised: {record.promise}"
        for name, record in config.thresholds.items()
        if record.promise
    ]
    origins += [
        f"{name}: {_ranking(record, config.confidence)}"
        for name, record in config.thresholds.items()
        if record.best_confidence
    ]
    if config.disagreement_limit is not None:
        origins.append(f"not trusted above a disagreement of {config.disagreement_limit:.4f}")
    if not origins:
        return Text("No trusted threshold yet: run calibrate.", "yellow")
    return Group(table, Text("\n".join(origins), "dim"))


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
        f"({evaluation.groups} groups"
        + (f"; {evaluation.excluded} lack a modality)" if evaluation.excluded else ")")
    )
    table = _table(
        "figure", "value", "95 % interval",
        title=title,
    )  # fmt: skip
    for name, figure in evaluation.figures.items():
        table.add_row(
            name.replace("_", " "), f"{figure.value:.4f}", f"{figure.low:.4f} … {figure.high:.4f}"
        )
    parts: list[RenderableType] = [table]
    parts += [_breakdown(by, rows) for by, rows in evaluation.breakdowns.items() if by != "group"]
    ranking = _table(
        "confidence", "AURC, lower is better", title="Which confidence ranks errors best"
    )
    for name, area in sorted(evaluation.aurc_by_confidence.items(), key=lambda pair: pair[1]):
        ranking.add_row(name, f"{area:.4f}")
    parts.append(ranking)
    if evaluation.outcomes.promise:
        parts.append(Text(f"the threshold's promise: {evaluation.outcomes.promise}"))
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


def comparison_table(
    differences: Mapping[str, Comparison], first: str, second: str
) -> RenderableType:
    """Return the differences between two models on the same clips."""
    table = _table(
        "figure",
        "difference",
        "95 % interval",
        "p",
        title=f"{escape(first)} minus {escape(second)}",
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


def _breakdown(by: str, rows: Mapping[str, Breakdown]) -> Table:
    columns = {
        "accuracy": "accuracy",
        "trusted_precision": "trusted precision",
        "trusted_recall": "trusted recall",
        "coverage": "coverage",
    }
    held = {key: name for key, name in columns.items() if key in next(iter(rows.values())).figures}
    table = _table(by, "clips", *held.values(), title=f"By {by}")
    for value, row in rows.items():
        # Where nothing is trusted, precision is 1 by definition, which reads like praise.
        none_trusted = "coverage" in row.figures and row.figures["coverage"].value == 0
        cells = (
            "–" if none_trusted and key == "trusted_precision" else f"{row.figures[key].value:.3f}"
            for key in held
        )
        table.add_row(escape(value), str(row.samples), *cells)
    return table


def information() -> dict[str, Any]:
    """Return versions and backends as plain values."""
    names = (
        "ter_fast",
        "torch",
        "numpy",
        "numba",
        "av",
        "torchcodec",
        "opencv-python-headless",
        "lightning",
        "pandas",
        "pyarrow",
    )
    versions: dict[str, str | None] = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    import torch

    from ter_fast import decode
    from ter_fast.faces import default_face_model

    choice = decode.choose()
    face_model = default_face_model()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
        "kernels": asdict(_ops.backend()),
        "cuda": {
            "available": torch.cuda.is_available(),
            "torch_built_for": torch.version.cuda,
            "kernels": asdict(_ops.backend("cuda")),
        },
        "decode": {
            "backend": choice.name,
            "why": choice.why,
            "available": decode.available(),
        },
        "face_model": None if face_model is None else str(face_model),
    }


def info_table(values: dict[str, Any]) -> RenderableType:
    """Return what `ter-fast info` prints."""
    table = _table("part", "state", "why")
    versions = ", ".join(f"{name} {version or '–'}" for name, version in values["versions"].items())
    table.add_row("versions", f"Python {values['python']}, {versions}", values["platform"])
    table.add_row("kernels", values["kernels"]["name"], values["kernels"]["reason"])
    cuda = values["cuda"]
    table.add_row(
        "CUDA",
        "available" if cuda["available"] else "not available",
        f"torch built for CUDA {cuda['torch_built_for']}"
        if cuda["torch_built_for"]
        else "this torch has no CUDA",
    )
    table.add_row("kernels on CUDA", cuda["kernels"]["name"], cuda["kernels"]["reason"])
    table.add_row("decoding", values["decode"]["backend"], _decoding(values["decode"]))
    face = values["face_model"]
    table.add_row(
        "face detector",
        face or "none",
        "" if face else "give --face-model, or run: ter-fast data fetch-models",
    )
    return table


def _decoding(values: dict[str, Any]) -> str:
    others = [
        f"{name} ({'installed' if there else 'not installed'})"
        for name, there in values["available"].items()
        if name != values["backend"]
    ]
    return f"{values['why']}; on request (backend=…): {', '.join(others)}"


def model_table(model: Model) -> RenderableType:
    """Return a description of a model: classes, experts, data, terms, thresholds."""
    config = model.config
    table = _table("entry", "value", title="Model")
    table.add_row("classes", ", ".join(config.labels))
    for name, expert in config.experts.items():
        size = sum(each.numel() for each in model.experts[name].parameters())
        table.add_row(
            f"{name} expert",
            f"{expert.encoder}, {size:,} parameters, classes {', '.join(expert.labels)}",
        )
    table.add_row("fusion", f"{config.rule}; confidence {config.confidence}")
    for record in config.training:
        table.add_row(
            f"trained on ({'+'.join(record.modalities)})",
            f"{escape(record.data)}: {dict(record.samples)}",
        )
    for terms in config.terms:
        table.add_row("terms", escape(terms))
    return Group(table, thresholds_table(config))
