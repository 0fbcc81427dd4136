"""Whom a model learned from: kept by training, and held against the data that it is measured on."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.tiny import LABELS, QUIET, tiny_model, tone_corpus
from ter_fast import Model, cli
from ter_fast.data import Dataset, Sample, load_dataset
from ter_fast.experts.config import ModelConfig, TrainingRecord
from ter_fast.experts.provenance import MOST_NAMED, groups_by_split, known_groups, named_groups


def dataset(*groups: str, name: str = "mine") -> Dataset:
    clips = [Sample(f"{i}.wav", LABELS[i % 2], "", group) for i, group in enumerate(groups)]
    return Dataset(name, LABELS, tuple(clips), "CC0", ("audio",))


def learned(*records: TrainingRecord) -> ModelConfig:
    return replace(tiny_model("audio", "video", labels=LABELS).config, training=records)


def record(data: str, modality: str = "audio", **groups: tuple[str, ...] | int) -> TrainingRecord:
    return TrainingRecord((modality,), data, "", {"train": 2}, {}, groups)


def test_groups_are_named_counted_or_none() -> None:
    assert named_groups(dataset("b", "a", "b")) == ("a", "b")
    many = [f"s{i}" for i in range(MOST_NAMED)]
    assert named_groups(dataset(*many)) == tuple(sorted(many))
    assert named_groups(dataset(*many, "one more")) == MOST_NAMED + 1
    # A clip of which nobody said who speaks is its own group: its path is nobody's name.
    alone = dataset("0.wav", "1.wav", "")
    assert named_groups(alone) == ()
    assert groups_by_split(train=dataset("a"), validation=alone) == {"train": ("a",)}


def test_groups_are_the_same_by_name_within_a_corpus_and_a_modality_alone() -> None:
    config = learned(
        record("mine+other", train=("a", "b"), validation=("c",)),
        record("faces", "video", train=("a", "d")),
        record("mine", train=300),
    )
    seen = dataset("a", "c", "d", "e")
    assert known_groups(config, [seen], ["audio"]) == ("a", "c")
    assert known_groups(config, [seen], ["video"]) == ()
    assert known_groups(config, [replace(seen, name="new+faces")], ["audio", "video"]) == ("a", "d")
    assert known_groups(config, [replace(seen, name="mine2")], ["audio", "video"]) == ()
    assert known_groups(learned(), [seen], ["audio"]) == ()


@pytest.mark.parametrize(
    ("split", "known"),
    [("", ("a", "c")), ("test", ("a", "c")), ("train", ("a", "c")), ("validation", ("a",))],
)
def test_whoever_asks_for_the_validation_split_knows_what_it_is(
    split: str, known: tuple[str, ...]
) -> None:
    config = learned(record("mine", train=("a", "b"), validation=("c",)))
    seen = dataset("a", "c", "d")
    asked = replace(seen, samples=tuple(replace(each, split=split) for each in seen))
    assert known_groups(config, [asked], ["audio"]) == known


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tone_corpus(tmp_path_factory.mktemp("t"), {"train": 3, "validation": 2, "test": 2})


@pytest.mark.slow
def test_training_keeps_whom_it_learned_from(corpus: Path, tmp_path: Path) -> None:
    tones = load_dataset(str(corpus))
    model = tiny_model("audio", labels=LABELS)
    model.fit(tones, epochs=1, progress=False)
    groups = {"train": ("train0", "train1", "train2"), "validation": ("validation0", "validation1")}
    assert model.config.training[-1].groups == groups
    model.save_pretrained(tmp_path)
    assert Model.from_pretrained(tmp_path).config.training[-1].groups == groups
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.evaluate(tones.split("test"), **QUIET).known_groups == ()
    with pytest.warns(UserWarning, match=r"by name, with the .* \(3: train0, .*train2\)") as told:
        found = model.evaluate(tones.split("train"), **QUIET)
    assert len(told) == 1
    assert told[0].filename == __file__
    assert found.known_groups == groups["train"]
    assert json.loads(json.dumps(found.to_dict()))["known_groups"] == list(groups["train"])
    with pytest.warns(UserWarning, match="3: train0, ") as told:
        model.evaluate_corrupted(tones.split("train"), "low_pass", severities=[1], resamples=20)
    assert [each.filename for each in told] == [__file__]
    page = found.save(tmp_path / "report").read_text(encoding="utf-8")
    assert "The model learned from 3 of these groups, going by their names" in page


def test_a_record_without_groups_is_read_and_knows_nobody(corpus: Path, tmp_path: Path) -> None:
    model = tiny_model("audio", labels=LABELS)
    model.config = replace(model.config, training=(record("tones", train=("train0",)),))
    model.save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    del values["training"][0]["groups"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    old = Model.from_pretrained(tmp_path)
    assert old.config.training[0].groups == {}
    assert old.evaluate(load_dataset(str(corpus)).split("train"), **QUIET).known_groups == ()


def test_the_command_says_it_in_one_sentence(
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = tiny_model("audio", labels=LABELS)
    model.config = replace(model.config, training=(record("tones", validation=("test1",)),))
    model.save_pretrained(tmp_path)
    command = ["evaluate", "-d", corpus, "-m", tmp_path, "--against", tmp_path, "-q"]
    monkeypatch.setattr(sys, "argv", ["ter-fast", *map(str, command)])
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        with pytest.raises(SystemExit) as ended:
            cli.main()
    printed = capsys.readouterr()
    assert not ended.value.code
    lines = [line for line in printed.err.splitlines() if "shares" in line]
    assert len(lines) == 1
    assert lines[0].startswith("warning: tones test shares speakers or sources, by name, with the")
    assert "UserWarning" not in printed.err
    assert "the model learned from 1 of these groups" in " ".join(printed.out.split())
