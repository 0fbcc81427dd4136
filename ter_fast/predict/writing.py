"""Writes predictions into a table file as they come, and goes on where a former run ended."""

from __future__ import annotations

import csv
import json
import os
import secrets
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ter_fast.errors import TerFastError
from ter_fast.media.files import Closing, check_writable, write_atomically
from ter_fast.predict.prediction import Prediction, Predictions
from ter_fast.predict.tables import check_table_name, is_text_column, json_line, need_tables

if TYPE_CHECKING:
    import pyarrow

Row = dict[str, Any]
_ROW_GROUP = 256


def check_table_file(path: str | Path) -> None:
    """Refuse a table that could not be written, so that a caller learns it before the work.

    Raises:
        TerFastError: Another ending than .csv, .parquet or .jsonl, a folder that is missing or may not be
            written to, or no pandas for Parquet.

    Example:
        >>> check_table_file("no/such/folder/t.csv")
        Traceback (most recent call last):
        ter_fast.errors.TerFastError: cannot write no/such/folder/t.csv: No such file or directory; ...
    """
    if check_table_name(path) == ".parquet":
        need_tables()
    check_writable(path)


def open_table(path: str | Path, columns: Sequence[str], resume: bool = False) -> TableFile:
    """Return what writes a table, row by row, in the format of the name's ending.

    Use it as a context manager. Rows of CSV and JSON Lines are in the file as soon as they are written,
    so that even a killed process leaves them; Parquet is in place when the context ends, also by an
    error or Ctrl-C. Without `resume`, the first row takes the place of a former file.

    Args:
        path: The file.
        columns: As `table_columns` gives them.
        resume: Keep the rows of a former file, if there is one; `done` names its clips.

    Raises:
        TerFastError: It cannot be written; or the former file has other columns or cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with open_table(f"{folder}/t.csv", ["path", "label"]) as table:
        ...         table.write([Prediction("a.wav", label="calm")])
        ...     with open_table(f"{folder}/t.csv", ["path", "label"], resume=True) as table:
        ...         table.done
        frozenset({'a.wav'})
    """
    check_table_file(path)
    kinds: dict[str, Callable[[Path, list[str], bool], TableFile]]
    kinds = {".csv": _CsvFile, ".jsonl": _JsonLinesFile, ".parquet": _ParquetFile}
    return kinds[check_table_name(path)](Path(path), list(columns), resume)


class TableFile(Closing):
    """A table that is being written; see `open_table`.

    Attributes:
        path: The file.
        columns: Of the table.
        done: Paths of the clips that a former file has already.
    """

    def __init__(self, path: Path, columns: list[str], resume: bool) -> None:
        self.path, self.columns = path, columns
        self.done: frozenset[str] = frozenset()
        self._begun = False
        if resume and path.exists() and path.stat().st_size:
            try:
                rows = self._take_up()
            except (OSError, ValueError, csv.Error) as error:
                raise TerFastError(
                    f"{path} cannot be gone on with ({error}); choose another name, or leave --resume out to "
                    "begin again"
                ) from error
            self.done = frozenset(rows)
            self._begun = True

    def write(self, predictions: Iterable[Prediction]) -> None:
        """Append predictions, all in one piece.

        Raises:
            TerFastError: The disk is full, or the file has gone.
        """
        rows = [
            {name: row.get(name) for name in self.columns}
            for row in (each.row() for each in predictions)
        ]
        try:
            if not self._begun:
                self._begin()
                self._begun = True
            self._append(rows)
        except OSError as error:
            raise TerFastError(
                f"cannot write {self.path}: {error.strerror or error}; make room there and go on with --resume"
            ) from error

    def close(self) -> None:
        """Bring the file to its end; without a row, a former file stays, and where there is none, columns do."""
        if self._begun or not self.path.exists():
            self.write(())

    def _check_columns(self, found: Iterable[str] | None) -> None:
        if list(found or ()) != self.columns:
            raise ValueError(
                "its columns are not those of this model: another model or version wrote it"
            )

    @abstractmethod
    def _take_up(self) -> list[str]:
        """Check a former file, drop what was cut off at its end, and return the paths in it."""

    @abstractmethod
    def _begin(self) -> None:
        """Begin an empty table."""

    @abstractmethod
    def _append(self, rows: Sequence[Row]) -> None:
        """Append rows."""


