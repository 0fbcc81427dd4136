"""Trains on three modalities: the voice, the words, and the movements of the face as numbers.

    TER_FAST_DATA=/path/to/data python examples/third_modality.py [OUT]

From the RAVDESS clips below `TER_FAST_DATA` it writes a manifest with a column `text` (the sentence
that is spoken) and a column `face` (a file with the clip's 35 statistics of OpenFace action units),
trains an expert on each with fusion on top, learns how far to believe each, sets trusted thresholds,
and prints what it says of actors that it has never seen. All actors say the same two sentences with
every emotion, so words alone are right one time in four.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

import ter_fast
from ter_fast.cli.console import thresholds_table
from ter_fast.cli.prediction_table import PredictionTable
from ter_fast.data import Dataset, load_dataset

BUCKETS = 4096
EMOTIONS = {"02": "calm", "03": "happy", "04": "sad", "05": "angry"}
SENTENCES = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
ACTORS = {"train": range(1, 13), "validation": range(13, 17), "test": range(17, 21)}


def ngrams(text: str) -> list[int]:
    """Return the character n-grams of a text, n = 2 … 4, as numbers of hash buckets."""
    padded = f" {text.lower()} "
    return [
        crc32(padded[start : start + size].encode()) % BUCKETS
        for size in (2, 3, 4)
        for start in range(len(padded) - size + 1)
    ]


@ter_fast.register_encoder("ngram_mean")
class NGramMean(nn.Module):
    """The mean of learned vectors of n-grams."""

    def __init__(self, buckets: int = BUCKETS, width: int = 16) -> None:
        super().__init__()
        self.vectors = nn.Embedding(buckets, width)
        self.out_features = width

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Encode `(B, N)` buckets, of which `(B,)` are valid, to `(B, width)`."""
        valid = torch.arange(values.shape[1], device=values.device) < lengths[:, None]
        total: Tensor = (self.vectors(values) * valid[..., None]).sum(1)
        return total / lengths.clamp_min(1)[:, None]


def register() -> None:
    """Say how the two modalities are read; before manifests that hold them, or models, are loaded."""
    ter_fast.register_modality("text", ngrams, shape=(None,), dtype=torch.int64)
    ter_fast.register_modality("face", shape=(35,))  # a column of .npy files


def write_manifest(ravdess: Path, folder: Path) -> Path:
    """Write a manifest of voices, words and faces, and the faces' files beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    with np.load(ravdess / "ravdess_au35_logmelstats181.npz") as tables:
        faces = dict(zip(tables["clip"].tolist(), tables["au"], strict=True))
    split_of = {actor: split for split, actors in ACTORS.items() for actor in actors}
    rows = []
    for sound in sorted((ravdess / "speech_opus16k").glob("*.opus")):
        # Modality, channel, emotion, intensity, sentence, repetition, actor.
        _, _, emotion, intensity, sentence, repetition, actor = sound.stem.split("-")
        key = f"01{sound.stem[2:]}"
        if emotion not in EMOTIONS or (intensity, repetition) != ("02", "01") or key not in faces:
            continue
        np.save(folder / f"{key}.npy", faces[key])
        rows.append(
            {
                "path": os.path.relpath(sound, folder), "label": EMOTIONS[emotion],
                "split": split_of[int(actor)], "group": actor,
                "text": SENTENCES[sentence], "face": f"{key}.npy",
            }
        )  # fmt: skip
    manifest = folder / "clips.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return manifest


def trained(data: Dataset, epochs: int = 25) -> ter_fast.Model:
    """Train, learn reliabilities, and set the thresholds."""
    experts = {
        "audio": ("logmel_cnn", {"widths": (8, 16, 32, 64)}),
        "text": ("ngram_mean", {}),
        "face": ("vector_mlp", {"size": 35, "width": 32}),
    }
    model = ter_fast.Model.build(data.labels, experts)
    model.fit(
        data, epochs=epochs, patience=epochs, batch_size=16, ema=0.9, modality_dropout=0.2, progress=False
    )  # fmt: skip
    return model.calibrate(data.split("validation"), reliability=True, progress=False)


def main(out: Path, epochs: int = 25) -> ter_fast.Model:
    """Do all of it, and print the tables."""
    register()
    data = load_dataset(str(write_manifest(Path(os.environ["TER_FAST_DATA"]) / "ravdess", out)))
    model = trained(data, epochs)
    model.save_pretrained(out / "model")
    test, console = data.split("test"), Console(width=120)
    console.print(thresholds_table(model.config))
    for name, expert in model.config.experts.items():
        console.print(f"reliability of {name}: {expert.reliability:.3f}")
    for names in (("audio",), ("text",), ("face",), ("audio", "face"), model.config.modalities):
        found = model.evaluate(test, modalities=names, resamples=200, progress=False)
        accuracy = found.figures["accuracy"]
        console.print(f"{found.modalities}: accuracy {accuracy.value:.3f} on {found.samples} clips")
    console.print(PredictionTable(model.predict(test), model.config))
    sample = test[0]
    without = model.predict({"path": sample.path, "text": sample.extras["text"]})
    console.print(f"without the face: {without.label}, trusted: {without.trusted}", without.reasons)
    return model


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/third_modality"))
