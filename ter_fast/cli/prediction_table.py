"""Predictions for people: a table of clips, and a line for each window of a stream."""

from __future__ import annotations

import math
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.text import Text

from ter_fast.data.files import modalities_of
from ter_fast.data.modalities import MEDIA
from ter_fast.experts.config import ModelConfig
from ter_fast.media.text import clean
from ter_fast.opinions.opinion import Opinion
from ter_fast.predict.counting import PredictionCounts
from ter_fast.predict.prediction import Prediction, Predictions
from ter_fast.predict.reasons import below
from ter_fast.predict.spans import clock

_NOTICE = "Labels are expressions as acted or perceived, not what a person feels."
_GAP = "  "
_CONFIDENCE, _TRUSTED, _LABEL_SET, _MARKS = 16, 8, 12, 5
# Names of fewer cells tell clips apart badly: then what each modality says gets its own line.
_SHORTEST_NAME, _LEAST_NAME = 24, 12
# Further notes stand below their rows, so that a run without end does not gather them.
_MOST_NOTES = 30


class TablePrinter:
    """Turn predictions into the lines of a table as they come: head, a row for each, and a summary.

    A note that several clips have is numbered in their rows, and stands once below the table with its
    count. What a file cannot hold, by its name (sound in a .png), is neither a column nor a note.

    Args:
        config: Of the model that predicts.
        names: Of the clips that will come; None where nobody knows.
        per_window: The rows are windows, whose times are part of their names.
        width: Of the terminal in cells; None for names in full, as for a file.
    """

    def __init__(
        self,
        config: ModelConfig,
        names: Sequence[str] | None,
        per_window: bool = False,
        width: int | None = None,
    ) -> None:
        self.counts = PredictionCounts()
        self._config, self._per_window, self._unbroken = config, per_window, width is None
        self._notes: dict[str, int] = {}
        self._guarantees: dict[str, None] = {}
        self._modalities = [
            name
            for name in config.modalities
            if names is None or any(_may_hold(path, name) for path in names)
        ]
        label = max(map(cell_len, ("label", *config.labels)))
        self._widths = [label, _CONFIDENCE, _TRUSTED]
        columns = [max(label + 5, cell_len(name)) for name in self._modalities]
        columns += [_LABEL_SET] if config.has_label_sets else []
        times = 14 if per_window else 0
        longest = (
            max((cell_len(clean(name)) for name in names), default=0) + times
            if names
            else _SHORTEST_NAME + times
        )
        longest = max(longest, cell_len("clip"))
        self._in_columns = width is None or self._room(width, columns) >= min(
            longest, _SHORTEST_NAME + times
        )
        if self._in_columns:
            self._widths += columns
        room = longest if width is None else max(_LEAST_NAME + times, self._room(width))
        self._widths.insert(0, min(longest, room))

    def _room(self, width: int, more: Sequence[int] = ()) -> int:
        """Return the cells that are left for names beside the columns, and more."""
        widths = [*self._widths, *more]
        return width - sum(widths) - len(_GAP) * len(widths) - _MARKS

    def head(self) -> Iterator[Text]:
        """Yield the names of the columns, and a line below."""
        names = ["clip", "label", "confidence", "trusted?"]
        if self._in_columns:
            names += self._modalities
            names += ["label set"] if self._config.has_label_sets else []
        yield _line([Text(name, "bold") for name in names], self._widths)
        yield Text("─" * (sum(self._widths) + len(_GAP) * (len(self._widths) - 1)), "dim")

    def row(self, prediction: Prediction) -> Iterator[RenderableType]:
        """Yield the lines of one prediction, and take note of it for the summary."""
        self.counts.add(prediction)
        if prediction.guarantee:
            self._guarantees[prediction.guarantee] = None
        marks, others = self._mark(prediction)
        cells = [
            Text(self._name(prediction)),
            Text(prediction.label or "–", "bold"),
            Text(_confidence(prediction)),
            _verdict(prediction),
        ]
        if self._in_columns:
            opinions = (prediction.opinions.get(name) for name in self._modalities)
            cells += [Text(_say(opinion, self._config.labels)) for opinion in opinions]
            cells += [Text(_set(prediction))] if self._config.has_label_sets else []
        line = _line(cells, self._widths)
        if not (self._in_columns and marks):
            line.rstrip()
        yield line.append(f" {marks}" if marks else "", "dim")
        if prediction.error:
            yield self._below(prediction.error, "red")
            return
        details = [] if self._in_columns else self._details(prediction)
        for text in (*([_GAP.join(details)] if details else []), *others):
            yield self._below(text, "dim")

    def _details(self, prediction: Prediction) -> list[str]:
        """Return what has no column of its own: what each of several modalities says, and the label set."""
        said = {
            name: prediction.opinions.get(name)
            for name in self._modalities
            if _may_hold(prediction.path, name)
        }
        details = [f"{name}: {_say(said[name], self._config.labels)}" for name in said]
        sets = [f"label set: {_set(prediction)}"] if self._config.has_label_sets else []
        return (details if len(details) > 1 else []) + sets

    def _below(self, text: str, style: str) -> RenderableType:
        """Return a line below a row; a file's lines are not broken."""
        if self._unbroken:
            return Text(f"    {clean(text)}", style)
        return Padding(Text(clean(text), style), (0, 0, 0, 4), expand=False)

    def _mark(self, prediction: Prediction) -> tuple[str, list[str]]:
        """Return the numbers of a prediction's notes, and those that have none."""
        marks, others = [], []
        for note in () if prediction.error else prediction.reasons:
            modality = note.partition(":")[0]
            if modality in self._config.modalities and not _may_hold(prediction.path, modality):
                continue
            threshold = prediction.threshold
            if threshold is not None and note == below(prediction.confidence, threshold):
                continue  # the column says so
            if note not in self._notes and len(self._notes) == _MOST_NOTES:
                others.append(note)
                continue
            self._notes[note] = self._notes.get(note, 0) + 1
            marks.append(str(list(self._notes).index(note) + 1))
        return f"[{','.join(marks)}]" if marks else "", others

    def _name(self, prediction: Prediction) -> str:
        times = f" {_times(prediction)}" if self._per_window else ""
        return shorten(clean(prediction.path), self._widths[0] - cell_len(times)) + times

    def foot(self) -> Iterator[Text]:
        """Yield the notes with their counts, the counts of labels and of trust, and what is guaranteed."""
        yield Text()
        unit = "window" if self._per_window else "clip"
        for number, (note, count) in enumerate(self._notes.items(), 1):
            times = f" ({_plural(count, unit)})" if count > 1 else ""
            yield Text(f"[{number}] {clean(note)}{times}", "dim")
        counts = self.counts
        if counts.total > 1 and counts.labels:
            by_label = (
                f"{label} {count} ({trusted} trusted)"
                for label, count, trusted in counts.by_label()
            )
            yield Text(f"By label: {', '.join(by_label)}.", "dim")
        parts = [f"{counts.trusted} trusted", f"{counts.untrusted} not"]
        parts += [f"{counts.undecided} without a threshold"] if counts.undecided else []
        parts += [f"{counts.unanswered} without an answer"] if counts.unanswered else []
        parts.append(f"{counts.failed} failed")
        yield Text(f"{_plural(counts.total, unit)}: {', '.join(parts)}. {_NOTICE}", "dim")
        records = self._config.window_conformal if self._per_window else self._config.conformal
        sets = (record.guarantee for record in records.values())
        for guarantee in dict.fromkeys((*self._guarantees, *sets)):
            yield Text(f"Guaranteed: {guarantee}.", "dim")


