"""Torch's default type and device, which other code may have set, change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.tiny import (
    AUDIO,
    LABELS,
    QUIET,
    RATE,
    VIDEO,
    WHOLE,
    film,
    noisy_tone,
    stripes,
    tiny_model,
)
from ter_fast import Clip, Model
from ter_fast.data import Dataset, Sample
from ter_fast.losses import TrustedCELoss
from ter_fast.multiview import TrustedClassifier

CLIP = Clip.from_arrays(np.stack([stripes(True, i) for i in range(4)]), noisy_tone(500, 0.7))


@pytest.fixture(params=["float64", "float16", "meta"])
def default(request: pytest.FixtureRequest) -> Iterator[str]:
    """Set another default; the meta device stands for any other, and refuses what lies on it."""
    try:
        if request.param == "meta":
            torch.set_default_device("meta")
        else:
            torch.set_default_dtype(getattr(torch, request.param))
        yield request.param
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model("audio", "video")


@pytest.fixture(scope="module")
def expected(model: Model) -> list[float]:
    return list(model.predict(CLIP).probabilities.values())


def test_predictions_are_the_same(model: Model, expected: list[float], default: str) -> None:
    found = model.predict(CLIP)
    assert list(found.probabilities.values()) == pytest.approx(expected, rel=1e-6)
    assert found.opinion is not None
    assert found.opinion.evidence.dtype == torch.float32


def test_models_are_loaded_and_built_as_float32(
    model: Model, expected: list[float], default: str, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path)
    loaded = Model.from_pretrained(tmp_path)
    built = Model.build(LABELS, {"audio": AUDIO, "video": VIDEO}, video=WHOLE)
    for each in (loaded, built):
        assert {value.dtype for value in each.parameters()} == {torch.float32}
        assert {value.device.type for value in each.parameters()} == {"cpu"}
    assert list(loaded.predict(CLIP).probabilities.values()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_the_shipped_model_says_the_same(default: str) -> None:
    sound = noisy_tone(300, 3.0)
    found = Model.from_pretrained("default").predict((sound, RATE))
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    same = Model.from_pretrained("default").predict((sound, RATE))
    assert list(found.probabilities.values()) == pytest.approx(
        list(same.probabilities.values()), rel=1e-4
    )


@pytest.mark.slow
def test_models_are_trained_calibrated_and_measured(tmp_path: Path, default: str) -> None:
    samples = []
    for number in range(16):
        label, split = LABELS[number % 2], ("train", "train", "validation", "test")[number // 4]
        path = film(tmp_path / f"{number}.mp4", label)
        samples.append(Sample(str(path), label, split, f"speaker {number}"))
    data = Dataset("tiny", tuple(sorted(LABELS)), tuple(samples), "CC0", ("audio", "video"))
    model = Model.build(data.labels, {"audio": AUDIO, "video": VIDEO}, video=WHOLE)
    model.fit(data, epochs=1, progress=False)
    model.fit_ood(data.split("train"), data.split("validation"), progress=False)
    model.calibrate(data.split("validation"), progress=False)
    figures = model.evaluate(data.split("test"), **QUIET).figures
    assert 0 <= figures["accuracy"].value <= 1
    found = model.evaluate_corrupted(data.split("test"), "white_noise,jpeg", **QUIET)
    assert found.samples == 4


def test_classifiers_of_arrays_are_trained(default: str) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    views = [rng.normal(labels[:, None] * 3.0, 1.0, (40, size)) for size in (3, 5)]
    found = TrustedClassifier(epochs=20).fit(views, labels)
    assert (found.predict(views) == labels).mean() > 0.8


def test_losses_are_those_of_the_evidence(default: str) -> None:
    loss = TrustedCELoss(balance=0.5, class_weight=[1.0, 2.0])
    assert loss.class_weight is not None
    assert (loss.class_weight.dtype, loss.class_weight.device.type) == (torch.float32, "cpu")
