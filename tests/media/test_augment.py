"""Augmentation keeps what it must: shapes, masks, ranges, and one change for a whole clip."""

from __future__ import annotations

import pytest
import torch

from ter_fast.media.augment import (
    WaveformAugmentation,
    add_babble,
    add_noise,
    add_pixel_noise,
    drop_packets,
    low_pass,
    mask_blocks,
    move_frames,
    shift_bands,
    stretch,
)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_noise_keeps_to_its_ratio_and_leaves_silence_silent() -> None:
    sound = torch.sin(torch.arange(40_000) * 0.1).repeat(20, 1) * torch.logspace(-3, 0, 20)[:, None]
    noise = add_noise(sound, (10.0, 30.0)) - sound
    ratio = 10 * torch.log10(sound.square().mean(-1) / noise.square().mean(-1))
    assert 9.8 < float(ratio.min()) < 16
    assert 24 < float(ratio.max()) < 30.2
    assert not add_noise(torch.zeros(2, 100)).any()


def test_stretch_changes_time_and_mask_alike() -> None:
    spectrogram = torch.rand(2, 4, 200)
    valid = torch.arange(200) < torch.tensor([200, 100])[:, None]
    lengths = set()
    for _ in range(20):
        stretched, there = stretch(spectrogram, valid, 0.1)
        steps = stretched.shape[-1]
        lengths.add(steps)
        assert 180 <= steps <= 220
        assert there.shape == (2, steps)
        assert there[0].all()
        assert abs(int(there[1].sum()) - steps // 2) <= 1
        assert there[1].int().diff().le(0).all()
    assert len(lengths) > 5


def test_bands_move_as_one_and_by_at_most_the_most() -> None:
    ramp = torch.arange(16.0)[None, :, None].expand(64, 16, 5)
    offsets = (shift_bands(ramp, 3) - ramp)[:, 5:11]
    assert torch.equal(offsets, offsets[:, :1, :1].expand_as(offsets))
    assert set(offsets.flatten().tolist()) == {-3, -2, -1, 0, 1, 2, 3}
    assert float(shift_bands(ramp, 3).min()) >= 0
    assert float(shift_bands(ramp, 3).max()) <= 15


def test_masked_blocks_are_stripes_of_bounded_size() -> None:
    ones = torch.ones(200, 20, 100)
    masked = mask_blocks(ones, blocks=1, bands=4, steps=30)
    bands = (masked.sum(2) == 0).sum(1)
    steps = (masked.sum(1) == 0).sum(1)
    assert int(bands.max()) == 4
    # A fifth of the clip at most, however long a stripe may be elsewhere.
    assert 17 <= int(steps.max()) <= 20
    assert set(masked.unique().tolist()) == {0.0, 1.0}
    outside = (masked.sum(2) > 0)[:, :, None] & (masked.sum(1) > 0)[:, None, :]
    assert torch.equal(masked > 0, outside)


def test_frames_of_one_clip_move_alike_and_clips_move_apart() -> None:
    frames = torch.rand(3, 1, 1, 24, 24).expand(3, 4, 1, 24, 24).contiguous()
    moved = move_frames(frames)
    assert moved.shape == frames.shape
    for clip in moved:
        torch.testing.assert_close(clip[1:], clip[:1].expand_as(clip[1:]))
    same = torch.rand(1, 1, 1, 24, 24).expand(8, 1, 1, 24, 24).contiguous()
    apart = move_frames(same)
    assert len({tuple(clip.flatten().tolist()) for clip in apart}) == 8


def test_without_change_frames_are_mirrored_or_left() -> None:
    frames = torch.rand(16, 2, 3, 10, 12)
    still = move_frames(frames, rotation=0, scale=0, translation=0, erase=0)
    mirrored = 0
    for before, after in zip(frames, still, strict=True):
        flipped = torch.allclose(after, before.flip(-1), atol=1e-5)
        assert flipped or torch.allclose(after, before, atol=1e-5)
        mirrored += flipped
    assert 0 < mirrored < 16


def test_covered_squares_are_grey_and_never_the_whole() -> None:
    bright = torch.full((64, 1, 1, 40, 40), 2.0)
    moved = move_frames(bright, erase=0.5)
    covered = (moved == 0).float().mean((1, 2, 3, 4))
    assert 0.25 < float((covered > 0).float().mean()) < 0.75
    assert float(covered.max()) <= 0.28
    torch.testing.assert_close(moved[moved != 0], torch.full_like(moved[moved != 0], 2.0))


def test_lost_packets_are_whole_and_no_more_than_the_most() -> None:
    sound = torch.ones(400, 100 * 320)
    lost = drop_packets(sound, 0.4).unflatten(1, (100, 320)) == 0
    assert torch.equal(lost.all(2), lost.any(2))
    packets = lost.all(2)
    share = packets.float().mean(1)
    # Single packets are drawn one by one, around their share; a stretch keeps to it.
    runs = (packets[:, 1:] & ~packets[:, :-1]).sum(1) + packets[:, 0]
    assert float(share[runs == 1].max()) <= 0.41
    assert float(share.max()) < 0.6
    assert 0.4 < float((share == 0).float().mean()) < 0.65
    assert float((runs > 1).float().mean()) > 0.15
    assert float(((runs == 1) & (share > 0.1)).float().mean()) > 0.1
    assert torch.equal(drop_packets(sound, 0.0), sound)
    assert drop_packets(torch.ones(3, 1000)).shape == (3, 1000)


def test_voices_talk_into_a_share_at_a_ratio() -> None:
    time = torch.arange(8000) / 16000
    pitch = torch.linspace(100, 3000, 400)[:, None]
    sound = torch.sin(2 * torch.pi * pitch * time) * torch.logspace(-2, 0, 400)[:, None]
    voices = add_babble(sound, 0.25, (0.0, 10.0)) - sound
    ratio = 10 * torch.log10(sound.square().mean(-1) / voices.square().mean(-1))
    heard = ratio < 60
    assert 0.17 < float(heard.float().mean()) < 0.33
    assert -0.1 <= float(ratio[heard].min()) < 2
    assert 8 < float(ratio[heard].max()) <= 10.1
    # What is added is of other rows: nothing of it has the row's own pitch.
    row = int(heard.nonzero()[0])
    own = torch.nn.functional.cosine_similarity(voices[row], sound[row], 0)
    assert abs(float(own)) < 0.3


def test_nobody_talks_into_one_waveform_or_none() -> None:
    alone = torch.randn(1, 100)
    assert add_babble(alone, 1.0) is alone
    assert not add_babble(torch.zeros(3, 100), 1.0).any()
    for shape in ((2, 0), (0, 100)):
        assert low_pass(torch.zeros(shape), 1.0).shape == shape
        assert add_babble(torch.zeros(shape), 1.0).shape == shape


def test_what_sound_goes_through_comes_from_json_too() -> None:
    read = WaveformAugmentation([0, 60], babble=0.5, low_pass=0.5)  # type: ignore[arg-type]
    assert read == WaveformAugmentation((0.0, 60.0), babble=0.5, low_pass=0.5)
    assert hash(read)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        sound = torch.randn(3, 501, dtype=dtype)
        sound[1] = 0
        heard = read(sound)
        assert heard.dtype == dtype
        assert bool(heard.isfinite().all())


def test_a_low_pass_keeps_what_is_below_and_loses_what_is_above() -> None:
    time = torch.arange(16000) / 16000
    low, high = torch.sin(2 * torch.pi * 200 * time), torch.sin(2 * torch.pi * 7000 * time)
    changed = low_pass((low + high).repeat(200, 1), 0.5, (500.0, 3000.0))
    assert torch.nn.functional.cosine_similarity(changed, low.expand_as(changed)).min() > 0.7
    left = changed - low
    lost = left.square().mean(-1) < 0.01
    assert 0.4 < float(lost.float().mean()) < 0.6
    torch.testing.assert_close(changed[~lost][0], low + high, atol=1e-4, rtol=0)
    # An odd number of samples stays odd.
    assert low_pass(torch.randn(2, 1001), 1.0).shape == (2, 1001)


def test_pixel_noise_is_on_half_of_the_clips_and_within_the_range_of_pixels() -> None:
    frames = torch.full((400, 2, 1, 16, 16), 128, dtype=torch.uint8)
    frames[:, 1] = 0
    valid = torch.tensor([True, False]).expand(400, 2)
    grainy = add_pixel_noise(frames, valid, 0.2)
    assert not grainy[:, 1].any()
    deviation = grainy[:, 0].flatten(1).std(1) / 255
    noisy = deviation > 0
    assert 0.4 < float(noisy.float().mean()) < 0.6
    assert 0.18 < float(deviation.max()) < 0.21
    assert float(deviation[noisy].min()) < 0.01
    assert 0 <= float(grainy.min()) < float(grainy.max()) <= 255
