"""Classifiers of voices and faces that a user would take: ours, and two that are at hand."""

from __future__ import annotations

import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ter_fast import Clip, Model
from ter_fast.data import Dataset, Sample
from ter_fast.predict.labelled_evidence import collect_evidence, outcomes
from ter_fast.trust.outcomes import Outcomes

TIMED = 40
MODALITIES = {"voices": "audio", "faces": "video"}
FER_CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answers:
    """What a system says of samples, by name: probabilities (N, K), and the CPU seconds of single answers."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    probability: Floats
    seconds: tuple[float, ...]
    facts: str

    def save(self, file: Path) -> None:
        np.savez_compressed(
            file,
            probability=self.probability,
            facts=self.facts,
            names=self.names,
            labels=self.labels,
            seconds=self.seconds,
        )

    @classmethod
    def read(cls, file: Path) -> Answers:
        with np.load(file) as found:
            names, labels = (tuple(map(str, found[key])) for key in ("names", "labels"))
            seconds = tuple(map(float, found["seconds"]))
            return cls(names, labels, found["probability"], seconds, str(found["facts"]))

    def outcomes(self, samples: Sequence[Sample], name: str) -> Outcomes:
        """Set the answers beside what is right.

        Raises:
            ValueError: A sample was not answered.
        """
        row = {each: i for i, each in enumerate(self.names)}
        if lacking := [key_of(sample) for sample in samples if key_of(sample) not in row]:
            raise ValueError(
                f"{len(lacking)} samples of {name} have no answer, such as {lacking[0]}"
            )
        labels = sorted(self.labels)
        column = [self.labels.index(label) for label in labels]
        corpora = [sample.attributes.get("corpus", "") for sample in samples]
        return Outcomes.from_arrays(
            self.probability[[row[key_of(sample)] for sample in samples]][:, column],
            [labels.index(sample.label) for sample in samples],
            labels=labels,
            groups=[sample.group for sample in samples],
            paths=[key_of(sample) for sample in samples],
            attributes={"corpus": corpora},
            name=name,
        )


def key_of(sample: Sample) -> str:
    """Return what names a sample wherever the data lie."""
    return Path(sample.path).name


@contextmanager
def one_core() -> Iterator[None]:
    """Let this process run on one core alone, its threads included."""
    threads, cores = torch.get_num_threads(), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    torch.set_num_threads(1)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        torch.set_num_threads(threads)


def timed(answer: Callable[[Any], object], inputs: Sequence[Any]) -> tuple[float, ...]:
    """Return the CPU seconds of one answer at a time on one core; the first, which warms up, is left out.

    Of the process and all its threads: what a core that is idle otherwise takes, however busy this one is.
    """
    found = []
    with one_core():
        for each in (inputs[0], *inputs):
            start = time.process_time()
            answer(each)
            found.append(time.process_time() - start)
    return tuple(found[1:])


def ours(model: Model, data: Dataset, kind: str) -> Answers:
    """Answer with the shipped expert of one modality."""
    found = collect_evidence(model, data, progress=False, workers=1)
    by_path = {sample.name: key_of(sample) for sample in data}
    say = outcomes(model, found)
    names = tuple(by_path[path] for path in say.paths)
    part = data.split("test").samples[:TIMED]
    modality = MODALITIES[kind]
    if modality == "audio":
        seconds = timed(lambda path: model.predict(path, workers=1), [each.path for each in part])
    else:
        pictures = [np.repeat(pixels(each)[..., None], 3, 2) for each in part]
        seconds = timed(
            lambda picture: model.predict(Clip.from_arrays(picture), faces="whole"), pictures
        )
    expert = model.experts[modality]
    size = sum(each.numel() for each in expert.parameters())
    name = model.config.experts[modality].encoder
    return Answers(names, say.labels, say.probability, seconds, f"`{name}`, {size:,} parameters")


def egemaps(data: Dataset, kept: Path) -> Answers:
    """Fit logistic regression on eGeMAPS functionals of the training speakers, and answer."""
    import opensmile
    import soundfile

    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=opensmile.FeatureLevel.Functionals,
    )

    def features(path: str) -> NDArray[np.float32]:
        samples, rate = soundfile.read(path, dtype="float32")
        row: NDArray[np.float32] = smile.process_signal(samples, rate).to_numpy(np.float32)[0]
        return row

    rows: dict[str, NDArray[np.float32]] = {}
    if kept.is_file():
        known = np.load(kept)
        rows = dict(zip(map(str, known["paths"]), known["values"], strict=True))
    for sample in data:
        if key_of(sample) not in rows:
            rows[key_of(sample)] = features(sample.path)
    np.savez(kept, paths=np.array(list(rows)), values=np.stack(list(rows.values())))
    table = np.stack([rows[key_of(each)] for each in data])
    fitted, facts = logistic(table, data)
    seconds = timed(
        lambda path: fitted.predict_proba(features(path)[None]),
        [each.path for each in data.split("test").samples[:TIMED]],
    )
    return Answers(
        tuple(map(key_of, data)),
        tuple(fitted.classes_),
        fitted.predict_proba(table),
        seconds,
        facts,
    )


def logistic(table: NDArray[np.float32], data: Dataset) -> tuple[Any, str]:
    """Fit on the training part; strength and class weights are those of the best validation NLL."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    split = np.array([each.split for each in data])
    target = np.array([each.label for each in data])
    tried = []
    for strength in (1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0):
        for weight in (None, "balanced"):
            fitted = make_pipeline(
                StandardScaler(), LogisticRegression(C=strength, class_weight=weight, max_iter=5000)
            ).fit(table[split == "train"], target[split == "train"])
            chances = fitted.predict_proba(table[split == "validation"])
            nll = log_loss(target[split == "validation"], chances, labels=fitted.classes_)
            tried.append((nll, strength, str(weight), fitted))
    _, strength, weight, fitted = min(tried, key=lambda each: each[:3])
    size = table.shape[1]
    return (
        fitted,
        f"{size} functionals, logistic regression (C={strength:g}, class weight {weight})",
    )