@dataclass(frozen=True)
class PredictionTable:
    """The table that `ter-fast predict` prints, of predictions that are all there; see `TablePrinter`.

    Attributes:
        predictions: The clips.
        config: Of the model that predicted them.
        per_window: The rows are windows, whose times are part of their names.
    """

    predictions: Predictions
    config: ModelConfig
    per_window: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        printer = TablePrinter(
            self.config, self.predictions.paths, self.per_window, options.max_width
        )
        yield from printer.head()
        for prediction in self.predictions:
            yield from printer.row(prediction)
        yield from printer.foot()


def live_line(prediction: Prediction) -> Text:
    """Return one window of a stream as one line: its times, its label, and whether to trust it.

    Example:
        >>> live_line(Prediction("cam", 4.0, 8.0, "calm", confidence=0.9, trusted=True)).plain
        '0:04–0:08  calm  0.90  ✓ yes'
    """
    parts = [
        Text(_times(prediction), "dim"),
        Text(prediction.label or "–", "bold"),
        Text(_confidence(prediction)),
        _verdict(prediction),
    ]
    if prediction.label_set is not None:
        parts.append(Text(f"{{{_set(prediction)}}}"))
    if not prediction.trusted:
        threshold = prediction.threshold
        said = None if threshold is None else below(prediction.confidence, threshold)
        reasons = "; ".join(reason for reason in prediction.reasons if reason != said)
        parts += [Text(reasons, "dim")] if reasons else []
    return Text(_GAP).join(parts)


