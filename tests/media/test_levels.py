"""Float sound beyond full scale and channels that cancel keep their shape, wherever they come from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.io import wavfile

from helpers.media import tone, write_media
from ter_fast import Clip, MediaError
from ter_fast.media.decode import windows
from ter_fast.media.levels import average_channels, fit_full_scale
from ter_fast.media.resampling import SAMPLE_RATE

RATE = 48_000
HALF = tone(1.0, RATE)
ONE = torch.from_numpy(tone(1.0, SAMPLE_RATE))


def likeness(sound: torch.Tensor | None) -> float:
    """Return the correlation with the tone: 0.95 for a square wave, 1 for the tone at any level."""
    assert sound is not None
    return float(torch.nn.functional.cosine_similarity(sound, ONE, dim=0))


def stereo(path: Path, left: npt.NDArray[Any], right: npt.NDArray[Any]) -> Path:
    wavfile.write(path, RATE, np.stack([left, right], axis=1))
    return path


@pytest.mark.parametrize("gain", [3.0, 10.0, 32_768.0])
@pytest.mark.parametrize("name", ["f.wav", "d.wav", "f.mkv"])
def test_loud_float_files_are_scaled_and_say_so(tmp_path: Path, name: str, gain: float) -> None:
    loud = (HALF * gain).astype(np.float64 if name == "d.wav" else np.float32)
    if name.endswith(".wav"):
        wavfile.write(tmp_path / name, RATE, loud)
    else:
        write_media(tmp_path / name, sound=[(0.0, loud)], rate=RATE, audio_codec="pcm_f32le")
    clip = Clip.from_file(tmp_path / name)
    assert clip.audio is not None
    assert float(clip.audio.abs().max()) == pytest.approx(1.0)
    assert likeness(clip.audio) > 0.999
    reached = re.fullmatch(
        "the sound: its samples reach (.+), beyond full scale: divided by that", clip.note
    )
    assert reached is not None
    assert float(reached[1]) == pytest.approx(0.5 * gain, rel=0.01)
    assert next(windows(tmp_path / name)).note == clip.note


def test_what_overshoots_a_little_is_clipped_without_a_word() -> None:
    sound = np.full(10_000, 0.5, np.float32)
    sound[[5, 6]] = 1.2, -3.0
    assert fit_full_scale(sound) == ""
    assert sound[[4, 5, 6]].tolist() == [0.5, 1.0, -1.0]


def test_nan_and_infinity_in_a_file_cost_their_own_samples(tmp_path: Path) -> None:
    broken = HALF.copy()
    broken[24_000:24_005] = np.nan, np.inf, -np.inf, np.nan, np.inf
    clip = Clip.from_file(stereo(tmp_path / "a.wav", broken, broken))
    assert clip.audio is not None
    assert float((clip.audio - ONE)[100:7900].abs().max()) < 5e-3
    assert float((clip.audio - ONE)[8100:-100].abs().max()) < 5e-3


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int32])
def test_opposite_channels_do_not_cancel(tmp_path: Path, dtype: type[Any]) -> None:
    scale = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    left = (HALF * scale).astype(dtype)
    for clip in (
        Clip.from_file(stereo(tmp_path / "a.wav", left, -left)),
        Clip.from_arrays(audio=np.stack([left, -left]), sample_rate=RATE),
    ):
        assert likeness(clip.audio) > 0.999
        assert not clip.is_silent()


def test_other_channels_are_averaged() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.1, (2, 1000)).astype(np.float32)
    assert average_channels(samples).tolist() == samples.mean(0).tolist()
    silent_right = np.stack([samples[0], 0 * samples[0]])
    assert average_channels(silent_right).tolist() == (samples[0] / 2).tolist()
    assert not average_channels(np.zeros((2, 10), np.int16)).any()
    assert average_channels(np.zeros((2, 0), np.float32)).shape == (0,)
    broken = np.full((2, 3), [[np.nan], [np.inf]], np.float32)
    assert average_channels(broken).shape == (3,)


LAYOUTS: dict[str, Any] = {
    "samples first": lambda s: np.stack([s, s], 1),
    "float64": lambda s: s.astype(np.float64),
    "float16": lambda s: s.astype(np.float16),
    "long double": lambda s: s.astype(np.longdouble),
    "int16": lambda s: (s * 32767).astype(np.int16),
    "int32": lambda s: (s * (2**31 - 1)).astype(np.int32),
    "int8": lambda s: (s * 127).astype(np.int8),
    "uint8": lambda s: (s * 127 + 128).astype(np.uint8),
    "big-endian": lambda s: (s * 32767).astype(">i2"),
    "backwards": lambda s: s[::-1].copy()[::-1],
    "every other": lambda s: np.repeat(s, 2)[::2],
    "list": lambda s: s.tolist(),
    "bfloat16": lambda s: torch.from_numpy(s).bfloat16(),
    "with gradient": lambda s: torch.from_numpy(s.copy()).requires_grad_(),
    "transposed tensor": lambda s: torch.from_numpy(np.stack([s, s])).T,
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_arrays_of_every_layout_hold_the_same_sound(name: str) -> None:
    clip = Clip.from_arrays(audio=LAYOUTS[name](HALF), sample_rate=RATE)
    assert clip.audio is not None
    assert clip.duration == pytest.approx(1.0)
    assert float((clip.audio - ONE)[200:-200].abs().max()) < 0.02
    assert clip.note == ""


def test_read_only_sound_is_copied_and_none_is_changed() -> None:
    given = np.full(100, 2.0, np.float32)
    given.setflags(write=False)
    assert Clip.from_arrays(audio=given).note.startswith("the sound: its samples reach 2,")
    writable = np.full(100, 2.0, np.float32)
    Clip.from_arrays(audio=writable)
    assert writable.tolist() == [2.0] * 100


def test_floats_of_another_unit_are_refused() -> None:
    with pytest.raises(MediaError, match=r"reaches 16384, expected \[-1, 1\]; divide it"):
        Clip.from_arrays(audio=HALF * 32768, sample_rate=RATE)


@pytest.mark.parametrize("shape", [(0,), (0, 2), (2, 0)])
def test_sound_without_samples_lasts_no_time(shape: tuple[int, ...]) -> None:
    clip = Clip.from_arrays(audio=np.zeros(shape, np.float32))
    assert (clip.duration, clip.is_silent()) == (0.0, True)


@pytest.mark.parametrize(
    "together",
    [
        (HALF, RATE),
        (RATE, HALF),
        (torch.from_numpy(HALF)[None], np.int64(RATE)),
        {"array": HALF, "sampling_rate": RATE, "path": None},
        {"raw": HALF, "sampling_rate": float(RATE)},
    ],
)
def test_sound_may_come_with_its_rate(together: Any) -> None:
    clip = Clip.from_arrays(audio=together)
    assert clip.duration == pytest.approx(1.0)
    assert likeness(clip.audio) > 0.999
