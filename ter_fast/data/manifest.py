"""Manifests: a table of your clips, as CSV or Parquet."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ter_fast.data.aliases import split_name
from ter_fast.data.dataset import SPLITS, Dataset, Sample
from ter_fast.data.files import locate, modalities_of
from ter_fast.data.messages import closest_name, counted_examples, require_label
from ter_fast.data.tables import cells_of_any_length, read_parquet
from ter_fast.errors import DataError

TERMS = "not stated: data of the user's own manifest"

_SPAN = ("start", "end")
_COLUMNS = ("path", "label", "split", "group", *_SPAN)
_MISSING = ("nan", "<na>", "nat")

Rows = list[tuple[int, dict[str, str]]]


def load_manifest(
    path: str | Path, labels: Iterable[str] | None = None, check: bool = True
) -> Dataset:
    """Read a table with the columns ``path, label[, split][, group][, start, end]``.

    Paths are relative to the table's own folder. Splits may go by other names, such as dev, val
    or eval (`ter_fast.data.aliases.SPLIT_NAMES`). Without ``split`` every sample has the empty
    split (see `ter_fast.data.holdout`); without ``group`` each file is its own. With ``start``
    and ``end`` in seconds, that stretch of the file is the sample; where both cells are empty, the
    whole file is. A column that is called like a registered modality
    (`ter_fast.register_modality`) holds what its reader is given, and an empty cell says that it is
    missing. Other columns become attributes. Messages count rows as a spreadsheet does: the
    header of a CSV is row 1, and so its first sample row 2; the first row of a Parquet file is
    row 1.

    Args:
        path: A ``.csv`` (UTF-8; separated by commas, semicolons or tabs) or ``.parquet`` file.
        labels: Class names that the table may use; by default, all that it uses.
        check: Whether media files must be there, and groups on one side of the split.

    Raises:
        DataError: The file cannot be read, or a column, label, split or media file is missing
            or wrong, with the row numbers and what to do.

    Example:
        >>> load_manifest("no/such.csv")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: no/such.csv is not there. ...
    """
    table = Path(path)
    if not table.is_file():
        raise DataError(f"{table} is not there. Check the path of the manifest.")
    rows = _read_parquet(table) if table.suffix.lower() == ".parquet" else _read_csv(table)
    if not rows:
        raise DataError(f"{table} has no rows. Add one row for each clip.")
    rows = [(number, _with_known_split(row)) for number, row in rows]
    _check_rows(table, rows)
    if check:
        _check_files(table, rows)
    allowed = None if labels is None else tuple(sorted(set(labels)))
    if allowed is not None:
        for number, row in rows:
            require_label(row["label"], allowed, f"{table}, row {number}")
    samples = tuple(_sample(table.parent, row) for _, row in rows)
    dataset = Dataset(
        name=table.stem,
        labels=allowed or tuple(sorted({s.label for s in samples})),
        samples=samples,
        terms=TERMS,
        modalities=tuple(sorted({m for s in samples for m in (*modalities_of(s.path), *s.extras)})),
    )
    if check:
        dataset.check()
    return dataset


def _read_csv(table: Path) -> Rows:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file, cells_of_any_length():
            delimiter = _delimiter(file.readline())
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_columns(table, header)
            return [
                (number, _named(table, number, header, cells))
                for number, cells in enumerate(reader, start=2)
                if cells
            ]
    except OSError as error:
        raise DataError(
            f"{table} cannot be read ({error.strerror}). Check its permissions."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{table} is not a CSV file in UTF-8 ({error}). Save it as comma-separated UTF-8 text."
        ) from error


def _delimiter(header: str) -> str:
    """Return what separates the names of the columns: a comma, or what spreadsheets write for it."""
    for delimiter in ",;\t":
        names = next(csv.reader([header], delimiter=delimiter), [])
        if {"path", "label"} <= {name.strip() for name in names}:
            return delimiter
    return ","


def _named(table: Path, number: int, header: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(header):
        raise DataError(
            f"{table}, row {number}: expected {len(header)} cells as in the header, got "
            f"{'more' if len(cells) > len(header) else 'fewer'}. Put values that hold a comma in double quotes."
        )
    return _row(table, number, zip(header, cells, strict=True))


def _read_parquet(table: Path) -> Rows:
    columns, rows = read_parquet(table)
    _check_columns(table, columns)
    return [(number, _row(table, number, row.items())) for number, row in enumerate(rows, start=1)]


def _row(table: Path, number: int, cells: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return the cells of a row as text, empty where there is no value."""
    row = {}
    for name, cell in cells:
        if name in _COLUMNS and isinstance(cell, (dict, list)):
            raise DataError(
                f"{table}, row {number}: the {name} is a {type(cell).__name__}; expected text or a number."
            )
        text = os.fsdecode(cell) if isinstance(cell, bytes) else str(cell).strip()
        # What pandas writes where a value is missing is neither a class nor a group.
        missing = cell is None or (name in _COLUMNS and text.lower() in _MISSING)
        missing = missing or (isinstance(cell, float) and math.isnan(cell))
        # The index of a data frame has no name.
        if name:
            row[name] = "" if missing else text
    return row


