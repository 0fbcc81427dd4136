"""What can go wrong, in one place: every error that a user can cause derives from `TerFastError`."""

from __future__ import annotations


class TerFastError(Exception):
    """Base of the errors that this package raises on purpose; the message says what to do next."""


class MediaError(TerFastError):
    """A media file, stream or picture that cannot be used."""


class DataError(TerFastError, ValueError):
    """A dataset, manifest or split that is not what it claims to be."""


class ModelError(TerFastError):
    """A model, its configuration or its weights that cannot be used as asked."""
