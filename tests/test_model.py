"""`Model`: building, joining experts, and opinions from batches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from helpers.tiny import AUDIO, TEXT, VIDEO, WHOLE, rescaled, tiny_model, with_threshold
from ter_fast import DataError, Model, ModelError, VideoInput, fuse
from ter_fast.media.features import Batch, collate
from ter_fast.opinions.opinion import RULES


def batch_of(rows: int = 3, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        {
            "audio": torch.randn(rows, 4000, generator=generator) * 0.1,
            "video": torch.randint(
                0, 256, (rows, 2, 1, 32, 32), generator=generator, dtype=torch.uint8
            ),
        },
        {"audio": torch.full((rows,), 4000), "video": torch.full((rows,), 2)},
    )


def test_the_same_seed_builds_the_same_model_and_leaves_torch_alone() -> None:
    state = torch.get_rng_state()
    first, second, other = (Model.build("ab", ("audio",), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    weights = [each.state_dict() for each in (first, second, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(
        weights[0]["experts.audio.head.weight"], weights[2]["experts.audio.head.weight"]
    )


def test_default_model_reads_both_modalities() -> None:
    model = Model.build(["x", "y"], video=VideoInput(channels=3))
    assert model.config.modalities == ("audio", "video")
    assert model.config.experts["video"].options["channels"] == 3
    assert model.config.labels == ("x", "y")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a", "b"], ("smell",)), "no built-in encoder for smell; give a mapping"),
        ((["a", "b"], ()), "at least one modality"),
        ((["a"], ("audio",)), "at least two different class names"),
        ((["a", "a"], ("audio",)), "at least two different class names"),
        ((["a", "b"], {"text": ("nope", {})}), "no encoder is registered as 'nope'"),
        ((["a", "b"], {"text": ("vector_mlp", {})}), "does not take these options"),
    ],
)
def test_models_that_cannot_be_are_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Model.build(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("setting", ["rule", "activation", "confidence"])
def test_unknown_settings_are_refused_with_the_known_ones(setting: str) -> None:
    with pytest.raises(ModelError, match=f"{setting} is 'nope'; expected one of "):
        Model.build("ab", ("audio",), **{setting: "nope"})


@pytest.mark.parametrize("rule", RULES)
@torch.no_grad()
def test_forward_fuses_the_experts_evidence(rule: str) -> None:
    model = tiny_model("audio", "video", rule=rule)
    batch = batch_of()
    evidence, mask = model.evidence(batch)
    assert evidence.shape == (2, 3, 3)
    assert mask.all()
    assert (evidence >= 0).all()
    torch.testing.assert_close(model(batch).evidence, fuse(evidence, rule).evidence)
    for row, name in enumerate(("audio", "video")):
        alone = model.experts[name](batch.inputs[name], batch.lengths[name])
        torch.testing.assert_close(evidence[row], alone)


@torch.no_grad()
def test_a_missing_modality_has_no_say() -> None:
    model = tiny_model("audio", "video")
    batch = batch_of()
    lengths = {"audio": torch.tensor([4000, 0, 0]), "video": torch.tensor([0, 2, 0])}
    evidence, mask = model.evidence(Batch(batch.inputs, lengths))
    assert mask.tolist() == [[True, False, False], [False, True, False]]
    assert not evidence[~mask].any()
    full, _ = model.evidence(batch)
    torch.testing.assert_close(evidence[mask], full[mask])
    fused = model(Batch(batch.inputs, lengths))
    torch.testing.assert_close(fused.evidence[0], full[0, 0])
    torch.testing.assert_close(fused.evidence[1], full[1, 1])
    assert fused.uncertainty[2] == 1
    assert not fused.trusted(0.0)[2]


@torch.no_grad()
def test_a_batch_may_lack_a_modality_altogether() -> None:
    model = tiny_model("audio", "video", "text")
    batch = batch_of()
    sound = Batch({"audio": batch.inputs["audio"]}, {"audio": batch.lengths["audio"]})
    evidence, mask = model.evidence(sound)
    assert mask.any(1).tolist() == [True, False, False]
    torch.testing.assert_close(model(sound).evidence, evidence[0])


@pytest.mark.parametrize(
    ("modality", "encoder"),
    [
        ("audio", "logmel_cnn"),
        ("audio", "voice"),
        ("audio", "voice_functionals"),
        ("video", "frame_cnn"),
    ],
)
def test_a_batch_of_none_has_no_answers(modality: str, encoder: str) -> None:
    model = Model.build(("high", "low"), {modality: (encoder, {})}).eval()
    nothing = {"audio": torch.zeros(0, 16_000), "video": torch.zeros(0, 4, 1, 48, 48)}[modality]
    lengths = torch.zeros(0, dtype=torch.long)
    assert model.experts[modality](nothing, lengths).shape == (0, 2)


def test_confidence_is_of_the_models_kind() -> None:
    model = tiny_model("audio", "video", confidence="margin")
    opinion, each = model.opinions(torch.rand(2, 4, 3) * 5, torch.ones(2, 4, dtype=torch.bool))
    torch.testing.assert_close(opinion.confidence, opinion.confidence_of("margin"))
    torch.testing.assert_close(each["audio"].confidence, each["audio"].confidence_of("margin"))


def test_gradients_reach_every_weight() -> None:
    model = tiny_model("audio", "video").train()
    model(batch_of(4)).evidence.square().sum().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # A linear map of a softmax that does not change with a constant: the pooling's bias has no say.
    assert [name for name in silent if not name.endswith("pool.score.bias")] == []


@torch.no_grad()
def test_evidence_scale_multiplies_evidence() -> None:
    model = tiny_model("audio")
    loud = rescaled(model, "audio", 3.0)
    torch.testing.assert_close(loud.evidence(batch_of())[0], 3 * model.evidence(batch_of())[0])


@torch.no_grad()
def test_joined_experts_know_the_union_of_their_classes() -> None:
    voice = tiny_model("audio", labels=("sad", "calm", "angry"))
    face = tiny_model("video", labels=("happy", "angry"))
    joined = Model.from_experts(audio=voice, video=face)
    assert joined.config.labels == ("angry", "calm", "happy", "sad")
    evidence, _ = joined.evidence(batch_of())
    heard, seen = voice.evidence(batch_of())[0][0], face.evidence(batch_of())[0][0]
    torch.testing.assert_close(
        evidence[0], torch.stack([heard[:, 2], heard[:, 1], 0 * heard[:, 0], heard[:, 0]], 1)
    )
    torch.testing.assert_close(
        evidence[1], torch.stack([seen[:, 1], 0 * seen[:, 0], seen[:, 0], 0 * seen[:, 0]], 1)
    )
    assert not joined.training


@torch.no_grad()
def test_merged_classes_add_their_evidence() -> None:
    voice = rescaled(tiny_model("audio", labels=("angry", "calm", "neutral")), "audio", 2.5)
    face = tiny_model("video", labels=("angry", "neutral"))
    joined = Model.from_experts(merge={"calm": "neutral"}, audio=voice, video=face)
    assert joined.config.labels == ("angry", "neutral")
    heard = voice.evidence(batch_of())[0][0]
    expected = torch.stack([heard[:, 0], heard[:, 1] + heard[:, 2]], 1)
    torch.testing.assert_close(joined.evidence(batch_of())[0][0], expected)
    assert joined.config.experts["audio"].evidence_scale == 2.5


def test_joining_does_not_share_weights() -> None:
    voice, face = tiny_model("audio"), tiny_model("video")
    joined = Model.from_experts(audio=voice, video=face)
    with torch.no_grad():
        voice.experts["audio"].head.weight.zero_()
    assert joined.experts["audio"].head.weight.any()


def test_joining_keeps_each_experts_threshold_and_has_no_joint_one() -> None:
    voice = with_threshold(tiny_model("audio"), 0.4, "audio")
    face = with_threshold(tiny_model("video"), 0.6, "video")
    joined = Model.from_experts(audio=voice, video=face).config
    assert {name: each.threshold for name, each in joined.thresholds.items()} == {
        "audio": 0.4,
        "video": 0.6,
    }
    assert joined.window_thresholds == {}
    face.config = replace(face.config, window_thresholds={"video": joined.thresholds["audio"]})
    again = Model.from_experts(audio=voice, video=face).config
    assert {name: each.threshold for name, each in again.window_thresholds.items()} == {
        "video": 0.4
    }


def test_more_classes_void_an_experts_threshold() -> None:
    """K / S depends on K, so a threshold of three classes says nothing about four."""
    voice = with_threshold(tiny_model("audio", labels=("a", "b", "c")), 0.4, "audio")
    face = with_threshold(tiny_model("video", labels=("a", "b", "c", "d")), 0.6, "video")
    joined = Model.from_experts(audio=voice, video=face)
    assert set(joined.config.thresholds) == {"video"}


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("activation", ("softplus", "exp")),
        ("confidence", ("margin", "max_belief")),
        ("window_seconds", (2.0, 5.0)),
    ],
)
def test_experts_that_differ_are_not_joined(setting: str, values: tuple[object, object]) -> None:
    voice = tiny_model("audio", **{setting: values[0]})
    face = tiny_model("video", **{setting: values[1]})
    with pytest.raises(ModelError, match=f"differ in {setting} .*train them alike"):
        Model.from_experts(audio=voice, video=face)


def test_experts_of_another_modality_are_refused() -> None:
    with pytest.raises(ModelError, match="given for 'video' has only audio"):
        Model.from_experts(video=tiny_model("audio"))
    with pytest.raises(ModelError, match="needs at least one model"):
        Model.from_experts()


@torch.no_grad()
def test_one_expert_of_a_joint_model_can_be_taken_out() -> None:
    both = tiny_model("audio", "video")
    voice = Model.from_experts(audio=both)
    assert voice.config.modalities == ("audio",)
    assert voice.config.video is None
    torch.testing.assert_close(voice.evidence(batch_of())[0][0], both.evidence(batch_of())[0][0])


def test_the_order_of_modalities_is_that_of_the_model() -> None:
    model = Model.build("ab", {"video": VIDEO, "text": TEXT, "audio": AUDIO}, video=WHOLE)
    assert model.config.modalities == ("video", "text", "audio")
    assert list(model.experts) == ["video", "text", "audio"]


@torch.no_grad()
def test_order_of_the_head_does_not_matter() -> None:
    model = tiny_model("audio", labels=("a", "b", "c"))
    config = replace(model.config, labels=("c", "a", "b"))
    moved = Model(config)
    moved.load_state_dict(model.state_dict())
    first, second = model.evidence(batch_of())[0][0], moved.eval().evidence(batch_of())[0][0]
    torch.testing.assert_close(second, first[:, [2, 0, 1]])


def test_a_model_keeps_the_defaults_of_its_day() -> None:
    options = Model.build(["a", "b"]).config.experts["audio"].options
    assert (options["window"], options["hop"], options["n_mels"]) == (512, 256, 64)
    shipped = Model.from_pretrained("default").config.experts
    assert shipped["audio"].options["members"][0]["options"]["hop"] == 256
    assert shipped["video"].options["members"][0]["options"]["channels"] == 1


@torch.no_grad()
def test_decide_holds_each_row_to_the_threshold_of_its_modalities() -> None:
    model = tiny_model("audio", "text")
    generator = torch.Generator().manual_seed(0)
    items = [
        {
            "audio": torch.randn(8000, generator=generator) if sound else None,
            "text": torch.randn(5, generator=generator) if text else None,
        }
        for sound, text in ((1, 1), (1, 1), (1, 0), (0, 1), (0, 0))
    ]
    batch = collate(items, {"audio": torch.zeros(0), "text": torch.zeros(0)})
    assert model.decide(batch).trusted is None
    opinion = model(batch)
    with_threshold(model, float(opinion.confidence[0]), "audio+text")
    with_threshold(model, 0.0, "audio")
    decision = model.decide(batch)
    torch.testing.assert_close(decision.probability, opinion.probability)
    torch.testing.assert_close(decision.confidence, opinion.confidence)
    assert torch.equal(decision.prediction, opinion.prediction)
    assert decision.trusted is not None
    second = bool(opinion.confidence[1] >= opinion.confidence[0])
    assert decision.trusted.tolist() == [True, second, True, False, False]


@pytest.mark.parametrize(
    ("method", "keyword", "meant", "others"),
    [
        ("predict", "windows", "window", ("hop", "faces", "decode", "batch_size")),
        ("preprocessor", "batch_size", "", ("window", "face_model", "sampling")),
        ("live", "delay", "max_delay", ("window", "hop", "faces")),
        ("fit", "epoch", "epochs", ("learning_rate", "face_model", "resume")),
        ("fit_ood", "face_modle", "face_model", ("progress",)),
        ("fit_last_layer", "penalties", "penalty", ("class_balance",)),
        ("calibrate", "criterium", "criterion", ("risk", "workers")),
        ("evaluate", "resample", "resamples", ("modalities", "workers")),
        ("evaluate_corrupted", "severity", "severities", ("resamples",)),
    ],
)
def test_an_unknown_keyword_is_refused_with_those_there_are(
    method: str, keyword: str, meant: str, others: tuple[str, ...]
) -> None:
    data: tuple[object, ...] = () if method == "preprocessor" else (None,)
    with pytest.raises(TypeError, match=f"{method} takes no keyword '{keyword}'") as caught:
        getattr(tiny_model("audio"), method)(*data, **{keyword: 1})
    said = str(caught.value)
    assert f"Did you mean '{meant}'?" in said if meant else "Correct it." in said
    assert {meant or "hop", *others} <= set(said.replace(",", " ").split())


def test_keywords_that_prepare_takes_reach_it() -> None:
    """Those of `calibrate` and `evaluate` are not all their own."""
    model = tiny_model("audio")
    for method in (model.calibrate, model.evaluate):
        with pytest.raises(DataError, match="dataset"):
            method(progress=False, workers=1, face_model=None, max_unreadable=3)
