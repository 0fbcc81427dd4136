"""CSV tables that corpora come with: columns asked for, errors that name the file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from ter_fast.errors import DataError


def read_table(
    table: Path, columns: Iterable[str], mend: str = "Download it again."
) -> Iterator[dict[str, str]]:
    """Read a comma-separated table with a header, row by row, without the blanks around cells.

    Args:
        table: The file, UTF-8.
        columns: Names that the header must have; others are kept.
        mend: What a message tells to do about a table that is not as it should be.

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
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = [name.strip() for name in next(rows, [])]
            _check_header(table, header, columns, mend)
            empty = True
            for row in rows:
                if not row:
                    continue
                if len(row) != len(header):
                    raise DataError(
                        f"{table}, line {rows.line_num}: {len(row)} cells, expected {len(header)} "
                        f"as in the header. {mend}"
                    )
                empty = False
                yield dict(zip(header, (cell.strip() for cell in row), strict=True))
            if empty:
                raise DataError(f"{table} has no rows. {mend}")
    except OSError as error:
        raise DataError(f"{table} cannot be read ({error.strerror}). Check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} is not a CSV file in UTF-8 ({error}). {mend}") from error


def _check_header(table: Path, header: list[str], columns: Iterable[str], mend: str) -> None:
    lacking = [name for name in columns if name not in header]
    if lacking:
        raise DataError(
            f"{table} has the columns {header[:8]} and lacks {lacking}. {mend} A file that "
            f"begins with 'version https://git-lfs' is fetched with: git lfs pull"
        )