def shorten(name: str, width: int) -> str:
    """Shorten a name in the middle: its beginning and its end, with the ending, tell clips apart.

    Example:
        >>> shorten("/data/recordings/anna/morning.mp4", 22)
        '/data/rec…/morning.mp4'
        >>> shorten("a_very_long_name_of_a_clip.mp4", 16)
        'a_very_…clip.mp4'
    """
    if cell_len(name) <= width:
        return name
    tail = f"/{PurePath(name).name}"
    # A file's own name whole, where a few cells of its folder are left beside it.
    if cell_len(tail) + 4 > width:
        tail = name
        while cell_len(tail) > width // 2:
            tail = tail[1:]
    return set_cell_size(name, width - 1 - cell_len(tail)).rstrip() + "…" + tail


def _may_hold(name: str, modality: str) -> bool:
    """Say whether a file may hold a modality, by the ending of its name; anything may hold the others."""
    path = urllib.parse.urlsplit(name).path if "://" in name else name
    return modality not in MEDIA or modality in modalities_of(path)


def _verdict(prediction: Prediction) -> Text:
    if prediction.error:
        return Text("failed", "bold red")
    if not prediction.label:
        return Text("✗ no", "yellow")
    if prediction.trusted is None:
        return Text("?", "yellow")
    return Text("✓ yes", "bold green") if prediction.trusted else Text("✗ no", "bold yellow")


def _confidence(prediction: Prediction) -> str:
    """Return the confidence and what it is held to, in as many digits as tell them apart."""
    confidence, threshold = prediction.confidence, prediction.threshold
    if not prediction.label:
        return "–"
    if threshold is None:
        return f"{confidence:.2f}"
    for digits in range(2, 7):
        texts = f"{confidence:.{digits}f}", f"{threshold:.{digits}f}"
        if confidence >= threshold or texts[0] != texts[1]:
            break
    return f"{texts[0]}, needs {texts[1]}"


def _set(prediction: Prediction) -> str:
    if prediction.label_set is None:
        return "–"
    return ", ".join(prediction.label_set) or "none fits"


def _say(opinion: Opinion | None, labels: tuple[str, ...]) -> str:
    if opinion is None:
        return "–"
    return f"{labels[int(opinion.prediction)]} {float(opinion.confidence):.2f}"


def _times(prediction: Prediction) -> str:
    if math.isnan(prediction.start):
        return ""
    return f"{clock(prediction.start)}–{clock(prediction.end)}"


def _plural(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _line(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    padded = []
    for cell, width in zip(cells, widths, strict=True):
        text = cell.copy()
        text.pad_right(max(0, width - text.cell_len))
        padded.append(text)
    line = Text(_GAP).join(padded)
    line.no_wrap = True
    return line
