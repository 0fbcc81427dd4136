"""Ensembles: the mean of their members' logits, in any form they may be kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.tiny import noisy_tone, tiny_model
from ter_fast import Model, ModelError
from ter_fast.experts.encoders.registry import build_encoder
from ter_fast.media.features import Batch, collate

LABELS = ("calm", "tense", "wild")


def member(seed: int, scale: float = 1.0, encoder: str = "logmel_cnn", **options: object) -> Model:
    settings = {"widths": [4, 6, 8, 16], "dropout": 0.0, **options}
    model = Model.build(LABELS, {"audio": (encoder, settings)}, seed=seed, window_seconds=2.0)
    model.eval()
    expert = model.config.experts["audio"]
    config = replace(model.config, experts={"audio": replace(expert, evidence_scale=scale)})
    scaled = Model(config).eval()
    scaled.load_state_dict(model.state_dict())
    return scaled


def sounds() -> Batch:
    rows = [{"audio": torch.from_numpy(noisy_tone(300.0 * (i + 1), 0.4 + i))} for i in range(3)]
    return collate([*rows, {"audio": None}], {"audio": torch.zeros(0)})


def logits(model: Model) -> torch.Tensor:
    """Of evidence by exp they are its logarithm."""
    return model.evidence(sounds())[0][0, :3].log()


@pytest.mark.slow
@torch.no_grad()
def test_logits_are_the_mean_of_those_of_the_members(tmp_path: Path) -> None:
    members = [
        member(0, scale=3.0),
        member(1, widths=[4, 4, 4, 8]),
        member(2, 0.5, "voice", width=8),
    ]
    joined = Model.from_experts(audio=members)
    mean = torch.stack([logits(each) for each in members]).mean(0)
    torch.testing.assert_close(logits(joined), mean, atol=1e-5, rtol=1e-5)
    joined.save_pretrained(tmp_path)
    again = Model.from_pretrained(tmp_path)
    assert torch.equal(logits(again), logits(joined))
    assert again.config == joined.config
    # What is averaged once can be averaged again.
    twice = Model.from_experts(audio=[again, members[0]])
    torch.testing.assert_close(logits(twice), (mean + logits(members[0])) / 2, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_an_ensemble_is_a_modality_like_any_other() -> None:
    face = tiny_model("video", labels=LABELS)
    joined = Model.from_experts(audio=[member(0), member(1)], video=face)
    assert joined.config.modalities == ("audio", "video")
    assert joined.config.thresholds == {}
    evidence, mask = joined.evidence(sounds())
    assert mask.tolist() == [[True, True, True, False], [False] * 4]
    assert not evidence[:, 3].any()


def test_one_member_is_itself_and_its_threshold_stays() -> None:
    single = member(0)
    assert Model.from_experts(audio=[single]).config == Model.from_experts(audio=single).config


def test_members_that_cannot_be_averaged_are_refused() -> None:
    with pytest.raises(ModelError, match="no model is given for 'audio'"):
        Model.from_experts(audio=[])
    with pytest.raises(ModelError, match="has only video"):
        Model.from_experts(audio=[member(0), tiny_model("video", labels=LABELS)])
    with pytest.raises(ModelError, match=r"differ in their classes .*train them alike"):
        Model.from_experts(audio=[member(0), tiny_model("audio", labels=("a", "b"))])
    soft = [tiny_model("audio", labels=LABELS, activation="softplus") for _ in range(2)]
    assert Model.from_experts(audio=soft).config.activation == "softplus"
    with pytest.raises(ModelError, match=r"differ in their activation \(exp and softplus\)"):
        Model.from_experts(audio=[member(0), soft[0]])
    scaled = replace(soft[0].config.experts["audio"], evidence_scale=2.0)
    soft[0].config = replace(soft[0].config, experts={"audio": scaled})
    with pytest.raises(ModelError, match="average them before they are calibrated"):
        Model.from_experts(audio=soft)


def test_an_encoder_without_members_is_refused() -> None:
    with pytest.raises(ModelError, match="an ensemble needs members"):
        build_encoder("ensemble", {"members": []})
