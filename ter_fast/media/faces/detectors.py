"""Face detectors: the built-in one, and OpenCV's with a model file of the user's."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ter_fast.errors import MediaError
from ter_fast.media.faces.yunet import STRIDES, load_yunet

Faces = npt.NDArray[np.float32]
"""The faces of a picture (F, 15), the surest first: x, y, width, height, landmarks, score."""

LOOK_SIDE = 320
"""Longer side in pixels of the pictures in which faces are looked for."""

CLOSE_LOOK_SIDE = 640
"""Longer side in pixels of the second look at pictures in which no face was found."""

PROBE = 8
"""Of so many pictures without a face, one is looked at closely."""

_SMALLEST_SIDE = 160
_NMS_OVERLAP = 0.3
_MOST_FACES = 200
# Maps of so many pictures at 320 pixels stay within a few tens of megabytes.
_AT_ONCE = 16 * LOOK_SIDE**2


class Detector(Protocol):
    """What finds faces in pictures."""

    def find(self, frames: Tensor) -> list[Faces]:
        """Return the faces of each picture, in its pixels.

        Args:
            frames: (T, H, W, 3) uint8 RGB, on any device.
        """


@dataclass(frozen=True)
class YuNetDetector:
    """Find faces with the built-in YuNet, on the device where the pictures are.

    Every picture is looked at, scaled to 320 pixels at the longer side, where YuNet sees faces
    from 10 pixels on: a thirty-second of that side. A smaller face needs a look at 640 pixels, four
    times as dear. Of the pictures without a face at 320 pixels, one in eight (and at least one) gets
    that second look; only where it shows a face do all of them. So a face of at least a thirty-second
    of the picture is missed in no picture, and one between that and half of it may be missed
    if it is in few of the pictures: the price of half the time where there is nobody.

    Args:
        min_score: Least score of a face, in (0, 1].

    Example:
        >>> YuNetDetector().find(torch.zeros(2, 90, 120, 3, dtype=torch.uint8))[0].shape
        (0, 15)
    """

    min_score: float = 0.6

    def find(self, frames: Tensor) -> list[Faces]:
        """Return the faces of each picture (F, 15), in its pixels.

        Args:
            frames: (T, H, W, 3) uint8 RGB, on any device.
        """
        if not frames.numel():
            return [np.zeros((0, 15), np.float32)] * len(frames)
        faces = self._find_at(frames, LOOK_SIDE)
        lost = [index for index, found in enumerate(faces) if not len(found)]
        if not lost or max(frames.shape[1:3]) <= LOOK_SIDE:
            return faces
        probes = lost[min(PROBE // 2, len(lost) // 2) :: PROBE]
        if self._look_again(frames, probes, faces):
            self._look_again(frames, [index for index in lost if index not in probes], faces)
        return faces

    def detect(self, frames: Tensor) -> list[Faces]:
        """Return the faces of each picture (F, 15) at the pictures' own size: no face is looked for twice.

        What `cv2.FaceDetectorYN` returns with a threshold of 0.3 for overlaps and at most 200 faces.

        Args:
            frames: (T, H, W, 3) RGB in [0, 255], uint8 or float32, on any device.
        """
        height, width = frames.shape[1:3]
        many = max(1, _AT_ONCE // (height * width))
        return [
            _suppress(faces[faces[:, -1] >= self.min_score])
            for first in range(0, len(frames), many)
            for faces in _propose(frames[first : first + many].permute(0, 3, 1, 2)).cpu().numpy()
        ]

    def _look_again(self, frames: Tensor, indices: list[int], faces: list[Faces]) -> bool:
        """Replace the faces of some pictures by those of a closer look, and return whether there are any."""
        if not indices:
            return False
        found = self._find_at(frames[indices], CLOSE_LOOK_SIDE)
        for index, each in zip(indices, found, strict=True):
            faces[index] = each
        return any(map(len, found))

    def _find_at(self, frames: Tensor, side: int) -> list[Faces]:
        height, width = frames.shape[1:3]
        rows, columns = look_size(height, width, side)
        faces = self.detect(resize(frames, rows, columns))
        scale = np.array([*[width / columns, height / rows] * 7, 1.0], np.float32)
        return [each * scale for each in faces]


class OpenCVDetector:
    """Find faces with `cv2.FaceDetectorYN` and a YuNet ONNX file, picture by picture on the CPU.

    Args:
        model_file: The ONNX file.
        min_score: Least score of a face, in (0, 1].

    Raises:
        MediaError: The file is missing or is no YuNet model.

    Example:
        >>> OpenCVDetector("nowhere.onnx")
        Traceback (most recent call last):
        ter_fast.errors.MediaError: The face model nowhere.onnx does not exist; ...
    """

    def __init__(self, model_file: str | Path, min_score: float = 0.6) -> None:
        self.model_file = str(model_file)
        self.min_score = min_score
        self._local = threading.local()
        self._detector()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the detectors behind, which cannot travel to another process."""
        return {name: value for name, value in self.__dict__.items() if name != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start without a detector; each thread makes its own when it needs one."""
        self.__dict__.update(state)
        self._local = threading.local()

    def find(self, frames: Tensor) -> list[Faces]:
        """Return the faces of each picture (F, 15), in its pixels, looked for at 640 pixels."""
        import cv2

        height, width = frames.shape[1:3]
        nothing = np.zeros((0, 15), np.float32)
        if not frames.numel():
            return [nothing] * len(frames)
        rows, columns = look_size(height, width, CLOSE_LOOK_SIDE)
        detector = self._detector()
        detector.setInputSize((columns, rows))
        scale = np.array([*[width / columns, height / rows] * 7, 1.0], np.float32)
        faces: list[Faces] = []
        for picture in frames.cpu().numpy():
            shown = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2BGR)
            if (rows, columns) != (height, width):
                how = cv2.INTER_AREA if columns < width else cv2.INTER_LINEAR
                shown = cv2.resize(shown, (columns, rows), interpolation=how)
            found = detector.detect(shown)[1]
            faces.append(nothing if found is None else found * scale)
        return faces

    def _detector(self) -> Any:
        # OpenCV's detector keeps its input size and buffers, so two threads cannot share one.
        detector = getattr(self._local, "detector", None)
        if detector is None:
            detector = self._local.detector = _load(self.model_file, self.min_score)
        return detector


def look_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Return the rows and columns at which a picture is looked at: its longer side is at most `side`.

    YuNet sees faces from about 10 to 300 pixels: large pictures only cost time, and the face of a small
    one has to grow first.

    Example:
        >>> look_size(360, 640, 320), look_size(100, 50, 320), look_size(200, 160, 320)
        ((180, 320), (320, 160), (200, 160))
    """
    longest = max(height, width)
    scale = min(1.0, side / longest)
    if longest < _SMALLEST_SIDE:
        scale = 2.0 * _SMALLEST_SIDE / longest
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(frames: Tensor, rows: int, columns: int) -> Tensor:
    """Scale (T, H, W, 3) uint8 pictures on their device, averaging where they shrink.

    Example:
        >>> resize(torch.full((1, 6, 8, 3), 7, dtype=torch.uint8), 3, 4).unique()
        tensor([7], dtype=torch.uint8)
    """
    if frames.shape[1:3] == (rows, columns):
        return frames
    pictures = frames.permute(0, 3, 1, 2)
    if frames.device.type != "cpu":
        # torch scales whole numbers on the CPU alone, where it is four times as fast.
        pictures = pictures.float()
    scaled = F.interpolate(pictures, (rows, columns), mode="bilinear", antialias=True)
    if scaled.dtype != torch.uint8:
        scaled = scaled.round().clamp(0, 255).to(torch.uint8)
    return scaled.permute(0, 2, 3, 1)


@torch.no_grad()
def _propose(pictures: Tensor) -> Tensor:
    """Return the 200 surest faces of each picture (N, 3, H, W) in [0, 255] as (N, 200, 15)."""
    height, width = pictures.shape[-2:]
    step = STRIDES[-1]
    # Mixed precision would shift boxes by pixels.
    with torch.autocast(pictures.device.type, enabled=False):
        values = pictures.to(torch.float32, memory_format=torch.channels_last)
        values = F.pad(values, (0, -width % step, 0, -height % step))
        faces: Tensor = load_yunet(pictures.device)(values, _MOST_FACES)
    return faces


def _suppress(faces: Faces) -> Faces:
    """Drop faces that overlap a surer one by more than 0.3 of their union, on whole pixels as OpenCV does."""
    import cv2

    boxes, scores = np.trunc(faces[:, :4]), faces[:, -1]
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.0, _NMS_OVERLAP)
    return faces[np.asarray(kept, np.intp).reshape(-1)]


def _load(model_file: str, min_score: float) -> Any:
    import cv2

    if not os.path.isfile(model_file):
        raise MediaError(
            f"The face model {model_file} does not exist; name a YuNet ONNX file, or leave it out for the "
            "built-in detector."
        )
    # OpenCV prints its own remarks while it loads a network, harmless ones as well as the cause
    # that the message below gives.
    logging = cv2.utils.logging
    level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        detector = cv2.FaceDetectorYN.create(
            model_file, "", (64, 64), min_score, _NMS_OVERLAP, _MOST_FACES
        )
        detector.detect(np.zeros((64, 64, 3), np.uint8))
    except cv2.error as error:
        raise MediaError(
            f"{model_file} is no YuNet face model that OpenCV can load; name another ONNX file, or leave "
            "it out for the built-in detector."
        ) from error
    finally:
        logging.setLogLevel(level)
    return detector
