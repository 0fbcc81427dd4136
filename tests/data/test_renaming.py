"""Labels and splits by other names: what is taken as the same, what is not, and what is said."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from helpers.tiny import write_manifest
from ter_fast import DataError
from ter_fast.data import load_dataset, load_datasets, load_folders, load_manifest
from ter_fast.data.aliases import SPLIT_NAMES, common_labels, matching_labels, split_name
from ter_fast.data.dataset import SPLITS

MODEL = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")


def manifest(file: Path, labels: list[str], splits: list[str] | None = None) -> str:
    rows = []
    for place, label in enumerate(labels):
        clip = file.parent / f"{file.stem}-{place}.wav"
        clip.touch()
        row = {"path": clip.name, "label": label}
        rows.append(row if splits is None else {**row, "split": splits[place]})
    return str(write_manifest(file, rows))


def test_adjectives_and_capitals_are_the_labels_of_the_model(tmp_path: Path) -> None:
    given = ["angry", "Disgusted", "fearful", "HAPPY", "neutral", "sad", "surprised"]
    table = manifest(tmp_path / "a.csv", given)
    with pytest.warns(
        UserWarning, match=r"a: labels are taken .*HAPPY as happiness.*angry as anger"
    ):
        data = load_dataset(table, MODEL)
    assert [sample.label for sample in data] == list(MODEL)
    # And the other way round, for a model that was trained on such names.
    with pytest.warns(UserWarning, match="anger as angry"):
        data = load_dataset(manifest(tmp_path / "b.csv", ["anger", "calm"]), ["angry", "calm"])
    assert data.labels == ("angry", "calm")


def test_alone_a_dataset_keeps_its_names(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = load_dataset(manifest(tmp_path / "a.csv", ["happy", "Sad"]))
    assert data.labels == ("Sad", "happy")


def test_datasets_that_are_joined_spell_their_labels_alike(tmp_path: Path) -> None:
    one = manifest(tmp_path / "one.csv", ["happy", "calm", "Bored"])
    two = manifest(tmp_path / "two.csv", ["happiness", "calm", "bored"])
    with pytest.warns(UserWarning, match="one: labels.*Bored as bored"):
        data = load_dataset(f"{one}+{two}")
    assert data.labels == ("bored", "calm", "happiness")
    assert common_labels([["Joy"], ["joy"]]) == ["joy"]


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (["calm"], ["neutral"]),
        (["happy", "happiness"], ["happiness"]),
        (["happy"], ["Happiness", "happiness"]),
        (["joy"], ["happiness"]),
        (["happy"], ["happy", "happiness"]),
    ],
)
def test_what_is_not_the_same_or_not_unambiguous_is_left(
    labels: list[str], wanted: list[str]
) -> None:
    assert matching_labels(labels, wanted) == {}


def test_unknown_labels_are_named_with_the_nearest_and_the_flag(tmp_path: Path) -> None:
    table = manifest(tmp_path / "a.csv", ["angr", "joy", "joy", "fear"])
    message = (
        r"a: unknown labels 'angr' \(1 clip, such as \S*a-0\.wav; did you mean 'anger'\?\), "
        r"'joy' \(2 clips, such as \S*a-1\.wav\); expected anger, .*"
        r"--rename angr=anger --rename joy=NAME \(in Python rename="
    )
    with pytest.raises(DataError, match=message):
        load_dataset(table, MODEL)
    data = load_dataset(table, MODEL, rename={"angr": "anger", "joy": "happiness"})
    assert [sample.label for sample in data] == ["anger", "happiness", "happiness", "fear"]


def test_renaming_merges_and_is_done_before_labels_are_compared(tmp_path: Path) -> None:
    one = manifest(tmp_path / "one.csv", ["calm", "neutral", "fear"])
    two = manifest(tmp_path / "two.csv", ["neutral", "fear"])
    found = load_datasets([one, two], MODEL, rename={"calm": "neutral"})
    assert [each.class_counts()["neutral"] for each in found] == [2, 1]
    with pytest.raises(DataError, match=r"'clam' cannot be renamed to 'neutral'.*mean 'calm'\?"):
        load_datasets([one, two], rename={"clam": "neutral"})


def test_splits_go_by_other_names(tmp_path: Path) -> None:
    names = ["Training", "dev", "eval", "VAL", "testing", "valid"]
    table = manifest(tmp_path / "a.csv", ["x", "y"] * 3, names)
    splits = ["train", "validation", "test", "validation", "test", "validation"]
    data = load_manifest(table)
    assert [sample.split for sample in data] == splits
    assert len(data.split("dev")) == 3
    assert {*SPLIT_NAMES.values()} == {*SPLITS} - {""}
    assert split_name("") == ""
    for place, name in enumerate(names):
        folder = tmp_path / "folders" / name / "xy"[place % 2]
        folder.mkdir(parents=True)
        (folder / f"{place}.wav").touch()
    found = {Path(sample.path).stem: sample.split for sample in load_folders(tmp_path / "folders")}
    assert [found[str(place)] for place in range(6)] == splits


def test_a_split_that_is_missing_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no samples in split 'eval'; it has \['train'\]\. Choose"):
        load_manifest(manifest(tmp_path / "a.csv", ["x", "y"], ["train"] * 2)).split("eval")
    with pytest.raises(DataError, match=r"it has no splits\. Give each sample one, or"):
        load_manifest(manifest(tmp_path / "b.csv", ["x", "y"])).split("test")
