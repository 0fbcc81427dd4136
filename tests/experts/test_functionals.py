"""Functionals of a voice against the same formulas written out one sound at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.fft
import torch
from numpy.typing import NDArray
from torch import Tensor

from ter_fast.experts.encoders.functionals import VoiceFunctionals
from ter_fast.media.features import LogMel, collate

RATE = 16_000


def voiced(hertz: float, seconds: float, seed: int = 0, vibrato: float = 0.0) -> Tensor:
    """A sawtooth-like voice of 12 harmonics, whose loudness comes in syllables, in faint noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * (hertz * time - vibrato * hertz * np.cos(2 * np.pi * 5 * time) / 31.4)
    tone = sum(np.sin(k * phase) / k for k in range(1, 13))
    noise = np.random.default_rng(seed).standard_normal(len(time)) * 0.01
    return torch.from_numpy(0.1 * tone * (1.2 + np.sin(6 * np.pi * time)) + noise).float()


def written_out(sound: Tensor) -> NDArray[np.float64]:
    """All but pitch, with NumPy and SciPy and no mask."""
    x = LogMel().decibels(sound[None])[0].double().numpy()
    x = x[:, : math.ceil(len(sound) / 256)]
    x = x - x.mean()
    level = x.mean(0)
    loud = x[:, level > np.quantile(level, 0.3)]
    mean, cepstra = loud.mean(1), scipy.fft.dct(x, axis=0, norm="ortho")[:24]
    groups = x.reshape(8, -1, x.shape[1]).mean(1)
    contour_from, *_, contour_to = np.flatnonzero(level > level.max() - 30)
    span = level[contour_from : contour_to + 1]
    part = np.floor(np.arange(len(span)) / len(span) * 8)
    found = [
        *(mean, loud.std(1), np.diff(x).std(1)),
        *(np.quantile(loud, share, axis=1) - mean for share in (0.1, 0.9)),
        *(cepstra.std(1), np.diff(cepstra).std(1)),
        (np.abs(np.fft.fft(groups))[:, 1:12] / x.shape[1]).ravel(),
        np.quantile(level - level.max(), (0.1, 0.25, 0.5, 0.75, 0.9)),
        [(level > level.max() - 30).mean(), np.diff(level).std(), np.abs(np.diff(level)).mean()],
        [span[part == index].mean() for index in range(8)],
    ]
    return np.concatenate(found)


@pytest.mark.parametrize("seconds", [0.7, 2.13, 5.0])
def test_statistics_are_those_written_out(seconds: float) -> None:
    sound = voiced(140, seconds)
    found = VoiceFunctionals()(sound[None], torch.tensor([len(sound)]))[0]
    expected = written_out(sound)
    np.testing.assert_allclose(found[:-10].numpy(), expected, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("hertz", [80.0, 140.0, 220.0, 410.0])
def test_pitch_is_the_one_that_was_sung(hertz: float) -> None:
    functionals = VoiceFunctionals()
    steady = voiced(hertz, 2.0)
    swaying = voiced(hertz, 2.0, vibrato=0.05)
    sounds = torch.stack([steady, swaying, torch.randn(len(steady)) * 0.1])
    mean, deviation, slope, step, low, middle, high, share, strength, _ = functionals(
        sounds, torch.full((3,), len(steady))
    )[:, -10:].T
    for octave in (mean, middle):
        torch.testing.assert_close(
            octave[:2], torch.full((2,), math.log2(hertz / 180)), atol=0.04, rtol=0
        )
    assert deviation[0] < 0.02 < deviation[1] < 0.1
    assert abs(slope[0]) < 0.02
    assert step[0] < 0.02 < step[1]
    assert high[0] - low[0] < 0.05 < high[1] - low[1]
    assert share[0] > 0.95
    assert share[2] < 0.3  # noise has no pitch
    assert strength[0] > 0.9


@torch.no_grad()
def test_gain_padding_and_neighbours_do_not_matter() -> None:
    functionals = VoiceFunctionals()
    sounds = [voiced(90, 0.4), voiced(150, 1.7, 1), voiced(300, 3.2, 2)]
    batch = collate(
        [{"audio": each} for each in [*sounds, torch.ones(60_000) * 0.1, None]],
        {"audio": torch.zeros(0)},
    )
    together = functionals(batch.inputs["audio"], batch.lengths["audio"])
    for row, sound in enumerate(sounds):
        alone = functionals(sound[None] * 0.05, torch.tensor([len(sound)]))[0]
        torch.testing.assert_close(together[row], alone, atol=5e-3, rtol=5e-3)
    assert not together[-1].any()


@torch.no_grad()
@pytest.mark.parametrize("samples", [1, 100, 256, 1000, 2000])
def test_short_constant_and_silent_sounds_have_finite_functionals(samples: int) -> None:
    sounds = torch.stack([torch.zeros(samples), torch.ones(samples), torch.rand(samples)])
    found = VoiceFunctionals()(sounds, torch.full((3,), samples))
    assert found.isfinite().all()
    # Nothing moves in silence; only the share of frames within 30 dB of the loudest is not 0.
    assert found[0].abs().gt(1e-4).nonzero().tolist() == [[461]]
    assert found[0, 461] == 1


def test_no_sounds_have_no_functionals() -> None:
    functionals = VoiceFunctionals()
    for samples in (0, 100):
        found = functionals(torch.zeros(0, samples), torch.zeros(0, dtype=torch.long))
        assert found.shape == (0, functionals.out_features)


def test_gradients_reach_the_sound_and_are_finite() -> None:
    sounds = torch.stack([voiced(200, 1.0), torch.zeros(RATE)]).requires_grad_()
    VoiceFunctionals()(sounds, torch.tensor([RATE, RATE])).square().sum().backward()
    assert sounds.grad is not None
    assert sounds.grad.isfinite().all()
    assert sounds.grad[0].any()


def test_bands_that_do_not_group_are_refused() -> None:
    with pytest.raises(ValueError, match="n_mels is 20; expected a multiple of 8 from 24 on"):
        VoiceFunctionals(20)
