"""A file is one file, however it is spelt: in manifests, between splits, and between training and validation."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ter_fast.data import Dataset, Sample, load_dataset, load_manifest
from ter_fast.data.files import file_key
from ter_fast.data.splits import holdout, kfold, sides
from ter_fast.errors import DataError

Spell = Callable[[Path], str]


def absolute(file: Path) -> str:
    return str(file)


def through_a_folder(file: Path) -> str:
    (file.parent / "sub").mkdir(exist_ok=True)
    return f"sub/../{file.name}"


def symlink(file: Path) -> str:
    (file.parent / f"link_{file.name}").symlink_to(file)
    return f"link_{file.name}"


def symlink_of_the_folder(file: Path) -> str:
    place = file.parent / "again"
    if not place.exists():
        place.symlink_to(file.parent, target_is_directory=True)
    return f"again/{file.name}"


def hard_link(file: Path) -> str:
    os.link(file, file.parent / f"hard_{file.name}")
    return f"hard_{file.name}"


SPELLINGS: list[Spell] = [
    absolute, through_a_folder, symlink, symlink_of_the_folder, hard_link, lambda file: f"./{file.name}",
]  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    files = [tmp_path / f"{name}.wav" for name in "abcdefgh"]
    for file in files:
        file.write_text(file.name)
    return files


def manifest(folder: Path, rows: list[str], header: str = "path,label,split") -> Path:
    table = folder / "m.csv"
    table.write_text("\n".join([header, *rows]) + "\n")
    return table


@pytest.mark.parametrize("spell", SPELLINGS)
def test_a_file_on_both_sides_is_refused_however_it_is_spelt(
    files: list[Path], spell: Spell
) -> None:
    a, b = files[:2]
    rows = [f"{a.name},x,train", f"{b.name},y,train", f"{spell(a)},x,test"]
    with pytest.raises(
        DataError, match=r"names 1 path .*a\.wav in test and train\) more than once"
    ):
        load_manifest(manifest(a.parent, rows))


@pytest.mark.parametrize("spell", SPELLINGS)
def test_stretches_of_one_film_are_of_one_group(files: list[Path], spell: Spell) -> None:
    a, b = files[:2]
    rows = [f"{a.name},x,train,0,1", f"{b.name},y,train,0,1", f"{spell(a)},x,test,1,2"]
    with pytest.raises(DataError, match="stand in more than one split"):
        load_manifest(manifest(a.parent, rows, "path,label,split,start,end"))


def test_folds_and_held_out_parts_keep_a_file_together(files: list[Path]) -> None:
    samples = []
    for number, file in enumerate(files):
        for second, name in enumerate((str(file), through_a_folder(file))):
            path = str(file.parent / name)
            span = (float(second), second + 1.0)
            samples.append(Sample(path, "xy"[number % 2], "", path, span=span))
    data = Dataset("mine", ("x", "y"), tuple(samples), "CC0", ("audio",))
    for part in (holdout(data, 0.3), *kfold(data, 4)):
        splits = {(file_key(sample.path), sample.split) for sample in part}
        assert len(splits) == len(files)


def test_training_and_validation_data_share_no_file(files: list[Path]) -> None:
    def data(*paths: str) -> Dataset:
        samples = tuple(Sample(path, "xy"[i % 2], "", path) for i, path in enumerate(paths))
        return Dataset("mine", ("x", "y"), samples, "CC0", ("audio",))

    a, b, c, d = map(str, files[:4])
    assert sides(data(a, b), data(c, d))
    linked = files[0].parent / symlink(files[0])
    with pytest.raises(DataError, match="1 groups stand in both training and validation"):
        sides(data(a, b), data(str(linked), c))


def test_a_path_twice_in_one_split_is_refused(files: list[Path]) -> None:
    rows = ["a.wav,x,", "b.wav,y,", f"{symlink(files[0])},x,"]
    with pytest.raises(DataError, match=r"a\.wav = .*link_a\.wav\) more than once"):
        load_manifest(manifest(files[0].parent, rows))


def test_hard_links_in_one_split_are_said(files: list[Path]) -> None:
    rows = ["a.wav,x,", "b.wav,y,", f"{hard_link(files[0])},x,"]
    with pytest.warns(
        UserWarning, match=r"1 file \(.*a\.wav = .*hard_a\.wav\) under more than one"
    ):
        assert len(load_manifest(manifest(files[0].parent, rows))) == 3


def test_files_that_are_not_there_are_told_apart_by_their_paths() -> None:
    samples = (Sample("a.wav", "x", "train", "1"), Sample("./b/../a.wav", "y", "test", "2"))
    with pytest.raises(DataError, match=r"a\.wav = \./b/\.\./a\.wav in test and train"):
        Dataset("mine", ("x", "y"), samples, "CC0", ("audio",)).check()


@pytest.mark.parametrize(
    ("what", "label"), [("label", ""), ("label", None), ("label", float("nan"))]
)
def test_samples_without_a_label_are_refused(what: str, label: object) -> None:
    samples = (Sample("a.wav", "x", "", "1"), Sample("b.wav", label, "", "2"))  # type: ignore[arg-type]
    with pytest.raises(DataError, match=rf"the label {label!r} \(path 'b.wav'\)"):
        Dataset("mine", ("x",), samples, "CC0", ("audio",)).check()


@pytest.mark.parametrize("given", ["e\N{COMBINING ACUTE ACCENT}.wav", "é.wav"])
@pytest.mark.parametrize("stored", ["e\N{COMBINING ACUTE ACCENT}.wav", "é.wav"])
def test_accents_may_be_composed_or_not(files: list[Path], given: str, stored: str) -> None:
    folder = files[0].parent
    (folder / stored).touch()
    data = load_manifest(manifest(folder, [f"{given},x,", "a.wav,y,"]))
    assert [Path(sample.path).exists() for sample in data] == [True, True]


def test_a_folder_with_the_name_of_a_film_is_no_clip(tmp_path: Path) -> None:
    for place in ("x/clip.mp4", "y"):
        (tmp_path / place).mkdir(parents=True)
    for name in ("x/a.wav", "x/clip.mp4/c.wav", "y/b.wav"):
        (tmp_path / name).touch()
    data = load_dataset(f"folders:{tmp_path}")
    assert sorted(Path(sample.path).name for sample in data) == ["a.wav", "b.wav", "c.wav"]
