"""Log-mel and frame features: the right band, the right crop, and nothing from the padding."""

from __future__ import annotations

import math

import pytest
import torch

from helpers.media import tone
from ter_fast.media.features import (
    Batch,
    LogMel,
    collate,
    mel_filters,
    normalize_frames,
    resize_frames,
)


def mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


@pytest.mark.parametrize("bands", [40, 64])
def test_mel_filters_are_triangles_of_even_width_in_mel(bands: int) -> None:
    filters = mel_filters(bands, 4096)
    bins = torch.linspace(0, 8000, 2049)
    step = (mel(8000) - mel(50)) / (bands + 1)
    for band in (0, bands // 2, bands - 1):
        inside = bins[filters[band] > 0]
        low, high = mel(50) + band * step, mel(50) + (band + 2) * step
        assert mel(float(inside[0])) >= low - 1e-3
        assert mel(float(inside[-1])) <= high + 1e-3
        assert mel(float(bins[filters[band].argmax()])) == pytest.approx((low + high) / 2, abs=6)
    assert filters.min() == 0
    assert 0.9 < float(filters.amax(1).min()) <= float(filters.max()) <= 1


def test_no_filter_of_the_default_is_empty() -> None:
    assert (mel_filters(64, 512).sum(1) > 0).all()


def test_neighbouring_triangles_sum_to_one() -> None:
    """Between the first and the last peak every frequency is counted once."""
    filters = mel_filters(20, 2048)
    first, last = filters[0].argmax() + 1, filters[-1].argmax()
    torch.testing.assert_close(
        filters[:, first:last].sum(0), torch.ones(int(last - first)), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("hertz", [120.0, 440.0, 1000.0, 3100.0, 7000.0])
def test_pure_tone_lands_in_its_band(hertz: float) -> None:
    spectrogram = LogMel().decibels(torch.from_numpy(tone(1.0, 16_000, hertz))[None])[0]
    loudest = int(spectrogram[:, 10:-10].mean(-1).argmax())
    centres = [mel(50) + (band + 1) * (mel(8000) - mel(50)) / 65 for band in range(64)]
    expected = min(range(64), key=lambda band: abs(centres[band] - mel(hertz)))
    assert abs(loudest - expected) <= 1


def test_ten_times_the_amplitude_is_twenty_decibels() -> None:
    noise = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0)) * 0.05
    logmel = LogMel()
    difference = logmel.decibels(10 * noise) - logmel.decibels(noise)
    torch.testing.assert_close(difference, torch.full_like(difference, 20.0), atol=1e-3, rtol=0)


def test_normalized_log_mel_ignores_gain() -> None:
    noise = torch.randn(2, 9000, generator=torch.Generator().manual_seed(0)) * 0.2
    noise *= torch.linspace(0.2, 1, 9000)
    lengths = torch.tensor([9000, 9000])
    for centre in ("clip", "band"):
        loud, _ = LogMel(centre=centre)(noise, lengths)
        quiet, _ = LogMel(centre=centre)(noise * 0.01, lengths)
        torch.testing.assert_close(loud, quiet, atol=1e-3, rtol=0)
        assert float(loud.std()) == pytest.approx(1, abs=0.01)
        torch.testing.assert_close(loud.mean((1, 2)), torch.zeros(2), atol=1e-4, rtol=0)


def test_band_centring_takes_away_a_microphones_colour_and_clip_centring_keeps_it() -> None:
    noise = torch.randn(1, 9000, generator=torch.Generator().manual_seed(0)) * 0.2
    noise *= torch.linspace(0.2, 1, 9000)
    # A difference of neighbours is a microphone that hears little of the low bands.
    dull, lengths = torch.diff(noise, prepend=noise[:, :1]), torch.tensor([9000])
    band, clip = LogMel(centre="band"), LogMel(centre="clip")
    one, other = (band(sound, lengths)[0][..., 1:-1] for sound in (noise, dull))  # without edges
    assert float((one - other).square().mean().sqrt()) < 0.2
    torch.testing.assert_close(
        band(noise, lengths)[0].mean(-1), torch.zeros(1, 64), atol=1e-4, rtol=0
    )
    tilt = [clip(sound, lengths)[0].mean(-1)[0] for sound in (noise, dull)]
    assert (
        float((tilt[0] - tilt[1])[:8].mean()) > 0.5 > -0.1 > float((tilt[0] - tilt[1])[-8:].mean())
    )
    with pytest.raises(ValueError, match="centre is 'median'; expected 'band' or 'clip'"):
        LogMel(centre="median")


def test_padding_does_not_change_features() -> None:
    generator = torch.Generator().manual_seed(1)
    sounds = [torch.randn(n, generator=generator) for n in (100, 512, 7777, 16_000)]
    batch = collate([{"audio": each} for each in sounds], {"audio": torch.zeros(0)})
    together, valid = LogMel()(batch.inputs["audio"], batch.lengths["audio"])
    for row, sound in enumerate(sounds):
        alone, there = LogMel()(sound[None], torch.tensor([len(sound)]))
        count = int(there.sum())
        assert count == math.ceil(len(sound) / 256) == int(valid[row].sum())
        torch.testing.assert_close(
            together[row, :, :count], alone[0, :, :count], atol=1e-5, rtol=1e-5
        )
        assert not together[row, :, count:].any()


