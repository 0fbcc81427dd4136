"""The last layer, retrained: it minimizes what the docstring says, and leaves the rest alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from helpers.tiny import AUDIO, film_corpus, tiny_model, tone_corpus, with_threshold
from ter_fast import DataError, Model
from ter_fast.data import Dataset, load_dataset
from ter_fast.errors import ModelError
from ter_fast.predict.prepare import prepare
from ter_fast.train.encoded import encode

LABELS = ("high", "low")


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two corpora: in the small one, a training speaker of ten, low tones are called high."""
    folder = tmp_path_factory.mktemp("tones")
    data = load_dataset(str(tone_corpus(folder, {"train": 10, "validation": 3, "test": 2})))
    samples = []
    for each in data:
        small = each.group in {"train9", "validation2"}
        label = "high" if small else each.label
        attributes = {"corpus": "small" if small else "large"}
        samples.append(replace(each, label=label, attributes=attributes))
    return replace(data, samples=tuple(samples))


def voice(seed: int = 0) -> Model:
    return Model.build(LABELS, {"audio": AUDIO}, seed=seed, window_seconds=2.0).eval()


def minimum(
    features: NDArray[Any], target: NDArray[Any], weight: NDArray[Any], head: Any, penalty: float
) -> NDArray[Any]:
    """Return weights and bias that minimize the objective, by another optimizer, written out."""
    first = np.c_[head.weight.detach().double().numpy(), head.bias.detach().double().numpy()]
    classes = len(first)

    def objective(values: NDArray[Any]) -> float:
        layer = values.reshape(classes, -1)
        alpha = np.exp(features @ layer[:, :-1].T + layer[:, -1]) + 1
        likelihood = np.log(alpha[np.arange(len(target)), target] / alpha.sum(1))
        mean = -(weight * likelihood).sum() / weight.sum()
        return float(mean + penalty * ((layer - first) ** 2).sum())

    found = minimize(objective, first.ravel(), method="BFGS", options={"gtol": 1e-6})
    return np.asarray(found.x.reshape(classes, -1))


@pytest.mark.slow
@pytest.mark.parametrize(("balance", "penalty"), [(0.0, 0.01), (0.5, 0.003), (1.0, 0.1)])
def test_it_minimizes_the_weighted_loss(tones: Dataset, balance: float, penalty: float) -> None:
    model = voice()
    expert: Any = model.experts["audio"]
    data = prepare(model, tones.split("train"), progress=False)
    seen = encode(model, data.clips, data.empty)
    corpora = [sample.attributes["corpus"] for sample in data.samples]
    cells = [f"{corpora[row]} {int(data.labels[row])}" for row in seen.owner.tolist()]
    counts = np.array([cells.count(cell) for cell in cells], dtype=float)
    wanted = minimum(
        seen.features["audio"].double().numpy(),
        data.labels[seen.owner].numpy(),
        counts**-balance,
        expert.head,
        penalty,
    )
    encoder = {name: value.clone() for name, value in expert.encoder.state_dict().items()}
    assert (
        model.fit_last_layer(tones, class_balance=balance, penalty=penalty, progress=False) is model
    )
    found = np.c_[expert.head.weight.detach().numpy(), expert.head.bias.detach().numpy()]
    np.testing.assert_allclose(found, wanted, atol=2e-4)
    assert all(
        torch.equal(value, encoder[name]) for name, value in expert.encoder.state_dict().items()
    )
    assert not model.training


@pytest.mark.slow
def test_a_small_corpus_has_its_say(tones: Dataset) -> None:
    """The small corpus says "high" of low tones: the more so, the more evenly corpora count."""
    data = prepare(voice(), tones.split("train"), progress=False)
    small = torch.tensor([sample.attributes["corpus"] == "small" for sample in data.samples])
    losses = []
    for balance in (0.0, 1.0):
        model = voice().fit_last_layer(tones, class_balance=balance, penalty=1e-3, progress=False)
        evidence, _ = encode(model, data.clips, data.empty).clip_evidence()
        alpha = evidence[0] + 1
        chance = (alpha / alpha.sum(-1, keepdim=True))[torch.arange(len(small)), data.labels]
        losses.append(float(-chance[small].log().mean()))
    assert losses[1] < losses[0] - 0.05


@pytest.mark.slow
def test_a_large_penalty_leaves_the_weights(tones: Dataset) -> None:
    before: Any = voice().experts["audio"]
    model = voice().fit_last_layer(tones, penalty=1e6, progress=False)
    after: Any = model.experts["audio"]
    torch.testing.assert_close(after.head.weight, before.head.weight, atol=1e-5, rtol=0)
    torch.testing.assert_close(after.head.bias, before.head.bias, atol=1e-5, rtol=0)
    changed: Any = voice().fit_last_layer(tones, progress=False).experts["audio"]
    assert float((changed.head.weight - before.head.weight).detach().abs().max()) > 0.01


def test_what_it_did_is_on_record_and_thresholds_go(tones: Dataset, tmp_path: Path) -> None:
    model = with_threshold(voice(), 0.1, "audio")
    model.fit_last_layer(tones, progress=False)
    assert model.config.thresholds == {}
    record = model.config.training[-1]
    assert record.settings == {"last_layer": True, "class_balance": 0.5, "penalty": 0.001}
    assert record.samples == {"train": 20, "validation": 6}
    assert record.groups["validation"] == ("validation0", "validation1", "validation2")
    assert model.config.experts["audio"].evidence_scale != 1
    model.save_pretrained(tmp_path / "model")
    kept = Model.from_pretrained(tmp_path / "model")
    assert kept.config == model.config


@pytest.mark.slow
def test_the_same_data_give_the_same_layer(tones: Dataset) -> None:
    first, second = (voice().fit_last_layer(tones, progress=False) for _ in range(2))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_balance": 1.5}, r"class_balance is 1\.5; expected a number from 0 to 1"),
        ({"penalty": -1}, r"penalty is -1; expected a number from 0 on"),
        ({"penalty": float("nan")}, "penalty is nan"),
        ({"class_balance": "much"}, "class_balance is 'much'"),
    ],
)
def test_numbers_out_of_range_are_refused(
    tones: Dataset, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        voice().fit_last_layer(tones, progress=False, **options)


def test_a_joint_model_and_a_shared_speaker_are_refused(tones: Dataset, tmp_path: Path) -> None:
    films = load_dataset(str(film_corpus(tmp_path, {"train": 1, "validation": 1})))
    with pytest.raises(ModelError, match="has audio and video; do it before they are joined"):
        tiny_model("audio", "video", labels=LABELS).fit_last_layer(films)
    train = tones.split("train")
    with pytest.raises(DataError, match="10 groups stand in both"):
        voice().fit_last_layer(train, train, progress=False)
