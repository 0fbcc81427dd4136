"""Turns a decoded frame into an upright RGB picture."""

from __future__ import annotations

import struct
from typing import cast

import numpy as np
import numpy.typing as npt
from av.buffer import Buffer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

_QUARTER_TURNS = ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))


def _display_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    """Return (a, b, c, d): the point (x, y) is shown at (a x + c y, b x + d y), y downwards."""
    try:
        data = cast("dict[str, Buffer]", frame.side_data).get("DISPLAYMATRIX")
    except ValueError:
        # PyAV refuses all side data of a frame that carries a kind newer than its list, such as
        # EXIF; the angle alone is there all the same.
        return _QUARTER_TURNS[round(frame.rotation / 90) % 4]
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
    return a, b, c, d


def upright_size(frame: VideoFrame, max_side: int | None) -> tuple[int, int]:
    """Return (width, height) of the upright picture, at most `max_side` long."""
    width, height = float(frame.width), float(frame.height)
    a, b, _, _ = _display_matrix(frame)
    if abs(a) < abs(b):
        width, height = height, width
    scale = 1.0 if max_side is None else min(1.0, max_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def to_rgb(
    frame: VideoFrame, size: tuple[int, int], converter: VideoReformatter
) -> npt.NDArray[np.uint8]:
    """Convert a frame to upright RGB (H, W, 3) of `size` = (width, height).

    The converter keeps what it set up for one frame for the next of the same kind.
    """
    a, b, c, d = _display_matrix(frame)
    turned = abs(a) < abs(b)
    width, height = size[::-1] if turned else size
    smaller = width < frame.width or height < frame.height
    rgb = cast(
        npt.NDArray[np.uint8],
        converter.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            interpolation="AREA" if smaller else "BILINEAR",
            # To start threads takes longer than to convert a picture.
            threads=1,
        ).to_ndarray(),
    )
    if turned:
        rgb = rgb.transpose(1, 0, 2)
    across, down = (c, b) if turned else (a, d)
    return rgb[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
