"""Corruptions are as severe as they say, the same bits by seed, and leave what they do not touch."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import freqz_sos

from helpers.media import number_of, numbered, tone, write_media
from ter_fast import Clip, DataError, MediaError, TerFastError
from ter_fast.media import decode
from ter_fast.media.corrupt import (
    CORRUPTIONS,
    SEVERITIES,
    apply,
    chosen,
    corrupt,
    corrupt_audio,
    corrupt_file,
    corrupt_frames,
    suite,
)

RATE = 16_000
AUDIO, VIDEO, CROSS = (
    [each.name for each in CORRUPTIONS.values() if each.kind == kind]
    for kind in ("audio", "video", "cross")
)
OTHERS = [torch.from_numpy(tone(0.4 + 0.1 * i, RATE, 200.0 * (i + 1))) for i in range(6)]


def speech(seconds: float = 1.0, seed: int = 0) -> torch.Tensor:
    """Noise that comes and goes, with a peak of 0.5."""
    draw = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    sound = draw.standard_normal(time.size) * np.abs(np.sin(7 * time))
    return torch.from_numpy((0.5 * sound / np.abs(sound).max()).astype(np.float32))


def pictures(count: int = 10, size: tuple[int, int] = (72, 120)) -> torch.Tensor:
    """Smooth colours that move from picture to picture."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    waves = [np.sin((rows + 2 * columns + 9 * i) / 15) for i in range(count)]
    grey = np.stack([128 + 100 * wave for wave in waves]).astype(np.uint8)
    return torch.from_numpy(np.stack([grey, 255 - grey, grey // 2], axis=-1))


@cache
def made() -> Clip:
    return Clip.from_arrays(pictures(), speech(), frame_rate=10)


def clip(path: str = "corpus/speaker/clip.mp4", start: float = 0.0) -> Clip:
    return replace(made(), path=path, start=start, end=start + 1)


def power(sound: torch.Tensor) -> float:
    return float(np.var(sound.numpy().astype(np.float64)))


def same(first: Clip, second: Clip) -> bool:
    pairs = (
        (first.frames, second.frames),
        (first.audio, second.audio),
        (first.times, second.times),
    )
    return all(
        (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b))
        for a, b in pairs
    )


def difference(name: str, severity: int) -> float:
    """Return how far a corruption moves all that a clip holds."""
    before, after = clip(), corrupt(clip(), name, severity, others=OTHERS)
    if len(before.frames) != len(after.frames):
        return len(before.frames) - len(after.frames)
    moved = 0.0
    for old, new in ((before.frames, after.frames), (before.audio, after.audio)):
        assert new is not None
        moved += float((old.double() - new.double()).square().mean())
    return moved


# -- the same bits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_same_bits_for_same_seed_whatever_came_before(name: str) -> None:
    first = {s: corrupt(clip(), name, s, seed=3, others=OTHERS) for s in SEVERITIES}
    np.random.seed(0)
    torch.manual_seed(1)
    for severity in reversed(SEVERITIES):
        corrupt(clip("other/name.mp4"), name, severity, others=OTHERS)
        assert same(first[severity], corrupt(clip(), name, severity, seed=3, others=OTHERS))


class Watched:
    """A generator that notes whether anything is drawn."""

    drawn = False

    def __init__(self, draw: np.random.Generator) -> None:
        self._draw = draw

    def __getattr__(self, name: str) -> object:
        Watched.drawn = True
        return getattr(self._draw, name)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_clips_and_seeds_differ_where_anything_is_drawn(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = apply._generator
    monkeypatch.setattr(Watched, "drawn", False)
    monkeypatch.setattr(apply, "_generator", lambda *parts: Watched(generator(*parts)))

    def answers(**options: object) -> set[bytes]:
        made = []
        for i in range(8):
            given_clip = clip(f"a/{i}.mp4") if "seed" not in options else clip()
            seed = i if "seed" in options else 0
            found = corrupt(given_clip, name, 2, seed=seed, others=OTHERS)
            parts = [
                x.numpy().tobytes() if x is not None else b"-" for x in (found.frames, found.audio)
            ]
            made.append(b"|".join(parts))
        return set(made)

    for found in (answers(), answers(seed=True)):
        assert (len(found) > 1) == Watched.drawn


@pytest.mark.slow
def test_folder_above_does_not_matter_and_another_process_agrees(tmp_path: Path) -> None:
    code = (
        "import torch, hashlib\n"
        "from ter_fast import Clip\n"
        "from ter_fast.media.corrupt import corrupt\n"
        "clip = Clip.from_arrays(audio=torch.arange(16000) % 7 / 10, path='/elsewhere/x/y.wav')\n"
        "found = corrupt(clip, 'white_noise', 4, seed=5).audio.numpy().tobytes()\n"
        "print(hashlib.sha256(found).hexdigest())\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parent.parent, timeout=120,
    )  # fmt: skip
    here = Clip.from_arrays(audio=torch.arange(16000) % 7 / 10, path="/data/x/y.wav")
    mine = corrupt(here, "white_noise", 4, seed=5).audio.numpy().tobytes()
    assert run.stdout.strip() == hashlib.sha256(mine).hexdigest()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_given_clip_stays_and_forms_are_kept(name: str) -> None:
    before = clip()
    untouched = replace(before, frames=before.frames.clone(), audio=before.audio.clone())
    for severity in SEVERITIES:
        after = corrupt(before, name, severity, others=OTHERS)
        assert same(before, untouched)
        if CORRUPTIONS[name].modality == "audio":
            assert torch.equal(after.frames, before.frames)
            assert after.audio is None or after.audio.shape == before.audio.shape
            assert after.audio is None or float(after.audio.abs().max()) <= 1
        else:
            assert torch.equal(after.audio, before.audio)
            if after.frames is not None and not CORRUPTIONS[name].on_clip:
                assert after.frames.shape == before.frames.shape
        assert (after.start, after.end, after.path) == (before.start, before.end, before.path)


@pytest.mark.parametrize(
    "name", [each.name for each in CORRUPTIONS.values() if not each.whole_file]
)
def test_damage_grows_with_severity(name: str) -> None:
    damage = [difference(name, severity) for severity in SEVERITIES]
    assert damage[0] >= 0
    assert damage[-1] > 0
    if name in ("shifted_sound", "low_pass"):
        # Noise is as far from itself moved by a little, as a filter delays it, as moved by much.
        return
    assert all(later >= 0.98 * former for former, later in pairwise(damage)), damage


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_what_a_clip_lacks_stays_away(name: str) -> None:
    sound = Clip.from_arrays(audio=speech())
    film = Clip.from_arrays(pictures())
    for whole in (sound, film):
        after = corrupt(whole, name, 4, others=OTHERS)
        assert whole.frames is not None or after.frames is None
        assert whole.audio is not None or after.audio is None


@pytest.mark.parametrize("name", AUDIO)
@pytest.mark.parametrize("size", [0, 1, 7, 333])
def test_short_and_silent_sound(name: str, size: int) -> None:
    for sound in (torch.zeros(size), speech()[:size]):
        for severity in SEVERITIES:
            after = corrupt_audio(sound, name, severity, others=OTHERS)
            assert after.shape == sound.shape
            assert bool(after.isfinite().all())


@pytest.mark.parametrize("name", VIDEO)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 3), (2, 3, 40)])
def test_tiny_pictures(name: str, shape: tuple[int, int, int]) -> None:
    small = torch.full((*shape, 3), 200, dtype=torch.uint8)
    for severity in SEVERITIES:
        after = corrupt_frames(small, name, severity)
        assert after.shape[1:] == small.shape[1:]
        assert after.dtype == small.dtype


