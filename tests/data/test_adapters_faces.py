"""FER2013 as published, with FER+ votes, and folders for classes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers import corpora
from helpers.corpora import touch
from ter_fast.data import load_dataset, load_fer2013, load_folders
from ter_fast.errors import DataError

HAPPY = [1, 9, 0, 0, 0, 0, 0, 0, 0, 0]
UNCLEAR = [2, 0, 0, 0, 1, 0, 0, 0, 7, 0]
NONE = [0] * 10


def test_fer2013_csv_reads_pixels_and_parts(tmp_path: Path) -> None:
    rows = [(0, 1, "Training"), (3, 2, "PublicTest"), (6, 3, "PrivateTest")]
    data = load_dataset(f"fer2013:{corpora.fer2013_csv(tmp_path, rows)}")
    assert [(s.label, s.split) for s in data] == [
        ("anger", "train"),
        ("happiness", "validation"),
        ("neutral", "test"),
    ]
    for sample, (_, grey, _) in zip(data, rows, strict=True):
        picture = cv2.imdecode(np.frombuffer(sample.image or b"", np.uint8), cv2.IMREAD_UNCHANGED)
        assert picture is not None
        assert picture.shape == (48, 48)
        assert (picture == grey).all()
    assert load_fer2013(tmp_path) == data
    assert [s.target for s in data] == [None] * 3


def test_fer2013_csv_leaves_copies_out_of_what_is_measured(tmp_path: Path) -> None:
    rows = [(0, 1, "Training"), (0, 1, "Training"), (0, 1, "PublicTest"), (0, 1, "PrivateTest")]
    rows += [(3, 2, "PublicTest"), (3, 2, "PrivateTest"), (3, 5, "PrivateTest")]
    data = load_fer2013(corpora.fer2013_csv(tmp_path, rows).parent)
    assert [s.path.rpartition("#")[2] for s in data] == ["0", "1", "5", "6"]
    assert data[0].group == data[1].group


def test_fer2013_csv_joins_the_votes_row_by_row(tmp_path: Path) -> None:
    rows = [(0, 1, "Training"), (3, 2, "Training"), (3, 3, "Training"), (2, 4, "PrivateTest")]
    corpora.fer2013_csv(tmp_path, rows)
    votes = [("Training", "fer0000000.png", HAPPY), ("Training", "fer0000001.png", UNCLEAR)]
    votes += [("Training", "", NONE), ("PrivateTest", "fer3.png", UNCLEAR)]
    corpora.ferplus_csv(tmp_path, votes)
    data = load_fer2013(tmp_path)
    # The second shows no emotion; the third has no votes at all, and keeps its label.
    assert [s.path.rpartition("#")[2] for s in data] == ["0", "2", "3"]
    assert data[0].target == pytest.approx((0, 0, 0, 0.9, 0.1, 0, 0))
    assert [s.attributes["ferplus"] for s in data] == ["happiness", "", "unknown"]
    relabelled = load_fer2013(tmp_path, label="ferplus")
    assert [s.label for s in relabelled] == ["happiness"]
    corpora.ferplus_csv(tmp_path, votes[:3])
    with pytest.raises(DataError, match=r"row 4: fer2013new\.csv does not go with it"):
        load_fer2013(tmp_path)
    corpora.ferplus_csv(tmp_path, [votes[3], *votes[1:]])
    with pytest.raises(DataError, match=r"row 1: fer2013new\.csv does not go with it"):
        load_fer2013(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("7,0 0,Training", "emotion '7'; expected 0 to 6"),
        ("0,0 0,Training", "2 pixels; expected 48 x 48"),
        ("0,0 300,Training", "not numbers from 0 to 255"),
        ("0,a b,Training", "not numbers from 0 to 255"),
        ("0,0 0,Test", "unknown label 'Test'"),
    ],
)
def test_fer2013_csv_mistakes(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "fer2013.csv").write_text(f"emotion,pixels,Usage\n{row}\n")
    with pytest.raises(DataError, match=message):
        load_fer2013(tmp_path)


def test_fer2013_folders(tmp_path: Path) -> None:
    touch(tmp_path, "train/angry/Training_1.jpg", "test/happy/PublicTest_2.jpg")
    touch(
        tmp_path, "test/sad/PrivateTest_3.jpg", "test/fear/other.png", "test/sad/PrivateTest_4.jpg"
    )
    for i, file in enumerate(sorted(tmp_path.rglob("*.*"))):
        file.write_bytes(bytes([i]))
    (tmp_path / "test/sad/PrivateTest_4.jpg").write_bytes(
        (tmp_path / "train/angry/Training_1.jpg").read_bytes()
    )
    data = load_dataset(f"fer2013:{tmp_path}")
    assert [(s.label, s.split) for s in data] == [
        ("fear", "test"),
        ("happiness", "validation"),
        ("sadness", "test"),
        ("anger", "train"),
    ]
    assert all(s.attributes["crop"] == "face" for s in data)
    touch(tmp_path, "train/contempt/1.jpg")
    with pytest.raises(DataError, match=r"1 picture \(train/contempt/1\.jpg\).*folders:PATH"):
        load_fer2013(tmp_path)


def test_folders_with_splits_and_groups(tmp_path: Path) -> None:
    touch(tmp_path, "train/joy/anna/1.wav", "val/joy/bert/1.wav", "testing/fear/carl/1.mp4")
    data = load_dataset(f"folders:{tmp_path}")
    assert [(s.label, s.split, s.group.partition(":")[2]) for s in data] == [
        ("fear", "test", "carl"),
        ("joy", "train", "anna"),
        ("joy", "validation", "bert"),
    ]
    assert data.modalities == ("audio", "video")


def test_folders_without_splits(tmp_path: Path) -> None:
    touch(tmp_path, "joy/1.png", "fear/2.png", "fear/anna/3.png", "fear/.hidden.png")
    data = load_folders(tmp_path)
    assert [(s.label, s.split) for s in data] == [("fear", ""), ("fear", ""), ("joy", "")]
    assert data[0].group == str(tmp_path / "fear/2.png")
    assert data[1].group == f"{tmp_path.name}:anna"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["1.wav", "joy/2.wav"], r"1 file \(1\.wav\).*not in <class>/<file>"),
        (["joy/a/b/1.wav"], "not in <class>/<file>"),
        (["train/1.wav"], "not in <split>/<class>/<file>"),
        (["train/joy/1.wav", "joy/2.wav"], r"splits \['train'\] beside \['joy'\]"),
        (["notes.txt"], "holds no file"),
    ],
)
def test_folders_mistakes(tmp_path: Path, files: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_folders(touch(tmp_path, *files))


def test_a_bare_folder_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Say which corpus the folder holds, as in folders:"):
        load_dataset(str(tmp_path))
