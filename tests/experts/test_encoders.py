"""Encoders: padding never matters, each of them learns, and the registry says what it knows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.tiny import noisy_tone, stripes
from ter_fast.errors import ModelError
from ter_fast.experts.encoders import ENCODERS, cnn
from ter_fast.experts.encoders.cnn import FrameCNN, LogMelCNN, VectorMLP
from ter_fast.experts.encoders.pooling import AttentivePooling
from ter_fast.experts.encoders.registry import build_encoder, register_encoder
from ter_fast.experts.encoders.voice import VoiceEncoder, VoiceMLP
from ter_fast.media import augment
from ter_fast.media.features import collate

SMALL = (4, 6, 8, 16)


def as_if_trained(encoder: nn.Module) -> nn.Module:
    """Give batch norms statistics and biases, and the pooling a preference, as training does."""
    torch.manual_seed(3)
    for layer in encoder.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.5, 2)
            nn.init.normal_(layer.bias, 0.4, 0.3)
        if isinstance(layer, AttentivePooling):
            nn.init.normal_(layer.score.weight)
    return encoder.eval()


@torch.no_grad()
def test_padding_never_changes_a_sound() -> None:
    encoder = as_if_trained(LogMelCNN(widths=SMALL))
    sounds = [torch.from_numpy(noisy_tone(500, s, seed=i)) for i, s in enumerate((0.05, 0.33, 1.0))]
    batch = collate(
        [{"audio": s} for s in [*sounds, torch.ones(40_000), None]], {"audio": torch.zeros(0)}
    )
    together = encoder(batch.inputs["audio"], batch.lengths["audio"])
    for row, sound in enumerate(sounds):
        alone = encoder(sound[None], torch.tensor([len(sound)]))[0]
        torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-5)
    # Nothing was heard: means of 0, deviations at their floor.
    assert float(together[-1].max()) < 0.01


@torch.no_grad()
def test_pooling_gives_the_deviation_beside_the_mean() -> None:
    features = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(2, 50, dtype=torch.bool)
    valid[1, 20:] = False
    mean, deviation = AttentivePooling(3, deviation=True)(features, valid).chunk(2, -1)
    for row, count in enumerate((50, 20)):
        kept = features[row, :count]
        torch.testing.assert_close(mean[row], kept.mean(0))
        torch.testing.assert_close(deviation[row], kept.std(0, correction=0), atol=1e-4, rtol=0)


@torch.no_grad()
def test_masked_frames_are_ignored() -> None:
    encoder = as_if_trained(FrameCNN(widths=SMALL))
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (2, 5, 1, 32, 32), generator=generator, dtype=torch.uint8)
    lengths = torch.tensor([3, 0])
    features = encoder(frames, lengths)
    other = frames.clone()
    other[0, 3:] = 255
    other[1] = 0
    torch.testing.assert_close(encoder(other, lengths), features)
    torch.testing.assert_close(encoder(frames[:1, :3], lengths[:1])[0], features[0])
    assert not features[1].any()
    other[0, 0] = 255 - other[0, 0]
    assert not torch.allclose(encoder(other, lengths)[0], features[0])


@torch.no_grad()
def test_attentive_pooling_starts_as_the_mean_of_valid_steps() -> None:
    features = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0))
    valid = torch.arange(6) < torch.tensor([6, 2, 0])[:, None]
    pooled = AttentivePooling(4)(features, valid)
    torch.testing.assert_close(pooled[0], features[0].mean(0))
    torch.testing.assert_close(pooled[1], features[1, :2].mean(0))
    assert not pooled[2].any()


@torch.no_grad()
def test_attentive_pooling_follows_its_query() -> None:
    pooling = AttentivePooling(2)
    pooling.score.weight.copy_(torch.tensor([[20.0, 0.0]]))
    features = torch.tensor([[[0.0, 1.0], [1.0, 2.0], [9.0, 3.0]]])
    valid = torch.tensor([[True, True, False]])
    torch.testing.assert_close(pooling(features, valid), features[:, 1])


def sounds_of_two_pitches() -> tuple[Tensor, Tensor]:
    values = [torch.from_numpy(noisy_tone((300, 2400)[i % 2], 0.3, i)) for i in range(16)]
    return torch.stack(values), torch.full((16,), len(values[0]))


def pictures_of_two_kinds() -> tuple[Tensor, Tensor]:
    frames = [torch.from_numpy(stripes(i % 2 == 1, i))[:32, :32, :1] for i in range(16)]
    return torch.stack(frames).permute(0, 3, 1, 2)[:, None], torch.ones(16, dtype=torch.int64)


def vectors_of_two_signs() -> tuple[Tensor, Tensor]:
    values = torch.randn(16, 5, generator=torch.Generator().manual_seed(0))
    values[:, 2] = 2.0 * (torch.arange(16) % 2) - 1
    return values, torch.full((16,), 5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "data"),
    [
        (lambda: LogMelCNN(widths=SMALL, dropout=0.1), sounds_of_two_pitches),
        (lambda: FrameCNN(widths=SMALL, dropout=0.1), pictures_of_two_kinds),
        (lambda: VectorMLP(5, 16), vectors_of_two_signs),
        (lambda: VoiceMLP(width=16, dropout=0.1), sounds_of_two_pitches),
        (lambda: VoiceEncoder(widths=SMALL, width=16, dropout=0.1), sounds_of_two_pitches),
    ],
    ids=["logmel_cnn", "frame_cnn", "vector_mlp", "voice_functionals", "voice"],
)
def test_each_encoder_learns(encoder: object, data: object) -> None:
    torch.manual_seed(0)
    values, lengths = data()  # type: ignore[operator]
    target = torch.arange(16) % 2
    module = encoder()  # type: ignore[operator]
    head = nn.Linear(module.out_features, 2)
    parameters = [*module.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-2)
    losses = []
    for _ in range(25):
        loss = F.cross_entropy(head(module(values, lengths)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) / 5 < 0.5 * losses[0]
    assert all(
        parameter.grad is not None and parameter.grad.isfinite().all() for parameter in parameters
    )


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("logmel_cnn", {"n_mels": 32, "widths": [4, 4, 4, 8]}, (2, 3000)),
        ("frame_cnn", {"channels": 3, "widths": [4, 4, 4, 8]}, (2, 2, 3, 16, 16)),
        ("vector_mlp", {"size": 7}, (2, 7)),
        ("voice_functionals", {"n_mels": 32, "width": 8}, (2, 3000)),
        ("voice", {"n_mels": 32, "widths": [4, 4, 4, 8], "width": 8}, (2, 3000)),
    ],
)
def test_built_encoders_have_the_features_they_promise(
    name: str, options: dict[str, object], shape: tuple[int, ...]
) -> None:
    encoder = build_encoder(name, options).eval()
    features = encoder(torch.zeros(shape), torch.full((2,), shape[1]))
    assert features.shape == (2, encoder.out_features)


@pytest.mark.parametrize(
    "sampled",
    [
        LogMelCNN(widths=SMALL),
        FrameCNN(widths=SMALL),
        VoiceMLP(width=8, jitter=0.0),
        VoiceEncoder(widths=SMALL, width=8, jitter=0.0, alone=0.0),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
def test_evaluation_is_deterministic_and_training_augments(sampled: nn.Module) -> None:
    data = pictures_of_two_kinds if isinstance(sampled, FrameCNN) else sounds_of_two_pitches
    values, lengths = data()
    for layer in sampled.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    sampled.train()
    assert not torch.equal(sampled(values, lengths), sampled(values, lengths))
    sampled.eval()
    assert torch.equal(sampled(values, lengths), sampled(values, lengths))


def test_an_unknown_encoder_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"'nope' \(known: .*frame_cnn, .*logmel_cnn.*\); import"):
        build_encoder("nope", {})


def test_wrong_options_are_refused() -> None:
    with pytest.raises(
        ModelError, match=r"'vector_mlp' does not take these options: \{'sise': 3\}"
    ):
        build_encoder("vector_mlp", {"sise": 3})


def test_a_taken_name_is_refused_but_defining_again_is_not() -> None:
    with pytest.raises(
        ValueError, match=r"'frame_cnn' is taken by ter_fast\.experts\.encoders\.cnn\.FrameCNN"
    ):
        register_encoder("frame_cnn")(VectorMLP)
    assert ENCODERS["frame_cnn"] is FrameCNN

    def again() -> type[nn.Module]:
        class Twice(VectorMLP):
            pass

        return Twice

    first, second = again(), again()
    assert register_encoder("twice")(first) is first
    register_encoder("twice")(second)
    assert type(build_encoder("twice", {"size": 2})) is second


@pytest.mark.parametrize("name", ["logmel_cnn", "voice_functionals", "voice"])
def test_what_sound_goes_through_in_training_is_asked_for_and_ends_with_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[str] = []

    def noted(change: str) -> Callable[..., Tensor]:
        def unchanged(audio: Tensor, amount: object) -> Tensor:
            met.append(f"{change} {amount}")
            return audio

        return unchanged

    for change in ("add_babble", "low_pass", "drop_packets", "add_noise"):
        monkeypatch.setattr(augment, change, noted(change))
    sound, lengths = torch.randn(2, 8000), torch.full((2,), 8000)
    # Both of the networks of "voice" hear it, each in its own way.
    times = 2 if name == "voice" else 1
    build_encoder(name, {})(sound, lengths)
    assert met == times * ["add_noise (20.0, 60.0)"]
    met.clear()
    options = {"noise_snr": [-5, 60], "dropouts": 0.5, "babble": 0.3, "low_pass": 0.2}
    encoder = build_encoder(name, options)
    encoder(sound, lengths)
    wanted = ["add_babble 0.3", "low_pass 0.2", "drop_packets 0.5", "add_noise (-5.0, 60.0)"]
    assert met == times * wanted
    met.clear()
    encoder.eval()(sound, lengths)
    assert not met


@pytest.mark.parametrize("deviation", [0.0, 0.3])
def test_pictures_are_noisy_in_training_alone(
    deviation: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[tuple[list[bool], float]] = []

    def noted(frames: Tensor, valid: Tensor, amount: float) -> Tensor:
        met.append((valid.flatten().tolist(), amount))
        return frames

    monkeypatch.setattr(cnn, "add_pixel_noise", noted)
    encoder = FrameCNN(widths=SMALL, pixel_noise=deviation)
    frames, lengths = torch.zeros(2, 2, 1, 48, 48, dtype=torch.uint8), torch.tensor([2, 1])
    encoder.eval()(frames, lengths)
    assert not met
    encoder.train()(frames, lengths)
    assert met == ([([True, True, True, False], deviation)] if deviation else [])


def test_pixel_noise_that_cannot_be_is_refused() -> None:
    with pytest.raises(ModelError, match="pixel_noise is 2; expected a deviation"):
        build_encoder("frame_cnn", {"pixel_noise": 2})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise_snr": (9, 3)}, r"noise_snr is \(9, 3\); expected a lower and a higher"),
        ({"dropouts": 1.5}, r"dropouts is 1\.5; expected a share"),
        ({"babble": -1}, "babble is -1; expected a share"),
        ({"low_pass": 2}, "low_pass is 2; expected a share"),
    ],
)
@pytest.mark.parametrize("encoder", ["logmel_cnn", "voice_functionals", "voice"])
def test_hearing_that_cannot_be_is_refused(
    encoder: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        build_encoder(encoder, options)
