"""Tables, pictures and subtitles of files whose names are no text, or are markup, or very long."""

from __future__ import annotations

import csv
import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import torch

from ter_fast import Opinion, Prediction, Predictions
from ter_fast.media.text import as_text, clean, short_name

NAMES = [
    os.fsdecode(b"caf\xe9.wav"),
    "new\nline\r\n.wav",
    "\x00\x1b[31m\x7f.wav",
    "<script>&\"'$x_1$.wav",
    "=1+1.wav",
    "é漢字😀.wav",
    "x" * 5000,
]


def named(name: str, label: str = "calm") -> Prediction:
    return Prediction(
        name,
        0.0,
        8.0,
        label,
        trusted=True,
        labels=("angry", label),
        probabilities={"angry": 0.1, label: 0.9},
        opinion=Opinion(torch.tensor([0.0, 6.0])),
        uncertainty=0.25,
        reasons=(f"{name}: no pictures",),
    )


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_every_row_is_written_and_read_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    found = Predictions([named(name) for name in NAMES])
    found.save(path)
    if suffix == "csv":
        with path.open(encoding="utf-8", newline="") as file:
            paths = [row["path"] for row in csv.DictReader(file)]
    elif suffix == "jsonl":
        paths = [json.loads(line)["path"] for line in path.read_text("utf-8").splitlines()]
    else:
        paths = pytest.importorskip("pandas").read_parquet(path).path.tolist()
    assert paths == [as_text(name) for name in NAMES]
    assert found.paths == NAMES


def test_labels_that_are_no_text_are_written_too(tmp_path: Path) -> None:
    found = Predictions([named("a.wav", "caf\udce9")])
    for suffix in ("csv", "jsonl", "parquet"):
        found.save(tmp_path / f"t.{suffix}")
    assert found[0].row()["p_caf\\udce9"] == 0.9


@pytest.mark.parametrize("name", NAMES)
def test_pictures_and_subtitles_are_valid(tmp_path: Path, name: str) -> None:
    prediction = named(name, f"calm {name[:40]}")
    prediction.timeline().save(tmp_path / "t.svg")
    prediction.subtitles(tmp_path / "t.srt")
    prediction.subtitles(tmp_path / "t.vtt")
    words = "".join(ET.parse(tmp_path / "t.svg").getroot().itertext())
    assert f"{short_name(Path(name).name)}: 1 window" in " ".join(words.split()).replace("\n", " ")
    lines = (tmp_path / "t.srt").read_text("utf-8").split("\n")
    assert lines[2].startswith("calm ")
    assert (len(lines), "\x1b" in lines[2]) == (4, False)


def test_clean_leaves_text_alone() -> None:
    assert clean("é漢字😀 <b>") == "é漢字😀 <b>"
    assert clean("".join(map(chr, np.arange(32)))).isprintable()
    assert short_name("y" * 200).startswith("…yyy")
