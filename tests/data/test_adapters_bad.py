"""Damaged tables: each is read, or refused in a sentence that names it; nothing else happens."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import corpora
from ter_fast.data import load_dataset
from ter_fast.errors import DataError

COPIES = 60

TURNS = {"Ses01F_impro01": [("F000", "neu"), ("M000", "hap")], "Ses02F_impro01": [("F000", "sad")]}
ROWS = [(0, 0, "Ross", "joy"), (0, 1, "Joey", "anger")]
PICTURES = [(0, 1, "Training"), (3, 2, "PublicTest")]


def cremad(root: Path) -> Path:
    corpora.cremad(root)
    return corpora.cremad_votes(root, [(1, "1001_DFA_NEU_XX", [0, 0, 1, 0, 7, 2])])


def iemocap(root: Path) -> Path:
    return corpora.iemocap(root, TURNS) / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"


def meld(root: Path) -> Path:
    return corpora.meld(root, {"test": ROWS}) / "test_sent_emo.csv"


def fer2013(root: Path) -> Path:
    return corpora.fer2013_csv(root, PICTURES)


def ferplus(root: Path) -> Path:
    corpora.fer2013_csv(root, PICTURES)
    return corpora.ferplus_csv(root, [(part, "x.png", [1] * 10) for _, _, part in PICTURES])


def nemo(root: Path) -> Path:
    corpora.touch(root, "EB0_anger_1.wav", "IC0_fear_2.wav")
    table = root / "index.csv"
    table.write_text("file,label,speaker\nEB0_anger_1.wav,anger,EB0\nIC0_fear_2.wav,fear,IC0\n")
    return table


def music_video(root: Path) -> Path:
    corpora.touch(root, "Train/Sad/1.mp4", "Validation/Fear/1.mp4")
    table = root / "index.csv"
    table.write_text("path,source_id\nTrain/Sad/1.mp4,a\nValidation/Fear/1.mp4,b\n")
    return table


MAKERS: dict[str, Callable[[Path], Path]] = {
    "cremad": cremad,
    "iemocap": iemocap,
    "meld": meld,
    "fer2013": fer2013,
    "fer2013 with votes": ferplus,
    "nemo": nemo,
    "music_video": music_video,
}


def mutated(content: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(4)
    if kind == 0:
        return content[: rng.randrange(len(content))]
    if kind == 1:
        at = rng.randrange(len(content))
        return content[:at] + rng.randbytes(rng.randrange(1, 40)) + content[at:]
    if kind == 2:
        return rng.randbytes(rng.randrange(200))
    changed = bytearray(content)
    for _ in range(rng.randrange(1, 8)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


@pytest.mark.parametrize("corpus", MAKERS)
def test_damaged_tables_are_read_or_refused(corpus: str, tmp_path: Path) -> None:
    table = MAKERS[corpus](tmp_path)
    spec = f"{corpus.split(maxsplit=1)[0]}:{tmp_path}"
    whole = load_dataset(spec, check=False)
    content = table.read_bytes()
    rng = random.Random(corpus)
    messages = []
    for _ in range(COPIES):
        table.write_bytes(mutated(content, rng))
        try:
            load_dataset(spec, check=False)
        except DataError as error:
            messages.append(str(error))
    assert len(messages) > COPIES // 5
    assert all(str(tmp_path) in message or message.startswith("nemo, ") for message in messages)
    table.write_bytes(content)
    assert load_dataset(spec, check=False) == whole
