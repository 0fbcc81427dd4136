"""Files that ter_fast 0.1 wrote: models, cards and recipes in the old names are read with the same bits."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ter_fast import Model
from ter_fast.experts.card import CardFacts
from ter_fast.experts.out_of_distribution import OutOfDistributionConfig, OutOfDistributionGuard
from ter_fast.trust.trusted_threshold import TrustedThreshold

SENTENCE = "for new speakers, at most 0.1 of the trusted predictions are wrong"


def guarded() -> Model:
    """Return a model with a guard, whose buffers are none of the initial ones, and a guarantee."""
    model = Model.build(["calm", "tense"], modalities=("audio",), seed=1).eval()
    features: int = model.experts["audio"].encoder.out_features
    guard = OutOfDistributionGuard(2, features, limit=0.5)
    guard.means.copy_(torch.randn(2, features, generator=torch.Generator().manual_seed(0)))
    guard.whitening.copy_(torch.eye(features))
    model.experts["audio"].ood = guard
    expert = replace(
        model.config.experts["audio"],
        ood=OutOfDistributionConfig(guard.limit, guard.power, 2, "mine", {"train": 9}),
    )
    threshold = TrustedThreshold(0.5, "risk=0.1", "mine", 9, guarantee_text=SENTENCE)
    model.config = replace(
        model.config,
        experts={"audio": expert},
        thresholds={"audio": threshold},
        window_thresholds={"audio": threshold},
    )
    return model


def as_before(folder: Path) -> None:
    """Rewrite a saved model with the names of ter_fast 0.1."""
    weights = load_file(folder / "model.safetensors")
    old = {name.replace(".ood.", ".familiarity."): value for name, value in weights.items()}
    assert set(old) - set(weights)
    save_file(old, folder / "model.safetensors", {"format": "pt"})
    text = (folder / "config.json").read_text(encoding="utf-8")
    text = text.replace('"ood":', '"familiarity":').replace('"guarantee_text":', '"promise":')
    values = json.loads(text)
    weights_sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    (folder / "config.json").write_text(json.dumps({**values, "weights_sha256": weights_sha256}))


def test_a_guarded_model_in_the_old_format_answers_with_the_same_bits(tmp_path: Path) -> None:
    model = guarded()
    model.save_pretrained(tmp_path)
    as_before(tmp_path)
    loaded = Model.from_pretrained(tmp_path)
    assert loaded.config == model.config
    assert loaded.config.thresholds["audio"].guarantee_text == SENTENCE
    expected, found = model.state_dict(), loaded.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    sound = torch.randn(3, 16000, generator=torch.Generator().manual_seed(1))
    answers, again = model.predict({"audio": sound}), loaded.predict({"audio": sound})
    assert [each.row() for each in again] == [each.row() for each in answers]
    # Saved again, it has the names of today.
    loaded.save_pretrained(tmp_path)
    assert "familiarity" not in (tmp_path / "config.json").read_text(encoding="utf-8")
    assert not [n for n in load_file(tmp_path / "model.safetensors") if "familiarity" in n]


def test_a_card_with_breakdowns_is_read(tmp_path: Path) -> None:
    evaluation = {
        **dict.fromkeys(("name", "modalities", "pairing"), "x"),
        "samples": 1, "groups": 1, "threshold": None, "figures": {}, "breakdowns": {},
        "confusion": [[1]], "labels": ["calm"],
    }  # fmt: skip
    facts = {
        "model_sha256": "0", "title": "", "evaluations": [evaluation], "robustness": [],
        "splits": [], "notes": "",
    }  # fmt: skip
    (tmp_path / "card.json").write_text(json.dumps(facts))
    (found,) = CardFacts.read(tmp_path / "card.json", "0").evaluations
    assert found["subgroups"] == {}
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    (given,) = CardFacts().update([tmp_path / "evaluation.json"]).evaluations
    assert given == found
