"""Files of settings by name, in YAML: recipes, and what comparisons ask for."""

from __future__ import annotations

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
