"""Predictions for people: a table of clips, and a line for each window of a stream."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text

from ter_fast.experts.config import ModelConfig
from ter_fast.media.text import clean
from ter_fast.opinions.opinion import Opinion
from ter_fast.predict.prediction import Prediction, Predictions
from ter_fast.predict.spans import clock

_NOTICE = "Labels are expressions as acted or perceived, not what a person feels."


def _verdict(prediction: Prediction) -> Text:
    if prediction.error:
        return Text("failed", "bold red")
    if prediction.trusted is None:
        return Text("?", "yellow")
    return Text("✓ yes", "bold green") if prediction.trusted else Text("✗ no", "bold yellow")


def _set(prediction: Prediction) -> str:
    if prediction.label_set is None:
        return "–"
    return ", ".join(prediction.label_set) or "none fits"


def _say(opinion: Opinion | None, labels: tuple[str, ...]) -> str:
    if opinion is None:
        return "–"
    return f"{labels[int(opinion.prediction)]} {float(opinion.confidence):.2f}"


@dataclass(frozen=True)
class PredictionTable:
    """What `ter-fast predict` prints: a line per clip, and below it why it is not trusted.

    Attributes:
        predictions: The clips.
        config: Of the model that predicted them.
        per_window: The rows are windows, whose times are part of their names.
    """

    predictions: Predictions
    config: ModelConfig
    per_window: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        sets = ("label set",) if self.config.has_label_sets else ()
        columns = ("clip", "label", "confidence", "trusted?", *sets, *self.config.modalities)
        header = [Text(name, "bold") for name in columns]
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
                yield Padding(Text(clean(why), "red" if prediction.error else "dim"), (0, 0, 0, 4))
        count, failed = len(self.predictions), len(self.predictions.failed)
        trusted = len(self.predictions.trusted)
        unknown = sum(each.trusted is None and not each.error for each in self.predictions)
        undecided = f"{unknown} without a threshold, " if unknown else ""
        yield Text()
        yield Text(
            f"{count} {'window' if self.per_window else 'clip'}{'s' if count != 1 else ''}: "
            f"{trusted} trusted, "
            f"{count - trusted - unknown - failed} not, {undecided}{failed} failed. Confidence / threshold; "
            f"then what each modality alone says. {_NOTICE}",
            "dim",
        )
        for guarantee in dict.fromkeys(
            each.guarantee for each in self.predictions if each.guarantee
        ):
            yield Text(f"Guaranteed: {guarantee}.", "dim")
        records = self.config.window_conformal if self.per_window else self.config.conformal
        for guarantee in dict.fromkeys(record.guarantee for record in records.values()):
            yield Text(f"Guaranteed: {guarantee}.", "dim")

    def _row(self, prediction: Prediction) -> list[Text]:
        threshold = "" if prediction.threshold is None else f" / {prediction.threshold:.2f}"
        return [
            Text(
                clean(
                    f"{prediction.path} {_times(prediction)}"
                    if self.per_window
                    else prediction.path
                )
            ),
            Text(prediction.label or "–", "bold"),
            Text(f"{prediction.confidence:.2f}{threshold}" if prediction.label else "–"),
            _verdict(prediction),
            *([Text(_set(prediction))] if self.config.has_label_sets else []),
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
    if prediction.label_set is not None:
        parts.append(Text(f"{{{_set(prediction)}}}"))
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
