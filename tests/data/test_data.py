"""Datasets, unions, checks, the short descriptions that load them, and holding out."""

from __future__ import annotations

import dataclasses
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ter_fast.data import Dataset, Sample, holdout, load_dataset, shared_groups
from ter_fast.errors import DataError


def clip(
    path: str,
    label: str = "anger",
    split: str = "train",
    group: str = "",
    target: tuple[float, ...] | None = None,
) -> Sample:
    return Sample(path, label, split, group or path, target)


def dataset(
    *samples: Sample,
    labels: tuple[str, ...] = ("anger", "fear"),
    name: str = "mine",
    terms: str = "CC0",
    modalities: tuple[str, ...] = ("audio",),
) -> Dataset:
    return Dataset(name, labels, samples, terms, modalities)


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[..., str]:
    """Write a manifest and its (empty) media files; return its path."""

    def write(rows: str, name: str = "clips.csv") -> str:
        table = tmp_path / name
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(rows)
        for line in rows.splitlines()[1:]:
            (table.parent / line.split(",")[0]).touch()
        return str(table)

    return write


def test_sample_is_immutable_hashable_and_crosses_processes() -> None:
    sample = Sample("a.wav", "anger", "train", "1", attributes={"sex": "male"})
    assert pickle.loads(pickle.dumps(sample)) == sample
    assert len({sample, dataclasses.replace(sample, label="fear")}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample.label = "fear"  # type: ignore[misc]


def test_split_keeps_labels_and_names_what_is_there() -> None:
    data = dataset(clip("a"), clip("b", "fear", "test"))
    assert [s.path for s in data.split("test")] == ["b"]
    assert data.split("test").class_counts() == {"anger": 0, "fear": 1}
    with pytest.raises(DataError, match=r"no samples in split 'validation'; it has .*test.*train"):
        data.split("validation")


def test_merged_adds_soft_targets_and_sorts_the_new_labels() -> None:
    data = dataset(
        clip("a", "calm", target=(0.25, 0.5, 0.25)), clip("b"), labels=("anger", "calm", "neutral")
    )
    merged = data.merge_classes({"calm": "neutral", "anger": "rage"})
    assert merged.labels == ("neutral", "rage")
    assert [s.label for s in merged] == ["neutral", "rage"]
    assert merged[0].target == (0.75, 0.25)
    assert merged[1].target is None
    with pytest.raises(DataError, match=r"unknown label 'clam'.*Did you mean 'calm'"):
        data.merge_classes({"clam": "neutral"})


def test_union_reindexes_soft_targets_by_name() -> None:
    first = dataset(clip("a", "fear", target=(0.2, 0.8)), terms="A")
    second = dataset(
        clip("b", "joy", target=(0.9, 0.1)),
        labels=("joy", "sadness"),
        name="theirs",
        terms="B",
        modalities=("video",),
    )
    union = first + second
    assert union.labels == ("anger", "fear", "joy", "sadness")
    assert [s.target for s in union] == [(0.2, 0.8, 0.0, 0.0), (0.0, 0.0, 0.9, 0.1)]
    assert (union.name, union.terms, union.modalities) == (
        "mine+theirs",
        "A; B",
        ("audio", "video"),
    )


def test_aligned_puts_a_dataset_on_the_labels_of_a_model() -> None:
    data = dataset(clip("a", "fear", target=(0.2, 0.8)))
    wide = data.align(["neutral", "fear", "anger"])
    assert wide.labels == ("anger", "fear", "neutral")
    assert wide[0].target == (0.2, 0.8, 0.0)
    with pytest.raises(DataError, match=r"unknown label 'fear'.*Did you mean 'fears'"):
        data.align(["anger", "fears"])


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "has no samples"),
        ([clip("a"), clip("b")], "one class only .*'anger'"),
        ([clip("a"), clip("b", "feer")], "b: unknown label 'feer'.*Did you mean 'fear'"),
        ([clip("a"), clip("b", "fear", "dev")], "b: unknown split 'dev'"),
        ([clip("a"), clip("a", "fear")], r"names 1 path \(a\) more than once"),
        ([clip("a"), clip("b", "fear", target=(0.5, 0.6))], "no distribution"),
        ([clip("a"), clip("b", "fear", target=(1.0,))], "no distribution over the 2 labels"),
        ([clip("a"), clip("b", "fear", target=(1.5, -0.5))], "no distribution"),
        (
            [clip("a", group="g"), clip("b", "fear", "test", group="g")],
            "1 group.*'g' in test and train.*holdout",
        ),
    ],
)
def test_check_names_what_is_wrong(samples: list[Sample], message: str) -> None:
    with pytest.raises(DataError, match=message):
        dataset(*samples).check()


