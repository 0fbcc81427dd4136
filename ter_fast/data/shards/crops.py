"""Cuts the part of the pictures that a shard keeps: the face, the centre square, or all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ter_fast.data.shards.settings import BLOCK, ShardSettings
from ter_fast.media.clip import Clip
from ter_fast.media.faces.cropper import Face, FaceCropper, cut_squares
from ter_fast.media.features import resize_frames

_Pictures = npt.NDArray[np.uint8]


def crop(clip: Clip, settings: ShardSettings, finder: FaceCropper | None) -> tuple[Clip, str]:
    """Crop a clip's pictures to what is stored.

    Args:
        clip: One window.
        settings: Says which crop, and its size.
        finder: Finds faces, where the crop is ``"face"``.

    Returns:
        The clip, without pictures where there was no face, and why; ``""`` for nothing to say.

    Example:
        >>> clip = Clip.from_arrays(np.zeros((2, 40, 60, 3), np.uint8))
        >>> tuple(crop(clip, ShardSettings("centre", size=32), None)[0].frames.shape)
        (2, 32, 32, 3)
    """
    if clip.frames is None or clip.times is None:
        return clip, ""
    frames, times, note = clip.frames, clip.times, ""
    if settings.crop == "centre":
        frames = resize_frames(frames, settings.size).permute(0, 2, 3, 1).contiguous()
    elif settings.crop == "whole" or finder is None:
        frames = _whole(frames, settings.size)
    else:
        found, kept = _faces(frames, times, settings, finder)
        if not kept:
            note = f"no face found in {len(frames)} sampled frames"
            return Clip(clip.path, None, None, clip.audio, clip.start, clip.end, clip.note), note
        frames, times = found, times[kept]
    return Clip(clip.path, frames, times, clip.audio, clip.start, clip.end, clip.note), note


def smooth(
    boxes: npt.NDArray[np.float64], times: npt.NDArray[np.float64], deviation: float
) -> npt.NDArray[np.float64]:
    r"""Average boxes over time with Gaussian weights: the detector's jitter goes, movement stays.

    box_i = sum_j w_ij box_j / sum_j w_ij,  w_ij = exp(-(t_i - t_j)^2 / (2 deviation^2))

    over the boxes of one track: where a box does not overlap the one before, the film was cut or
    the largest face is another's, and to average the two would show neither.

    It works on the pictures of one window. Windows are read apart, by `predict` as by training, so
    nothing sees two of them side by side; and a window whose crops hung on the one before could not
    be made again from the film's own stretch.

    Args:
        boxes: (N, 4) centre x, centre y, width and height in pixels.
        times: (N,) seconds.
        deviation: Seconds; 0 leaves the boxes as they are.

    Example:
        >>> still = smooth(np.array([[0.0, 0, 8, 8], [2, 0, 8, 8]]), np.zeros(2), 0.25)
        >>> still.tolist()
        [[1.0, 0.0, 8.0, 8.0], [1.0, 0.0, 8.0, 8.0]]
    """
    if deviation == 0:
        return boxes
    track = np.cumsum(np.append(False, ~_overlap(boxes[:-1], boxes[1:])))
    same = track[:, None] == track
    weight = np.exp(-0.5 * ((times[:, None] - times) / deviation) ** 2) * same
    return np.asarray(weight @ boxes / weight.sum(axis=1, keepdims=True))


def _overlap(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    apart = np.abs(first[:, :2] - second[:, :2])
    return np.asarray((2 * apart < first[:, 2:] + second[:, 2:]).all(axis=1))


def _faces(
    frames: Tensor, times: Tensor, settings: ShardSettings, finder: FaceCropper
) -> tuple[Tensor, list[int]]:
    faces = [(index, face) for index, face in enumerate(finder.largest(frames)) if face is not None]
    kept = [index for index, _ in faces]
    if not kept:
        return frames[:0], kept
    boxes = np.array([_center_and_size(face) for _, face in faces])
    steady = smooth(boxes, times[kept].numpy(), settings.smoothing)
    return cut_squares(frames, kept, steady.tolist(), settings.size, settings.margin), kept


def _center_and_size(face: Face) -> tuple[float, float, float, float]:
    return face.x + face.width / 2, face.y + face.height / 2, face.width, face.height


def _whole(frames: Tensor, longest: int) -> Tensor:
    """Scale pictures to sides of whole JPEG blocks, at most 4 pixels off their proportions."""
    height, width = frames.shape[1:3]
    scale = min(1.0, longest / max(height, width))
    rows, columns = (max(BLOCK, round(side * scale / BLOCK) * BLOCK) for side in (height, width))
    if (rows, columns) == (height, width):
        return frames
    return torch.from_numpy(
        np.stack([_resize(each, rows, columns) for each in frames.cpu().numpy()])
    )


def _resize(picture: _Pictures, rows: int, columns: int) -> _Pictures:
    import cv2

    shrinks = picture.shape[0] > rows or picture.shape[1] > columns
    how: Any = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (columns, rows), interpolation=how), dtype=np.uint8)
