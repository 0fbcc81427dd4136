"""Turns a decoded frame into an upright RGB picture."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from av.buffer import Buffer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from ter_fast.media.decode.hdr import is_hdr, tone_map

Matrix = tuple[int, int, int, int]

_UPRIGHT: Matrix = (1, 0, 0, 1)
_QUARTER_TURNS: tuple[Matrix, ...] = (_UPRIGHT, (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))
_EXIF_MATRICES: dict[int, Matrix] = {
    1: _UPRIGHT,
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


@dataclass(frozen=True)
class Display:
    """How stored pixels are shown.

    Attributes:
        aspect: Width of a pixel divided by its height.
        orientation: The EXIF orientation (1 to 8) of a photograph; None where each frame tells.
    """

    aspect: float = 1.0
    orientation: int | None = None

    def matrix(self, frame: VideoFrame) -> Matrix:
        """Return (a, b, c, d): the point (x, y) is shown at (a x + c y, b x + d y), y downwards."""
        if self.orientation is not None:
            return _EXIF_MATRICES[self.orientation]
        try:
            data = cast("dict[str, Buffer]", frame.side_data).get("DISPLAYMATRIX")
        except ValueError:
            # PyAV refuses all side data of a frame that carries a kind newer than its list; the
            # angle alone is there all the same.
            return _QUARTER_TURNS[round(frame.rotation / 90) % 4]
        if data is None:
            return _UPRIGHT
        a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
        return a, b, c, d

    def turn(self, frame: VideoFrame) -> tuple[int, bool]:
        """Return the degrees counter-clockwise that set a frame upright, and whether to mirror it.

        A mirrored frame is flipped left to right after the turn.
        """
        a, b, c, d = self.matrix(frame)
        mirrored = a * d - b * c < 0
        if mirrored:
            a = -a
        if abs(a) < abs(b):
            return (270 if b > 0 else 90), mirrored
        return (0 if a > 0 else 180), mirrored


def shown_size(width: int, height: int, aspect: float) -> tuple[int, int]:
    """Return the (width, height) at which players show stored pixels that may not be square.

    Example:
        >>> shown_size(720, 576, 64 / 45)
        (1024, 576)
    """
    return max(1, round(width * aspect)), height


def upright_size(
    frame: VideoFrame, max_side: int | None, display: Display | None = None
) -> tuple[int, int]:
    """Return (width, height) of the upright picture, at most `max_side` long."""
    display = display or Display()
    size = shown_size(frame.width, frame.height, display.aspect)
    width, height = size[::-1] if display.turn(frame)[0] % 180 else size
    scale = 1.0 if max_side is None else min(1.0, max_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def to_rgb(
    frame: VideoFrame,
    size: tuple[int, int],
    converter: VideoReformatter,
    display: Display | None = None,
) -> npt.NDArray[np.uint8]:
    """Convert a frame to upright RGB (H, W, 3) of `size` = (width, height).

    The matrix and the range of the conversion are those that the frame states. HDR is tone-mapped.
    The converter keeps what it set up for one frame for the next of the same kind.
    """
    a, b, c, d = (display or Display()).matrix(frame)
    turned = abs(a) < abs(b)
    width, height = size[::-1] if turned else size
    smaller = width < frame.width or height < frame.height
    hdr = is_hdr(frame.color_trc)
    pixels = converter.reformat(
        frame,
        width=width,
        height=height,
        format="rgb48le" if hdr else "rgb24",
        interpolation="AREA" if smaller else "BILINEAR",
        # To start threads takes longer than to convert a picture.
        threads=1,
    ).to_ndarray()
    if hdr:
        pixels = tone_map(cast(npt.NDArray[np.uint16], pixels), frame.color_trc)
    rgb = cast(npt.NDArray[np.uint8], pixels)
    if turned:
        rgb = rgb.transpose(1, 0, 2)
    across, down = (c, b) if turned else (a, d)
    return rgb[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
