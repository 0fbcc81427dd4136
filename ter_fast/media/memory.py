"""Gives memory that was let go of back to the system, so that a long run takes what a short one takes."""

from __future__ import annotations

import ctypes
import sys
import time
from functools import cache
from typing import Any

_PAUSE = 1.0
"""Seconds between two releases, of which each takes some milliseconds."""

_done = {"at": time.monotonic()}


def release() -> None:
    """Return free blocks of the C library's heap to the system, once a second at most.

    Batches of varying length leave holes that glibc keeps and does not fill again: hundreds of
    megabytes over an hour of film. Where the C library has no ``malloc_trim``, nothing happens.

    Example:
        >>> release()
    """
    now = time.monotonic()
    if now - _done["at"] < _PAUSE:
        return
    _done["at"] = now
    if (trim := _trim()) is not None:
        trim(0)


@cache
def _trim() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