def test_check_warns_of_a_known_overlap_and_still_raises_for_another() -> None:
    known = [clip(f"{g}{s}", "fear", s, g) for g in "pqrs" for s in ("train", "test")]
    data = dataclasses.replace(dataset(clip("a"), *known), known_overlap=frozenset("pqrs"))
    with pytest.warns(UserWarning, match=r"4 group.*'p'.*'q'.*'r'.*'s'.*as published"):
        data.check()
    with pytest.warns(UserWarning, match="as published"):
        (dataset(clip("d")) + data).check()
    other = dataset(clip("b", group="x"), clip("c", "fear", "test", "x"))
    with pytest.raises(DataError, match=r"1 group.*'x'"):
        (data + other).check()


def test_a_clean_dataset_passes_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset(clip("a"), clip("b", "fear", "test")).check()


def test_joined_datasets_are_corpora_unless_their_samples_name_one() -> None:
    named = dataclasses.replace(clip("b"), attributes={"corpus": "ravdess", "sex": "male"})
    joined = dataset(clip("a")) + dataset(named, name="theirs") + dataset(clip("c"), name="third")
    assert [s.attributes["corpus"] for s in joined] == ["mine", "ravdess", "third"]
    assert joined[1].attributes["sex"] == "male"


def test_load_dataset_joins_manifests(manifest: Callable[..., str]) -> None:
    first = manifest("path,label\na.wav,anger\nb.wav,fear\n", "one.csv")
    second = manifest("path,label\nc.mp4,joy\nd.mp4,fear\n", "two.csv")
    union = load_dataset(f"{first}+{second}")
    assert union.labels == ("anger", "fear", "joy")
    assert union.name == "one+two"
    assert union.modalities == ("audio", "video")


def test_a_plus_sign_in_a_path_is_part_of_it(manifest: Callable[..., str]) -> None:
    nested = manifest("path,label\na.wav,anger\nb.wav,fear\n", "a+b/clips.csv")
    assert len(load_dataset(nested)) == 2
    plain = manifest("path,label\nc.wav,x\nd.wav,y\n")
    assert len(load_dataset(f"{nested}+{plain}")) == 4


