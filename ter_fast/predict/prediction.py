"""What a model answers: one `Prediction` per clip, and `Predictions`, the table of many."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ter_fast.media.files import write_atomically
from ter_fast.media.text import as_text
from ter_fast.opinions.opinion import Opinion
from ter_fast.predict.notebook import SHOWN_ROWS, table_html
from ter_fast.predict.subtitles import write_subtitles
from ter_fast.predict.tables import check_table_name, is_text_column, json_line, need_tables
from ter_fast.predict.timeline import Timeline

if TYPE_CHECKING:
    import pandas

_NAN = float("nan")


@dataclass(frozen=True)
class Prediction:
    """The emotion that a clip was estimated to show or sound like, and whether to act on it.

    The label is the emotion the expression was acted or perceived as, not what a person feels.

    Attributes:
        path: The file, or a name for what was not a file.
        start: Start of the clip in seconds.
        end: End of the clip in seconds.
        label: The class with the largest probability; "" when nothing could be predicted.
        probabilities: By class, alpha_k / S of the fused opinion.
        confidence: Of the model's kind, in [0, 1].
        trusted: True when the confidence reaches the threshold (and the modalities do not disagree
            beyond the limit); False when not; None when there is no threshold to compare with.
        threshold: The trusted threshold for the modalities that were present.
        uncertainty: Vacuity K / S of the fused opinion.
        conflict: Mass that Dempster's rule discards between the modalities.
        disagreement: Mean over pairs of modalities of how far they contradict each other.
        opinion: The fused opinion, evidence `(K,)`; None when nothing could be predicted.
        opinions: By modality what its expert says, None where it was masked. The fused opinion rests on
            these as discounted by each modality's reliability, where the model has learned one.
        labels: Class names in the order of the evidence.
        reasons: Why it is not trusted, and why a modality is missing or not believed.
        error: Why there is no answer: what was wrong with the file, or that nothing in it could be used; "" when
            there is one.
        guarantee: What is guaranteed of trusted predictions like this one, and for whom (which clips or
            speakers); "" when it is not trusted, or its threshold comes without a guarantee.
        label_set: The labels that cannot be ruled out, the most probable first, by conformal prediction
            (`calibrate(…, conformal=0.1)`); `()` where none fits, which `reasons` say; None when no sets were
            calibrated for the modalities that were present, or nothing could be predicted.
        has_label_sets: The model has label sets, so that tables have a column for them.
        made_of: Makes the predictions of its windows; None where it was not cut. See `windows`.
    """

    path: str
    start: float = _NAN
    end: float = _NAN
    label: str = ""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    confidence: float = _NAN
    trusted: bool | None = False
    threshold: float | None = None
    uncertainty: float = _NAN
    conflict: float = _NAN
    disagreement: float = _NAN
    opinion: Opinion | None = field(default=None, repr=False)
    opinions: Mapping[str, Opinion | None] = field(default_factory=dict, repr=False)
    labels: tuple[str, ...] = field(default=(), repr=False)
    reasons: tuple[str, ...] = ()
    error: str = ""
    guarantee: str = ""
    label_set: tuple[str, ...] | None = None
    has_label_sets: bool = field(default=False, repr=False, compare=False)
    made_of: Callable[[], Sequence[Prediction]] | None = field(
        default=None, repr=False, compare=False
    )

    @cached_property
    def windows(self) -> Predictions:
        """The windows that it was cut in, each with its own prediction, start and end.

        A clip that was not cut is its own only window. The windows of others are held to the
        thresholds of windows (`calibrate(…, unit="window")`), never to those of whole clips: without,
        `trusted` is None.
        """
        return Predictions([self] if self.made_of is None else self.made_of())

    def timeline(self) -> Timeline:
        """Return belief, uncertainty and trust over the windows, to draw or to read.

        `prediction.timeline().save("clip.svg")` draws it.

        Raises:
            TerFastError: The clip failed.
        """
        return Timeline.of(self)

    def subtitles(self, path: str | Path) -> None:
        """Write subtitles that say label and trust over time: .srt or .vtt, by the name's ending.

        Raises:
            TerFastError: Another ending, or the clip failed.
        """
        write_subtitles(self.timeline(), path)

    def row(self) -> dict[str, Any]:
        """Return the prediction as one row of the table, columns in their fixed order.

        `label_set` is a column only where the model has label sets: labels joined by "; ", "" where none fits.
        Bytes of a file name that are no text stand as escapes, which every format can hold; `path` has the name
        that opens the file.
        """
        row: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                "path", "start", "end", "label", "confidence", "trusted", "threshold",
                "uncertainty", "conflict", "disagreement",
            )
        }  # fmt: skip
        row |= {f"p_{label}": self.probabilities.get(label, _NAN) for label in self.labels}
        for name, opinion in self.opinions.items():
            row[f"{name}_label"] = "" if opinion is None else self.labels[int(opinion.prediction)]
            row[f"{name}_confidence"] = _NAN if opinion is None else float(opinion.confidence)
            row[f"{name}_uncertainty"] = _NAN if opinion is None else float(opinion.uncertainty)
        if self.has_label_sets:
            row["label_set"] = None if self.label_set is None else "; ".join(self.label_set)
        row["reasons"] = "; ".join(self.reasons)
        row["error"] = self.error
        return {as_text(name): _cell(value) for name, value in row.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return `row()`: plain values, None where one is missing."""
        return self.row()

    def _repr_html_(self) -> str:
        """Return the row as a table, which notebooks show."""
        return Predictions([self])._repr_html_()


