"""The JSON files of comparisons and experiments: read, refused where damaged, written whole."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ter_fast.errors import DataError


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON file that holds values by name.

    Raises:
        DataError: There is no such file, or it is no such JSON.

    Example:
        >>> read_json("nowhere.json")
        Traceback (most recent call last):
        ter_fast.errors.DataError: nowhere.json cannot be read (No such file or directory); make it ...
    """
    file = Path(path)
    text = _text_of(file)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is damaged ({error}); make it anew") from error
    if not isinstance(found, dict):
        raise DataError(f"{file} holds {type(found).__name__}; expected values by name")
    return found


def read_json_lines(path: str | Path, needed: Collection[str] = ()) -> list[dict[str, Any]]:
    """Read a file whose lines are JSON, each of values by name.

    Args:
        path: The file.
        needed: Names that each line must hold.

    Raises:
        DataError: There is no such file, or a line is damaged.
    """
    file = Path(path)
    found = []
    for number, line in enumerate(_text_of(file).splitlines(), 1):
        try:
            each = json.loads(line)
            if not isinstance(each, dict) or not set(needed) <= set(each):
                raise ValueError(f"expected {', '.join(needed) or 'values by name'}")
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{file}: line {number} is damaged ({error}); remove it, or make the file anew"
            ) from error
        found.append(each)
    return found


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{file} cannot be read ({reason}); make it first") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is damaged ({error}); make it anew") from error
