"""What the pages of the documentation take as given: files, small models, and names."""

from __future__ import annotations

import csv
import runpy
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ter_fast
from helpers.tiny import (
    ENCODERS,
    WHOLE,
    film,
    film_corpus,
    noisy_tone,
    stripes,
    write_manifest,
    write_wav,
)
from ter_fast.data import load_dataset

ROOT = Path(__file__).parents[2]
SPEAKERS = {"train": 4, "validation": 4, "test": 3}
NAMED = {"high": "tense", "low": "calm"}


def laid_out(folder: Path) -> Path:
    """Write the files that pages name into a folder: clips, manifests, and a trained small model."""
    demo = folder / "examples" / "demo.mp4"
    demo.parent.mkdir(parents=True)
    runpy.run_path(str(ROOT / "examples" / "make_demo_clip.py"))["write"](demo)
    for name in ("clip.mp4", "lecture.mp4", "holiday.mp4", "a.mp4"):
        shutil.copy(demo, folder / name)
    for name in ("b.wav", "clip.wav"):
        write_wav(folder / name, noisy_tone(300.0, 1.5))
    (folder / "folder").mkdir()
    film(folder / "folder" / "c.mp4", "low")
    film(folder / "silent.mp4", "low", sound=False)
    (folder / "notes.mp4").write_text("this is no film", encoding="utf-8")
    manifest = film_corpus(folder, SPEAKERS, name="clips")
    as_speech(manifest)
    shutil.copy(manifest, folder / "calibration.csv")
    in_folders(manifest, folder / "recordings")
    model = small_model(load_dataset(str(manifest)))
    model.save_pretrained(folder / "my-model")
    return folder


def as_speech(manifest: Path) -> None:
    """Name the classes as pages do, and add a column `sex`, to break figures down by."""
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with manifest.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "sex"])
        writer.writeheader()
        for row in rows:
            sex = "fm"[int(row["group"][-1]) % 2]
            writer.writerow({**row, "label": NAMED[row["label"]], "sex": sex})


def in_folders(manifest: Path, root: Path) -> None:
    """Copy a manifest's clips into a folder for each class, and in it one for each speaker."""
    for sample in load_dataset(str(manifest)):
        target = root / sample.label / sample.group
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.path, target)


def small_model(data: Any) -> ter_fast.Model:
    """Train a model that tells the classes of `film_corpus` apart, and set its thresholds."""
    torch.manual_seed(0)
    experts = {name: ENCODERS[name] for name in ("audio", "video")}
    model = ter_fast.Model.build(data.labels, experts, video=WHOLE, window_seconds=2.0)
    model.fit(data, epochs=4, batch_size=8, progress=False)
    return model.calibrate(data.split("validation"), progress=False)


def pretrained_models(folder: Path) -> None:
    """Save models of transformers that have learned nothing under the names of published ones."""
    import transformers as t

    heads = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    }  # fmt: skip
    wave = {
        "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
    }  # fmt: skip
    sound = t.Wav2Vec2Model(t.Wav2Vec2Config(**heads, **wave, vocab_size=8))
    pictures = t.Dinov2Model(t.Dinov2Config(**heads, image_size=32, patch_size=8))
    size = {"height": 32, "width": 32}
    for name, model, processor in (
        ("facebook/wav2vec2-base", sound, t.Wav2Vec2FeatureExtractor(return_attention_mask=False)),
        ("facebook/dinov2-small", pictures, t.ViTImageProcessorPil(size=size)),
    ):
        model.save_pretrained(folder / name)
        processor.save_pretrained(folder / name)


def answers(samples: int = 400, classes: int = 3) -> dict[str, Any]:
    """Return what some classifier said: probabilities that are right more often the surer they are."""
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(samples, classes))
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    target = (probability.cumsum(1) > generator.random((samples, 1))).argmax(1)
    return {
        "probability": probability,
        "target": target,
        "speaker": np.repeat(np.arange(samples // 10), 10),
        "confidence": probability.max(1),
        "correct": probability.argmax(1) == target,
    }


def views() -> dict[str, Any]:
    """Return features of two views, for training, for calibration and new ones."""
    generator = np.random.default_rng(0)

    def drawn(count: int) -> tuple[Any, Any, Any]:
        label = generator.integers(2, size=count)
        shift = 1.5 * label[:, None]
        return generator.normal(shift, 1, (count, 5)), generator.normal(shift, 1, (count, 3)), label

    (audio, video, labels), (held_audio, held_video, held_labels), new = map(drawn, (80, 200, 5))
    return {
        "audio": audio, "video": video, "labels": labels,
        "held_audio": held_audio, "held_video": held_video, "held_labels": held_labels,
        "views": {"audio": new[0], "video": new[1]},
    }  # fmt: skip


def model_and_data(_: Path) -> dict[str, Any]:
    """Return the small model and the data that it was trained on, under the names that pages use."""
    data = load_dataset("clips.csv")
    parts = {name: data.split(name) for name in ("train", "validation", "test")}
    return {
        "model": ter_fast.Model.from_pretrained("my-model"),
        "data": data,
        "dataset": parts["test"],
        **parts,
    }


def of_readme(_: Path) -> dict[str, Any]:
    return {**answers(), **views()}


def of_corruptions(folder: Path) -> dict[str, Any]:
    from ter_fast.media.decode import read

    known = model_and_data(folder)
    return {
        **known,
        "dataset": replace(known["test"], samples=known["test"].samples[:2]),
        "clip": read("clip.mp4"),
        "audio": torch.from_numpy(noisy_tone(300.0)),
        "frames": torch.from_numpy(np.stack([stripes(True, seed) for seed in range(4)])),
    }


def of_encoders(folder: Path) -> dict[str, Any]:
    """Return a model's class, and clips in which the detector finds a face."""
    pretrained_models(folder)
    rows = [
        {"path": name, "label": label, "split": split, "group": name}
        for name, label, split in (
            ("clip.mp4", "calm", "train"),
            ("a.mp4", "tense", "train"),
            ("holiday.mp4", "calm", "validation"),
            ("lecture.mp4", "tense", "validation"),
        )
    ]
    data = load_dataset(str(write_manifest(folder / "faces.csv", rows)))
    parts = {name: data.split(name) for name in ("train", "validation")}
    return {"Model": ter_fast.Model, **parts}


def of_third_modality(folder: Path) -> dict[str, Any]:
    """Write a manifest with the columns `text` and `face` in place of the one without."""
    generator = np.random.default_rng(0)
    with (folder / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for index, row in enumerate(rows):
        words = {"tense": "I knew it", "calm": "So it goes"}
        row["text"] = words[row["label"]] if index else ""
        row["face"] = f"{index}.npy"
        np.save(folder / row["face"], generator.normal(size=35).astype(np.float32))
    np.save(folder / "clip.npy", generator.normal(size=35).astype(np.float32))
    with (folder / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return {"load_dataset": load_dataset}


NAMES: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "README.md": of_readme,
    "corruptions.md": of_corruptions,
    "encoders.md": of_encoders,
    "out_of_distribution.md": model_and_data,
    "third_modality.md": of_third_modality,
}
"""By page, what its snippets take as given beyond files; pages that are not here stand alone."""
