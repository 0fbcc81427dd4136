"""Sounds that are nobody's speech, made: a trustworthy model should trust none of its answers to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ter_fast.media.resampling import SAMPLE_RATE

Sound = np.ndarray[tuple[int], np.dtype[np.float64]]


def white_noise(size: int, draw: np.random.Generator) -> Sound:
    """Return white noise at a random level from -40 to -10 dB of full scale, (size,)."""
    return draw.standard_normal(size) * 10 ** (draw.uniform(-40, -10) / 20)


def room_noise(size: int, draw: np.random.Generator) -> Sound:
    """Return the hiss of a quiet room: noise of power 1 / f, 50 dB below full scale, (size,)."""
    spectrum = np.fft.rfft(draw.standard_normal(size))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    sound = np.fft.irfft(spectrum, size)
    return np.asarray(sound / sound.std() * 10 ** (-50 / 20))


def tones(size: int, draw: np.random.Generator) -> Sound:
    """Return one steady tone of 80 to 2000 Hz with up to eight harmonics, (size,)."""
    time = np.arange(size) / SAMPLE_RATE
    pitch = np.exp(draw.uniform(np.log(80), np.log(2000)))
    count = 1 + draw.integers(8)
    sound = sum(
        np.sin(2 * np.pi * (place * pitch * time + draw.random())) / place
        for place in range(1, count + 1)
        if place * pitch < SAMPLE_RATE / 2
    )
    return np.asarray(0.1 * sound)


SIGNALS: Mapping[str, Callable[[int, np.random.Generator], Sound]] = {
    "white_noise": white_noise,
    "room_noise": room_noise,
    "tones": tones,
}
"""Every made sound by name."""


def signal(name: str, size: int, seed: int) -> Tensor:
    """Return a made sound, (size,) float32 at 16 kHz, the same for the same seed.

    Example:
        >>> sound = signal("tones", 16_000, seed=3)
        >>> sound.shape, sound.dtype, bool(sound.abs().max() < 1)
        (torch.Size([16000]), torch.float32, True)
    """
    made = SIGNALS[name](size, np.random.default_rng(seed))
    return torch.from_numpy(np.clip(made, -1, 1).astype(np.float32))
