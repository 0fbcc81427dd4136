"""What happens to sound on its way: noise, rooms, overload, narrow lines, lost packets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.media.corrupt.suite import register_corruption
from ter_fast.media.resampling import SAMPLE_RATE

Sound = NDArray[np.float32]

PACKET_SECONDS = 0.02
"""Sound in one packet, as voice over IP sends it."""

TALKERS = 5
"""Voices that babble at once, at most."""

_FILTER_ORDER = 8
_SNR = (20.0, 14.0, 8.0, 2.0, -5.0)

SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Levels of corruptions of a share of a clip, or of the clips."""


@register_corruption(
    "white_noise",
    modality="audio",
    title="White noise",
    measure="signal-to-noise ratio, dB",
    levels=_SNR,
    description="over the whole window",
)
def white_noise(sound: Sound, snr_db: float, draw: np.random.Generator) -> Sound:
    """Add white Gaussian noise at a signal-to-noise ratio in dB over the whole (samples,)."""
    return _mix(sound, draw.standard_normal(sound.size), snr_db)


@register_corruption(
    "babble",
    modality="audio",
    title="Babble of other clips",
    measure="signal-to-noise ratio, dB",
    levels=_SNR,
    description=f"of up to {TALKERS} other clips at once, each equally loud",
)
def babble(
    sound: Sound, snr_db: float, draw: np.random.Generator, others: Sequence[Sound]
) -> Sound:
    """Add up to `TALKERS` other clips at once, each equally loud, at a signal-to-noise ratio in dB.

    Raises:
        DataError: No other clip has sound.
    """
    voices = [other - other.mean() for other in others if other.size and np.ptp(other) > 0]
    if not voices:
        raise DataError(
            "babble is made of the sound of other clips and none was given; give others=[…]"
        )
    chosen = draw.permutation(len(voices))[:TALKERS]
    total = np.zeros(sound.size)
    for each in chosen:
        voice = voices[each] / np.sqrt(np.mean(np.square(voices[each], dtype=np.float64)))
        start = int(draw.integers(voice.size))
        total += np.resize(np.roll(voice, -start), sound.size)
    return _mix(sound, total, snr_db)


@register_corruption(
    "reverberation",
    modality="audio",
    title="Reverberation",
    measure="decay by 60 dB, s; direct to reverberant, dB",
    levels=((0.2, 10.0), (0.4, 5.0), (0.8, 0.0), (1.5, -5.0), (3.0, -10.0)),
    description="Gaussian noise with an exponential envelope",
)
def reverberation(sound: Sound, level: tuple[float, float], draw: np.random.Generator) -> Sound:
    """Add a room: an echo of Gaussian noise that decays by 60 dB in `level[0]` seconds.

    `level[1]` is the ratio of direct to reverberant energy in dB. The loudness stays.

    Reference:
        Polack 1988, the statistical model of late reverberation.
    """
    from scipy.signal import oaconvolve

    decay, ratio_db = level
    time = np.arange(1, round(decay * SAMPLE_RATE) + 1) / SAMPLE_RATE
    echo = draw.standard_normal(time.size) * 10.0 ** (-3.0 * time / decay)
    echo *= np.sqrt(10.0 ** (-ratio_db / 10.0) / np.sum(echo**2))
    response = np.concatenate(([1.0], echo))
    return _as_loud(oaconvolve(sound, response)[: sound.size], sound)


@register_corruption(
    "clipping",
    modality="audio",
    title="Clipping",
    measure="share of samples cut off",
    levels=(0.01, 0.05, 0.15, 0.3, 0.5),
    description="at the loud end; loudness kept",
)
def clipping(sound: Sound, share: float, draw: np.random.Generator) -> Sound:
    """Cut off the loudest share of the samples, as an overloaded microphone does; the loudness stays."""
    limit = float(np.quantile(np.abs(sound), 1.0 - share))
    return _as_loud(np.clip(sound, -limit, limit), sound) if limit > 0 else sound.copy()


@register_corruption(
    "low_pass",
    modality="audio",
    title="Low-pass",
    measure="cut-off, Hz",
    levels=(4000.0, 3000.0, 2000.0, 1000.0, 500.0),
    description=f"Butterworth, order {_FILTER_ORDER}",
)
def low_pass(sound: Sound, hertz: float, draw: np.random.Generator) -> Sound:
    """Take away what lies above `hertz`, by a Butterworth filter of order 8."""
    from scipy.signal import butter, sosfilt

    sections = butter(_FILTER_ORDER, hertz, fs=SAMPLE_RATE, output="sos")
    return _limit_range(sosfilt(sections, sound.astype(np.float64)))


@register_corruption(
    "packet_loss",
    modality="audio",
    title="Packet loss",
    measure="share of 20 ms packets lost",
    levels=(0.05, 0.1, 0.2, 0.4, 0.6),
    description="silence in their place",
)
def packet_loss(sound: Sound, share: float, draw: np.random.Generator) -> Sound:
    """Silence this share of the packets of 20 ms; those lost at one share are lost at any larger one."""
    packet = round(PACKET_SECONDS * SAMPLE_RATE)
    count = -(-sound.size // packet)
    lost = np.zeros(count, bool)
    lost[draw.permutation(count)[: round(share * count)]] = True
    return np.where(np.repeat(lost, packet)[: sound.size], np.float32(0), sound)


@register_corruption(
    "silence",
    modality="audio",
    title="Silence",
    measure="share of the sound",
    levels=SHARES,
    description="in one stretch",
)
def silence(sound: Sound, share: float, draw: np.random.Generator) -> Sound:
    """Silence one stretch that is this share of the sound, as a muted microphone does."""
    begin, end = stretch(sound.size, share, draw)
    quiet = sound.copy()
    quiet[begin:end] = 0
    return quiet


def stretch(size: int, share: float, draw: np.random.Generator) -> tuple[int, int]:
    """Return one stretch of `size` places: a smaller share lies within a larger one."""
    length = round(share * size)
    # The same position of every share, so that stretches are nested.
    begin = int(draw.random() * (size - length))
    return begin, begin + length


def _mix(sound: Sound, noise: NDArray[np.float64], snr_db: float) -> Sound:
    power = _power(sound)
    heard = _power(noise)
    # Silence has no ratio to noise, and an empty clip has nothing to add to.
    if not power > 0 or not heard > 0:
        return sound.copy()
    return _limit_range(sound + noise * np.sqrt(power / heard) * 10.0 ** (-snr_db / 20.0))


def _power(sound: NDArray[Any]) -> float:
    """Return the mean square about the mean: a recorder's constant offset is not signal."""
    return float(np.var(sound, dtype=np.float64)) if sound.size else 0.0


def _as_loud(changed: NDArray[Any], sound: Sound) -> Sound:
    before, after = (
        np.sqrt(np.mean(np.square(each, dtype=np.float64))) for each in (sound, changed)
    )
    return _limit_range(changed * (before / after)) if after > 0 else sound.copy()


def _limit_range(sound: NDArray[Any]) -> Sound:
    """Turn the whole down where it exceeds full scale: clipping it would be one more corruption."""
    peak = float(np.max(np.abs(sound), initial=0.0))
    return (sound / max(peak, 1.0)).astype(np.float32)
