"""Reads from a file's bytes what its container says of its size: where parts begin, and whether all is there.

Files are joined by `cat`, recorders start anew, and downloads end half way. FFmpeg reads them as far
as their first clock goes, and fills the rest with the length that the header states.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from ter_fast.media.decode import stills
from ter_fast.media.decode.layout import boxes, clocks, frames
from ter_fast.media.decode.layout.base import Bytes, Found, Span, mapped

__all__ = ["Bytes", "Layout", "Span", "mapped", "read_layout"]


@dataclass(frozen=True)
class Layout:
    """What the bytes of a file say of it.

    Attributes:
        parts: Where each of the files lies that were joined to this one; one for a plain file.
        cut_short: Whether its end is missing.
    """

    parts: tuple[Span, ...]
    cut_short: bool = False


def read_layout(path: str, container: str) -> Layout:
    r"""Read where the parts of a file lie, and whether its end is missing.

    Args:
        path: A file that is not empty.
        container: FFmpeg's name of its format.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile(suffix=".png") as file:
        ...     _ = file.write(b"\x89PNG\r\n\x1a\n" + bytes(8)) + file.seek(0)
        ...     read_layout(file.name, "png_pipe")
        Layout(parts=((0, 16),), cut_short=True)
    """
    with mapped(path) as data:
        size = len(data)
        name = container.partition(",")[0]
        if name in ("gif", "apng", "image2") or name.endswith("_pipe"):
            return Layout(((0, size),), stills.is_cut_short(data))
        try:
            begins, cut_short = _READERS.get(name, _nothing)(data)
        except (struct.error, IndexError):
            # A damaged header tells nothing.
            begins, cut_short = [], False
        edges = [0, *begins, size]
        spans = [(a, b) for a, b in pairwise(edges) if b > a]
        return Layout(tuple(spans), cut_short)


def _nothing(data: Bytes) -> Found:
    return [], False


_READERS: dict[str, Callable[[Bytes], Found]] = {
    "mov": boxes.mp4,
    "matroska": boxes.matroska,
    "avi": boxes.riff,
    "wav": boxes.riff,
    "aiff": boxes.aiff,
    "au": boxes.au,
    "asf": boxes.asf,
    "w64": boxes.w64,
    "caf": boxes.caf,
    "flv": boxes.flv,
    "ogg": frames.ogg,
    "flac": frames.flac,
    "mp3": frames.mp3,
    "aac": partial(frames.framed, length_of=frames.adts_frame),
    "ac3": partial(frames.framed, length_of=frames.ac3_frame),
    "eac3": partial(frames.framed, length_of=frames.ac3_frame),
    "mpeg": clocks.program_stream,
    "mpegts": clocks.transport_stream,
}