def test_load_dataset_puts_manifests_on_given_labels(manifest: Callable[..., str]) -> None:
    table = manifest("path,label\na.wav,anger\nb.wav,fear\n")
    assert load_dataset(table, labels=["neutral", "fear", "anger"]).labels == (
        "anger",
        "fear",
        "neutral",
    )
    with pytest.raises(
        DataError,
        match=r"'fear' \(1 clip, such as \S*b\.wav; did you mean 'fears'\?\); expected anger, fears\..*--rename fear=",
    ):
        load_dataset(table, labels=["anger", "fears"])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ravdes:clips", "unknown dataset 'ravdes:clips'.*fer2013:PATH.*ravdess:PATH"),
        ("clips.txt", r"unknown dataset 'clips.txt'.*\.csv or \.parquet"),
        ("nemo:", "unknown dataset 'nemo:'"),
        ("", "unknown dataset ''"),
        ("nemo:missing", "missing is not a folder"),
        ("nemo:missing+ravdess:absent", "missing is not a folder"),
        ("absent.csv+other.csv", "absent.csv is not there"),
        ("ravdess:x?clam=keep", "unknown option 'clam=keep'; expected calm=…, channel=…"),
        ("ravdess:x?calm=maybe", "calm='maybe'; expected one of .*keep"),
        ("nemo:x?calm=keep", "unknown option 'calm=keep'; expected protocol=…"),
        ("music_video:x?split=random", "split='random'; expected one of .*clean"),
        ("fer2013:missing", "missing is not there"),
    ],
)
def test_load_dataset_says_what_it_knows(spec: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(spec)


def speakers(groups: int, size: int, split: str = "train") -> Dataset:
    labels = ("anger", "fear", "joy")
    clips = [
        clip(f"{g}/{i}", labels[(g + i) % 3], split, f"speaker {g}")
        for g in range(groups)
        for i in range(size)
    ]
    return dataset(*clips, labels=labels)


def test_holdout_moves_whole_groups_and_keeps_the_rest() -> None:
    data = speakers(20, 12) + speakers(0, 0) + dataset(clip("t", split="test"))
    held = holdout(data, 0.2, seed=3)
    assert not shared_groups(held)
    assert held.split("validation").class_counts() == {"anger": 16, "fear": 16, "joy": 16}
    assert len(held.split("validation").groups()) == 4
    assert [s.path for s in held] == [s.path for s in data]
    assert [s.path for s in held.split("test")] == ["t"]


def test_holdout_depends_on_the_seed_alone() -> None:
    data = speakers(20, 12)
    assert holdout(data, 0.2, seed=1) == holdout(data, 0.2, seed=1)
    chosen = {frozenset(holdout(data, 0.2, seed=s).split("validation").groups()) for s in range(9)}
    assert len(chosen) > 1


def test_holdout_splits_a_dataset_that_has_no_split() -> None:
    held = holdout(speakers(10, 6, split=""), 0.1)
    assert {s.split for s in held} == {"train", "validation"}
    assert len(held.split("validation")) == 6


def test_holdout_stratifies_where_the_total_alone_would_not() -> None:
    labels = ("anger", "fear")
    clips = [clip(str(i), "fear" if i < 10 else "anger") for i in range(100)]
    held = holdout(dataset(*clips, labels=labels), 0.2, seed=5)
    assert held.split("validation").class_counts() == {"anger": 18, "fear": 2}
    totals = [
        holdout(dataset(*clips, labels=labels), 0.2, stratify=False, seed=s).split("validation")
        for s in range(8)
    ]
    assert {len(t) for t in totals} == {20}
    assert len({t.class_counts()["fear"] for t in totals}) > 1


def test_holdout_by_sample_may_cut_groups() -> None:
    held = holdout(speakers(2, 30), 0.1, by="sample")
    assert len(held.split("validation")) == 6
    assert held.split("validation").groups() & held.split("train").groups()


def test_holdout_takes_the_nearest_group_when_each_is_too_large() -> None:
    held = holdout(speakers(3, 30), 0.05)
    assert len(held.split("validation")) == 30


@pytest.mark.parametrize(
    ("data", "arguments", "message"),
    [
        (speakers(9, 3), {"fraction": 0.0}, r"fraction=0\.0; expected a share between 0 and 1"),
        (speakers(9, 3), {"fraction": 1.0}, r"fraction=1\.0"),
        (speakers(9, 3), {"by": "actor"}, "by='actor'; expected 'group' or 'sample'"),
        (speakers(9, 3, "validation"), {}, "validation samples already"),
        (speakers(9, 3, "test"), {}, "no training samples"),
        (speakers(1, 9), {}, r"none of its 1 group\(s\) can be held out"),
    ],
)
def test_holdout_says_what_is_wrong(
    data: Dataset, arguments: dict[str, float], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        holdout(data, **arguments)  # type: ignore[arg-type]


@given(
    sizes=st.lists(st.integers(1, 12), min_size=2, max_size=25),
    fraction=st.floats(0.05, 0.6),
    stratify=st.booleans(),
    seed=st.integers(0, 99),
)
def test_holdout_never_cuts_a_group_nor_loses_a_class(
    sizes: list[int], fraction: float, stratify: bool, seed: int
) -> None:
    labels = ("anger", "fear")
    clips = [
        clip(f"{g}/{i}", labels[(g * i) % 2], group=str(g))
        for g, n in enumerate(sizes)
        for i in range(n)
    ]
    data = dataset(*clips, labels=labels)
    before = data.class_counts()
    by_group = [dataset(*(c for c in clips if c.group == g)).class_counts() for g in data.groups()]
    if all(any(0 < n == before[label] for label, n in one.items()) for one in by_group):
        with pytest.raises(DataError, match="can be held out"):
            holdout(data, fraction, stratify=stratify, seed=seed)
        return
    held = holdout(data, fraction, stratify=stratify, seed=seed)
    after = held.split("train").class_counts()
    assert not shared_groups(held)
    assert all(after[label] > 0 for label in labels if before[label])
    assert 0 < len(held.split("validation")) < len(data)
