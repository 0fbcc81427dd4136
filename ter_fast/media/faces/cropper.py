"""Finds the largest face of each picture with OpenCV's YuNet, and cuts it out as a square."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ter_fast.errors import MediaError
from ter_fast.media.files import file_sha256, replace_file

MODEL_VARIABLE = "TER_FAST_FACE_MODEL"
"""Environment variable that names the face model file."""

MODEL_REPOSITORY = "opencv/face_detection_yunet"
MODEL_FILE = "face_detection_yunet_2023mar.onnx"
MODEL_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"

_DETECT_SIDE = 640
_SMALLEST_SIDE = 160
_NMS_OVERLAP = 0.3
_MOST_FACES = 200


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

    Args:
        model_file: The YuNet ONNX file; see `fetch_face_model`.
        size: Side of the square in pixels.
        margin: Added on each side, as a fraction of the longer side of the face's box.
        min_score: Least score of a face, in (0, 1].

    Raises:
        MediaError: The file is missing or is no face model, OpenCV is not installed, or a number
            is out of range.

    Reference:
        Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector".

    Example:
        >>> FaceCropper("nowhere.onnx")
        Traceback (most recent call last):
        ter_fast.errors.MediaError: The face model nowhere.onnx does not exist; ...
    """

    def __init__(
        self,
        model_file: str | Path,
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
        self.model_file = str(model_file)
        self.size = size
        self.margin = margin
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

    def crop(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Cut out the largest face of each picture; a picture without one is left out.

        Where the square reaches outside the picture, the picture's edge is repeated.

        Args:
            frames: (T, H, W, 3) uint8 RGB.

        Returns:
            The faces, (N, size, size, 3) uint8, and the indices (N,) int64 of their pictures.

        Raises:
            MediaError: `frames` has another shape or type.

        Example:
            >>> import os, torch
            >>> model = default_face_model()
            >>> if model is not None:
            ...     faces, kept = FaceCropper(model).crop(torch.zeros(2, 90, 120, 3).byte())
            ...     assert faces.shape == (0, 112, 112, 3) and kept.numel() == 0
        """
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != torch.uint8:
            raise MediaError(
                f"Frames are {tuple(frames.shape)} {frames.dtype}, expected (T, H, W, 3) uint8 RGB."
            )
        crops, kept = [], []
        for index, picture in enumerate(frames.cpu().numpy()):
            face = self.largest(picture)
            if face is not None:
                crops.append(torch.from_numpy(self._cut(picture, face)))
                kept.append(index)
        stacked = (
            torch.stack(crops)
            if crops
            else torch.empty((0, self.size, self.size, 3), dtype=torch.uint8)
        )
        return stacked, torch.tensor(kept, dtype=torch.int64)

    def largest(self, picture: npt.NDArray[np.uint8]) -> Face | None:
        """Return the face with the largest box in an (H, W, 3) uint8 RGB picture, or None."""
        import cv2

        height, width = picture.shape[:2]
        if min(height, width) == 0:
            return None
        # YuNet sees faces from about 10 to 300 pixels: large pictures only cost time, and the
        # face of a small one has to grow first.
        longest = max(height, width)
        scale = min(1.0, _DETECT_SIDE / longest)
        if longest < _SMALLEST_SIDE:
            scale = 2.0 * _SMALLEST_SIDE / longest
        size = max(1, round(width * scale)), max(1, round(height * scale))
        shown = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2BGR)
        if size != (width, height):
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            shown = cv2.resize(shown, size, interpolation=how)
        detector = self._detector()
        detector.setInputSize(size)
        found = detector.detect(shown)[1]
        if found is None or not len(found):
            return None
        best = found[np.argmax(found[:, 2] * found[:, 3])].astype(float)
        across, down = width / size[0], height / size[1]
        return Face(
            best[0] * across, best[1] * down, best[2] * across, best[3] * down, float(best[-1])
        )

    def _detector(self) -> Any:
        # OpenCV's detector keeps its input size and buffers, so two threads cannot share one.
        detector = getattr(self._local, "detector", None)
        if detector is None:
            detector = self._local.detector = _load(self.model_file, self.min_score)
        return detector

    def _cut(self, picture: npt.NDArray[np.uint8], face: Face) -> npt.NDArray[np.uint8]:
        import cv2

        side = max(2, round(max(face.width, face.height) * (1 + 2 * self.margin)))
        left = round(face.x + face.width / 2 - side / 2)
        top = round(face.y + face.height / 2 - side / 2)
        rows = np.clip(np.arange(top, top + side), 0, picture.shape[0] - 1)
        columns = np.clip(np.arange(left, left + side), 0, picture.shape[1] - 1)
        square = picture[rows[:, None], columns]
        how = cv2.INTER_AREA if side > self.size else cv2.INTER_LINEAR
        return np.asarray(
            cv2.resize(square, (self.size, self.size), interpolation=how), dtype=np.uint8
        )


def default_face_model() -> Path | None:
    """Return the face model that is already on this machine, or None.

    Looks at the environment variable `TER_FAST_FACE_MODEL`, then in the folder where
    `fetch_face_model` puts it, then in the cache of the Hugging Face hub.

    Example:
        >>> model = default_face_model()
        >>> model is None or model.is_file()
        True
    """
    named = os.environ.get(MODEL_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise MediaError(
                f"{MODEL_VARIABLE} names {named}, which does not exist; correct or unset it."
            )
        return Path(named)
    kept = _cache_folder() / MODEL_FILE
    if kept.is_file():
        return kept
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    found = try_to_load_from_cache(MODEL_REPOSITORY, MODEL_FILE)
    if isinstance(found, str) and file_sha256(found) == MODEL_SHA256:
        return Path(found)
    return None


def fetch_face_model(folder: str | Path | None = None) -> Path:
    """Download YuNet from the Hugging Face hub, check it and return its path.

    A file that is already there with the right checksum is not downloaded again.

    Args:
        folder: Where to put it; by default the package's folder in the user's cache.

    Raises:
        MediaError: There is no network, `huggingface_hub` is not installed, or what arrived is
            not the official file; nothing is left on disk then.

    Reference:
        OpenCV Zoo, `face_detection_yunet_2023mar.onnx`, Apache-2.0 / MIT.
    """
    target = Path(folder) / MODEL_FILE if folder is not None else _cache_folder() / MODEL_FILE
    if target.is_file() and file_sha256(target) == MODEL_SHA256:
        return target
    by_hand = (
        f"download {MODEL_FILE} from https://huggingface.co/{MODEL_REPOSITORY} by hand and name it "
        f"with --face-model or {MODEL_VARIABLE}"
    )
    try:
        from huggingface_hub import hf_hub_download

        content = Path(hf_hub_download(MODEL_REPOSITORY, MODEL_FILE)).read_bytes()
    except ImportError:
        raise MediaError(
            f"huggingface_hub is not installed; pip install it, or {by_hand}."
        ) from None
    except Exception as error:
        # The hub's client raises errors of several libraries, according to what failed below it.
        reason = str(error).strip().splitlines()
        raise MediaError(
            f"The face model could not be downloaded "
            f"({reason[0] if reason else type(error).__name__}); check the network, or {by_hand}."
        ) from error
    _store(content, target, by_hand)
    return target


def _store(content: bytes, target: Path, by_hand: str) -> None:
    """Write a checked model so that no reader ever sees half of it."""
    found = hashlib.sha256(content).hexdigest()
    if found != MODEL_SHA256:
        raise MediaError(
            f"The face model that arrived has SHA-256 {found}, expected "
            f"{MODEL_SHA256}; it was thrown away. Try again, or {by_hand}."
        )
    try:
        replace_file(target, content, parents=True)
    except OSError as error:
        raise MediaError(f"{target} cannot be written ({error.strerror}); {by_hand}.") from error


def _load(model_file: str, min_score: float) -> Any:
    try:
        import cv2
    except ImportError:
        raise MediaError(
            "Faces are found with OpenCV, which is not installed; "
            "pip install opencv-python-headless, or go without a face model."
        ) from None
    if not os.path.isfile(model_file):
        raise MediaError(
            f"The face model {model_file} does not exist; name a YuNet ONNX file, or run "
            "`ter-fast data fetch-models`."
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
            f"{model_file} is no YuNet face model that OpenCV can load; fetch it again with "
            "`ter-fast data fetch-models`."
        ) from error
    finally:
        logging.setLogLevel(level)
    return detector


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "ter_fast"
