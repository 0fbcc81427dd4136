"""Out-of-distribution detection: the distance, the discount by it, and where both are stored."""

from __future__ import annotations

import json
import math
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf
from typer.testing import CliRunner

from benchmarks.experiments.signals import signal
from helpers.tiny import AUDIO, LABELS, tiny_model, tone_corpus, with_threshold
from ter_fast import DataError, Model, ModelConfig, ModelError
from ter_fast.cli import app
from ter_fast.data import Dataset, Sample, load_dataset
from ter_fast.experts.encoders.registry import register_encoder
from ter_fast.experts.expert import Expert
from ter_fast.experts.out_of_distribution import (
    OutOfDistributionGuard,
    collect_ood_weights,
    distance_limit,
    ood_weight,
)
from ter_fast.media.features import Batch, collate
from ter_fast.predict.aggregate import ClipRecord, aggregate
from ter_fast.predict.evidence import evidence_by_window
from ter_fast.predict.prepare import PreparedData
from ter_fast.predict.source import Window
from ter_fast.train import Settings, drop_ood, fit_prepared
from ter_fast.train.encoded import encode
from ter_fast.train.out_of_distribution import learn_ood

EMPTY = {"text": torch.zeros(0)}
CENTRES = 3 * np.eye(5)[:3]


@register_encoder("test_ood_as_is")
class AsIs(torch.nn.Module):
    """Features that are the values: what is far away is far away."""

    def __init__(self, size: int = 5) -> None:
        super().__init__()
        self.out_features = size

    def forward(self, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return values


def vectors(seed: int = 0) -> Model:
    """A model of vectors that has learned nothing, and whose evidence grows with them."""
    return Model.build("abc", {"text": ("test_ood_as_is", {})}, seed=seed).eval()


def known(count: int, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Draw features of three classes, (N, 5), and their labels."""
    labels = np.arange(count) % 3
    return CENTRES[labels] + np.random.default_rng(seed).normal(size=(count, 5)), labels


def prepared(values: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> PreparedData:
    rows = [torch.from_numpy(value).float() for value in values]
    return PreparedData(
        [[Window({"text": row}, {}, 0.0, 1.0)] for row in rows],
        torch.from_numpy(labels),
        torch.eye(3)[labels],
        tuple(Sample(str(i), "abc"[k], "", str(i)) for i, k in enumerate(labels)),
        EMPTY,
        (),
    )


def batch_of(values: Any) -> Batch:
    return collate([{"text": row} for row in torch.as_tensor(values).float()], EMPTY)


@pytest.fixture
def reader() -> Model:
    """A model of vectors with an out-of-distribution guard."""
    model = vectors()
    learn_ood(model, prepared(*known(90, 0)), prepared(*known(60, 1)), "vectors")
    return model


def expert_of(model: Model, name: str = "text") -> Expert:
    found = model.experts[name]
    assert isinstance(found, Expert)
    return found


def guard_of(model: Model, name: str = "text") -> OutOfDistributionGuard:
    found = expert_of(model, name).ood
    assert found is not None
    return found


def unguarded(model: Model, batch: Batch) -> torch.Tensor:
    """Return the evidence that nothing discounts, `(B, K)`."""
    expert = expert_of(model)
    kept, expert.ood = expert.ood, None
    try:
        return model.evidence(batch)[0][0]
    finally:
        expert.ood = kept


# -- the formulas ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [90, 4])
def test_distance_and_reliability_are_as_defined(count: int) -> None:
    """Also of fewer clips than features."""
    features, labels = known(count, 0)
    mixing = np.random.default_rng(9).normal(size=(5, 5)) * [1, 10, 0.1, 1, 30] + 50
    features, held, asked = (each @ mixing for each in (features, known(60, 1)[0], known(40, 2)[0]))
    found = OutOfDistributionGuard.fit(features, labels, held, share=0.1, power=3)
    means = np.stack([features[labels == each].mean(0) for each in range(3)])
    precision = LedoitWolf(assume_centered=True).fit(features - means[labels]).precision_

    def slow(values: Any) -> list[float]:
        return [min(mahalanobis(one, mean, precision) for mean in means) for one in values]

    limit = float(np.quantile(slow(held), 0.9))
    asked[:4] *= [[1.1], [1.5], [3], [100]]
    expected = [min(1.0, (limit / each) ** 3) for each in slow(asked)]
    given_ = torch.from_numpy(asked)
    np.testing.assert_allclose(found.distance(given_), slow(asked), rtol=2e-3)
    np.testing.assert_allclose(found.weight(given_), expected, rtol=1e-2)
    assert found.limit == pytest.approx(limit, rel=2e-3)
    assert found(given_).dtype == torch.float32


DISTANCES = st.lists(
    st.sampled_from([0.0, 1.0, 2.0, 2.0 + 1e-6, 1e30, math.inf, math.nan]) | st.floats(0, 1e6),
    min_size=1,
)


@given(DISTANCES, st.sampled_from([0.0, 1e-3, 2.0, 1e5]), st.sampled_from([0.5, 4.0]))
def test_reliability_falls_from_one_to_zero(
    distances: list[float], limit: float, power: float
) -> None:
    found = ood_weight(torch.tensor(distances, dtype=torch.float64), limit, power).tolist()
    for distance, weight in zip(distances, found, strict=True):
        if distance <= limit:
            assert weight == 1
        else:
            slow = 0.0 if math.isnan(distance) else (limit / distance) ** power
            assert weight == pytest.approx(slow, rel=1e-9, abs=1e-300)


def test_the_limit_spares_most_and_needs_distances() -> None:
    rng = np.random.default_rng(1)
    limit = distance_limit(rng.exponential(size=199), 0.1)
    assert 0.8 < (rng.exponential(size=4000) <= limit).mean() < 0.97
    for values, share in ((np.empty(0), 0.1), (np.array([1.0, np.nan]), 0.1), (np.ones(3), 1.0)):
        with pytest.raises(DataError, match="distances"):
            distance_limit(values, share)


def test_one_class_is_enough_and_one_clip_is_not() -> None:
    rng = np.random.default_rng(0)
    features, held = rng.normal(size=(40, 3)), rng.normal(size=(200, 3))
    alone = OutOfDistributionGuard.fit(features, np.zeros(40, np.int64), held)
    assert alone.means.shape == (1, 3)
    assert float((alone(torch.from_numpy(held)) == 1).float().mean()) >= 0.98
    with pytest.raises(DataError, match="at least two clips"):
        OutOfDistributionGuard.fit(features[:1], np.zeros(1, np.int64), held)
    with pytest.raises(DataError, match="whose features differ"):
        OutOfDistributionGuard.fit(np.ones((6, 3)), np.arange(6) % 2, held)
    with pytest.raises(DataError, match="power is 0"):
        OutOfDistributionGuard.fit(features, np.zeros(40, np.int64), held, power=0)
    with pytest.raises(DataError, match="1 distances, 0 of them finite"):
        OutOfDistributionGuard.fit(features, np.zeros(40, np.int64), np.full((1, 3), np.nan))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30])
def test_what_is_no_number_is_out_of_distribution(reader: Model, value: float) -> None:
    guard = guard_of(reader)
    features = torch.zeros(3, 5)
    features[1, 0] = value
    assert guard(features)[1] == 0
    assert guard(features)[0] > 0
    found = reader.decide(batch_of([[0.0] * 5, [value] * 5]))
    # Evidence that is not a number stays so, and is never trusted either.
    assert not found.confidence[1] > 1e-6
    assert found.confidence[0] > 0


# -- in an expert ---------------------------------------------------------------------------------


@torch.no_grad()
def test_known_inputs_keep_their_bits_and_others_are_unknown(reader: Model) -> None:
    near, far = batch_of(known(60, 1)[0]), batch_of(known(30, 3)[0] * 100)
    plain, evidence = unguarded(reader, near), reader.evidence(near)[0][0]
    weight = guard_of(reader)(near.inputs["text"])
    assert float((weight == 1).float().mean()) > 0.95
    assert torch.equal(evidence[weight == 1], plain[weight == 1])
    assert (evidence[weight < 1].sum(1) < plain[weight < 1].sum(1)).all()
    # Without the discount it would be as sure of what is out of distribution.
    assert float(unguarded(reader, far).sum(1).median()) > 1e3
    opinion = reader(far)
    assert (opinion.uncertainty > 0.99).all()
    assert (reader.decide(far).confidence < 0.01).all()
    assert torch.equal(opinion.prediction, unguarded(reader, far).argmax(1))


def test_a_clip_says_which_of_its_windows_are_out_of_distribution(reader: Model) -> None:
    near = torch.from_numpy(known(3, 1)[0][0]).float()
    values = (near, 100 * near, 100 * near)
    windows = [Window({"text": each}, {}, float(i), i + 1.0) for i, each in enumerate(values)]
    found = evidence_by_window(reader, windows, EMPTY)
    strange = "text: unlike what its expert was trained on"

    def reasons(*rows: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        record = ClipRecord("clip", ended=True)
        for row in rows:
            record.fill(record.add(windows[row]), *found[row])
        (clip,) = aggregate(reader.config, [record])
        return clip.reasons, [window.reasons for window in clip.windows]

    clip, (first, second, _) = reasons(0, 1, 2)
    assert f"{strange}, and mostly not believed, in 2 of 3 windows (1 to 3 s)" in clip
    assert not any("unlike" in why for why in first)
    assert f"{strange}, so 0% of its belief counts" in second
    assert f"{strange}, and mostly not believed" in reasons(1, 2)[0]
    assert not any("unlike" in why for why in reasons(0)[0])
    assert f"{strange}, so 0% of its belief counts" in reasons(1)[0]


def test_what_another_thread_asks_the_same_experts_is_its_own(reader: Model) -> None:
    near, far = batch_of(known(4, 1)[0]), batch_of(known(1, 3)[0] * 100)
    with collect_ood_weights(dict(reader.experts.items())) as weights:
        reader.evidence(near)
        other = threading.Thread(target=reader.evidence, args=(far,))
        other.start()
        other.join()
    assert weights["text"].shape == (4,)
    assert not guard_of(reader)._forward_hooks


@torch.no_grad()
def test_belief_is_what_the_scaled_expert_says_times_w_over_the_models_classes() -> None:
    """After the scale and after the merging: w is a share of the belief that is shown."""
    merged = Model.from_experts({"b": "a"}, text=vectors())
    wide = replace(merged.config, labels=("a", "c", "d", "e"))
    wide = replace(wide, experts={"text": replace(wide.experts["text"], evidence_scale=30.0)})
    plain = Model(wide).eval()
    plain.load_state_dict(merged.state_dict())
    batch = batch_of(known(30, 2)[0] * 3)
    before = plain(batch)
    learn_ood(plain, prepared(*known(90, 0)), prepared(*known(60, 1)))
    weight = guard_of(plain)(batch.inputs["text"])
    assert 0 < float(weight.min()) < 0.5
    after = plain(batch)
    torch.testing.assert_close(after.belief, weight[:, None] * before.belief)
    torch.testing.assert_close(after.uncertainty, 1 - weight * (1 - before.uncertainty))
    capped = weight < 1
    assert (after.evidence.sum(1)[capped] <= (4 * weight / (1 - weight))[capped] * (1 + 1e-5)).all()


def test_training_sees_no_discount_and_no_gradient_passes(reader: Model) -> None:
    far = batch_of(known(12, 3)[0] * 5)
    reader.train()
    assert torch.equal(reader.evidence(far)[0][0], unguarded(reader, far))
    reader.eval()
    values = far.inputs["text"].clone().requires_grad_()
    far.inputs["text"] = values
    (slope,) = torch.autograd.grad(reader.evidence(far)[0].sum(), values)
    weight = guard_of(reader)(values)[:, None]
    assert float(weight.min()) < 0.9
    evidence = unguarded(reader, far)
    strength = evidence.sum(1, keepdim=True) + 3
    fixed = 3 * weight * evidence / (strength - weight * (strength - 3))
    (expected,) = torch.autograd.grad(fixed.sum(), values)
    torch.testing.assert_close(slope, expected, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_it_stays_in_float32_wherever_the_model_goes(reader: Model) -> None:
    batch = batch_of(np.concatenate([known(20, 2)[0], known(20, 3)[0] * 50]))
    guard = guard_of(reader)
    kept, expected = guard.whitening.clone(), reader(batch).uncertainty
    with torch.autocast("cpu", torch.bfloat16):
        features = torch.randn(9, guard.means.shape[1])
        assert guard.distance(features).dtype == torch.float32
        assert torch.equal(guard.distance(features), guard.distance(features.double()))
        torch.testing.assert_close(reader(batch).uncertainty, expected, rtol=0.1, atol=0.1)
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        reader.to(dtype)
        assert torch.equal(guard_of(reader).whitening, kept)
        assert guard(features.to(dtype)).dtype == torch.float32
        assert expert_of(reader).head.weight.dtype == dtype


@torch.no_grad()
def test_an_expert_that_has_it_can_be_exported(reader: Model) -> None:
    batch = batch_of(np.concatenate([known(4, 2)[0], known(4, 3)[0] * 50]))
    inputs = (batch.inputs["text"], batch.lengths["text"])
    expert = expert_of(reader)
    exported = torch.export.export(expert, inputs).module()
    torch.testing.assert_close(exported(*inputs), expert(*inputs))


# -- kept, joined, dropped ------------------------------------------------------------------------


@torch.no_grad()
def test_it_is_stored_and_read(reader: Model, tmp_path: Path) -> None:
    reader.save_pretrained(tmp_path)
    found = Model.from_pretrained(tmp_path)
    record = found.config.experts["text"].ood
    assert record == reader.config.experts["text"].ood
    assert record is not None
    assert (record.data, record.classes, record.samples) == (
        "vectors", 3, {"train": 90, "validation": 60}
    )  # fmt: skip
    batch = batch_of(known(30, 2)[0] * 4)
    assert torch.equal(found(batch).evidence, reader(batch).evidence)
    assert not torch.equal(found(batch).evidence, unguarded(reader, batch))


def test_a_model_stored_without_it_is_read_as_before(tmp_path: Path) -> None:
    plain = tiny_model("text")
    plain.save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert values["experts"]["text"].pop("ood") is None
    (tmp_path / "config.json").write_text(json.dumps(values), encoding="utf-8")
    found = Model.from_pretrained(tmp_path)
    assert found.config == plain.config
    assert "ood" not in "".join(found.state_dict())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limit": -1.0}, "limit of 0 or more"),
        ({"limit": math.nan}, "limit of 0 or more"),
        ({"limit": math.inf}, "limit of 0 or more"),
        ({"power": 0}, "power above 0"),
        ({"classes": 0}, "at least one class"),
        ({"limit": "far"}, "wrong form"),
        ({"colour": 1}, "colour"),
    ],
)
def test_what_cannot_be_is_refused(reader: Model, changes: Any, message: str) -> None:
    values = json.loads(reader.config.to_json())
    values["experts"]["text"]["ood"] |= changes
    with pytest.raises(ModelError, match=message):
        ModelConfig.from_dict(values)
    del values["experts"]["text"]["ood"]["limit"]
    with pytest.raises(ModelError, match=r"limit|colour"):
        ModelConfig.from_dict(values)


@torch.no_grad()
def test_joined_experts_bring_theirs(reader: Model) -> None:
    heard = Model.build("abc", {"audio": AUDIO})
    joined = Model.from_experts(text=reader, audio=heard)
    assert joined.config.experts["text"] == reader.config.experts["text"]
    assert expert_of(joined, "audio").ood is None
    batch = batch_of(known(30, 2)[0] * 4)
    assert torch.equal(joined.evidence(batch)[0][0], reader.evidence(batch)[0][0])


def test_forgetting_it_gives_the_old_evidence(reader: Model) -> None:
    far = batch_of(known(12, 3)[0] * 5)
    plain = unguarded(reader, far)
    with_threshold(reader, 0.5, "text")
    assert drop_ood(reader)
    assert torch.equal(reader.evidence(far)[0][0], plain)
    assert reader.config.experts["text"].ood is None
    assert not reader.config.thresholds
    with_threshold(reader, 0.5, "text")
    assert not drop_ood(reader)
    assert reader.config.thresholds


def test_a_failure_leaves_the_model_as_it_was(reader: Model) -> None:
    before, kept = reader.config, guard_of(reader)
    nothing = replace(prepared(*known(3, 0)), clips=[[Window({"text": None}, {}, 0.0, 1.0)]] * 3)
    with pytest.raises(DataError, match="no validation clip has text"):
        learn_ood(reader, prepared(*known(90, 0)), nothing)
    with pytest.raises(DataError, match="no guard for text can be learned"):
        learn_ood(reader, prepared(*known(1, 0)), prepared(*known(60, 1)))
    assert reader.config is before
    assert guard_of(reader) is kept
    assert not reader.training


# -- training and the command line ----------------------------------------------------------------

HOW: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-2, "batch_size": 8, "progress": False}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tone_corpus(tmp_path_factory.mktemp("corpus"), {"train": 6, "validation": 4, "test": 2})


@pytest.fixture(scope="module")
def data(corpus: Path) -> Dataset:
    return load_dataset(str(corpus))


def learner() -> Model:
    return Model.build(LABELS, {"audio": AUDIO}, window_seconds=2.0)


@pytest.mark.slow
def test_training_learns_it_last_and_again(data: Dataset) -> None:
    plain, model = learner().fit(data, **HOW), learner().fit(data, ood=True, **HOW)
    assert plain.config.experts["audio"].ood is None
    record = model.config.experts["audio"].ood
    assert record is not None
    assert (record.data, record.samples) == (data.name, {"train": 12, "validation": 8})
    own = plain.state_dict()
    assert all(torch.equal(model.state_dict()[name], value) for name, value in own.items())
    assert (
        model.config.experts["audio"].evidence_scale == plain.config.experts["audio"].evidence_scale
    )
    # Further training moves the features, so the guard is retrained.
    model.fit(data, **HOW)
    again = model.config.experts["audio"].ood
    assert again is not None
    assert again.limit != record.limit
    # By hand it is the same.
    expected = guard_of(model, "audio")
    drop_ood(model)
    model.fit_ood(data, progress=False)
    assert model.config.experts["audio"].ood == again
    assert torch.equal(guard_of(model, "audio").means, expected.means)


def test_prepared_clips_teach_it_too() -> None:
    train, validation = prepared(*known(30, 0)), prepared(*known(30, 1))
    model = vectors()
    fit_prepared(model, train, validation, Settings(epochs=1, ood=True))
    limit = guard_of(model).limit
    away = encode(model, validation.clips, EMPTY).features["text"]
    assert limit == pytest.approx(np.quantile(guard_of(model).distance(away), 0.99))
    fit_prepared(model, train, validation, Settings(epochs=1))
    assert expert_of(model).ood is None


def test_thresholds_of_other_confidences_are_dropped_and_others_kept(data: Dataset) -> None:
    model = tiny_model("audio", "video", labels=LABELS)
    with_threshold(model, 0.5, "audio", "video", "audio+video")
    with pytest.warns(
        UserWarning, match=r"thresholds of audio, audio\+video .* dropped: calibrate"
    ):
        model.fit_ood(data.split("train"), data.split("validation"), progress=False)
    assert set(model.config.thresholds) == {"video"}
    assert expert_of(model, "video").ood is None
    assert guard_of(model, "audio").limit > 0
    with pytest.raises(DataError, match="both training and validation"):
        model.fit_ood(data.split("train"), data.split("train"), progress=False)


@pytest.mark.slow
def test_the_command_line_learns_and_forgets_it(corpus: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> Any:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    model = tmp_path / "model"
    made = run("train", "-d", corpus, "-o", model, "--epochs", 1, "--ood", "-q")
    assert made.exit_code == 0, made.output
    first = Model.from_pretrained(model).config
    assert first.experts["audio"].ood is not None
    assert set(first.thresholds) == {"audio"}
    forgot = run("calibrate", "-d", corpus, "-m", model, "--no-ood", "-q")
    assert forgot.exit_code == 0, forgot.output
    assert Model.from_pretrained(model).config.experts["audio"].ood is None
    learned = run("calibrate", "-d", corpus, "-m", model, "--ood", "-q")
    assert learned.exit_code == 0, learned.output
    assert "dropped" not in learned.output
    assert Model.from_pretrained(model).config == first
    for more, message in (
        (("--risk", 0.5), "guarantee made on it would be void"),
        (("-d", corpus), "several datasets hold audio"),
    ):
        refused = run("calibrate", "-d", corpus, "-m", model, "--ood", "-q", *more)
        assert refused.exit_code != 0
        assert message in str(refused.exception)


# -- real clips -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_noise_and_tones_are_out_of_distribution_for_a_model_of_speech(data_dir: Path) -> None:
    speech = load_dataset(f"ravdess:{data_dir / 'ravdess/speech_opus16k'}")
    splits = dict.fromkeys(("ravdess:01", "ravdess:02", "ravdess:03"), "train")
    splits["ravdess:04"] = "validation"
    chosen = [each for each in speech if each.attributes["repetition"] == "1"]
    samples = [replace(each, split=splits[each.group]) for each in chosen if each.group in splits]
    speech = replace(speech, samples=tuple(samples))
    encoder = ("logmel_cnn", {"widths": [8, 12, 16, 32], "dropout": 0.0})
    model = Model.build(speech.labels, {"audio": encoder})
    model.fit(speech, epochs=1, learning_rate=1e-2, crop_seconds=1.5, ood=True, progress=False)
    time = torch.arange(48_000) / 16_000
    tones = [0.3 * torch.sin(2 * math.pi * hertz * time) for hertz in (300, 1000, 3000)]
    heard = torch.stack([*tones, signal("white_noise", 48_000, 0), signal("room_noise", 48_000, 0)])
    paths = [sample.path for sample in speech.split("validation")]
    strange, spoken = model.predict({"audio": heard}), model.predict(paths)
    drop_ood(model)
    plain = model.predict({"audio": heard})
    why = re.compile(
        r"audio: unlike what its expert was trained on, so (\d+)% of its belief counts"
    )
    assert sum(bool(why.search("; ".join(each.reasons))) for each in spoken) <= 1
    for guarded, before in zip(strange, plain, strict=True):
        assert (said := why.search("; ".join(guarded.reasons)))
        left = (1 - guarded.uncertainty) / (1 - before.uncertainty)
        assert int(said[1]) / 100 == pytest.approx(left, abs=0.006)
        assert not why.search("; ".join(before.reasons))
        # What is left of what it said: w.
        assert (1 - guarded.uncertainty) < 0.3 * (1 - before.uncertainty)
        assert guarded.label == before.label
    same = [
        torch.equal(one.opinion.evidence, other.opinion.evidence)  # type: ignore[union-attr]
        for one, other in zip(spoken, model.predict(paths), strict=True)
    ]
    assert sum(same) >= len(same) - 1
