"""Decoding behind one interface, whatever the backend: `probe`, `read`, `windows`, `batches`.

PyAV, which brings its own FFmpeg, is the backend that always works; `decode.backends` says which
there are and how one is chosen. A backend is imported when a file is first opened with it.
"""

from ter_fast.media.clip import MediaInfo
from ter_fast.media.decode.backends import (
    BACKENDS,
    Choice,
    Media,
    Sampling,
    State,
    available,
    choose,
    states,
)
from ter_fast.media.decode.loading import ClipBatch, batches
from ter_fast.media.decode.reading import MAX_SECONDS, cut, probe, read, windows

__all__ = [
    "BACKENDS",
    "MAX_SECONDS",
    "Choice",
    "ClipBatch",
    "Media",
    "MediaInfo",
    "Sampling",
    "State",
    "available",
    "batches",
    "choose",
    "cut",
    "probe",
    "read",
    "states",
    "windows",
]