# -- each is what the table says --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["white_noise", "babble"])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_signal_to_noise_ratio(name: str, severity: int) -> None:
    sound = speech(2.0)
    noisy = corrupt_audio(sound, name, severity, others=OTHERS).double()
    # The whole may have been turned down: find by how much, by least squares against both parts.
    quiet = corrupt_audio(sound * 1e-3, name, severity, others=OTHERS).double() * 1e3
    noise = quiet - sound
    assert 10 * np.log10(power(sound) / power(noise)) == pytest.approx(
        CORRUPTIONS[name].level(severity), abs=0.01
    )
    ratio = float(noisy.abs().max() / quiet.abs().max())
    torch.testing.assert_close(noisy, quiet * ratio, rtol=1e-4, atol=1e-5)
    assert ratio <= 1 + 1e-6


def test_babble_is_of_the_others() -> None:
    sound = speech()
    noise = (corrupt_audio(sound * 1e-3, "babble", 3, others=[OTHERS[0]]) * 1e3 - sound).double()
    spectrum = np.abs(np.fft.rfft(noise.numpy()))
    assert abs(np.argmax(spectrum) * RATE / len(sound) - 200.0) < 5


def test_reverberation_has_its_direct_ratio_and_decay() -> None:
    click = torch.zeros(4 * RATE)
    click[0] = 0.5
    for severity, (seconds, ratio) in zip(
        SEVERITIES, CORRUPTIONS["reverberation"].levels, strict=True
    ):
        heard = corrupt_audio(click, "reverberation", severity).double().numpy()
        energy = heard**2
        direct, echo = energy[0], energy[1:].sum()
        assert 10 * np.log10(direct / echo) == pytest.approx(ratio, abs=0.05)
        # Schroeder's backward integral falls by 60 dB in the decay time: fit it over the first 30 dB.
        left = 10 * np.log10(np.cumsum(energy[1:][::-1])[::-1] / echo + 1e-30)
        end = int(np.argmax(left < -30))
        slope = np.polyfit(np.arange(end) / RATE, left[:end], 1)[0]
        assert -60 / slope == pytest.approx(seconds, rel=0.1)
        assert np.sqrt(energy.mean()) == pytest.approx(0.5 / np.sqrt(len(click)), rel=1e-3)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_clipping_share(severity: int) -> None:
    sound = speech()
    cut = corrupt_audio(sound, "clipping", severity)
    share = CORRUPTIONS["clipping"].level(severity)
    at_limit = float((cut.abs() >= cut.abs().max() * (1 - 1e-6)).float().mean())
    assert at_limit == pytest.approx(share, abs=2e-4)
    assert cut.square().mean().sqrt() == pytest.approx(
        float(sound.square().mean().sqrt()), rel=1e-4
    )


