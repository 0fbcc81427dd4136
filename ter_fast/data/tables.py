"""Tables that corpora come with: columns asked for, errors that name the file."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ter_fast.errors import DataError


@contextmanager
def cells_of_any_length() -> Iterator[None]:
    """Let the CSV module read cells of more than its 131,072 characters, such as transcripts.

    Example:
        >>> with cells_of_any_length():
        ...     len(next(csv.reader(["x" * 200_000]))[0])
        200000
    """
    # The largest that a C long holds on every platform.
    former = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(former)


def read_table(
    table: Path, columns: Iterable[str], remedy: str = "Download it again."
) -> Iterator[dict[str, str]]:
    """Read a comma-separated table with a header, row by row, without the blanks around cells.

    Args:
        table: The file, UTF-8.
        columns: Names that the header must have; others are kept.
        remedy: What a message tells to do about a table that is not as it should be.

    Yields:
        Each row's cells by the names of the header.

    Raises:
        DataError: The file cannot be read, is no such table, lacks a column, has a row with
            more or fewer cells than the header, or has no rows.

    Example:
        >>> list(read_table(Path("no/such.csv"), ("path",)))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: no/such.csv cannot be read (...
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file, cells_of_any_length():
            rows = csv.reader(file, strict=True)
            header = [name.strip() for name in next(rows, [])]
            _check_header(table, header, columns, remedy)
            empty = True
            for row in rows:
                if not row:
                    continue
                if len(row) != len(header):
                    raise DataError(
                        f"{table}, line {rows.line_num}: {len(row)} cells, expected {len(header)} "
                        f"as in the header. {remedy}"
                    )
                empty = False
                yield dict(zip(header, (cell.strip() for cell in row), strict=True))
            if empty:
                raise DataError(f"{table} has no rows. {remedy}")
    except OSError as error:
        raise DataError(f"{table} cannot be read ({error.strerror}). Check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} is not a CSV file in UTF-8 ({error}). {remedy}") from error


def _check_header(table: Path, header: list[str], columns: Iterable[str], remedy: str) -> None:
    lacking = [name for name in columns if name not in header]
    if lacking:
        raise DataError(
            f"{table} has the columns {header[:8]} and lacks {lacking}. {remedy} A file that "
            f"begins with 'version https://git-lfs' is fetched with: git lfs pull"
        )


def read_parquet(
    table: Path, columns: list[str] | None = None
) -> tuple[list[str], list[dict[str, Any]]]:
    """Read a Parquet file: the names of its columns, and its rows.

    Args:
        table: The file.
        columns: Columns to read, all by default.

    Raises:
        DataError: Pyarrow is not installed (the message names the extra that brings it), or the
            file is no Parquet file or lacks a column.
    """
    try:
        pyarrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise DataError(
            f"reading {table} needs pyarrow. Install it with: pip install 'ter_fast[train]'"
        ) from error
    try:
        with parquet.ParquetFile(table) as file:
            lacking = sorted(set(columns or ()) - set(file.schema_arrow.names))
            if lacking:
                raise DataError(
                    f"{table} lacks the columns {lacking}; it has {file.schema_arrow.names}. "
                    f"Check that it is the table you meant."
                )
            content = file.read(columns=columns)
        return content.column_names, content.to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{table} is not a readable Parquet file ({reason}). Write it again, or use CSV."
        ) from error
