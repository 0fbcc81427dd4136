"""Files that are written all of it or nothing."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ter_fast.errors import TerFastError


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary file beside `path`, then move it there: all of it or nothing.

    Raises:
        TerFastError: the folder is missing or cannot be written to.
    """
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix
        )
    except OSError as error:
        raise TerFastError(
            f"cannot write {target}: {error.strerror}; choose a folder that exists"
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        # mkstemp makes files that only their owner can read; give what a plain open() would have given.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(target)
    except OSError as error:
        raise TerFastError(
            f"cannot write {target}: {error.strerror or error}; make room there or choose another place"
        ) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
