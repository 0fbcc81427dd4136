"""What happens to pictures on their way: noise, blur, darkness, compression, a hidden face, a bad line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ter_fast.media.corrupt.audio import SHARES, stretch
from ter_fast.media.corrupt.suite import register_corruption

if TYPE_CHECKING:
    from ter_fast.media.clip import Clip

Pictures = NDArray[np.uint8]
Box = tuple[float, float, float, float]

FULL_WELL = 1000.0
"""Light that fills a pixel, in photons: it sets how grainy darkness is."""

_GAMMA = 2.2
_GREY = 127


@register_corruption(
    "gaussian_noise",
    modality="video",
    title="Gaussian noise",
    measure="standard deviation, of full scale 1",
    levels=(0.08, 0.12, 0.18, 0.26, 0.38),
    description="those of ImageNet-C",
)
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


@register_corruption(
    "blur",
    modality="video",
    title="Blur",
    measure="standard deviation, of the shorter side",
    levels=(0.005, 0.01, 0.02, 0.04, 0.08),
    description="kernel of 2 ceil(3 sd) + 1 pixels",
)
def blur(pictures: Pictures, share: float, draw: np.random.Generator) -> Pictures:
    """Blur by a Gaussian whose standard deviation is this share of the shorter side."""
    import cv2

    deviation = share * min(pictures.shape[1:3])
    side = 2 * int(np.ceil(3 * deviation)) + 1
    return _each(pictures, lambda picture: cv2.GaussianBlur(picture, (side, side), deviation))


@register_corruption(
    "low_light",
    modality="video",
    title="Low light",
    measure="share of the light",
    levels=(0.5, 0.25, 0.12, 0.06, 0.03),
    description=(
        f"in linear light (gamma {_GAMMA}), with the noise of {FULL_WELL:g} photons at full scale"
    ),
)
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


@register_corruption(
    "jpeg",
    modality="video",
    title="JPEG",
    measure="quality, of 100",
    levels=(50.0, 25.0, 15.0, 10.0, 5.0),
)
def jpeg(pictures: Pictures, quality: float, draw: np.random.Generator) -> Pictures:
    """Compress each picture as JPEG at this quality, 1 to 100, and read it back."""
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, int(quality)]

    def compressed(picture: Pictures) -> Pictures:
        data = cv2.imencode(".jpg", picture[..., ::-1], options)[1]
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]

    return _each(pictures, compressed)


@register_corruption(
    "occlusion",
    modality="video",
    title="Hidden face",
    measure="share of the face's area",
    levels=(0.1, 0.25, 0.5, 0.75, 1.0),
    description="behind a grey block; without a face, of the picture's",
)
def occlusion(
    pictures: Pictures,
    share: float,
    draw: np.random.Generator,
    boxes: Sequence[Box | None] = (),
) -> Pictures:
    """Hide this share of the face's area behind a grey block, at one place of the face in all pictures.

    Args:
        pictures: (T, H, W, 3).
        share: Of the area hidden; the block has the face's proportions.
        draw: Where on the face.
        boxes: Left, top, width and height of each picture's face; where there is none, the whole
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


@register_corruption(
    "frozen_frames",
    modality="video",
    title="Frozen frames",
    measure="share of frames",
    levels=SHARES,
    description="held, in one stretch",
)
def frozen(pictures: Pictures, share: float, draw: np.random.Generator) -> Pictures:
    """Hold one picture for a stretch that is this share of the pictures."""
    begin, end = stretch(len(pictures), share, draw)
    held = pictures.copy()
    held[begin:end] = pictures[begin : begin + 1]
    return held


@register_corruption(
    "dropped_frames",
    modality="video",
    title="Dropped frames",
    measure="share of frames",
    levels=(0.2, 0.4, 0.6, 0.8, 0.95),
    description="gone; one is always left",
    on_clip=True,
)
def dropped(clip: Clip, share: float, draw: np.random.Generator) -> Clip:
    """Drop this share of the pictures with their times: at least one is left, in order."""
    assert clip.frames is not None
    assert clip.times is not None
    count = len(clip.frames)
    order = draw.permutation(count)
    left = np.sort(order[min(round(share * count), count - 1) :])
    return replace(clip, frames=clip.frames[left], times=clip.times[left])


@register_corruption(
    "low_resolution",
    modality="video",
    title="Low resolution",
    measure="shorter side, pixels",
    levels=(96.0, 64.0, 48.0, 32.0, 16.0),
    description="scaled back up; smaller pictures stay",
)
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
