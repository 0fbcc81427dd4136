"""Functionals of a voice: what statistics of its spectrum, rhythm and pitch say, in torch and in batches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ter_fast.media.features import LogMel
from ter_fast.media.resampling import SAMPLE_RATE

_CEPSTRA = 24
_GROUPS = 8
_HARMONICS = 11
_CONTOUR = 8
_LOUDNESS = (0.1, 0.25, 0.5, 0.75, 0.9)
_VOICED = 0.6
_LOWEST, _HIGHEST = 60.0, 500.0
_PITCH_WINDOW, _PITCH_HOP = 1024, 512


class VoiceFunctionals(nn.Module):
    """Statistics over time of sound: spectrum, cepstrum, modulation, loudness and pitch.

    All of them are relative to the mean level of the sound, so its gain does not matter. With x the
    log-mel spectrogram in dB less its mean over the sound, e_t the mean of its bands, and "loud" the frames
    whose e_t is above its 30 % quantile:

    - of each band, over loud frames: mean, standard deviation, and the distance of the 10 % and the 90 %
      quantile from the mean; over all frames, the standard deviation of the step to the next frame;
    - of each of 24 cepstra (orthonormal DCT-II of x over bands): standard deviation, and that of its step;
    - of 8 groups of bands: |1/T sum_t x_t exp(-2 pi i k t / T)| for k = 1 … 11, slow modulation;
    - of e: quantiles below its maximum, the share of frames within 30 dB of it, standard deviation and
      mean size of its step, and its contour in 8 parts from the first to the last frame within 30 dB of it;
    - of pitch (highest autocorrelation of 64 ms, 60 to 500 Hz, where each octave down costs 0.02; a loud
      frame is voiced where it is above 0.6), in octaves from 180 Hz: mean, standard deviation, slope,
      deviation of its steps below 0.3, quantiles; the share of loud frames that are voiced, and mean and
      deviation of the autocorrelation there; all 0 where fewer than five frames are voiced.

    Args:
        n_mels: Mel bands, a multiple of 8.

    Reference:
        Eyben et al., "The Geneva minimalistic acoustic parameter set (GeMAPS) for voice research and
        affective computing", 2016, for the idea; Boersma, "Accurate short-term analysis of the
        fundamental frequency", 1993, eq. 9, for the pitch.

    Example:
        >>> VoiceFunctionals()(torch.randn(2, 16_000), torch.tensor([16_000, 8_000])).shape
        torch.Size([2, 482])
    """

    cosines: Tensor
    window: Tensor
    window_correlation: Tensor

    def __init__(self, n_mels: int = 64) -> None:
        super().__init__()
        if n_mels % _GROUPS or n_mels < _CEPSTRA:
            raise ValueError(
                f"n_mels is {n_mels}; expected a multiple of {_GROUPS} from {_CEPSTRA} on"
            )
        self.logmel = LogMel(n_mels)
        self.out_features = 5 * n_mels + 2 * _CEPSTRA + _GROUPS * _HARMONICS
        self.out_features += len(_LOUDNESS) + 3 + _CONTOUR + 10
        band = torch.arange(n_mels, dtype=torch.float64) + 0.5
        order = torch.arange(_CEPSTRA, dtype=torch.float64)[:, None]
        cosines = torch.cos(math.pi * order * band / n_mels) * math.sqrt(2 / n_mels)
        cosines[0] /= math.sqrt(2)
        self.register_buffer("cosines", cosines.float(), persistent=False)
        window = torch.hann_window(_PITCH_WINDOW, dtype=torch.float32)
        correlation = _autocorrelation(window)
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("window_correlation", correlation / correlation[0], persistent=False)

    def forward(self, audio: Tensor, lengths: Tensor) -> Tensor:
        """Return `(B, F)` functionals of `(B, samples)` waveforms at 16 kHz with `(B,)` valid samples.

        A row without sound is all 0, and no rows have none.
        """
        if not len(audio):
            # A transform of nothing is an error in some of the libraries that it is done by.
            return audio.new_zeros(0, self.out_features, dtype=torch.float32)
        with torch.autocast(audio.device.type, enabled=False):
            audio = audio.float()
            spectrogram = self.logmel.decibels(audio)
            valid = torch.arange(spectrogram.shape[-1], device=audio.device) * self.logmel.hop
            valid = valid < lengths[:, None]
            count = valid.sum(-1).clamp_min(1)
            centre = (spectrogram * valid[:, None]).sum((1, 2)) / (count * spectrogram.shape[1])
            spectrogram = (spectrogram - centre[:, None, None]) * valid[:, None]
            level = spectrogram.mean(1)
            loud = valid & (level > _quantiles(level, valid, (0.3,))[0][:, None])
            found = torch.cat(
                [
                    self._bands(spectrogram, valid, loud),
                    self._cepstra(spectrogram, valid),
                    _modulation(spectrogram, valid),
                    _loudness(level, valid),
                    self._pitch(audio, loud),
                ],
                -1,
            )
        return found * (lengths > 0)[:, None]

    def _bands(self, spectrogram: Tensor, valid: Tensor, loud: Tensor) -> Tensor:
        mean, deviation = _moments(spectrogram, loud[:, None])
        quantiles = _quantiles(spectrogram, loud[:, None], (0.1, 0.9)) - mean
        return torch.cat([mean, deviation, _steps(spectrogram, valid)[1], *quantiles], -1)

    def _cepstra(self, spectrogram: Tensor, valid: Tensor) -> Tensor:
        cepstra = self.cosines @ spectrogram
        return torch.cat([_moments(cepstra, valid[:, None])[1], _steps(cepstra, valid)[1]], -1)

    def _pitch(self, audio: Tensor, loud: Tensor) -> Tensor:
        half = _PITCH_WINDOW // 2
        frames = F.pad(audio, (half, half + _PITCH_HOP)).unfold(-1, _PITCH_WINDOW, _PITCH_HOP)
        loud = loud[:, :: _PITCH_HOP // self.logmel.hop]
        frames = frames[:, : loud.shape[1]]
        frames = (frames - frames.mean(-1, keepdim=True)) * self.window
        correlation = _autocorrelation(frames)
        correlation = correlation / correlation[..., :1].clamp_min(1e-9)
        shortest, longest = int(SAMPLE_RATE / _HIGHEST), int(SAMPLE_RATE / _LOWEST)
        correlation = (correlation / self.window_correlation.clamp_min(0.1))[..., shortest:longest]
        lags = torch.arange(shortest, longest, dtype=torch.float32, device=audio.device)
        # Every multiple of the period is a maximum, too: an octave more costs a little.
        lag = (correlation - 0.02 * torch.log2(lags / shortest)).argmax(-1)
        strength = correlation.gather(-1, lag[..., None])[..., 0].clamp(0, 1)
        octave = torch.log2(SAMPLE_RATE / lags[lag]) - math.log2(180)
        voiced = loud & (strength > _VOICED)
        number = voiced.sum(-1)
        mean, deviation = _moments(octave, voiced)
        place = (voiced.cumsum(-1).float() - 1) / (number[:, None] - 1).clamp_min(1) * 2 - 1
        slope = (octave - mean[:, None]).mul(place).mul(voiced).sum(-1)
        slope = slope / (place.square() * voiced).sum(-1).clamp_min(1)
        near = voiced[:, 1:] & voiced[:, :-1] & (octave.diff().abs() < 0.3)
        steps = _moments(octave.diff(), near)[1]
        pitch = [mean, deviation, slope, steps]
        pitch += _quantiles(octave, voiced, (0.1, 0.5, 0.9))
        pitch += [number.float() / loud.sum(-1).clamp_min(1), *_moments(strength, voiced)]
        # Of fewer than five voiced frames nothing is said.
        return torch.stack(pitch, -1) * (number >= 5)[:, None]


def _moments(values: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation over the last axis where `there`; 0 where nothing is."""
    there = there.to(values.dtype)
    count = there.sum(-1).clamp_min(1)
    mean = (values * there).sum(-1) / count
    variance = ((values - mean[..., None]).square() * there).sum(-1) / count
    return mean, (variance + 1e-10).sqrt()


