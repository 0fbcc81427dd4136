"""Folds that keep groups apart, and protocols by name."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.corpora import touch
from ter_fast.data import (
    Dataset,
    Sample,
    kfold,
    load_dataset,
    load_ravdess,
    shared_groups,
    with_protocol,
)
from ter_fast.errors import DataError


def dataset(groups: list[int], labels: list[int]) -> Dataset:
    samples = tuple(
        Sample(f"{i}.wav", "abc"[label], "train", f"mine:{group}")
        for i, (group, label) in enumerate(zip(groups, labels, strict=True))
    )
    return Dataset("mine", ("a", "b", "c"), samples, "CC0", ("audio",))


def balanced(groups: int = 20) -> Dataset:
    return dataset([i // 6 for i in range(6 * groups)], [i % 3 for i in range(6 * groups)])


@settings(deadline=None)  # the first example waits for scikit-learn to load
@given(
    st.lists(
        st.lists(st.integers(0, 2), max_size=12).map(lambda extra: [0, 1, 2, *extra]),
        min_size=6,
        max_size=12,
    ),
    st.integers(3, 6),
    st.integers(0, 3),
)
def test_every_group_is_tested_once_and_never_trained_on(
    classes: list[list[int]], folds: int, seed: int
) -> None:
    pairs = [(group, label) for group, labels in enumerate(classes) for label in labels]
    data = dataset([g for g, _ in pairs], [c for _, c in pairs])
    made = kfold(data, folds, seed)
    assert len(made) == folds
    tested = Counter(group for part in made for group in part.split("test").groups())
    assert tested == dict.fromkeys(data.groups(), 1)
    for part in made:
        assert not shared_groups(part)
        assert [s.path for s in part] == [s.path for s in data]
        assert {s.label for s in part.split("train")} == {s.label for s in data}


def test_folds_have_the_class_counts_of_the_whole() -> None:
    for part in kfold(balanced(), 5):
        assert part.split("test").class_counts() == {"a": 8, "b": 8, "c": 8}
        assert part.split("validation").class_counts() == {"a": 8, "b": 8, "c": 8}


def test_the_seed_decides_the_folds() -> None:
    def first(seed: int) -> set[str]:
        return kfold(balanced(), 5, seed)[0].split("test").groups()

    assert first(0) == first(0)
    assert len({frozenset(first(seed)) for seed in range(6)}) > 1


@pytest.mark.parametrize(("folds", "groups"), [(2, 20), (0, 20), (5, 4)])
def test_folds_out_of_range(folds: int, groups: int) -> None:
    with pytest.raises(DataError, match=rf"{folds} folds of mine .* has {groups} group"):
        kfold(balanced(groups), folds)


def test_a_class_of_one_group_cannot_be_dealt_out() -> None:
    lonely = dataset([i // 6 for i in range(60)], [2 if i < 6 else i % 2 for i in range(60)])
    with pytest.raises(DataError, match=r"leaves nothing of \['c'\] to train on"):
        kfold(lonely, 5)


def test_folds_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.model_selection", None)
    with pytest.raises(DataError, match="pip install scikit-learn"):
        kfold(balanced(), 5)


def test_known_overlap_ends_with_the_split_that_had_it() -> None:
    data = Dataset("mine", ("a", "b", "c"), balanced().samples, "CC0", ("audio",), frozenset({"g"}))
    assert all(not part.known_overlap for part in kfold(data, 3))


def test_fold_protocols_count_from_one() -> None:
    data = balanced()
    assert with_protocol(data, "5-fold-1") == kfold(data, 5)[0]
    assert with_protocol(data, "5-fold-5") == kfold(data, 5)[4]
    for name in ("5-fold-0", "5-fold-6"):
        with pytest.raises(DataError, match="count from 1"):
            with_protocol(data, name)


def test_leaving_one_group_out() -> None:
    left = with_protocol(balanced(), "leave-7-out")
    assert left.split("test").groups() == {"mine:7"}
    assert len(left.split("train").groups()) == 19
    with pytest.raises(DataError, match=r"no group 'x'; it has 20 groups \(0, 1, 10, …\)"):
        with_protocol(balanced(), "leave-x-out")
    with pytest.raises(DataError, match="nothing beside the group '0'"):
        with_protocol(balanced(1), "leave-0-out")


def test_protocols_that_do_not_fit() -> None:
    unsplit = Dataset("mine", ("a", "b"), (Sample("1.wav", "a", "", "1"),), "CC0", ("audio",))
    assert with_protocol(balanced(), "published") == balanced()
    with pytest.raises(DataError, match="published without a split"):
        with_protocol(unsplit, "published")
    with pytest.raises(DataError, match="one of ravdess, not of mine"):
        with_protocol(unsplit, "chumachenko")
    with pytest.raises(DataError, match="unknown protocol 'loso'; expected one of published"):
        with_protocol(unsplit, "loso")


def test_descriptions_name_protocols(tmp_path: Path) -> None:
    names = [f"03-01-0{e}-01-01-01-{a:02d}.wav" for e in (1, 5) for a in range(1, 25)]
    touch(tmp_path, *names)
    spec = f"ravdess:{tmp_path}"
    assert load_dataset(spec, protocol="chumachenko") == load_ravdess(tmp_path)
    sixth = load_dataset(f"{spec}?protocol=6-fold-2&calm=keep")
    assert sixth == kfold(load_ravdess(tmp_path, calm="keep"), 6)[1]
    # What a description says comes before what is asked for of all.
    assert load_dataset(f"{spec}?protocol=leave-03-out", protocol="6-fold-1").split(
        "test"
    ).groups() == {"ravdess:03"}


def test_manifests_take_protocols_too(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{i}.wav" for i in range(12)))
    rows = [f"{i}.wav,{'ab'[i % 2]},{i // 2}" for i in range(12)]
    table = tmp_path / "mine.csv"
    table.write_text("path,label,group\n" + "\n".join(rows) + "\n")
    data = load_dataset(f"{table}?protocol=leave-3-out")
    assert [Path(s.path).stem for s in data.split("test")] == ["6", "7"]
    with pytest.raises(DataError, match="unknown option 'calm=keep'; expected protocol"):
        load_dataset(f"{table}?calm=keep")