def _cell(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    return as_text(value) if isinstance(value, str) else value


class Predictions(Sequence[Prediction]):
    """Predictions of many clips, as a sequence and as a table.

    Example:
        >>> table = Predictions([Prediction("a.wav", label="anger", confidence=0.9, trusted=True)])
        >>> table[0].label, len(table), table.trusted.paths
        ('anger', 1, ['a.wav'])
        >>> table["label"], table["confidence"]
        (['anger'], [0.9])
    """

    def __init__(self, predictions: Sequence[Prediction]) -> None:
        self._predictions = tuple(predictions)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Predictions: ...
    @overload
    def __getitem__(self, index: str) -> list[Any]: ...
    def __getitem__(self, index: int | slice | str) -> Prediction | Predictions | list[Any]:
        """Return a prediction by its place, a part of the table, or a column by its name."""
        if isinstance(index, str):
            return self._column(index)
        if isinstance(index, slice):
            return Predictions(self._predictions[index])
        return self._predictions[index]

    def __len__(self) -> int:
        return len(self._predictions)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self._predictions)

    def __repr__(self) -> str:
        return f"Predictions({len(self)} clips, {len(self.trusted)} trusted, {len(self.failed)} failed)"

    @property
    def paths(self) -> list[str]:
        """Paths in order."""
        return [each.path for each in self]

    @property
    def trusted(self) -> Predictions:
        """Those that are trusted."""
        return Predictions([each for each in self if each.trusted])

    @property
    def failed(self) -> Predictions:
        """Those whose file could not be used, or in which nothing could be."""
        return Predictions([each for each in self if each.error])

    @property
    def windows(self) -> Predictions:
        """The windows of every clip, a row each; a clip that was not cut, or failed, is one row."""
        return Predictions([window for each in self for window in each.windows])

    def to_pandas(self) -> pandas.DataFrame:
        """Return a DataFrame with one row per prediction.

        Raises:
            TerFastError: pandas is not installed.
        """
        need_tables("pandas")
        import pandas

        rows = self._rows()
        frame = pandas.DataFrame(rows, columns=list(rows[0]) if rows else ["path"])
        text = [name for name in frame.columns if is_text_column(name)]
        numbers = frame.columns.difference([*text, "trusted"])
        return frame.astype(
            {**dict.fromkeys(numbers, "float64"), **({"trusted": "boolean"} if rows else {})}
        )

    def to_csv(self, path: str | Path) -> None:
        """Write the table as CSV (UTF-8), empty where a value is missing; all of it or nothing."""
        rows = self._rows()

        def write(target: Path) -> None:
            with target.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]) if rows else ["path"])
                writer.writeheader()
                writer.writerows(rows)

        write_atomically(path, write)

    def to_jsonl(self, path: str | Path) -> None:
        """Write one JSON object per line, null where a value is missing; all of it or nothing."""
        write_atomically(path, self.to_json_lines())

    def to_json_lines(self) -> str:
        """Return the text that `to_jsonl` writes."""
        return "".join(map(json_line, self._rows()))

    def to_parquet(self, path: str | Path) -> None:
        """Write the table as Parquet; all of it or nothing.

        Raises:
            TerFastError: pandas or pyarrow is not installed.
        """
        need_tables()
        frame = self.to_pandas()
        write_atomically(path, lambda target: frame.to_parquet(target, index=False))

    def save(self, path: str | Path) -> None:
        """Write the table in the format that the name's ending says: .csv, .parquet or .jsonl.

        Raises:
            TerFastError: Another ending.
        """
        writers = {".csv": self.to_csv, ".parquet": self.to_parquet, ".jsonl": self.to_jsonl}
        writers[check_table_name(path)](path)

    def _repr_html_(self) -> str:
        """Return the table as HTML, which notebooks show; a long one from its beginning."""
        rows = [each.row() for each in self._predictions[:SHOWN_ROWS]]
        return table_html(rows, len(self))

    def _column(self, name: str) -> list[Any]:
        rows = self._rows()
        if rows and name not in rows[0]:
            raise KeyError(f"there is no column {name!r}; there are {', '.join(rows[0])}")
        return [row[name] for row in rows]

    def _rows(self) -> list[dict[str, Any]]:
        rows = [each.row() for each in self]
        # A row whose file failed has no classes or modalities of its own: the fullest row gives the columns.
        columns = max((list(row) for row in rows), key=len, default=[])
        return [{name: row.get(name) for name in columns} for row in rows]


def table_columns(
    labels: Sequence[str], modalities: Sequence[str], has_label_sets: bool = False
) -> list[str]:
    """Return the columns that the predictions of a model have as a table.

    Example:
        >>> table_columns(["calm", "angry"], ["audio"])[-6:-2]
        ['p_angry', 'audio_label', 'audio_confidence', 'audio_uncertainty']
    """
    blank = Prediction(
        "",
        labels=tuple(labels),
        opinions=dict.fromkeys(modalities),
        has_label_sets=has_label_sets,
    )
    return list(blank.row())