@pytest.mark.parametrize("severity", SEVERITIES)
def test_low_pass_follows_its_filter(severity: int) -> None:
    from scipy.signal import butter

    cutoff = CORRUPTIONS["low_pass"].level(severity)
    for hertz in (cutoff / 2, cutoff, 1.5 * cutoff):
        wave = torch.from_numpy(tone(1.0, RATE, hertz))
        passed = corrupt_audio(wave, "low_pass", severity)[4000:12000]
        gain = np.sqrt(power(passed) / power(wave[4000:12000]))
        design = butter(8, cutoff, fs=RATE, output="sos")
        expected = abs(freqz_sos(design, [hertz], fs=RATE)[1][0])
        assert gain == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_packets_are_lost_whole_and_nested(severity: int) -> None:
    sound = torch.full((RATE,), 0.25)
    packets = corrupt_audio(sound, "packet_loss", severity).view(50, 320)
    lost = (packets == 0).all(1)
    assert bool((lost | (packets == 0.25).all(1)).all())
    assert int(lost.sum()) == round(50 * CORRUPTIONS["packet_loss"].level(severity))
    if severity > 1:
        before = (corrupt_audio(sound, "packet_loss", severity - 1).view(50, 320) == 0).all(1)
        assert bool((lost | ~before).all())


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 5000))
def test_silence_is_one_nested_stretch(seed: int, severity: int, size: int) -> None:
    sound = torch.full((size,), 0.5)
    quiet = [corrupt_audio(sound, "silence", s, seed=seed) == 0 for s in (severity, severity + 1)]
    assert int(quiet[0].sum()) == round(0.2 * severity * size)
    assert int(quiet[0].int().diff().abs().sum()) <= 2
    # Rounding to whole samples may move an end by one.
    outside = quiet[0] & ~quiet[1]
    assert int(outside.sum()) <= 1