def _steps(values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    return _moments(values.diff(), (valid[:, 1:] & valid[:, :-1])[:, None])


def _quantiles(values: Tensor, there: Tensor, shares: Sequence[float]) -> Tensor:
    """Return quantiles over the last axis where `there`, one by one along a new first axis.

    Between two order statistics they lie on a line; of nothing they are 0.
    """
    ordered = values.masked_fill(~there, math.inf).sort(-1).values
    last = (there.sum(-1).expand(values.shape[:-1]) - 1).clamp_min(0)
    place = torch.stack([share * last.float() for share in shares])
    low = place.long()
    ordered = ordered.expand(len(shares), *ordered.shape)
    below, above = (
        ordered.gather(-1, at[..., None])[..., 0].nan_to_num(posinf=0.0)
        for at in (low, torch.minimum(low + 1, last))
    )
    between: Tensor = torch.lerp(below, above, place - low)
    return between


def _modulation(spectrogram: Tensor, valid: Tensor) -> Tensor:
    groups = torch.stack([each.mean(1) for each in spectrogram.chunk(_GROUPS, 1)], 1)
    count = valid.sum(-1).clamp_min(1)
    order = torch.arange(1, _HARMONICS + 1, dtype=torch.float32, device=spectrogram.device)[:, None]
    turn = order * torch.arange(valid.shape[1], device=spectrogram.device) / count[:, None, None]
    angle = 2 * math.pi * turn
    real, imaginary = (groups @ wave.mT for wave in (angle.cos(), angle.sin()))
    strength = (real.square() + imaginary.square() + 1e-10).sqrt() / count[:, None, None]
    return strength.flatten(1)


def _loudness(level: Tensor, valid: Tensor) -> Tensor:
    most = level.masked_fill(~valid, -math.inf).amax(-1, keepdim=True).nan_to_num(neginf=0.0)
    below = level - most
    quantiles = _quantiles(below, valid, _LOUDNESS)
    sounding = valid & (below > -30)
    share = sounding.sum(-1).float() / valid.sum(-1).clamp_min(1)
    both = valid[:, 1:] & valid[:, :-1]
    step = level.diff()
    steps = [_moments(step, both)[1], _moments(step.abs(), both)[0]]
    frame = torch.arange(level.shape[1], device=level.device)
    first = frame.masked_fill(~sounding, level.shape[1]).amin(-1).clamp_max(level.shape[1] - 1)
    last = frame.masked_fill(~sounding, -1).amax(-1).clamp_min(0)
    place = (frame - first[:, None]).float() / (last - first + 1).clamp_min(1)[:, None]
    part = (place * _CONTOUR).floor()
    inside = valid & (frame >= first[:, None]) & (frame <= last[:, None])
    contour = [_moments(level, inside & (part == index))[0] for index in range(_CONTOUR)]
    return torch.stack([*quantiles, share, *steps, *contour], -1)


def _autocorrelation(frames: Tensor) -> Tensor:
    """Return sum_t x_t x_{t + lag} for lags from 0 to the length of the frames."""
    size = frames.shape[-1]
    spectrum = torch.fft.rfft(frames, 2 * size)
    power = spectrum.real.square() + spectrum.imag.square()
    correlation: Tensor = torch.fft.irfft(power, 2 * size)
    return correlation[..., :size]
