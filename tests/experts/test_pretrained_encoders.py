"""Pretrained backbones: prepared as their own processors do, padded without a trace, saved whole."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from rich.console import Console
from torch import Tensor, nn

from helpers.tiny import noisy_tone, tone_corpus
from ter_fast import DataError, Model, ModelError, VideoInput, cli
from ter_fast.cli.encoders import chosen_encoders, video_input
from ter_fast.cli.information import model_table
from ter_fast.data import Dataset, Sample, load_dataset
from ter_fast.experts.config import TrainingRecord
from ter_fast.experts.encoders.pretrained import loading
from ter_fast.experts.encoders.pretrained.pictures import PictureInput
from ter_fast.experts.encoders.registry import build_encoder
from ter_fast.train import Settings
from ter_fast.train.settings import parameter_groups

SMALL = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
HEADS = {**SMALL, "num_attention_heads": 2}
# The first step of these convolutions sees 400 samples, as those of the published models do. Of groups of
# fewer than 16 channels and kernels of 8, torch 2.13 computes something else in bfloat16 on processors
# with AMX (oneDNN's brg_conv_fwd:avx10_1_512_amx); published models have groups of 48 and more.
WAVE = {
    **HEADS, "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 6, "num_conv_pos_embedding_groups": 2,
    "num_adapter_layers": 1, "vocab_size": 8,
}  # fmt: skip
LAYERED = {**WAVE, "feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
SOUND = [
    "wav2vec2",
    "wav2vec2-masked",
    "hubert-masked",
    "wavlm",
    "wavlm-masked",
    "wavlm-group-masked",
    "conformer",
    "whisper",
    "ast",
    "w2v-bert",
]
PICTURES = ["vit", "dinov2", "clip", "convnext", "resnet"]
FILMS = ["videomae", "timesformer", "vivit"]
SIDE = 32


def save(folder: Path, model: Any, processor: Any) -> str:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def wave_extractor(masked: bool) -> Any:
    return transformers.Wav2Vec2FeatureExtractor(return_attention_mask=masked)


def sound_model(name: str) -> tuple[Any, Any]:
    t = transformers
    makers: dict[str, Callable[[], tuple[Any, Any]]] = {
        "wav2vec2": lambda: (t.Wav2Vec2Model(t.Wav2Vec2Config(**WAVE)), wave_extractor(False)),
        "wav2vec2-masked": lambda: (t.Wav2Vec2Model(t.Wav2Vec2Config(**LAYERED)), wave_extractor(True)),
        "hubert-masked": lambda: (t.HubertModel(t.HubertConfig(**LAYERED)), wave_extractor(True)),
        "wavlm": lambda: (t.WavLMModel(t.WavLMConfig(**WAVE)), wave_extractor(False)),
        "wavlm-masked": lambda: (t.WavLMModel(t.WavLMConfig(**LAYERED)), wave_extractor(True)),
        "wavlm-group-masked": lambda: (t.WavLMModel(t.WavLMConfig(**WAVE)), wave_extractor(True)),
        "conformer": lambda: (
            t.Wav2Vec2ConformerModel(
                t.Wav2Vec2ConformerConfig(**LAYERED, conv_depthwise_kernel_size=5)
            ),
            wave_extractor(True),
        ),
        "whisper": lambda: (
            t.WhisperModel(
                t.WhisperConfig(
                    d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
                    decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, vocab_size=20,
                    num_mel_bins=20, max_source_positions=100, pad_token_id=0, bos_token_id=1,
                    eos_token_id=2, decoder_start_token_id=1, begin_suppress_tokens=None,
                )
            ),
            t.WhisperFeatureExtractor(feature_size=20, chunk_length=2),
        ),
        "ast": lambda: (
            t.ASTModel(t.ASTConfig(**HEADS, max_length=200, num_mel_bins=32)),
            t.ASTFeatureExtractor(max_length=200, num_mel_bins=32),
        ),
        "w2v-bert": lambda: (
            t.Wav2Vec2BertModel(
                t.Wav2Vec2BertConfig(
                    **HEADS, feature_projection_input_dim=40, conv_depthwise_kernel_size=5, vocab_size=8
                )
            ),
            t.SeamlessM4TFeatureExtractor(feature_size=20, num_mel_bins=20, padding_value=1),
        ),
    }  # fmt: skip
    return makers[name]()


def picture_model(name: str) -> tuple[Any, Any]:
    t = transformers
    patches = {"image_size": SIDE, "patch_size": 8}
    size = {"height": SIDE, "width": SIDE}
    plain = {"size": size, "crop_size": size}
    vision = {**HEADS, **patches}
    text = {**HEADS, "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2}
    shortest = {"shortest_edge": SIDE}
    makers: dict[str, Callable[[], tuple[Any, Any]]] = {
        "vit": lambda: (t.ViTModel(t.ViTConfig(**vision)), t.ViTImageProcessorPil(size=size)),
        "dinov2": lambda: (t.Dinov2Model(t.Dinov2Config(**vision)), t.ViTImageProcessorPil(size=size)),
        "clip": lambda: (
            t.CLIPModel(t.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)),
            t.CLIPImageProcessorPil(size=shortest, crop_size=size),
        ),
        "convnext": lambda: (
            t.ConvNextModel(t.ConvNextConfig(hidden_sizes=[8, 8, 12, 16], depths=[1, 1, 1, 1])),
            t.ConvNextImageProcessorPil(size=shortest),
        ),
        "resnet": lambda: (
            t.ResNetModel(t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1])),
            t.ConvNextImageProcessorPil(size=shortest),
        ),
        "videomae": lambda: (
            t.VideoMAEModel(t.VideoMAEConfig(**vision, num_frames=4)),
            t.VideoMAEImageProcessorPil(size=shortest, crop_size=size),
        ),
        "timesformer": lambda: (
            t.TimesformerModel(t.TimesformerConfig(**vision, num_frames=4)),
            t.VideoMAEImageProcessorPil(size=shortest, crop_size=size),
        ),
        "vivit": lambda: (
            t.VivitModel(t.VivitConfig(**vision, num_frames=4, tubelet_size=[2, 8, 8])),
            t.VivitImageProcessor(**plain),
        ),
    }  # fmt: skip
    return makers[name]()


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Return a function that saves a tiny, randomly initialised model once, and gives its folder."""
    root, made = tmp_path_factory.mktemp("backbones"), {}

    def make(name: str) -> str:
        if name not in made:
            torch.manual_seed(0)
            model, processor = (sound_model if name in SOUND else picture_model)(name)
            # Random biases: zero ones would hide padding that a bias lifts off zero.
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    nn.init.normal_(parameter, 0.2, 0.5)
                else:
                    # Or every sound would look alike to weights this small.
                    parameter.data.mul_(5)
            made[name] = save(root / name, model.eval(), processor)
        return made[name]

    return make


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep look-ups of names from trying the network again and again."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def encoder_of(kind: str, folder: str, **options: Any) -> Any:
    torch.manual_seed(1)
    encoder = build_encoder(kind, {"name": folder, "width": 8, "dropout": 0.0, **options}).eval()
    # The query starts at 0, where attention and a plain mean are the same.
    nn.init.normal_(encoder.pool.score.weight)
    return encoder


