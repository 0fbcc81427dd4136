"""Small models and small corpora for tests: tones as emotions, so that learning takes seconds."""

from __future__ import annotations

import csv
import wave
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from helpers.media import tone, write_media
from ter_fast import Model, Predictions, TrustedThreshold, VideoInput
from ter_fast.data import Dataset

RATE = 16_000
AUDIO = ("logmel_cnn", {"widths": [4, 6, 8, 16], "dropout": 0.0})
VIDEO = ("frame_cnn", {"widths": [4, 6, 8, 16], "dropout": 0.0})
TEXT = ("vector_mlp", {"size": 5, "width": 8, "dropout": 0.0})
ENCODERS = {"audio": AUDIO, "video": VIDEO, "text": TEXT}
WHOLE = VideoInput(frames=4, size=32, faces="whole")
PITCHES = {"high": 2400.0, "low": 300.0}
LABELS = tuple(PITCHES)
QUIET: dict[str, Any] = {"progress": False, "resamples": 20}


def tiny_model(*modalities: str, labels: Sequence[str] = ("a", "b", "c"), **settings: Any) -> Model:
    """Build a small model whose batch statistics look trained, so that padding could leak."""
    settings = {"video": WHOLE, "window_seconds": 2.0, **settings}
    model = Model.build(labels, {name: ENCODERS[name] for name in modalities}, **settings)
    generator = torch.Generator().manual_seed(7)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3, generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
            torch.nn.init.normal_(layer.bias, 0.3, 0.3, generator=generator)
    for expert in model.experts.values():
        expert.head.weight.data *= 10
    return model.eval()


def with_threshold(model: Model, threshold: float, *names: str) -> Model:
    """Set one threshold for some sets of modalities."""
    record = TrustedThreshold(threshold, "balance", "none", 1)
    model.config = model.config.with_thresholds(dict.fromkeys(names, record))
    return model


def noisy_tone(
    hertz: float, seconds: float = 0.6, seed: int = 0, level: float = 0.05
) -> npt.NDArray[np.float32]:
    """Return a tone that fades in and out, with noise: (samples,) float32."""
    sound = tone(seconds, RATE, hertz)
    fade = np.sin(np.linspace(0, 3 * np.pi, len(sound))) ** 2
    noise = np.random.default_rng(seed).normal(0, level, len(sound))
    return (sound * fade + noise).clip(-1, 1).astype(np.float32)


def write_wav(path: Path, samples: npt.NDArray[np.float32]) -> Path:
    """Write (samples,) at 16 kHz as 16-bit WAV."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def write_manifest(path: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    """Write a manifest whose columns are those of its first row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def tone_corpus(
    folder: Path, counts: Mapping[str, int], labels: Mapping[str, float] = PITCHES
) -> Path:
    """Write WAV files whose class is their pitch, `counts` speakers in each split, and a manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for split, speakers in counts.items():
        for speaker in range(speakers):
            for label, hertz in labels.items():
                name = f"{split}-{speaker}-{label}.wav"
                seed = len(rows)
                bent = hertz * (1 + 0.05 * np.random.default_rng(seed).uniform(-1, 1))
                write_wav(folder / name, noisy_tone(bent, 0.5 + 0.02 * (seed % 5), seed))
                rows.append(
                    {"path": name, "label": label, "split": split, "group": f"{split}{speaker}"}
                )
    return write_manifest(folder / "tones.csv", rows)


def stripes(upright: bool, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Draw standing or lying stripes with noise, (48, 64, 3) uint8."""
    rows, columns = np.mgrid[:48, :64]
    wave_ = np.sin((columns if upright else rows) * 0.8 + seed)
    noise = np.random.default_rng(seed).normal(0, 12, (48, 64))
    grey = (128 + 90 * wave_ + noise).clip(0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, 2)


def film(
    path: Path, label: str, *, sound: bool = True, pictures: bool = True, seed: int = 0
) -> Path:
    """Write half a second of striped pictures with a tone; both say the class."""
    times = [i * 0.1 for i in range(6)] if pictures else []
    hertz = PITCHES[label]
    piece = [(0.0, noisy_tone(hertz, 0.6, seed))] if sound else []
    return write_media(
        path, frame_times=times, picture=lambda i: stripes(label == "high", seed + i), sound=piece, rate=RATE
    )  # fmt: skip


def film_corpus(
    folder: Path,
    counts: Mapping[str, int],
    *,
    sound: bool = True,
    pictures: bool = True,
    name: str = "films",
) -> Path:
    """Write short films of two classes and a manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for split, speakers in counts.items():
        for speaker in range(speakers):
            for label in PITCHES:
                file = film(
                    folder / f"{name}-{split}-{speaker}-{label}.{'mp4' if pictures else 'm4a'}",
                    label, sound=sound, pictures=pictures, seed=len(rows),
                )  # fmt: skip
                rows.append(
                    {
                        "path": file.name,
                        "label": label,
                        "split": split,
                        "group": f"{split}{speaker}",
                    }
                )
    return write_manifest(folder / f"{name}.csv", rows)


def predicted(
    model: Model, dataset: Dataset
) -> tuple[Predictions, npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return what a model says of each clip, its confidence (N,), and whether it is right (N,)."""
    found = model.predict([sample.path for sample in dataset])
    correct = np.array([p.label == s.label for p, s in zip(found, dataset, strict=True)])
    return found, np.array([p.confidence for p in found], np.float32), correct


def same_evidence(first: Any, second: Any, tolerance: float = 1e-5) -> None:
    """Assert that two predictions rest on the same evidence, by modality."""
    for name, opinion in first.opinions.items():
        other = second.opinions[name]
        assert (opinion is None) == (other is None), name
        if opinion is not None:
            torch.testing.assert_close(
                opinion.evidence, other.evidence, rtol=tolerance, atol=tolerance
            )


def rescaled(model: Model, name: str, scale: float) -> Model:
    """Return the configuration's model with another evidence scale on one expert."""
    expert = replace(model.config.experts[name], evidence_scale=scale)
    changed = Model(replace(model.config, experts={**model.config.experts, name: expert}))
    changed.load_state_dict(model.state_dict())
    return changed.eval()