def mini_xception(data: Dataset, weights: Path) -> Answers:
    """Answer with the published network, run by Keras on torch, traced once."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    network = keras.models.load_model(weights, compile=False)
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    call: Any = lambda batch: network([batch], training=False)  # noqa: E731

    def inputs(picture: NDArray[np.uint8]) -> torch.Tensor:
        # As its authors prepare pictures: 64 pixels, -1 to 1.
        large = cv2.resize(picture, (64, 64)).astype(np.float32)
        return torch.from_numpy((large / 255 - 0.5) * 2)[None, ..., None]

    pictures = [pixels(each) for each in data]
    with torch.no_grad():
        chances = np.concatenate(
            [
                call(torch.cat([inputs(each) for each in pictures[start : start + 64]])).numpy()
                for start in range(0, len(pictures), 64)
            ]
        ).astype(np.float64)
        with warnings.catch_warnings():
            # Of shapes that are taken for constants, as those of single pictures are.
            warnings.simplefilter("ignore")
            traced: Any = torch.jit.trace(  # type: ignore[no-untyped-call]
                call, inputs(pictures[0]), check_trace=False
            )
        torch.testing.assert_close(traced(inputs(pictures[1])), call(inputs(pictures[1])))
        seconds = timed(lambda picture: traced(inputs(picture)), pictures[:TIMED])
        slow = statistics.median(timed(lambda picture: call(inputs(picture)), pictures[:TIMED]))
    order = [FER_CLASSES.index(each) for each in sorted(FER_CLASSES)]
    chances = chances[:, order] / chances.sum(1, keepdims=True)
    return Answers(
        tuple(map(key_of, data)),
        tuple(sorted(FER_CLASSES)),
        chances,
        seconds,
        f"{network.count_params():,} parameters; {slow * 1e3:.0f} ms where Keras itself makes the calls",
    )


def pixels(sample: Sample) -> NDArray[np.uint8]:
    """Return a picture that lies in a table, (48, 48)."""
    found = cv2.imdecode(np.frombuffer(sample.image or b"", np.uint8), cv2.IMREAD_GRAYSCALE)
    assert found is not None, sample.path
    return found.astype(np.uint8)
