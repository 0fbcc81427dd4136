"""What is done about sound that no full scale bounds: float samples beyond [-1, 1], channels that cancel."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
Plane = npt.NDArray[Any]

_STRAY = 1e-3
_CANCELLED = 1e-2
_LOOKED_AT = 2000


def average_channels(samples: Plane) -> Samples:
    """Mix (channels, samples) of any type down to (samples,) float32, full scale being 1.

    The mix is the mean of the channels, but for channels of opposite polarity (a balanced line taken for
    stereo), whose mean is silence: where it keeps less than a hundredth (-40 dB) of the level of the loudest
    channel, the first channel that is nearly as loud stands for all.

    Args:
        samples: Float, or integers of which the type's range is full scale; unsigned ones are offset by half.

    Example:
        >>> left = np.array([0.5, -0.5], np.float32)
        >>> average_channels(np.stack([left, 0 * left])).tolist()
        [0.25, -0.25]
        >>> average_channels(np.stack([left, -left])).tolist()
        [0.5, -0.5]
    """
    mean = _mean(samples)
    if len(samples) == 1 or not mean.size:
        return mean
    # A part tells: channels that cancel do so everywhere, and hours of sound pass here.
    part = slice(None, None, max(1, mean.size // _LOOKED_AT))
    levels = [_level(_mean(channel[None])) for channel in samples[:, part]]
    # So put that NaN, which a float file may hold, decides for the mean.
    if not _level(mean[part]) < _CANCELLED * max(levels):
        return mean
    first = next(index for index, level in enumerate(levels) if level >= max(levels) / 2)
    return _mean(samples[first : first + 1])


def _mean(samples: Plane) -> Samples:
    if samples.dtype.kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):
            return cast(Samples, samples.mean(axis=0, dtype=np.float32))
    scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
    offset = scale if samples.dtype.kind == "u" else 0.0
    mean = samples.mean(axis=0, dtype=np.float64)
    return cast(Samples, ((mean - offset) / scale).astype(np.float32))


def _level(samples: Samples) -> float:
    """Return the root of the mean square, without a copy of the samples."""
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.sqrt(np.vdot(samples, samples) / samples.size))


def fit_full_scale(samples: Samples) -> str:
    """Bring float samples into [-1, 1], in place, and say in a phrase what was done; "" for nothing to say.

    Up to a thousandth of the samples may overshoot, as lossy codecs and resamplers make them: these are
    clipped. More are no overshoot, and clipping them would make a square wave of the sound: it is scaled by
    its peak instead. NaN, which a float file may hold, is silence.

    Example:
        >>> loud = np.array([0.0, 3.0, -1.5], np.float32)
        >>> fit_full_scale(loud), loud.tolist()
        ('its samples reach 3, beyond full scale: divided by that', [0.0, 1.0, -0.5])
    """
    # In place, since hours of sound fill hundreds of megabytes.
    np.nan_to_num(samples, copy=False, nan=0.0)
    peak = peak_of(samples)
    if peak <= 1.0:
        return ""
    note = ""
    if overshoots(samples):
        samples /= np.float32(peak)
        note = f"its samples reach {peak:.6g}, beyond full scale: divided by that"
    np.clip(samples, -1.0, 1.0, out=samples)
    return note


def peak_of(samples: Samples) -> float:
    """Return the largest magnitude; 0 where there are no samples.

    Example:
        >>> peak_of(np.array([0.5, -2.0], np.float32))
        2.0
    """
    return float(max(samples.max(initial=0.0), -samples.min(initial=0.0)))


def overshoots(samples: Samples) -> bool:
    """Say whether more of the sounding samples lie outside [-1, 1] than a stray few.

    Example:
        >>> overshoots(np.array([0.5, -2.0], np.float32))
        True
    """
    outside = np.count_nonzero(samples > 1.0) + np.count_nonzero(samples < -1.0)
    return bool(outside > _STRAY * np.count_nonzero(samples))
