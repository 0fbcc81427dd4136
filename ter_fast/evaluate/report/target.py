"""Whether a report may be written to its place, asked before the clips are decoded rather than after."""

from __future__ import annotations

import json
from pathlib import Path

from ter_fast.errors import TerFastError

MADE_BY = "Made by ter_fast."
"""In each page, by which it is known that it may be replaced."""


def check_report(out: str | Path, page: str = "index.html") -> None:
    """Check that a report can be written: the libraries are there, and nothing but an older report is replaced.

    Args:
        out: Folder of the report, or a .json for the figures alone.
        page: That is written into the folder.

    Raises:
        TerFastError: Matplotlib or Jinja2 is missing, the folder is a file, or what would be replaced was not
            written by this package.

    Example:
        >>> check_report("pyproject.toml")
        Traceback (most recent call last):
        ter_fast.errors.TerFastError: pyproject.toml is a file; give a folder for the report...
    """
    target = Path(out)
    if target.suffix == ".json":
        if target.exists() and not _is_record(target):
            raise TerFastError(
                f"{target} is there and holds no figures of ter_fast; give another name, or remove it"
            )
        return
    require_libraries()
    if target.exists() and not target.is_dir():
        raise TerFastError(f"{target} is a file; give a folder for the report, or a name in .json")
    old = target / page
    if old.exists() and MADE_BY not in old.read_text(encoding="utf-8", errors="replace"):
        raise TerFastError(
            f"{old} is there and is no report of ter_fast; give another folder, or remove it"
        )


def require_libraries() -> None:
    """Check that the libraries of reports are there.

    Raises:
        TerFastError: One is missing.
    """
    try:
        import jinja2
        import matplotlib
    except ImportError as error:
        raise TerFastError(
            f"a report needs {error.name}, which is not installed: pip install 'ter_fast[report]'"
        ) from error
    del jinja2, matplotlib


def _is_record(path: Path) -> bool:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and ("figures" in values or "cells" in values)