class _TextFile(TableFile):
    """Rows as lines, which are appended."""

    def _take_up(self) -> list[str]:
        with self.path.open(encoding="utf-8", newline="") as file:
            rows = self._read(file)
            if _ends_a_line(self.path):
                return [row["path"] for row in rows]
            left = list(rows)[:-1]
        # The windows of a clip come in one piece, of which only the beginning may be there.
        last = left[-1]["path"] if left else None
        left = [row for row in left if row["path"] != last]

        def rewrite(place: Path) -> None:
            with place.open("w", encoding="utf-8", newline="") as file:
                self._head(file)
                self._lines(file, left)

        write_atomically(self.path, rewrite)
        return [row["path"] for row in left]

    def _begin(self) -> None:
        with self.path.open("w", encoding="utf-8", newline="") as file:
            self._head(file)

    def _append(self, rows: Sequence[Row]) -> None:
        if rows:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                self._lines(file, rows)

    @abstractmethod
    def _read(self, file: IO[str]) -> Iterator[Row]:
        """Yield the rows of a table, whatever is left of the last one, and check the columns."""

    @abstractmethod
    def _head(self, file: IO[str]) -> None:
        """Write what comes before the rows."""

    @abstractmethod
    def _lines(self, file: IO[str], rows: Sequence[Row]) -> None:
        """Write rows."""


class _CsvFile(_TextFile):
    def _read(self, file: IO[str]) -> Iterator[Row]:
        reader = csv.DictReader(file)
        self._check_columns(reader.fieldnames)
        yield from reader

    def _head(self, file: IO[str]) -> None:
        csv.writer(file).writerow(self.columns)

    def _lines(self, file: IO[str], rows: Sequence[Row]) -> None:
        csv.DictWriter(file, self.columns).writerows(rows)


class _JsonLinesFile(_TextFile):
    def _read(self, file: IO[str]) -> Iterator[Row]:
        for line in file:
            row = json.loads(line) if line.endswith("\n") else {}
            if row:
                self._check_columns(row)
            yield row

    def _head(self, file: IO[str]) -> None:
        pass

    def _lines(self, file: IO[str], rows: Sequence[Row]) -> None:
        file.writelines(json_line(row) for row in rows)


class _ParquetFile(TableFile):
    """Rows in groups, in a file beside the target until it is whole: without its end it cannot be read."""

    def _take_up(self) -> list[str]:
        from pyarrow import parquet

        with parquet.ParquetFile(self.path) as former:
            self._check_columns(former.schema_arrow.names)
            self._begin()
            paths: list[str] = []
            for batch in former.iter_batches(_ROW_GROUP):
                self._writer.write_batch(batch.cast(self._schema))
                paths += batch.column("path").to_pylist()
        return paths

    def _begin(self) -> None:
        from pyarrow import parquet

        self._rows: list[Row] = []
        self._schema = _schema(self.columns)
        self._temporary = self.path.with_name(f".{self.path.stem}-{secrets.token_hex(4)}.parquet")
        self._writer = parquet.ParquetWriter(self._temporary, self._schema)

    def _append(self, rows: Sequence[Row]) -> None:
        self._rows += rows
        if len(self._rows) >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        if self._rows:
            self._writer.write_table(pyarrow.Table.from_pylist(self._rows, self._schema))
            self._rows = []

    def close(self) -> None:
        super().close()
        if not self._begun:
            return
        try:
            self._flush()
            self._writer.close()
            self._temporary.replace(self.path)
        finally:
            self._temporary.unlink(missing_ok=True)


def _schema(columns: Sequence[str]) -> pyarrow.Schema:
    """Return the types of the columns, with what tells pandas of them, as `Predictions.to_parquet` writes."""
    import pyarrow

    def kind(name: str) -> Any:
        if name == "trusted":
            return pyarrow.bool_()
        return pyarrow.string() if is_text_column(name) else pyarrow.float64()

    frame = Predictions([]).to_pandas().reindex(columns=list(columns))
    frame = frame.astype(
        {
            name: "boolean" if name == "trusted" else "float64"
            for name in columns
            if not is_text_column(name)
        }
    )
    schema = pyarrow.schema([(name, kind(name)) for name in columns])
    return pyarrow.Table.from_pandas(frame, schema=schema, preserve_index=False).schema


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
