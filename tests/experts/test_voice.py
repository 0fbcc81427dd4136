"""The encoders of a voice: parts of long sounds, what is standardized, and who learns alone."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from helpers.tiny import noisy_tone
from ter_fast.errors import ModelError
from ter_fast.experts.encoders.functionals import VoiceFunctionals
from ter_fast.experts.encoders.registry import build_encoder
from ter_fast.experts.encoders.voice import VoiceEncoder, VoiceMLP, _learn_from_one

RATE = 16_000
SMALL = (4, 6, 8, 16)


def sounds(*seconds: float) -> tuple[torch.Tensor, torch.Tensor]:
    rows = [torch.from_numpy(noisy_tone(300 + 40 * i, s, seed=i)) for i, s in enumerate(seconds)]
    return nn.utils.rnn.pad_sequence(rows, True), torch.tensor([len(row) for row in rows])


@torch.no_grad()
def test_a_long_sound_is_the_mean_of_its_parts() -> None:
    encoder = VoiceMLP(width=8).eval()
    audio, lengths = sounds(1.0, 10.0, 4.4, 4.6)
    together = encoder(audio, lengths)
    for row, parts in enumerate((1, 3, 1, 2)):
        size = int(lengths[row])
        cut = [size * part // parts for part in range(parts + 1)]
        each = [
            encoder(audio[row : row + 1, a:b], torch.tensor([b - a]))[0]
            for a, b in itertools.pairwise(cut)
        ]
        torch.testing.assert_close(together[row], torch.stack(each).mean(0), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_standardization_learns_from_sounds_and_not_from_missing_ones() -> None:
    torch.manual_seed(0)
    audio, lengths = sounds(1.0, 1.1, 1.2, 1.3, 1.0)
    lengths[4] = 0
    encoder = VoiceMLP(width=8, noise_snr=(60, 60))
    values = VoiceFunctionals()(audio[:4], lengths[:4])
    for _ in range(80):
        encoder(audio, lengths)
    mean = encoder.standardize.running_mean
    assert mean is not None
    # The noise at 60 dB moves single functionals a little from draw to draw.
    scale = values.std(0) + 0.1 * values.abs().mean(0) + 0.5
    assert float(((mean - values.mean(0)).abs() / scale).max()) < 0.5
    before = mean.clone()
    encoder(audio[4:], lengths[4:])  # nothing heard
    assert torch.equal(before, mean)


@pytest.mark.slow
def test_single_sounds_teach_the_mean_and_variance_of_all_of_them() -> None:
    torch.manual_seed(0)
    steps = 40
    audio, lengths = sounds(*[0.3] * steps)
    encoder = VoiceMLP(width=8)
    names = list(encoder.state_dict())
    seen: list[torch.Tensor] = []
    encoder.functionals.register_forward_hook(lambda *args: seen.append(args[-1][0]))
    for row in range(steps):
        encoder(audio[row : row + 1], lengths[row : row + 1])
    values = torch.stack(seen).double()
    norm = encoder.standardize
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert int(norm.num_batches_tracked) == steps  # type: ignore[arg-type]
    torch.testing.assert_close(norm.running_mean.double(), values.mean(0), atol=1e-4, rtol=1e-4)
    # The variance of 1 that it starts with is one of the terms.
    expected = values.var(0, correction=0) + 1 / steps
    torch.testing.assert_close(norm.running_var.double(), expected, atol=1e-4, rtol=1e-3)
    assert list(encoder.state_dict()) == names


def test_single_sounds_follow_what_changes() -> None:
    norm = nn.BatchNorm1d(2, affine=False)
    generator = torch.Generator().manual_seed(0)
    for level, rows in ((100.0, 50), (3.0, 4000)):
        for _ in range(rows):
            _learn_from_one(norm, level + 2 * torch.randn(2, generator=generator))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    torch.testing.assert_close(norm.running_mean, torch.full((2,), 3.0), atol=0.6, rtol=0)
    torch.testing.assert_close(norm.running_var, torch.full((2,), 4.0), atol=1.5, rtol=0)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ["voice", "voice_functionals"])
@pytest.mark.parametrize("samples", [0, RATE])
def test_an_empty_batch_has_no_features(name: str, training: bool, samples: int) -> None:
    encoder = build_encoder(name, {"width": 8}).train(training)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    found = encoder(torch.zeros(0, samples), torch.zeros(0, dtype=torch.long))
    assert found.shape == (0, encoder.out_features)
    assert all(torch.equal(before[key], value) for key, value in encoder.state_dict().items())


@pytest.mark.slow
def test_features_are_those_of_one_alone_or_half_of_both() -> None:
    torch.manual_seed(0)
    audio, lengths = sounds(*[0.5] * 16)
    encoder = VoiceEncoder(widths=SMALL, width=8, dropout=0.0, alone=0.5)
    split = encoder.spectral.out_features
    encoder.eval()
    spectral, statistical = encoder(audio, lengths).split([split, 8], -1)
    assert torch.equal(spectral, encoder.spectral(audio, lengths) / 2)
    assert torch.equal(statistical, encoder.statistical(audio, lengths) / 2)
    encoder.train()
    seen = [encoder(audio, lengths).split([split, 8], -1) for _ in range(20)]
    heard = torch.cat([torch.stack([a.any(-1), b.any(-1)], -1) for a, b in seen])
    only_spectral = (heard[:, 0] & ~heard[:, 1]).float().mean()
    only_statistical = (~heard[:, 0] & heard[:, 1]).float().mean()
    assert 0.15 < only_spectral < 0.35
    assert 0.15 < only_statistical < 0.35
    assert bool((heard[:, 0] | heard[:, 1]).all())


@torch.no_grad()
def test_missing_sound_in_a_batch_changes_no_other_row() -> None:
    encoder = VoiceEncoder(widths=SMALL, width=8).eval()
    audio, lengths = sounds(0.5, 1.0)
    lengths[0] = 0
    features = encoder(audio, lengths)
    assert features.isfinite().all()
    torch.testing.assert_close(features[1:], encoder(audio[1:], lengths[1:]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("voice", {"alone": 1.5}, "alone is 1.5; expected a share"),
        ("voice", {"n_mels": 20}, "n_mels is 20"),
        ("voice_functionals", {"jitter": -1}, "jitter is -1"),
        ("voice_functionals", {"noise_snr": [9, 3]}, r"noise_snr is \[9, 3\]"),
    ],
)
def test_options_out_of_range_are_refused(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        build_encoder(name, options)
