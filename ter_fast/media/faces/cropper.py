"""Cuts the largest face of each picture out as a square."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ter_fast.errors import MediaError
from ter_fast.media.faces.detectors import (
    Detector,
    Faces,
    OpenCVDetector,
    YuNetDetector,
    resize,
)

MODEL_VARIABLE = "TER_FAST_FACE_MODEL"
"""Environment variable that names a face model file to use in place of the built-in detector."""


STEADY_OVERLAP = 0.7
"""Least overlap of a face's boxes in two pictures for it to be taken as steady in the one between."""


@dataclass(frozen=True)
class Face:
    """A detected face: its box in pixels of the picture (it may reach outside) and its score."""

    x: float
    y: float
    width: float
    height: float
    score: float


class FaceCropper:
    """Cut the largest face of each picture out as a square of one size.

    The built-in detector looks at every second picture, and at the last one. Where the boxes in the
    pictures before and after one overlap by 0.7 of their union, the face of the one between is
    taken to lie halfway; everywhere else that picture is looked at as well. So whoever appears or leaves
    is seen in that very picture, unless a face stands in the same place before and after: a
    larger face that is there for one picture, or the absence of one for one picture, goes unnoticed.
    That halves the time where a face is steady. With a model file, each picture is looked at.

    Args:
        model_file: A YuNet ONNX file for OpenCV; None, the default, for the built-in detector.
        size: Side of the square in pixels.
        margin: Added on each side, as a fraction of the longer side of the face's box.
        min_score: Least score of a face, in (0, 1].

    Raises:
        MediaError: The file is missing or is no face model, or a number is out of range.

    Example:
        >>> faces, kept = FaceCropper().crop(torch.zeros(2, 90, 120, 3, dtype=torch.uint8))
        >>> faces.shape, kept.tolist()
        (torch.Size([0, 112, 112, 3]), [])
    """

    def __init__(
        self,
        model_file: str | Path | None = None,
        size: int = 112,
        margin: float = 0.2,
        min_score: float = 0.6,
    ) -> None:
        """Check the model by loading it once."""
        if size < 1 or margin < 0 or not 0 < min_score <= 1:
            raise MediaError(
                f"size={size}, margin={margin}, min_score={min_score}; expected size >= 1, "
                "margin >= 0 and 0 < min_score <= 1."
            )
        self.size = size
        self.margin = margin
        self._skips = model_file is None
        self.detector: Detector = (
            YuNetDetector(min_score)
            if model_file is None
            else OpenCVDetector(model_file, min_score)
        )

    def crop(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Cut out the largest face of each picture; a picture without one is left out.

        Where the square reaches outside the picture, the picture's edge is repeated.

        Args:
            frames: (T, H, W, 3) uint8 RGB, on any device.

        Returns:
            The faces, (N, size, size, 3) uint8 on that device, and the indices (N,) int64 of their pictures.

        Raises:
            MediaError: `frames` has another shape or type.
        """
        faces = {index: face for index, face in enumerate(self.largest(frames)) if face is not None}
        boxes = [(f.x + f.width / 2, f.y + f.height / 2, f.width, f.height) for f in faces.values()]
        crops = cut_squares(frames, list(faces), boxes, self.size, self.margin)
        return crops, torch.tensor(list(faces), dtype=torch.int64)

    def largest(self, frames: Tensor) -> list[Face | None]:
        """Return the face with the largest box in each picture, or None where there is no face.

        Args:
            frames: (T, H, W, 3) uint8 RGB, on any device.

        Raises:
            MediaError: `frames` has another shape or type.
        """
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != torch.uint8:
            raise MediaError(
                f"Frames are {tuple(frames.shape)} {frames.dtype}, expected (T, H, W, 3) uint8 RGB."
            )
        count = len(frames)
        faces: dict[int, Face | None] = {}

        def look(indices: Sequence[int]) -> None:
            if indices:
                found = map(_largest, self.detector.find(frames[list(indices)]))
                faces.update(zip(indices, found, strict=True))

        look(sorted({*range(0, count, 2), count - 1}) if self._skips and count else range(count))
        for index in set(range(count)) - faces.keys():
            if (steady := _between(faces[index - 1], faces[index + 1])) is not None:
                faces[index] = steady
        look([index for index in range(count) if index not in faces])
        return [faces[index] for index in range(count)]


def _largest(faces: Faces) -> Face | None:
    """Return the face with the largest box of a picture."""
    if not len(faces):
        return None
    x, y, width, height, *_, score = faces[np.argmax(faces[:, 2] * faces[:, 3])].tolist()
    return Face(x, y, width, height, score)


def _between(before: Face | None, after: Face | None) -> Face | None:
    """Return the face halfway between two, or None where they are not one steady face."""
    if before is None or after is None:
        return None
    across = min(before.x + before.width, after.x + after.width) - max(before.x, after.x)
    down = min(before.y + before.height, after.y + after.height) - max(before.y, after.y)
    common = max(0.0, across) * max(0.0, down)
    areas = before.width * before.height + after.width * after.height
    if common < STEADY_OVERLAP * (areas - common):
        return None
    return Face(*((a + b) / 2 for a, b in zip(astuple(before), astuple(after), strict=True)))


def cut_squares(
    frames: Tensor,
    indices: Sequence[int],
    boxes: Sequence[Sequence[float]],
    size: int,
    margin: float,
) -> Tensor:
    """Cut a square about a box out of pictures; beyond a picture, its edge is repeated.

    Args:
        frames: (T, H, W, 3) uint8, on any device.
        indices: Which pictures (N,).
        boxes: (N, 4) centre x, centre y, width and height in pixels.
        size: Side of the squares in pixels.
        margin: Added on each side, as a fraction of the longer side of the box.

    Returns:
        (N, size, size, 3) uint8 on that device.

    Example:
        >>> picture = torch.arange(4, dtype=torch.uint8).expand(1, 3, 4)[..., None].expand(1, 3, 4, 3)
        >>> cut_squares(picture, [0], [(2.0, 1.5, 6.0, 6.0)], size=6, margin=0.0)[0, 0, :, 0].tolist()
        [0, 0, 1, 2, 3, 3]
    """
    squares = frames.new_empty((len(boxes), size, size, 3))
    for place, index, (x, y, across, down) in zip(squares, indices, boxes, strict=True):
        side = max(2, round(max(across, down) * (1 + 2 * margin)))
        square = frames[index]
        for axis, start in ((0, round(y - side / 2)), (1, round(x - side / 2))):
            square = _stretch(square, axis, start, side)
        place.copy_(resize(square[None], size, size)[0])
    return squares


def _stretch(picture: Tensor, axis: int, start: int, count: int) -> Tensor:
    """Return `count` lines from `start` on along an axis; beyond the picture, its edge is repeated."""
    length = picture.shape[axis]
    if 0 <= start <= length - count:
        return picture.narrow(axis, start, count)
    lines = torch.arange(start, start + count, device=picture.device).clamp_(0, length - 1)
    return picture.index_select(axis, lines)


def default_face_model() -> Path | None:
    """Return the face model that the environment variable `TER_FAST_FACE_MODEL` names, or None.

    Raises:
        MediaError: It names a file that does not exist.

    Example:
        >>> default_face_model() is None or default_face_model().is_file()
        True
    """
    named = os.environ.get(MODEL_VARIABLE)
    if not named:
        return None
    if not Path(named).is_file():
        raise MediaError(
            f"{MODEL_VARIABLE} names {named}, which does not exist; correct or unset it."
        )
    return Path(named)
