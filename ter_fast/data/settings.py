"""The text files of comparisons and experiments: what was asked for, in YAML, and what was found, in JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ter_fast.errors import DataError


def read_settings(
    path: str | Path, needed: Sequence[str], known: Collection[str]
) -> dict[str, Any]:
    """Read a YAML file of settings by name.

    Args:
        path: The file.
        needed: Names that it must hold.
        known: Names that it may hold, the needed among them.

    Raises:
        DataError: The file cannot be read as YAML, lacks a name, or holds one that is not known.

    Example:
        >>> read_settings("nowhere.yaml", ["sets"], ["sets", "seeds"])
        Traceback (most recent call last):
        ter_fast.errors.DataError: nowhere.yaml cannot be read as YAML ([Errno 2] No such file or ...
    """
    import yaml

    file = Path(path)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    # ValueError: bytes that are no text, and dates that there are not.
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read as YAML ({error}); check the file") from error
    if not isinstance(content, dict) or not set(needed) <= set(content) <= set(known):
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        wanted = ", ".join(needed[:-1]) + (" and " if len(needed) > 1 else "") + needed[-1]
        raise DataError(
            f"{file} holds {found}; expected {wanted}, and of {sorted(known)} what else is wanted"
        )
    return content


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


def write_whole(path: Path, text: str) -> None:
    """Write a text file, whole or not at all, and the folder that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{file} cannot be read ({reason}); make it first") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is damaged ({error}); make it anew") from error
