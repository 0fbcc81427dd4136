"""The systems are asked alike, measured by definitions of their own, and the page shows what was measured."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from benchmarks import alternatives, classifiers
from benchmarks.classifiers import Answers
from helpers.tiny import tiny_model, tone_corpus
from ter_fast.data import Dataset, Sample

LABELS = ("a", "b", "c")


def corpus(size: int = 90) -> Dataset:
    """Return samples of three classes and two corpora, fifteen speakers, six of them for testing."""
    splits = ["train"] * 6 + ["validation"] * 3 + ["test"] * 6
    samples = [
        Sample(
            f"somewhere/{i}.wav",
            LABELS[i % 3],
            splits[i // 6],
            f"s{i // 6}",
            attributes={"corpus": "xy"[i % 2]},
        )
        for i in range(size)
    ]
    return Dataset("both", LABELS, tuple(samples), "CC0", ("audio",))


def answers(data: Dataset, seed: int, order: tuple[str, ...] = LABELS) -> Answers:
    """Return answers that are right more often than not, with columns in any order."""
    chances = np.random.default_rng(seed).dirichlet([1, 1, 1], len(data))
    for row, sample in zip(chances, data, strict=True):
        row[order.index(sample.label)] += 0.4
    chances /= chances.sum(1, keepdims=True)
    names = tuple(classifiers.key_of(each) for each in data)
    return Answers(names, order, chances, (0.001, 0.002, 0.003), f"seed {seed}")


def test_answers_come_back_from_the_cache(tmp_path: Path) -> None:
    kept = answers(corpus(), 0)
    kept.save(tmp_path / "x.npz")
    found = Answers.read(tmp_path / "x.npz")
    assert (found.names, found.labels, found.seconds, found.facts) == (
        (kept.names, kept.labels, kept.seconds, kept.facts)
    )
    np.testing.assert_array_equal(found.probability, kept.probability)


def test_every_system_is_measured_on_the_same_clips_by_the_same_rule() -> None:
    data = corpus()
    systems = {"ter_fast": answers(data, 0), "other": answers(data, 1, ("c", "a", "b"))}
    rows = alternatives.compare(systems, data, "voices", "corpus", resamples=50)
    assert [(row["part"], row["system"], row["clips"]) for row in rows] == [
        (part, system, clips)
        for part, clips in (("voices", 36), ("x alone", 18), ("y alone", 18))
        for system in systems
    ]
    for row in rows:
        each = systems[row["system"]]
        said = np.array(each.labels)[each.probability.argmax(1)]
        truth = np.array([sample.label for sample in data])
        sure, right = each.probability.max(1), said == truth
        split = np.array([sample.split for sample in data])
        # Where as many validation clips are trusted as are right, precision is recall.
        trusted = sure[split == "validation"] >= row["threshold"]
        assert trusted.sum() == right[split == "validation"].sum()
        part = row["part"][0]
        chosen = split == "test"
        if row["part"] != "voices":
            chosen &= np.array([sample.attributes["corpus"] == part for sample in data])
        figures = {name: figure["value"] for name, figure in row["figures"].items()}
        assert figures["accuracy"] == pytest.approx(accuracy_score(truth[chosen], said[chosen]))
        assert figures["uar"] == pytest.approx(balanced_accuracy_score(truth[chosen], said[chosen]))
        chosen_trusted = sure[chosen] >= row["threshold"]
        assert figures["coverage"] == pytest.approx(chosen_trusted.mean())
        assert figures["trusted_precision"] == pytest.approx(right[chosen][chosen_trusted].mean())
    first, second = rows[:2]
    assert "ours_minus_it" not in first
    for name, figure in second["ours_minus_it"].items():
        values = [row["figures"][name]["value"] for row in (first, second)]
        assert figure["value"] == pytest.approx(values[0] - values[1])


def test_a_sample_without_an_answer_is_named() -> None:
    data = corpus()
    found = answers(data, 0)
    cut = Answers(found.names[1:], found.labels, found.probability[1:], (), "")
    with pytest.raises(ValueError, match=r"1 samples of voices have no answer, such as 0\.wav"):
        cut.outcomes(data.samples, "voices")


def test_logistic_regression_learns_from_the_training_part_alone() -> None:
    data = corpus()
    table = np.random.default_rng(0).normal(size=(len(data), 4)).astype(np.float32)
    for row, sample in zip(table, data, strict=True):
        row[LABELS.index(sample.label)] += 3
    fitted, facts = classifiers.logistic(table, data)
    assert facts.startswith("4 functionals, logistic regression (C=")
    spoilt = table.copy()
    spoilt[[each.split == "test" for each in data]] = np.nan
    again, same = classifiers.logistic(spoilt, data)
    assert same == facts
    np.testing.assert_array_equal(again[-1].coef_, fitted[-1].coef_)
    assert (fitted.predict(table) == [each.label for each in data]).mean() > 0.7


def test_our_experts_answer_files_and_pictures(tmp_path: Path) -> None:
    from ter_fast.data import load_dataset

    tones = load_dataset(str(tone_corpus(tmp_path, {"validation": 1, "test": 1})))
    model = tiny_model("audio", "video", labels=tones.labels)
    found = classifiers.ours(model, tones, "voices")
    assert found.names == tuple(classifiers.key_of(tone) for tone in tones)
    said = model.predict([tone.path for tone in tones])
    expected = [[float(p) for p in each.opinion.probability.flatten()] for each in said]
    np.testing.assert_allclose(found.probability, expected, rtol=1e-5)
    assert len(found.seconds) == 2
    picture = cv2.imencode(".png", np.full((48, 48), 9, np.uint8))[1].tobytes()
    face = Sample("t#0", "high", "test", "g", image=picture, attributes={"crop": "face"})
    faces = Dataset("f", tones.labels, (face,), "CC0", ("video",))
    assert classifiers.ours(model, faces, "faces").probability.shape == (1, 2)
    np.testing.assert_array_equal(classifiers.pixels(face), np.full((48, 48), 9))


def test_time_is_that_of_one_core_and_of_every_input() -> None:
    before = os.sched_getaffinity(0)
    seen = []

    def answer(count: int) -> None:
        seen.append(os.sched_getaffinity(0))
        until = time.process_time() + 0.001 * count
        while time.process_time() < until:
            pass

    found = classifiers.timed(answer, [1, 5])
    assert len(seen) == 3
    assert {len(each) for each in seen} == {1}
    assert os.sched_getaffinity(0) == before
    assert found[0] >= 0.001
    assert found[1] >= 0.005


@pytest.fixture
def committed() -> dict[str, object]:
    file = alternatives.RESULTS / "alternatives.json"
    return json.loads(file.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_the_committed_page_shows_the_committed_figures(committed: dict[str, object]) -> None:
    page = "\n".join(alternatives.page_of(committed)) + "\n"
    kept = (alternatives.RESULTS / "alternatives.md").read_text(encoding="utf-8")
    assert page == kept
    for system in (alternatives.OURS, alternatives.EGEMAPS, alternatives.XCEPTION):
        assert f"| {system} |" in page


def test_the_page_warns_of_a_model_of_other_splits(committed: dict[str, object]) -> None:
    splits = {"voices": {"modality": "audio", "here": {"train": 3}, "recorded": {"train": 4}}}
    page = "\n".join(alternatives.page_of({**committed, "splits": splits}))
    assert "records {'train': 4} clips, and these splits have {'train': 3}" in page


def test_functionals_of_egemaps_are_kept(tmp_path: Path) -> None:
    pytest.importorskip("opensmile", reason="needs ter_fast[bench]")
    from ter_fast.data import load_dataset

    tones = load_dataset(str(tone_corpus(tmp_path / "d", {"train": 2, "validation": 1, "test": 1})))
    found = classifiers.egemaps(tones, tmp_path / "kept.npz")
    assert found.names == tuple(classifiers.key_of(tone) for tone in tones)
    assert np.load(tmp_path / "kept.npz")["values"].shape == (len(tones), 88)
    again = classifiers.egemaps(tones, tmp_path / "kept.npz")
    np.testing.assert_array_equal(again.probability, found.probability)