def sounds() -> tuple[Tensor, Tensor]:
    parts = [
        torch.from_numpy(noisy_tone(500 + 300 * i, s, seed=i))
        for i, s in enumerate((0.73, 0.02, 1.5))
    ]
    lengths = torch.tensor([*map(len, parts), 0])
    audio = torch.zeros(4, int(lengths.max()))
    for row, part in enumerate(parts):
        audio[row, : len(part)] = part
    return audio, lengths


def frames(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


# -- preprocessing is the library's own -----------------------------------------------------------


@pytest.mark.parametrize("name", SOUND)
@torch.no_grad()
def test_sound_is_prepared_as_the_models_own_extractor_does(
    name: str, folder_of: Callable[[str], str]
) -> None:
    folder = folder_of(name)
    encoder = encoder_of("hf_audio", folder)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    audio, lengths = sounds()
    for row in (0, 2):
        sound = audio[row, : lengths[row]]
        expected = extractor(sound.numpy(), sampling_rate=16_000, return_tensors="pt")
        given = encoder.sound.inputs(sound[None], lengths[row : row + 1])
        key = next(key for key in given if key.startswith("input"))
        steps = given[key].shape[1]
        torch.testing.assert_close(
            given[key], expected[key].float()[:, :steps], atol=2e-3, rtol=2e-3
        )


@pytest.mark.parametrize("name", [*PICTURES, *FILMS])
def test_pictures_are_prepared_as_the_models_own_processor_does(
    name: str, folder_of: Callable[[str], str]
) -> None:
    kind = "video" if name in FILMS else "image"
    described, _ = loading.describe(folder_of(name), None, kind)
    picture = frames(1, 3, SIDE, SIDE)
    _, processor = picture_model(name)
    # Their resizing and cropping are left out: pictures come at the model's size already.
    options = {"do_resize": False, "do_center_crop": False}
    given = picture[0].permute(1, 2, 0).numpy()
    expected = processor([given], return_tensors="pt", **options)["pixel_values"]
    torch.testing.assert_close(
        PictureInput(described)(picture),
        expected.view(1, 3, SIDE, SIDE).float(),
        atol=1e-5,
        rtol=1e-5,
    )


def test_frames_of_another_size_are_resized(folder_of: Callable[[str], str]) -> None:
    described, _ = loading.describe(folder_of("vit"), None, "image")
    flat = torch.full((2, 3, 80, 60), 90, dtype=torch.uint8)
    pixels = PictureInput(described)(flat)
    assert pixels.shape == (2, 3, SIDE, SIDE)
    torch.testing.assert_close(pixels, torch.full_like(pixels, (90 / 255 - 0.5) / 0.5))


# -- a batch changes nothing ----------------------------------------------------------------------


@pytest.mark.parametrize("layers", ["last", "weighted"])
@pytest.mark.parametrize("name", SOUND)
@torch.no_grad()
def test_a_padded_sound_gives_what_it_gives_alone(
    name: str, layers: str, folder_of: Callable[[str], str]
) -> None:
    encoder = encoder_of("hf_audio", folder_of(name), layers=layers)
    audio, lengths = sounds()
    together = encoder(audio, lengths)
    for row in range(3):
        length = int(lengths[row])
        alone = encoder(audio[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(together[row], alone[0], atol=2e-5, rtol=2e-5)
    assert together.isfinite().all()
    # Nothing was heard: means of 0, deviations at their floor.
    assert float(together[3].abs().max()) < 0.01
    assert together[:3].std(0).max() > 1e-3


@pytest.mark.parametrize("name", [*PICTURES, *FILMS])
@torch.no_grad()
def test_padding_frames_change_nothing(name: str, folder_of: Callable[[str], str]) -> None:
    encoder = encoder_of("hf_video" if name in FILMS else "hf_image", folder_of(name))
    film, lengths = frames(3, 6, 3, SIDE, SIDE), torch.tensor([6, 3, 0])
    together = encoder(film, lengths)
    film[1, 3:], film[2] = 255, 17
    torch.testing.assert_close(encoder(film, lengths), together, atol=1e-5, rtol=1e-5)
    alone = encoder(film[1:2, :3], lengths[1:2])
    torch.testing.assert_close(alone[0], together[1], atol=1e-5, rtol=1e-5)
    assert not together[2].any()
    film[1, 1] = 255 - film[1, 1]
    assert not torch.allclose(encoder(film, lengths)[1], together[1])


@torch.no_grad()
def test_the_features_are_those_of_the_model_itself(folder_of: Callable[[str], str]) -> None:
    """Against transformers alone: wav2vec 2.0's last layer, CLIP's pooled picture."""
    audio, lengths = sounds()
    sound, seen = audio[2:3], {}
    encoder = encoder_of("hf_audio", folder_of("wav2vec2"))
    encoder.norm.register_forward_pre_hook(lambda _, given: seen.update(steps=given[0]))
    encoder(sound, lengths[2:3])
    model = transformers.Wav2Vec2Model.from_pretrained(folder_of("wav2vec2")).eval()
    values = wave_extractor(False)(sound[0].numpy(), sampling_rate=16_000, return_tensors="pt")
    expected = model(values["input_values"]).last_hidden_state
    torch.testing.assert_close(seen["steps"], expected, atol=1e-5, rtol=1e-5)

    encoder = encoder_of("hf_image", folder_of("clip"))
    whole = transformers.CLIPModel.from_pretrained(folder_of("clip")).eval()
    picture = frames(2, 3, SIDE, SIDE)
    pixels = encoder.pixels(picture)
    expected = whole.vision_model(pixel_values=pixels).pooler_output
    torch.testing.assert_close(encoder._pool(pixels), expected, atol=1e-6, rtol=1e-6)


# -- what learns ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wav2vec2-masked", "whisper", "vit", "convnext", "videomae"])
def test_a_frozen_backbone_neither_learns_nor_drops_out(
    name: str, folder_of: Callable[[str], str]
) -> None:
    kind = "hf_audio" if name in SOUND else "hf_video" if name in FILMS else "hf_image"
    data = sounds() if name in SOUND else (frames(2, 4, 3, SIDE, SIDE), torch.tensor([4, 2]))
    encoder = encoder_of(kind, folder_of(name)).train()
    assert not any(each.training for each in encoder.backbone.modules())
    assert torch.equal(encoder(*data), encoder(*data))
    encoder(*data).square().sum().backward()
    assert all(each.grad is None for each in encoder.backbone.parameters())
    assert all(each.grad is not None for each in encoder.project.parameters())


@pytest.mark.parametrize("name", ["wav2vec2-masked", "whisper", "ast", "vit", "videomae"])
def test_the_top_layers_learn_when_asked_for(name: str, folder_of: Callable[[str], str]) -> None:
    kind = "hf_audio" if name in SOUND else "hf_video" if name in FILMS else "hf_image"
    data = sounds() if name in SOUND else (frames(2, 4, 3, SIDE, SIDE), torch.tensor([4, 2]))
    encoder = encoder_of(kind, folder_of(name), trainable_layers=1).train()
    encoder(*data).square().sum().backward()
    learned = {key for key, each in encoder.backbone.named_parameters() if each.grad is not None}
    assert learned
    assert all(".1." in key for key in learned), learned
    with pytest.raises(ModelError, match=r"trainable_layers is 3; .* has 2 layers"):
        encoder_of(kind, folder_of(name), trainable_layers=3)


@pytest.mark.slow
def test_backbones_learn_at_a_rate_of_their_own(
    folder_of: Callable[[str], str], tmp_path: Path
) -> None:
    data = load_dataset(str(tone_corpus(tmp_path, {"train": 3, "validation": 2})))

    def moved(rate: float | None) -> tuple[float, float]:
        """Return how far weights of the backbone moved, and those of the head, at most."""
        options = {"name": folder_of("wav2vec2"), "trainable_layers": 1, "width": 8}
        model = Model.build(data.labels, {"audio": ("hf_audio", options)})
        before = {key: each.detach().clone() for key, each in model.named_parameters()}
        model.fit(
            data, epochs=2, batch_size=4, learning_rate=1e-2, backbone_learning_rate=rate, ema=0,
            schedule="constant", warmup=0, weight_decay=0.0, progress=False,
        )  # fmt: skip
        distances = {
            key: float((each.detach() - before[key]).abs().max())
            for key, each in model.named_parameters()
        }
        inside = [value for key, value in distances.items() if ".backbone." in key]
        others = [value for key, value in distances.items() if ".backbone." not in key]
        return max(inside), max(others)

    slow, head = moved(1e-6)
    alike, _ = moved(None)
    # An AdamW step moves a weight by about its rate.
    assert 1e-7 < slow < 1e-5
    assert 1e-3 < alike < 1e-1
    assert 1e-3 < head < 1e-1


def test_a_rate_for_a_frozen_backbone_is_refused(folder_of: Callable[[str], str]) -> None:
    model = Model.build(["a", "b"], {"audio": ("hf_audio", {"name": folder_of("wav2vec2")})})
    with pytest.raises(DataError, match="all of the pretrained backbone is frozen; leave it out"):
        parameter_groups(model, Settings(backbone_learning_rate=1e-5))


def test_info_names_the_backbone_and_where_it_comes_from(folder_of: Callable[[str], str]) -> None:
    model = Model.build(["a", "b"], {"audio": ("hf_audio", {"name": folder_of("wav2vec2")})})
    record = TrainingRecord(("audio",), "mine", "CC0", {"train": 1200, "validation": 30}, {})
    model.config = replace(model.config, training=(*model.config.training, record))
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(model_table(model))
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert any(line.startswith("audio expert hf_audio (wav2vec2), ") for line in lines)
    assert "starts from (audio) pretrained backbone wav2vec2" in lines
    assert "trained on (audio) mine: 1,200 train, 30 validation" in lines


@pytest.mark.parametrize("name", ["wav2vec2", "vit"])
def test_fine_tuning_reaches_the_whole_backbone(name: str, folder_of: Callable[[str], str]) -> None:
    sound = name in SOUND
    data = sounds() if sound else (frames(2, 4, 3, SIDE, SIDE), torch.tensor([4, 2]))
    options = {"frozen": False, **({"layers": "weighted"} if sound else {})}
    encoder = encoder_of("hf_audio" if sound else "hf_image", folder_of(name), **options).train()
    encoder(*data).square().sum().backward()
    idle = [key for key, each in encoder.backbone.named_parameters() if each.grad is None]
    # A vector of SpecAugment, which is left out.
    assert idle == (["masked_spec_embed"] if sound else [])
    assert sound is False or encoder.layer_weights.grad.abs().sum() > 0


def rounded(value: Tensor) -> Tensor:
    return value.bfloat16().to(value.dtype)


@contextmanager
def rounding_products(encoder: nn.Module) -> Iterator[None]:
    """Round what each linear layer and convolution multiplies and gives; compute in float32.

    That is what bfloat16 costs on any processor: how the sums in between are rounded is its own affair.
    """
    layers = [
        each for each in encoder.modules() if isinstance(each, nn.Linear | nn.Conv1d | nn.Conv2d)
    ]
    own = [parameter for layer in layers for parameter in layer.parameters()]
    before = [parameter.data for parameter in own]
    handles = [
        layer.register_forward_pre_hook(lambda _, given: (rounded(given[0]),)) for layer in layers
    ]
    handles += [layer.register_forward_hook(lambda *given: rounded(given[2])) for layer in layers]
    try:
        for parameter in own:
            parameter.data = rounded(parameter.data)
        yield
    finally:
        for parameter, value in zip(own, before, strict=True):
            parameter.data = value
        for handle in handles:
            handle.remove()


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", ["wav2vec2", "whisper", "ast", "w2v-bert"])
def test_mixed_precision_costs_what_rounding_costs(
    name: str, folder_of: Callable[[str], str]
) -> None:
    encoder = encoder_of("hf_audio", folder_of(name), layers="weighted")
    exact = encoder(*sounds())
    with rounding_products(encoder):
        expected = (encoder(*sounds()) - exact).norm() / exact.norm()
    assert torch.equal(encoder(*sounds()), exact)
    with torch.autocast("cpu", torch.bfloat16):
        found = (encoder(*sounds()) - exact).norm() / exact.norm()
    # Of bfloat16's eight bits, a few roundings of which add up; and neither free nor several times that.
    assert 2**-10 < expected < 2**-5
    assert expected / 3 < found < expected * 3


# -- saved models are whole -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("modality", "kind", "name"),
    [
        ("audio", "hf_audio", "wav2vec2"), ("audio", "hf_audio", "whisper"), ("audio", "hf_audio", "ast"),
        ("video", "hf_image", "clip"), ("video", "hf_image", "resnet"), ("video", "hf_video", "videomae"),
    ],
)  # fmt: skip
def test_a_saved_model_needs_no_backbone_folder(
    modality: str, kind: str, name: str, folder_of: Callable[[str], str], tmp_path: Path
) -> None:
    folder = tmp_path / name
    shutil.copytree(folder_of(name), folder)
    model = Model.build(["a", "b"], {modality: (kind, {"name": str(folder)})}).eval()
    if modality == "video":
        assert model.config.video is not None
        assert (model.config.video.size, model.config.video.channels) == (SIDE, 3)
    inputs = (
        {"audio": sounds()[0][:3]}
        if modality == "audio"
        else {"video": frames(2, 5, SIDE, SIDE, 3)}
    )
    options: dict[str, Any] = {"faces": "whole"} if modality == "video" else {}
    before = model.predict(inputs, **options)
    model.save_pretrained(tmp_path / "saved")
    shutil.rmtree(folder)
    again = Model.from_pretrained(tmp_path / "saved")
    for one, other in zip(before, again.predict(inputs, **options), strict=True):
        assert one.probabilities == other.probabilities
    assert str(tmp_path) not in (tmp_path / "saved/config.json").read_text()


def test_a_backbone_may_be_left_out_of_the_file(
    folder_of: Callable[[str], str], tmp_path: Path
) -> None:
    options = {"name": folder_of("wav2vec2"), "store_backbone": False}
    model = Model.build(["a", "b"], {"audio": ("hf_audio", options)}).eval()
    model.save_pretrained(tmp_path / "small")
    assert not any("backbone" in key for key in model.state_dict())
    inputs = {"audio": sounds()[0][:3]}
    loaded = Model.from_pretrained(tmp_path / "small").predict(inputs)
    for one, other in zip(model.predict(inputs), loaded, strict=True):
        assert one.probabilities == other.probabilities
    with pytest.raises(ModelError, match=r"is fine-tuned, .* store_backbone has to be True"):
        build_encoder("hf_audio", {**options, "frozen": False})


def test_the_licence_of_the_weights_is_among_the_terms(
    folder_of: Callable[[str], str], tmp_path: Path
) -> None:
    folder = tmp_path / "owned"
    shutil.copytree(folder_of("vit"), folder)
    (folder / "README.md").write_text("---\ntags: [x]\nlicense: cc-by-nc-4.0\n---\n# Card\n")
    model = Model.build(["a", "b"], {"video": ("hf_image", {"name": str(folder)})})
    assert model.config.terms == ("owned: cc-by-nc-4.0",)
    chosen = {"name": str(folder), "terms": "MIT"}
    assert Model.build(["a", "b"], {"video": ("hf_image", chosen)}).config.terms == ("owned: MIT",)


def test_a_pooler_without_weights_is_left_out(
    folder_of: Callable[[str], str], tmp_path: Path
) -> None:
    """A classifier's checkpoint has none; a random one would blur what the model learned."""
    torch.manual_seed(0)
    config = transformers.ViTConfig(**HEADS, image_size=SIDE, patch_size=8)
    save(tmp_path, transformers.ViTForImageClassification(config), picture_model("vit")[1])
    encoder = encoder_of("hf_image", str(tmp_path))
    pixels = encoder.pixels(frames(2, 3, SIDE, SIDE))
    expected = encoder.backbone(pixel_values=pixels).last_hidden_state[:, 0]
    assert encoder.backbone.pooler is None
    assert torch.equal(encoder._pool(pixels), expected)


# -- from files to predictions --------------------------------------------------------------------


@pytest.mark.slow
def test_it_trains_on_real_speech_and_predicts_a_clip(
    folder_of: Callable[[str], str], data_dir: Path, tmp_path: Path
) -> None:
    samples = []
    for actor, split in (("01", "train"), ("02", "train"), ("03", "validation")):
        for emotion, label in (("03", "happy"), ("04", "sad")):
            clips = sorted((data_dir / "ravdess").rglob(f"*-*-{emotion}-*-*-*-{actor}.opus"))[:2]
            samples += [Sample(str(clip), label, split, actor) for clip in clips]
    assert len(samples) == 12
    data = Dataset("ravdess", ("happy", "sad"), tuple(samples), "CC BY-NC-SA 4.0", ("audio",))
    options = {"name": folder_of("wav2vec2"), "layers": "weighted", "width": 16}
    model = Model.build(data.labels, {"audio": ("hf_audio", options)})
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.fit(data, epochs=1, batch_size=4, progress=False)
    changed = {
        key for key, value in model.state_dict().items() if not torch.equal(value, before[key])
    }
    assert not any(".backbone." in key for key in changed)
    assert {"experts.audio.head.weight", "experts.audio.encoder.layer_weights"} <= changed
    clip = data_dir / "fixtures/obama_speech.mp4"
    prediction = model.predict(clip)
    assert prediction.error == ""
    assert np.isclose(sum(prediction.probabilities.values()), 1)
    model.save_pretrained(tmp_path)
    again = Model.from_pretrained(tmp_path)
    assert again.predict(clip).probabilities == prediction.probabilities
    assert [record.data for record in again.config.training][1] == "ravdess"


@pytest.mark.slow
def test_the_command_line_names_encoders(
    folder_of: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = tone_corpus(tmp_path / "data", {"train": 3, "validation": 2})
    encoder = f"audio=hf_audio:{folder_of('wav2vec2')}"
    arguments = ["-d", str(manifest), "-o", str(tmp_path / "model"), "--epochs", "1", "-q"]
    monkeypatch.setattr("sys.argv", ["ter-fast", "train", *arguments, "--encoder", encoder])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    saved = Model.from_pretrained(tmp_path / "model").config.experts["audio"]
    assert (saved.encoder, saved.options["name"]) == ("hf_audio", "wav2vec2")


def test_encoders_of_the_command_line(folder_of: Callable[[str], str]) -> None:
    both = ("audio", "video")
    assert chosen_encoders([], both, 3) == {
        "audio": ("logmel_cnn", {}),
        "video": ("frame_cnn", {"channels": 3}),
    }
    chosen = chosen_encoders([f"video=hf_video:{folder_of('videomae')}"], both, 1)
    assert list(chosen) == ["audio", "video"]
    assert video_input(chosen, None, None, False, "whole") == VideoInput(4, SIDE, 3, "whole")
    assert video_input(chosen, 7, 64, False, "detect") == VideoInput(7, 64, 3)
    assert video_input(chosen_encoders([], both, 1), None, None, False, "detect") == VideoInput()
    for wrong in ("hf_audio:x", "audio=", "audio=hf_audio:", "audio=voice,width=8"):
        with pytest.raises(ModelError, match="expected MODALITY=ENCODER"):
            chosen_encoders([wrong], both, 1)
    with pytest.raises(ModelError, match="the model reads audio and video, not text"):
        chosen_encoders(["text=vector_mlp"], both, 1)
    with pytest.raises(ModelError, match="no built-in encoder for text; give --encoder text=ENC"):
        chosen_encoders([], [*both, "text"], 1)


# -- what cannot be used --------------------------------------------------------------------------


def test_models_of_another_kind_are_named(folder_of: Callable[[str], str], tmp_path: Path) -> None:
    bert = transformers.BertConfig(**HEADS, vocab_size=20)
    transformers.BertModel(bert).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"is a model of text \(bert\); hf_audio reads .*wav2vec2"):
        build_encoder("hf_audio", {"name": str(tmp_path)})
    with pytest.raises(ModelError, match=r"is a model of audio \(wav2vec2\); hf_image reads .*vit"):
        build_encoder("hf_image", {"name": folder_of("wav2vec2")})
    with pytest.raises(ModelError, match=r"is a model of video \(videomae\); hf_image reads"):
        build_encoder("hf_image", {"name": folder_of("videomae")})
    with pytest.raises(ModelError, match=r"is a model of image \(vit\); hf_video reads .*videomae"):
        build_encoder("hf_video", {"name": folder_of("vit")})


def damaged(folder: str, target: Path, filename: str, content: bytes | None) -> str:
    shutil.copytree(folder, target)
    if content is None:
        (target / filename).unlink()
    else:
        (target / filename).write_bytes(content)
    return str(target)


@pytest.mark.parametrize(
    ("filename", "content", "message"),
    [
        ("config.json", None, "cannot be used as a model.*It should hold config.json"),
        ("config.json", b'{"model_ty', "cannot be used as a model.*valid JSON"),
        ("config.json", b'{"model_type": "nope"}', "cannot be used as a model.*`nope`"),
        ("config.json", b"[]", "cannot be used as a model"),
        ("preprocessor_config.json", None, "has no preprocessor_config.json"),
        ("preprocessor_config.json", b"{", "cannot be used as a model"),
        ("model.safetensors", None, "cannot be used as a model.*model.safetensors"),
        ("model.safetensors", b"\x00" * 100, "cannot be used as a model"),
        (
            "preprocessor_config.json",
            b'{"feature_extractor_type": "Clap"}',
            "by Clap, which is not",
        ),
        (
            "preprocessor_config.json",
            b'{"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 8000}',
            "reads sound at 8000 Hz; clips are read at 16000 Hz",
        ),
    ],
)
def test_damaged_folders_say_what_is_wrong(
    filename: str,
    content: bytes | None,
    message: str,
    folder_of: Callable[[str], str],
    tmp_path: Path,
) -> None:
    folder = damaged(folder_of("wav2vec2"), tmp_path / "model", filename, content)
    with pytest.raises(ModelError, match=message):
        build_encoder("hf_audio", {"name": folder})


def test_weights_of_another_model_are_refused(
    folder_of: Callable[[str], str], tmp_path: Path
) -> None:
    weights = (Path(folder_of("vit")) / "model.safetensors").read_bytes()
    folder = damaged(folder_of("dinov2"), tmp_path / "model", "model.safetensors", weights)
    with pytest.raises(ModelError, match=r"lack .* tensors, such as|cannot be used as a model"):
        build_encoder("hf_image", {"name": folder})


def test_names_that_the_hub_does_not_give() -> None:
    with pytest.raises(ModelError, match=r"no model 'nobody/none': .* the hub did not give it"):
        build_encoder("hf_audio", {"name": "nobody/none"})
    with pytest.raises(ModelError, match=r"'/no/such/folder': it is no folder here, and no name"):
        build_encoder("hf_audio", {"name": "/no/such/folder"})


def test_options_that_cannot_be(folder_of: Callable[[str], str]) -> None:
    folder = folder_of("whisper")
    with pytest.raises(ModelError, match="layers is 'first'; expected last or weighted"):
        build_encoder("hf_audio", {"name": folder, "layers": "first"})
    with pytest.raises(ModelError, match="trainable_layers is -1"):
        build_encoder("hf_audio", {"name": folder, "trainable_layers": -1})
    with pytest.raises(ModelError, match="does not take these options"):
        Model.build(["a", "b"], {"video": ("hf_image", {"nome": folder})})
    encoder = encoder_of("hf_audio", folder)
    with pytest.raises(ModelError, match=r"reads 2 s of sound at once, not 3 s; .*window_seconds"):
        encoder(torch.zeros(1, 48_000), torch.tensor([48_000]))


def test_luma_is_refused_before_anything_is_read(folder_of: Callable[[str], str]) -> None:
    modalities = {"video": ("hf_image", {"name": folder_of("vit")})}
    with pytest.raises(ModelError, match="reads RGB, and the frames are luma"):
        Model.build(["a", "b"], modalities, video=VideoInput(size=SIDE, channels=1))
    with pytest.raises(ModelError, match="the frames have 1 channel"):
        encoder_of("hf_image", folder_of("vit"))(frames(1, 2, 1, SIDE, SIDE), torch.tensor([2]))


def test_a_saved_description_that_is_damaged(folder_of: Callable[[str], str]) -> None:
    model = Model.build(["a", "b"], {"audio": ("hf_audio", {"name": folder_of("wav2vec2")})})
    options = dict(model.config.experts["audio"].options)
    with pytest.raises(ModelError, match="the description of the backbone is damaged"):
        build_encoder("hf_audio", {**options, "backbone": {"configuration": 3}})
    unknown = {**options["backbone"], "config": {"model_type": "nope", "transformers_version": "9"}}
    with pytest.raises(ModelError, match=r"cannot build the backbone 'nope' .* transformers 9"):
        build_encoder("hf_audio", {**options, "backbone": unknown})


def test_without_transformers_the_message_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ModelError, match=r"pip install 'ter_fast\[hf\]'"):
        build_encoder("hf_audio", {"name": "facebook/wav2vec2-base"})
