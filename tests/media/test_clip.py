"""Clips built from arrays: conversions, checks and the level that counts as silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.media import tone, write_media
from ter_fast.errors import MediaError
from ter_fast.media.clip import Clip
from ter_fast.media.resampling import SAMPLE_RATE

PICTURES = np.zeros((4, 6, 8, 3), np.uint8)


def test_from_arrays_keeps_pixels_and_spaces_times() -> None:
    pictures = np.arange(4 * 6 * 8 * 3).reshape(4, 6, 8, 3).astype(np.uint8)
    clip = Clip.from_arrays(pictures, frame_rate=10.0, start=2.0)
    assert clip.frames is not None
    assert clip.times is not None
    assert np.array_equal(clip.frames.numpy(), pictures)
    assert clip.times.tolist() == pytest.approx([2.0, 2.1, 2.2, 2.3])
    assert (clip.start, clip.end) == pytest.approx((2.0, 2.4))
    assert clip.audio is None


def test_from_arrays_takes_one_picture_and_floats() -> None:
    clip = Clip.from_arrays(torch.full((6, 8, 3), 0.5))
    assert clip.frames is not None
    assert clip.frames.shape == (1, 6, 8, 3)
    assert clip.frames.unique().tolist() == [128]


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 44_100, 48_000])
def test_from_arrays_resamples_in_place(rate: int) -> None:
    clip = Clip.from_arrays(audio=tone(2.0, rate), sample_rate=rate)
    expected = torch.from_numpy(tone(2.0, SAMPLE_RATE))
    assert clip.audio is not None
    assert clip.audio.shape == expected.shape
    assert float((clip.audio - expected)[500:-500].abs().max()) < 2e-3
    assert clip.duration == pytest.approx(2.0)


def test_from_arrays_averages_channels_and_reads_int16() -> None:
    left = np.array([0.5, -0.5, 1.0], np.float32)
    stereo = Clip.from_arrays(audio=np.stack([left, 0 * left]))
    assert stereo.audio is not None
    assert stereo.audio.tolist() == pytest.approx([0.25, -0.25, 0.5])
    whole = Clip.from_arrays(audio=np.array([-32768, 16384], np.int16))
    assert whole.audio is not None
    assert whole.audio.tolist() == pytest.approx([-1.0, 0.5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "neither was given"),
        ({"frames": np.zeros((4, 6, 8), np.uint8)}, r"expected \(T, H, W, 3\) uint8"),
        ({"frames": np.zeros((4, 6, 8, 3), np.int32)}, r"\(4, 6, 8, 3\) int32, expected"),
        ({"frames": np.zeros((0, 6, 8, 3), np.uint8)}, "no picture"),
        ({"frames": np.full((1, 6, 8, 3), np.nan)}, "NaN or values outside"),
        ({"frames": PICTURES, "times": [0.0]}, r"expected \(4,\) float64 seconds"),
        ({"audio": np.array([0.0, np.nan])}, "NaN or infinity"),
        ({"audio": np.zeros((1, 2, 3))}, r"expected \(samples,\) or \(channels, samples\)"),
        ({"audio": np.zeros(5, np.int64)}, "float in"),
        ({"audio": np.zeros(5), "sample_rate": 0}, "must be above 0"),
        ({"frames": PICTURES, "frame_rate": float("nan")}, "must be above 0"),
        ({"audio": np.zeros(5), "start": float("nan")}, "not a stretch of time"),
    ],
)
def test_wrong_arrays_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MediaError, match=message):
        Clip.from_arrays(**options)


def test_wrong_tensors_are_refused() -> None:
    with pytest.raises(MediaError, match="float64, expected"):
        Clip(None, None, None, torch.zeros(5, dtype=torch.float64), 0.0, 1.0)
    with pytest.raises(MediaError, match="times but no frames"):
        Clip(None, None, torch.zeros(1, dtype=torch.float64), None, 0.0, 1.0)
    with pytest.raises(MediaError, match="times are missing"):
        Clip(None, torch.from_numpy(PICTURES), None, None, 0.0, 1.0)
    with pytest.raises(MediaError, match="not a stretch of time"):
        Clip(None, None, None, None, 1.0, 0.5)


@pytest.mark.parametrize(("level", "silent"), [(-70.0, True), (-50.0, False)])
def test_silence_is_judged_by_the_loudest_block(level: float, silent: bool) -> None:
    audio = torch.full((10 * SAMPLE_RATE,), 0.2)
    audio[50_000:52_000] += 10 ** (level / 20) * 2**0.5 * torch.sin(torch.arange(2000) * 0.5)
    clip = Clip(None, None, None, audio, 0.0, 10.0)
    assert clip.is_silent() is silent
    assert clip.is_silent(threshold_db=level + 3)
    assert not clip.is_silent(threshold_db=level - 3)


def test_no_sound_and_short_sound() -> None:
    assert Clip(None, None, None, None, 0.0, 1.0).is_silent()
    assert Clip(None, None, None, torch.empty(0), 0.0, 0.0).is_silent()
    assert not Clip.from_arrays(audio=np.array([0.5, -0.5])).is_silent()


def test_from_file_is_read(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mp4", frame_times=[0.0, 0.1], sound=[(0.0, tone(0.2, 48_000))])
    clip = Clip.from_file(str(path), times=[0.1])
    assert clip.path == str(path)
    assert clip.frames is not None
    assert clip.frames.shape[0] == 1
    assert not clip.is_silent()
