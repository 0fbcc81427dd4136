"""What happens to pictures on their way: noise, blur, darkness, compression, a hidden face, a bad line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ter_fast.media.corrupt.audio import stretch

Pictures = NDArray[np.uint8]
Box = tuple[float, float, float, float]

FULL_WELL = 1000.0
"""Light that fills a pixel, in photons: it sets how grainy darkness is."""

_GAMMA = 2.2
_GREY = 127


def gaussian_noise(pictures: Pictures, deviation: float, draw: np.random.Generator) -> Pictures:
    """Add Gaussian noise of this standard deviation, full scale being 1, to each (T, H, W, 3) value.

    Reference:
        Hendrycks and Dietterich 2019, ImageNet-C, whose five deviations these are.
    """
    noisy = np.empty_like(pictures)
    for picture, changed in zip(pictures, noisy, strict=True):
        noise = draw.standard_normal(picture.shape, dtype=np.float32)
        changed[:] = np.clip(np.rint(picture + 255 * deviation * noise), 0, 255)
    return noisy


def blur(pictures: Pictures, share: float, draw: np.random.Generator) -> Pictures:
    """Blur by a Gaussian whose standard deviation is this share of the shorter side."""
    import cv2

    deviation = share * min(pictures.shape[1:3])
    side = 2 * int(np.ceil(3 * deviation)) + 1
    return _each(pictures, lambda picture: cv2.GaussianBlur(picture, (side, side), deviation))


def low_light(pictures: Pictures, light: float, draw: np.random.Generator) -> Pictures:
    """Leave this share of the light, with the grain of so few photons.

    In linear light l = (v / 255)^2.2: l' = light l + n sqrt(light l / 1000), n standard normal, the
    usual approximation of the Poisson law of 1000 photons at full scale.
    """
    levels = np.asarray(light * np.linspace(0, 1, 256) ** _GAMMA, np.float32)
    grain = np.asarray(np.sqrt(levels / FULL_WELL), np.float32)
    dark = np.empty_like(pictures)
    for picture, changed in zip(pictures, dark, strict=True):
        noise = draw.standard_normal(picture.shape, dtype=np.float32)
        linear = np.clip(levels[picture] + noise * grain[picture], 0, 1)
        changed[:] = np.rint(255 * linear ** (1 / _GAMMA))
    return dark


def jpeg(pictures: Pictures, quality: float, draw: np.random.Generator) -> Pictures:
    """Compress each picture as JPEG at this quality, 1 to 100, and read it back."""
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, int(quality)]

    def compressed(picture: Pictures) -> Pictures:
        data = cv2.imencode(".jpg", picture[..., ::-1], options)[1]
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]

    return _each(pictures, compressed)


def occlusion(
    pictures: Pictures,
    share: float,
    draw: np.random.Generator,
    boxes: Sequence[Box | None] = (),
) -> Pictures:
    """Hide this share of the face's area behind a grey block, at one place of the face in all pictures.

    Args:
        pictures: (T, H, W, 3).
        share: of the area hidden; the block has the face's proportions.
        draw: where on the face.
        boxes: left, top, width and height of each picture's face; where there is none, the whole
            picture is taken for the face, as it is in a face crop.
    """
    across, down = draw.random(2)
    side = np.sqrt(share)
    height, width = pictures.shape[1:3]
    hidden = pictures.copy()
    for index, picture in enumerate(hidden):
        box = boxes[index] if index < len(boxes) else None
        left, top, wide, high = box or (0.0, 0.0, float(width), float(height))
        x = left + across * wide * (1 - side)
        y = top + down * high * (1 - side)
        columns = slice(*np.clip(np.rint([x, x + wide * side]), 0, width).astype(int))
        rows = slice(*np.clip(np.rint([y, y + high * side]), 0, height).astype(int))
        picture[rows, columns] = _GREY
    return hidden


def frozen(pictures: Pictures, share: float, draw: np.random.Generator) -> Pictures:
    """Hold one picture for a stretch that is this share of the pictures."""
    begin, end = stretch(len(pictures), share, draw)
    held = pictures.copy()
    held[begin:end] = pictures[begin : begin + 1]
    return held


def kept_frames(count: int, share: float, draw: np.random.Generator) -> NDArray[np.intp]:
    """Return which pictures are left when this share of them is dropped: at least one, in order."""
    order = draw.permutation(count)
    return np.sort(order[min(round(share * count), count - 1) :])


def low_resolution(pictures: Pictures, pixels: float, draw: np.random.Generator) -> Pictures:
    """Scale the shorter side down to this many pixels, and the picture back up to its size.

    A picture that is no larger stays as it is.
    """
    import cv2

    height, width = pictures.shape[1:3]
    scale = pixels / min(height, width)
    if scale >= 1:
        return pictures.copy()
    small = max(1, round(width * scale)), max(1, round(height * scale))

    def coarse(picture: Pictures) -> Pictures:
        little = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        again = cv2.resize(little, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(again, np.uint8)

    return _each(pictures, coarse)


def _each(pictures: Pictures, change: Callable[[Pictures], Any]) -> Pictures:
    changed = np.empty_like(pictures)
    for index, picture in enumerate(pictures):
        changed[index] = change(np.ascontiguousarray(picture))
    return changed
