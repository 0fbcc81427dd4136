"""What tables of predictions have in common: endings, kinds of columns, lines of JSON, and what they need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ter_fast.errors import TerFastError

TABLE_SUFFIXES = (".csv", ".parquet", ".jsonl")
_TEXT_COLUMNS = frozenset({"path", "label", "label_set", "reasons", "error"})
_TABLES_HINT = "pip install 'ter_fast[tables]'"


def need_tables(*packages: str) -> None:
    """Refuse to go on without what DataFrames and Parquet need.

    Args:
        *packages: Names of what is imported; pandas and pyarrow where none is given.

    Raises:
        TerFastError: One is not installed; its own message would not name our extra.

    Example:
        >>> need_tables("json")
    """
    try:
        for name in packages or ("pandas", "pyarrow"):
            import_module(name)
    except ImportError as error:
        raise TerFastError(
            f"to_pandas and to_parquet (.parquet) need pandas and pyarrow: {_TABLES_HINT}"
        ) from error


def json_line(row: Mapping[str, Any]) -> str:
    """Return a row as a line of JSON.

    Example:
        >>> json_line({"path": "ü.wav", "threshold": None}).rstrip()
        '{"path": "ü.wav", "threshold": null}'
    """
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def is_text_column(name: str) -> bool:
    """Say whether a column of the table holds text, not numbers.

    Example:
        >>> is_text_column("audio_label"), is_text_column("audio_confidence")
        (True, False)
    """
    return name in _TEXT_COLUMNS or name.endswith("_label")


def check_table_name(path: str | Path) -> str:
    """Return a table file's ending, in small letters.

    Raises:
        TerFastError: No table can be written under that name, so that a caller learns it before the work.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise TerFastError(
            f"cannot write {path}: expected a name that ends in {', '.join(TABLE_SUFFIXES)}"
        )
    return suffix