def _check_columns(table: Path, names: Iterable[str]) -> None:
    present = list(names)
    lacking = [name for name in ("path", "label") if name not in present]
    if lacking:
        raise DataError(
            f"{table} has the columns {present} and lacks {' and '.join(lacking)}; expected "
            f"path,label[,split][,group][,start,end], separated by commas. "
            f"{_advice_on_columns(present, lacking)}"
        )
    if len(set(_SPAN) & set(present)) == 1:
        raise DataError(
            f"{table} has only one of the columns start and end, which say in seconds what part of a "
            f"file is meant. Add the other, or rename it."
        )
    twice = sorted({name for name in present if present.count(name) > 1})
    if twice:
        raise DataError(f"{table} has more than one column named {twice}. Keep one of each.")


_OTHER_NAMES = {
    "path": (
        "file",
        "filename",
        "file_name",
        "filepath",
        "file_path",
        "audio",
        "video",
        "clip",
        "wav",
    ),
    "label": ("emotion", "class", "category", "target", "labels", "emotion_label"),
}


def _advice_on_columns(present: list[str], lacking: list[str]) -> str:
    """Say what to rename, where the names of columns tell."""
    plain = {name.strip().lower(): name for name in present}
    meant = [
        f"{plain[other]!r} to {name!r}"
        for name in lacking
        if (other := next((n for n in (name, *_OTHER_NAMES[name]) if n in plain), ""))
    ]
    return f"Rename {' and '.join(meant)}." if meant else "Add or rename the columns."


def _with_known_split(row: dict[str, str]) -> dict[str, str]:
    return {**row, "split": split_name(row["split"])} if "split" in row else row


def _check_rows(table: Path, rows: Rows) -> None:
    for column in ("path", "label"):
        empty = [number for number, row in rows if not row[column]]
        if empty:
            raise DataError(
                f"{table}: empty {column} in {counted_examples(empty, 'row')}. "
                f"Fill it in, or remove the row."
            )
    for number, row in rows:
        split = row.get("split", "")
        if split not in SPLITS:
            raise DataError(
                f"{table}, row {number}: unknown split {split!r}; expected train, validation or "
                f"test. {closest_name(split, SPLITS)}"
            )
        _span(row, f"{table}, row {number}")
    unsplit = [number for number, row in rows if not row.get("split", "")]
    if 0 < len(unsplit) < len(rows):
        raise DataError(
            f"{table}: no split in {counted_examples(unsplit, 'row')}, while others have one. "
            f"Fill in all of them, or remove the column."
        )


def _check_files(table: Path, rows: Rows) -> None:
    missing = [
        f"row {number}: {row['path']}"
        for number, row in rows
        if not locate(table.parent, row["path"]).is_file()
    ]
    if missing:
        raise DataError(
            f"{table} names {counted_examples(missing, 'file')} that cannot be found in "
            f"{table.parent}. Paths are relative to the manifest's folder; correct them."
        )


def _span(row: dict[str, str], where: str) -> tuple[float, float] | None:
    start, end = (row.get(name, "") for name in _SPAN)
    if not start and not end:
        return None
    try:
        span = float(start), float(end)
    except ValueError:
        span = math.nan, math.nan
    if not 0 <= span[0] < span[1] < math.inf:
        raise DataError(
            f"{where}: start {start!r} and end {end!r} are no stretch of time. Give both in seconds, "
            f"with 0 <= start < end, or leave both empty for the whole file."
        )
    return span


def _sample(folder: Path, row: dict[str, str]) -> Sample:
    # With it comes torch, which whoever only asks for the names of corpora should not wait for.
    from ter_fast.data.modalities import MODALITIES

    path = str(locate(folder, row["path"]))
    return Sample(
        path=path,
        label=row["label"],
        split=row.get("split", ""),
        group=row.get("group", "") or path,
        attributes={
            name: cell
            for name, cell in row.items()
            if cell and name not in _COLUMNS and name not in MODALITIES
        },
        span=_span(row, path),
        extras={
            name: str(locate(folder, cell)) if MODALITIES[name].files else cell
            for name, cell in row.items()
            if cell and name in MODALITIES
        },
    )
