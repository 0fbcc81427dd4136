"""What can go wrong, in one place: every error that a user can cause derives from `TerFastError`."""

from __future__ import annotations

import sys
import warnings


class TerFastError(Exception):
    """Base of the errors that this package raises on purpose; the message says what to do next."""


class MediaError(TerFastError):
    """A media file, stream or picture that cannot be used."""


class DataError(TerFastError, ValueError):
    """A dataset, manifest or split that is not what it claims to be."""


class ModelError(TerFastError):
    """A model, its configuration or its weights that cannot be used as asked."""


def warn(message: str) -> None:
    """Issue a `UserWarning` that names the line outside of this package that led here.

    Python shows a warning once for each line that it names, and a line of this package is none that a
    user could change.

    Example:
        >>> with warnings.catch_warnings(record=True) as said:
        ...     warnings.simplefilter("always")
        ...     warn("calibrate again")
        >>> str(said[0].message)
        'calibrate again'
    """
    level = 1
    frame = sys._getframe()
    while frame.f_back is not None and _is_own(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)


def _is_own(module: str) -> bool:
    return module.partition(".")[0] == "ter_fast"