def test_missing_sound_has_no_valid_frame_and_no_nan() -> None:
    features, valid = LogMel()(torch.zeros(2, 4000), torch.tensor([0, 4000]))
    assert not valid[0].any()
    assert valid[1].sum() == 16
    assert not features.any()


def test_log_mel_is_full_precision_under_autocast() -> None:
    noise = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([8000])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, _ = LogMel()(noise, lengths)
    assert torch.equal(mixed, LogMel()(noise, lengths)[0])


def colours(height: int, width: int) -> torch.Tensor:
    picture = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    picture[..., 0], picture[..., 1], picture[..., 2] = 200, 100, 50
    return picture


def test_luma_weights_are_those_of_bt601() -> None:
    grey = resize_frames(colours(20, 20), 20, 1)
    assert grey.shape == (1, 1, 20, 20)
    assert grey.unique().tolist() == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]


@pytest.mark.parametrize(("height", "width"), [(30, 91), (91, 30), (7, 5), (48, 48), (200, 333)])
@pytest.mark.parametrize("channels", [1, 3])
def test_frames_become_squares(height: int, width: int, channels: int) -> None:
    frames = resize_frames(colours(height, width).repeat(3, 1, 1, 1), 24, channels)
    assert frames.shape == (3, channels, 24, 24)
    assert frames.dtype == torch.uint8
    if channels == 3:
        assert [int(frames[:, c].unique()) for c in range(3)] == [200, 100, 50]


@pytest.mark.parametrize("wide", [True, False])
def test_the_centre_square_is_cut(wide: bool) -> None:
    """Of three squares side by side, the middle one stays."""
    thirds = torch.zeros(1, 40, 120, 3, dtype=torch.uint8)
    thirds[:, :, 40:80] = 255
    frames = thirds if wide else thirds.transpose(1, 2)
    cut = resize_frames(frames, 20, 3).float()
    assert float(cut[..., 2:-2, 2:-2].min()) == 255
    assert float(cut.mean()) > 240


def test_a_frame_of_the_right_size_is_untouched() -> None:
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (2, 16, 16, 3), generator=generator, dtype=torch.uint8)
    assert torch.equal(resize_frames(frames, 16, 3), frames.permute(0, 3, 1, 2))


def test_shrinking_averages_instead_of_dropping_pixels() -> None:
    checks = ((torch.arange(64)[:, None] + torch.arange(64)) % 2 * 255).to(torch.uint8)
    small = resize_frames(checks[None, ..., None].expand(1, 64, 64, 3), 16, 1)
    assert int(small.min()) > 110
    assert int(small.max()) < 145


def test_normalized_frames_ignore_exposure_and_flat_ones_are_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    dark = torch.randint(20, 90, (1, 2, 1, 16, 16), generator=generator, dtype=torch.uint8)
    bright = 2 * dark + 40
    torch.testing.assert_close(
        normalize_frames(dark), normalize_frames(bright), atol=0.1, rtol=0.05
    )
    assert float(normalize_frames(dark).std()) == pytest.approx(1, abs=0.06)
    assert not normalize_frames(torch.full((1, 1, 3, 8, 8), 77, dtype=torch.uint8)).any()


def test_each_frame_is_normalized_by_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (2, 3, 1, 8, 8), generator=generator, dtype=torch.uint8)
    torch.testing.assert_close(normalize_frames(frames)[1, 2], normalize_frames(frames[1, 2]))


def test_collate_pads_and_marks_what_is_missing() -> None:
    empty = {"audio": torch.zeros(0), "video": torch.zeros(0, 1, 2, 2, dtype=torch.uint8)}
    pictures = torch.full((2, 1, 2, 2), 9, dtype=torch.uint8)
    batch = collate([{"audio": torch.ones(3), "video": None}, {"video": pictures}], empty)
    assert len(batch) == 2
    assert batch.inputs["audio"].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert batch.inputs["video"].shape == (2, 2, 1, 2, 2)
    assert batch.inputs["video"].dtype == torch.uint8
    assert batch.lengths["audio"].tolist() == [3, 0]
    assert batch.mask["audio"].tolist() == [True, False]
    assert batch.mask["video"].tolist() == [False, True]
    assert torch.equal(batch.inputs["video"][1], pictures)
    assert not batch.inputs["video"][0].any()


def test_collate_survives_nothing() -> None:
    empty = {"audio": torch.zeros(0)}
    assert collate([{"audio": None}], empty).inputs["audio"].shape == (1, 1)
    assert len(collate([], empty)) == 0
    assert len(Batch({}, {})) == 0


def test_batch_moves_as_a_whole() -> None:
    batch = collate([{"audio": torch.ones(3)}], {"audio": torch.zeros(0)}).to("meta")
    assert batch.inputs["audio"].device.type == batch.lengths["audio"].device.type == "meta"
