"""Whether a model may be saved to a folder, asked before hours of work rather than after."""

from __future__ import annotations

import os
from pathlib import Path

from ter_fast.errors import ModelError
from ter_fast.experts.saving import CONFIG, WEIGHTS


def check_target(folder: str | Path, exist_ok: bool = True) -> None:
    """Check that a model can be saved to a folder, which need not be there yet.

    Args:
        folder: Where the model shall go.
        exist_ok: Whether a model that lies there may be replaced.

    Raises:
        ModelError: It is a file, it cannot be made or written to, or it holds a model that may not be
            replaced.

    Example:
        >>> check_target("pyproject.toml/model")
        Traceback (most recent call last):
        ter_fast.errors.ModelError: cannot save a model to pyproject.toml/model: pyproject.toml is a file; ...
    """
    target = Path(folder)
    there = next(each for each in (target, *target.absolute().parents) if each.exists())
    if not there.is_dir():
        file = next(each for each in (target, *target.parents) if each.exists())
        raise ModelError(f"cannot save a model to {target}: {file} is a file; give another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ModelError(
            f"cannot save a model to {target}: {there} cannot be written to; give another folder"
        )
    held = [name for name in (CONFIG, WEIGHTS) if (target / name).exists()]
    if held and not exist_ok:
        raise ModelError(
            f"{target} holds a model already ({' and '.join(held)}); give another folder, or say that it may "
            "be replaced: --overwrite, or exist_ok=True in Python"
        )