def test_gaussian_noise_deviation() -> None:
    grey = torch.full((4, 64, 64, 3), 128, dtype=torch.uint8)
    noisy = corrupt_frames(grey, "gaussian_noise", 1).double() / 255
    assert float(noisy.std()) == pytest.approx(0.08, rel=0.02)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_blur_spreads_a_point_by_its_deviation(severity: int) -> None:
    point = torch.zeros(1, 200, 240, 3, dtype=torch.uint8)
    point[0, 100, 120] = 255
    bar = point.clone()
    bar[0, :, 120] = 255
    deviation = CORRUPTIONS["blur"].level(severity) * 200
    profile = corrupt_frames(bar, "blur", severity)[0, 100, :, 0].double().numpy()
    place = np.arange(240)
    density = np.exp(-((place - 120.0) ** 2) / (2 * deviation**2))
    expected = 255 * density / density.sum()
    # OpenCV blurs 8-bit pictures in fixed point.
    assert np.abs(profile - expected).max() < 2.5


@pytest.mark.parametrize("severity", SEVERITIES)
def test_low_light_leaves_its_share(severity: int) -> None:
    bright = torch.full((2, 128, 128, 3), 230, dtype=torch.uint8)
    dark = corrupt_frames(bright, "low_light", severity).double() / 255
    share = CORRUPTIONS["low_light"].level(severity)
    linear = dark**2.2
    expected = share * (230 / 255) ** 2.2
    assert float(linear.mean()) == pytest.approx(expected, rel=0.03)
    assert float(linear.std()) == pytest.approx(np.sqrt(expected / 1000), rel=0.1)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_jpeg_is_that_of_opencv(severity: int) -> None:
    frames = pictures(2)
    quality = int(CORRUPTIONS["jpeg"].level(severity))
    for before, after in zip(frames.numpy(), corrupt_frames(frames, "jpeg", severity), strict=True):
        code = cv2.imencode(
            ".jpg", cv2.cvtColor(before, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
        )[1]
        expected = cv2.cvtColor(cv2.imdecode(code, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        assert np.array_equal(after.numpy(), expected)


class FixedFace:
    """Finds a face at one place, or none."""

    def __init__(self, *box: float) -> None:
        self.box = box

    def largest(self, frames: torch.Tensor) -> list[Any]:
        from ter_fast.media.faces.cropper import Face

        return [Face(*self.box, 1.0) if self.box else None] * len(frames)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_occlusion_hides_that_share_of_the_face(severity: int) -> None:
    white = torch.full((3, 100, 200, 3), 255, dtype=torch.uint8)
    share = CORRUPTIONS["occlusion"].level(severity)
    hidden = corrupt_frames(white, "occlusion", severity, cropper=FixedFace(20, 30, 60, 50)) != 255
    hidden = hidden.all(-1)
    assert int(hidden.sum()) / 3 == pytest.approx(share * 3000, rel=0.06)
    assert not bool(hidden[:, :30].any() | hidden[:, 80:].any() | hidden[:, :, :20].any())
    assert not bool(hidden[:, :, 80:].any())
    for cropper in (None, FixedFace()):
        whole = (corrupt_frames(white, "occlusion", severity, cropper=cropper) != 255).all(-1)
        assert int(whole.sum()) / 3 == pytest.approx(share * 20_000, rel=0.03)


def test_occlusion_hides_a_real_face(data_dir: Path) -> None:
    from ter_fast.media.faces.cropper import FaceCropper

    cropper = FaceCropper()
    film = Clip.from_file(data_dir / "fixtures" / "obama_speech.mp4", frames=3, audio=False)
    hidden = corrupt(film, "occlusion", 5, cropper=cropper).frames.numpy()
    faces = cropper.largest(film.frames)
    for before, after, face in zip(film.frames.numpy(), hidden, faces, strict=True):
        rows = slice(round(face.y), round(face.y + face.height))
        columns = slice(round(face.x), round(face.x + face.width))
        assert bool((after[rows, columns] == 127).all())
        changed = (before != after).any(-1)
        assert changed.sum() <= (face.width + 1) * (face.height + 1)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_frozen_and_dropped_frames(severity: int) -> None:
    frames = (
        torch.arange(20, dtype=torch.uint8)[:, None, None, None].expand(20, 4, 4, 3).contiguous()
    )
    held = corrupt_frames(frames, "frozen_frames", severity)[:, 0, 0, 0].long()
    share = CORRUPTIONS["frozen_frames"].level(severity)
    assert 20 - len(held.unique()) == round(share * 20) - 1
    film = Clip.from_arrays(frames, frame_rate=10)
    after = corrupt(film, "dropped_frames", severity)
    kept = after.frames[:, 0, 0, 0].long()
    assert len(kept) == 20 - round(CORRUPTIONS["dropped_frames"].level(severity) * 20)
    assert torch.equal(after.times, film.times[kept])
    assert bool((kept.diff() > 0).all())


@pytest.mark.parametrize("severity", SEVERITIES)
def test_low_resolution(severity: int) -> None:
    frames = pictures(1, (80, 160))
    after = corrupt_frames(frames, "low_resolution", severity)
    pixels = int(CORRUPTIONS["low_resolution"].level(severity))
    if pixels >= 80:
        assert torch.equal(after, frames)
        return
    checks = np.indices((80, 160)).sum(0) % 2 * 255
    fine = torch.from_numpy(np.repeat(checks[None, ..., None], 3, -1).astype(np.uint8))
    # A pattern of single pixels is beyond the coarser grid: its contrast is all but gone.
    assert float(corrupt_frames(fine, "low_resolution", severity).double().std()) < 60


def test_shifted_sound_is_the_sound_shifted() -> None:
    found = set()
    for i in range(12):
        before = clip(f"a/{i}.mp4")
        after = corrupt(before, "shifted_sound", 2).audio
        late = torch.equal(after, torch.cat([before.audio[-3200:], before.audio[:-3200]]))
        early = torch.equal(after, torch.cat([before.audio[3200:], before.audio[:3200]]))
        assert late != early
        found.add(late)
    assert found == {True, False}


def test_other_sound_that_begins_with_silence_is_heard() -> None:
    before = clip()
    late = torch.cat([torch.zeros(2 * len(before.audio)), OTHERS[0]])
    after = corrupt(before, "other_sound", 5, others=[late]).audio
    assert torch.isfinite(after).all()
    assert float(after.square().mean().sqrt()) == pytest.approx(
        float(before.audio.square().mean().sqrt()), rel=0.05
    )


def test_other_sound_is_all_of_it_at_the_worst() -> None:
    before = clip()
    after = corrupt(before, "other_sound", 5, others=OTHERS[:1]).audio.double()
    shape = np.resize(OTHERS[0].numpy(), len(after)).astype(np.float64)
    assert np.corrcoef(after.numpy(), shape)[0, 1] > 0.999
    half = corrupt(before, "other_sound", 2, others=OTHERS[:1]).audio
    assert float((half == before.audio).float().mean()) == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("name", ["missing_audio", "missing_video"])
def test_missing_modality_of_that_share_of_clips_and_of_whole_files(name: str) -> None:
    def gone(path: str, severity: int, start: float = 0.0) -> bool:
        after = corrupt(clip(path, start), name, severity)
        return (after.audio if name == "missing_audio" else after.frames) is None

    share = np.mean([gone(f"a/{i}.mp4", 2) for i in range(400)])
    assert share == pytest.approx(0.4, abs=0.08)
    for i in range(20):
        path = f"a/{i}.mp4"
        assert gone(path, 3) == gone(path, 3, start=10.0)
        assert gone(path, 5)
        assert not gone(path, 1) or gone(path, 2)


# -- names and errors -------------------------------------------------------------------------------


def test_suite_follows_the_modalities() -> None:
    assert suite(["audio"]) == tuple(AUDIO)
    assert suite(["video"]) == tuple(VIDEO)
    assert suite(["text"]) == ()
    assert set(suite()) == {*AUDIO, *VIDEO, *CROSS}
    assert chosen("suite", ["audio"]) == tuple(AUDIO)
    for text in ("", "fog", "jpeg,fog", "suite,jpeg"):
        with pytest.raises(DataError, match="is no corruption"):
            chosen(text)
    with pytest.raises(DataError, match="jpeg is no corruption of audio"):
        chosen("jpeg", ["audio"])


def test_errors_name_what_to_do() -> None:
    with pytest.raises(DataError, match="'fog' is no corruption; expected one of white_noise"):
        corrupt(clip(), "fog", 1)
    for severity in (0, 6, -1):
        with pytest.raises(DataError, match="expected 1, 2, 3, 4 or 5"):
            corrupt(clip(), "jpeg", severity)
    for name in ("babble", "other_sound"):
        for others in ((), [torch.zeros(100)]):
            with pytest.raises(DataError, match=r"give others"):
                corrupt(clip(), name, 1, others=others)
    with pytest.raises(DataError, match="no corruption of audio"):
        corrupt_audio(speech(), "jpeg", 1)
    with pytest.raises(DataError, match="no corruption of video"):
        corrupt_frames(pictures(), "babble", 1)
    with pytest.raises(MediaError, match="float32"):
        corrupt_audio(speech().double(), "silence", 1)


# -- files ------------------------------------------------------------------------------------------


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_media(
        tmp_path / "film.mp4", frame_times=[0.1 * i for i in range(130)],
        sound=[(0.0, tone(13.0, RATE))], rate=RATE,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_corrupted_copy_of_a_film(film: Path, tmp_path: Path, suffix: str) -> None:
    copy = corrupt_file(film, tmp_path / f"copy{suffix}", "packet_loss", 4)
    times = [0.1 * i + 0.05 for i in range(130)]
    made = decode.read(copy, times=times)
    assert [number_of(picture) for picture in made.frames] == list(range(130))
    kept = made.audio[: 13 * RATE].view(-1, 320)
    levels = kept.square().mean(1).sqrt()
    assert float((levels < 0.05).float().mean()) == pytest.approx(0.4, abs=0.05)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({"film.mp4", copy.name})


@pytest.mark.slow
def test_dropped_frames_are_gone_from_the_copy(film: Path, tmp_path: Path) -> None:
    copy = corrupt_file(film, tmp_path / "copy.mkv", "dropped_frames", 3)
    made = decode.read(copy, times=[0.1 * i + 0.05 for i in range(130)])
    assert len({number_of(picture) for picture in made.frames}) == pytest.approx(52, abs=2)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_corrupted_copy_of_sound_is_what_corrupt_makes(tmp_path: Path, suffix: str) -> None:
    source = write_media(
        tmp_path / "in.flac", sound=[(0.0, speech(2.0).numpy())], rate=RATE, audio_codec="flac"
    )
    copy = corrupt_file(source, tmp_path / f"out{suffix}", "silence", 2, seed=4)
    window = next(decode.windows(source, video=False))
    expected = corrupt(window, "silence", 2, seed=4).audio
    made = decode.read(copy, video=False).audio
    torch.testing.assert_close(made, expected, rtol=0, atol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_sound_or_pictures_that_begin_late_are_in_the_copy(tmp_path: Path, suffix: str) -> None:
    late = write_media(
        tmp_path / "late.mkv", frame_times=[0.1 * i for i in range(250)],
        sound=[(13.0, tone(11.0, RATE))], rate=RATE, audio_codec="flac",
    )  # fmt: skip
    copy = corrupt_file(late, tmp_path / f"late-sound{suffix}", "jpeg", 1)
    made = decode.read(copy, times=[0.05, 24.85])
    assert [number_of(picture) for picture in made.frames] == [0, 248]
    before, after = made.audio[: 12 * RATE], made.audio[14 * RATE : 23 * RATE]
    assert float(before.abs().max()) < 1e-3
    expected = decode.read(late, video=False).audio[14 * RATE : 23 * RATE]
    assert float((after - expected).abs().max()) < 0.02

    dark = write_media(
        tmp_path / "dark.mkv", frame_times=[12.0 + 0.1 * i for i in range(60)],
        sound=[(0.0, tone(18.0, RATE))], rate=RATE, audio_codec="flac",
    )  # fmt: skip
    copy = corrupt_file(dark, tmp_path / f"late-pictures{suffix}", "clipping", 1)
    times = [12.05 + 0.1 * i for i in range(60)]
    made = decode.read(copy, times=times)
    assert [number_of(picture) for picture in made.frames] == list(range(60))
    assert made.times[0] == pytest.approx(12.0, abs=0.01)
    assert float(made.audio[: 17 * RATE].square().mean()) > 0.05


def test_late_sound_stays_in_its_place_without_pictures(tmp_path: Path) -> None:
    late = write_media(
        tmp_path / "late.mkv", frame_times=[0.1 * i for i in range(250)],
        sound=[(13.0, tone(11.0, RATE))], rate=RATE, audio_codec="flac",
    )  # fmt: skip
    made = decode.read(corrupt_file(late, tmp_path / "out.wav", "clipping", 1)).audio
    loud = torch.nonzero(made.abs() > 0.1).flatten() / RATE
    assert float(loud[0]) == pytest.approx(13.0, abs=0.01)
    assert float(loud[-1]) == pytest.approx(24.0, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize(("name", "kept"), [("missing_video", "audio"), ("missing_audio", "video")])
def test_a_copy_has_no_empty_track(
    film: Path, tmp_path: Path, name: str, kept: str, suffix: str
) -> None:
    info = decode.probe(corrupt_file(film, tmp_path / f"copy{suffix}", name, 5))
    assert (info.has_video, info.has_audio) == (kept == "video", kept == "audio")
    assert info.duration == pytest.approx(13.0, abs=0.2)
    mute = write_media(tmp_path / "mute.mp4", frame_times=[0.0, 0.1])
    with pytest.raises(MediaError, match="nothing is left to write"):
        corrupt_file(mute, tmp_path / f"x{suffix}", "missing_video", 5)


def test_bad_files_and_targets(tmp_path: Path, film: Path) -> None:
    with pytest.raises(MediaError, match=r"ends in none of \.wav"):
        corrupt_file(film, tmp_path / "x.txt", "jpeg", 1)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    with pytest.raises(MediaError, match="is empty"):
        corrupt_file(empty, tmp_path / "x.mkv", "jpeg", 1)
    with pytest.raises(TerFastError, match="cannot write"):
        corrupt_file(film, tmp_path / "no" / "x.mkv", "jpeg", 1)
    silent = write_media(tmp_path / "mute.mp4", frame_times=[0.0, 0.1], picture=numbered)
    with pytest.raises(MediaError, match="no sound"):
        corrupt_file(silent, tmp_path / "x.wav", "silence", 1)
    assert not list(tmp_path.glob("*x.*"))
    assert not list(tmp_path.glob(".*"))


def test_pictures_that_change_their_size_are_scaled_and_not_cut(tmp_path: Path) -> None:
    parts = [
        write_media(
            tmp_path / f"{width}.ts", frame_times=[0.2 * i for i in range(60)],
            picture=lambda _, width=width: halves(width),
        ).read_bytes()
        for width in (64, 128)
    ]  # fmt: skip
    grows = tmp_path / "grows.ts"
    grows.write_bytes(b"".join(parts))
    made = decode.read(corrupt_file(grows, tmp_path / "copy.mkv", "jpeg", 1), times=[1.0, 22.0])
    expected = torch.from_numpy(halves(64)).float()
    for picture in made.frames:
        assert picture.shape == (48, 64, 3)
        assert float((picture.float() - expected).abs().mean()) < 10


def halves(width: int) -> np.ndarray:
    """Return a picture of three to four whose left half is white."""
    picture = np.zeros((width * 3 // 4, width, 3), np.uint8)
    picture[:, : width // 2] = 255
    return picture
