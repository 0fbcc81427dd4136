"""Pictures and sound as other libraries give them, turned into the tensors of a `Clip`."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ter_fast.errors import MediaError
from ter_fast.media.levels import average_channels, fit_full_scale, overshoots, peak_of
from ter_fast.media.resampling import SAMPLE_RATE, resample

_Array = npt.NDArray[Any]

LOUDEST = 8.0
"""Peak up to which float sound is too loud (18 dB above full scale); beyond, it has another unit."""

_MOST_CHANNELS = 64
_FRAMES = "(T, H, W, 3) uint8 RGB, or (H, W, 3) for one picture; also with 1 channel or 4, (H, W), or floats in [0, 1]"
_SOUND = "(samples,) or (channels, samples) or (samples, channels), float in [-1, 1] or int16, int32, int8 or uint8"


def frames_from(frames: Any) -> Tensor:
    """Return pictures as (T, H, W, 3) uint8.

    Args:
        frames: What `Clip.from_arrays` takes.

    Raises:
        MediaError: Another shape or type, pictures of unequal size, or floats outside [0, 1].

    Example:
        >>> frames_from(np.zeros((6, 8), np.uint8)).shape
        torch.Size([1, 6, 8, 3])
    """
    pictures = _layout(_stack(frames))
    if pictures.size == 0:
        raise MediaError(
            f"Frames are {_form(pictures)}: no picture; pass None where there is none."
        )
    if pictures.dtype.kind == "f":
        if not ((pictures >= 0) & (pictures <= 1)).all():
            raise MediaError(
                "Float frames hold NaN or values outside [0, 1]; scale them to [0, 1] or pass uint8."
            )
        pictures = np.rint(pictures * 255).astype(np.uint8)
    if pictures.dtype != np.uint8:
        raise MediaError(f"Frames are {_form(pictures)}, expected {_FRAMES}.")
    channels = pictures.shape[-1]
    if channels == 1:
        pictures = np.repeat(pictures, 3, axis=-1)
    return torch.from_numpy(_owned(pictures[..., :3]))


def times_from(times: Any, count: int) -> Tensor:
    """Return the times of `count` pictures as (count,) float64 seconds.

    Raises:
        MediaError: Another number of them, or they fall, or are not finite.

    Example:
        >>> times_from([0, 0.5], 2)
        tensor([0.0000, 0.5000], dtype=torch.float64)
    """
    instants = _array(times, "times")
    if instants.shape != (count,) or instants.dtype.kind not in "fiu":
        raise MediaError(
            f"Frame times are {_form(instants)}, expected ({count},) float64 seconds, one for each frame."
        )
    seconds = instants.astype(np.float64)
    if not np.isfinite(seconds).all():
        raise MediaError("Frame times hold NaN or infinity; give finite seconds.")
    falling = np.flatnonzero(np.diff(seconds) < 0)
    if len(falling):
        first = int(falling[0])
        raise MediaError(
            f"Frame times fall, from {seconds[first]:g} s of frame {first} to {seconds[first + 1]:g} s of "
            "the next; sort the frames by time."
        )
    return torch.from_numpy(seconds)


def audio_from(audio: Any, rate: float) -> tuple[Tensor, str]:
    """Return sound as (samples,) float32 at 16 kHz, and what was done about its level.

    Args:
        audio: What `Clip.from_arrays` takes, without the rate.
        rate: Its sample rate in Hz.

    Raises:
        MediaError: Another shape or type, NaN or infinity, or floats that are not on a scale of [-1, 1].

    Example:
        >>> audio_from(np.array([[-32768, 16384]], np.int16), 16_000)
        (tensor([-1.0000,  0.5000]), '')
    """
    sound = _array(audio, "audio")
    if not _is_sound(sound):
        raise MediaError(f"Audio is {_form(sound)}, expected {_SOUND}.")
    if sound.dtype.kind == "f" and not np.isfinite(sound).all():
        raise MediaError("Audio holds NaN or infinity; repair or drop these samples first.")
    mono = _mono(sound) if sound.size else np.zeros(0, np.float32)
    if (peak := peak_of(mono)) > LOUDEST and overshoots(mono):
        raise MediaError(
            f"Float audio reaches {peak:.6g}, expected [-1, 1]; divide it by the full scale of what it "
            "was made of, which is 32768 for 16 bits, or pass the integers."
        )
    note = fit_full_scale(mono)
    samples = torch.from_numpy(mono)
    if rate != SAMPLE_RATE:
        samples = resample(samples, int(rate))
    return samples, f"the sound: {note}" if note else ""


def split_rate(audio: Any) -> tuple[Any, float] | None:
    """Return sound and its rate where they come together; None where they do not.

    Known are (sound, rate), as librosa, soundfile and torchaudio give them, (rate, sound), as SciPy and
    Gradio do, and `{"array": sound, "sampling_rate": rate}`, as Hugging Face's datasets do.

    Example:
        >>> split_rate((16_000, [0.0, 0.5])), split_rate([0.0, 0.5])
        (([0.0, 0.5], 16000), None)
    """
    if isinstance(audio, Mapping):
        sound = audio.get("array", audio.get("raw"))
        rate: Any = audio.get("sampling_rate")
        return (sound, float(rate)) if sound is not None and _is_rate(rate) else None
    if not isinstance(audio, (tuple, list)) or len(audio) != 2:
        return None
    for sound, rate in (audio, audio[::-1]):
        if _is_rate(rate) and isinstance(sound, (np.ndarray, Tensor, list, tuple)):
            return sound, rate
    return None


def is_picture(value: Any) -> bool:
    """Say whether something is a picture of Pillow's.

    Example:
        >>> is_picture("a.png")
        False
    """
    # Whoever holds one has imported Pillow.
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def _is_rate(value: Any) -> bool:
    return isinstance(value, (Real, np.number)) and not isinstance(value, bool)


def _is_sound(sound: _Array) -> bool:
    kinds = {"f": (2, 4, 8), "i": (1, 2, 4), "u": (1,)}
    known = sound.dtype.itemsize in kinds.get(sound.dtype.kind, ())
    return known and (sound.ndim == 1 or (sound.ndim == 2 and min(sound.shape) <= _MOST_CHANNELS))


def _mono(sound: _Array) -> npt.NDArray[np.float32]:
    if sound.ndim == 1:
        sound = sound[None]
    elif sound.shape[0] > sound.shape[1]:
        # Nobody has more channels than samples.
        sound = sound.T
    mono = average_channels(sound)
    return mono.copy() if np.shares_memory(mono, sound) else mono


def _stack(frames: Any) -> _Array:
    """Return pictures as one array, of whatever layout."""
    if is_picture(frames):
        frames = [frames]
    if not isinstance(frames, Sequence) or isinstance(frames, (str, bytes)):
        return _array(frames, "frames")
    pictures = [_picture(each) for each in frames]
    sizes = {picture.shape for picture in pictures}
    if len(sizes) > 1:
        raise MediaError(
            f"Frames have the unequal sizes {' and '.join(map(str, sorted(sizes)[:3]))}; a clip's pictures are "
            "of one size: resize them, or make a clip of each."
        )
    return np.stack(pictures) if pictures else np.zeros((0, 0, 0, 3), np.uint8)


def _picture(picture: Any) -> _Array:
    if not is_picture(picture):
        return _array(picture, "frames")
    # As with files, the picture is the upright one.
    upright = importlib.import_module("PIL.ImageOps").exif_transpose(picture)
    return np.array(upright.convert("RGB"))


def _layout(pictures: _Array) -> _Array:
    """Return (T, H, W, 1), (T, H, W, 3) or (T, H, W, 4) of pictures of whatever layout."""
    shape = pictures.shape
    if pictures.ndim == 2:
        return pictures[None, :, :, None]
    if pictures.ndim == 3 and shape[-1] in (1, 3, 4):
        return pictures[None]
    if pictures.ndim == 4 and shape[-1] in (1, 3, 4):
        return pictures
    advice = ""
    if len(shape) >= 3 and shape[-3] in (1, 3):
        advice = " Channels come last: permute the axes."
    raise MediaError(f"Frames are {_form(pictures)}, expected {_FRAMES}.{advice}")


def _array(values: Any, name: str) -> _Array:
    """Return values as an array of the machine's own byte order."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise MediaError(
            f"The {name} make no array ({error}); give them equal shapes and numbers only."
        ) from error
    if array.dtype == np.longdouble:
        array = array.astype(np.float64)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _owned(array: _Array) -> _Array:
    """Return an array that torch can share: contiguous, and not read-only."""
    return np.require(array, requirements=["C", "W"])


def _form(array: _Array) -> str:
    return f"{tuple(array.shape)} {array.dtype}"


def check_rates(frame_rate: float, sample_rate: float) -> None:
    """Refuse rates that are none.

    Raises:
        MediaError: One is not above 0 and finite, or the sample rate is below 1 Hz.

    Example:
        >>> check_rates(25.0, 16_000)
    """
    if not 0 < frame_rate < math.inf or not 1 <= sample_rate < math.inf:
        raise MediaError(
            f"frame_rate={frame_rate} and sample_rate={sample_rate} must be above 0 and finite."
        )
