"""Comparisons: sets, splits and corruptions, runs that go on, intervals, the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.io import savemat
from sklearn.base import clone
from typer.testing import CliRunner

from ter_fast.cli import app
from ter_fast.comparison import (
    METHODS,
    Comparison,
    ViewSet,
    build,
    conflictive,
    load_views,
    run,
    split,
)
from ter_fast.comparison.page import interval
from ter_fast.comparison.run import read_results, scores
from ter_fast.errors import DataError


def some_views(count: int = 80) -> ViewSet:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 4
    centres = rng.normal(size=(4, 6))
    views = tuple(
        centres[labels, :width] * 3 + rng.normal(size=(count, width)) for width in (6, 4, 5)
    )
    return ViewSet("some", views, labels)


# -- sets -----------------------------------------------------------------------------------------


def test_published_sets_are_read_as_published(data_dir: Path) -> None:
    shapes = {
        "handwritten_6views.mat": (2000, [240, 76, 216, 47, 64, 6], 10),
        "scene15_mtv.mat": (4485, [20, 59, 40], 15),
        "PIE_face_10.mat": (680, [484, 256, 279], 68),
        "leaves100_tmnr.npz": (1600, [64, 64, 64], 100),
    }
    for name, (count, widths, classes) in shapes.items():
        views = load_views(data_dir / "multiview" / name)
        assert [view.shape for view in views.views] == [(count, width) for width in widths]
        assert sorted(set(views.labels.tolist())) == list(range(classes))


def test_what_is_no_set_of_views_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.npz"
    np.savez(other, features=np.zeros((3, 2)))
    with pytest.raises(DataError, match=r"other\.npz holds \['features'\]; expected X and gt"):
        load_views(other)
    np.savez(other, view0=np.zeros((3, 2)), y=np.zeros(2))
    with pytest.raises(DataError, match=r"views of \[3\] samples, and labels that do not fit"):
        load_views(other)
    other.write_bytes(b"PK no archive")
    with pytest.raises(DataError, match=r"other\.npz"):
        load_views(other)
    np.savez(other, view0=np.zeros((3, 2)), view2=np.zeros((3, 2)), y=np.zeros(3))
    with pytest.raises(DataError, match=r"other\.npz holds views in part, or no numbers"):
        load_views(other)
    np.savez(other, view0=np.zeros(3), y=np.zeros(3))
    with pytest.raises(DataError, match=r"views have the shapes \[\(3,\)\]; expected"):
        load_views(other)
    np.savez(other, view0=np.array([["a"], ["b"]]), y=np.zeros(2))
    with pytest.raises(DataError, match="no numbers"):
        load_views(other)
    np.savez(other, view0=np.zeros((500, 2)), y=np.zeros(500))
    for kept in (0, 3000):
        (tmp_path / "cut.npz").write_bytes(other.read_bytes()[:kept])
        with pytest.raises(DataError, match=r"cut\.npz is cut off or damaged"):
            load_views(tmp_path / "cut.npz")
    (tmp_path / "empty.mat").touch()
    with pytest.raises(DataError, match=r"empty\.mat is cut off or damaged"):
        load_views(tmp_path / "empty.mat")
    damaged = tmp_path / "damaged.mat"
    damaged.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(DataError, match=r"damaged\.mat"):
        load_views(damaged)
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = np.ones((3, 5)), np.ones((2, 5))
    savemat(tmp_path / "cells.mat", {"X": cells, "gt": np.array([[1], [2], [1], [2], [7]])})
    views = load_views(tmp_path / "cells.mat", "mine")
    assert (views.name, views.labels.tolist()) == ("mine", [0, 1, 0, 1, 2])
    assert [view.shape for view in views.views] == [(5, 3), (5, 2)]


# -- protocol -------------------------------------------------------------------------------------


def test_scales_come_from_training_samples_alone() -> None:
    views = some_views()
    drawn = split(views, 3)
    assert (len(drawn.train_labels), len(drawn.test_labels)) == (64, 16)
    for view in drawn.train:
        np.testing.assert_allclose(view.min(0), 0, atol=1e-12)
        np.testing.assert_allclose(view.max(0), 1, atol=1e-12)
    # Some sample of sixteen lies beyond what the training samples span.
    assert any(view.min() < 0 or view.max() > 1 for view in drawn.test)
    again, other = split(views, 3), split(views, 4)
    np.testing.assert_array_equal(again.conflictive[0], drawn.conflictive[0])
    assert (other.test_labels != drawn.test_labels).any() or (other.test[0] != drawn.test[0]).any()
    with pytest.raises(DataError, match="leaves nothing to train or to test on"):
        split(views, 0, test=0.001)
    two = ViewSet("two", (np.eye(2),), np.arange(2))
    with pytest.raises(DataError, match="leaves nothing to train or to test on"):
        split(two, 0, test=0.6)
    alike = ViewSet("alike", (np.eye(20),), np.zeros(20))
    with pytest.raises(DataError, match="the test samples are of one class"):
        split(alike, 0)


def test_conflict_swaps_one_view_for_another_class_of_the_test_samples() -> None:
    views = some_views(200)
    changed = conflictive(
        views.views, views.labels, np.random.default_rng(0), noisy=0.0, swapped=0.4
    )
    moved = np.stack([(a != b).any(1) for a, b in zip(views.views, changed, strict=True)])
    assert moved.any(0).sum() == 80
    assert (moved.sum(0)[moved.any(0)] == 1).all()
    assert (moved.sum(1) > 10).all()
    for number, view in enumerate(changed):
        for sample in np.flatnonzero(moved[number]):
            [source] = np.flatnonzero((views.views[number] == view[sample]).all(1))
            assert views.labels[source] != views.labels[sample]


def test_noise_leaves_one_view_alone_and_has_its_deviation() -> None:
    views = some_views(400)
    changed = conflictive(
        views.views, views.labels, np.random.default_rng(0), noisy=0.5, sigma=0.5, swapped=0.0
    )
    moved = np.stack([(a != b).any(1) for a, b in zip(views.views, changed, strict=True)])
    # 0, 1 or 2 of three views, each as often.
    counts = np.bincount(moved.sum(0), minlength=4)
    assert counts[3] == 0
    assert 100 < counts[1] + counts[2] < 170
    added = np.concatenate(
        [(a - b)[m].ravel() for a, b, m in zip(changed, views.views, moved, strict=True)]
    )
    assert added.std() == pytest.approx(0.5, rel=0.1)


# -- methods and runs -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_built_cloned_and_learns(name: str) -> None:
    drawn = split(some_views(), 0)
    model: Any = clone(
        build(name, [6, 4, 5], 0, {"epochs": 20, "hidden": (16,), "learning_rate": 1e-2})
    )
    one = name in ("concatenation", "temperature scaling")
    given, tested = ((np.concatenate(v, 1) if one else list(v)) for v in (drawn.train, drawn.test))
    model.fit(given, drawn.train_labels)
    assert model.score(tested, drawn.test_labels) > 0.7


def test_a_temperature_is_found_where_a_class_has_fewer_samples_than_folds() -> None:
    views = some_views(60)
    chosen = np.r_[np.flatnonzero(views.labels != 3), np.flatnonzero(views.labels == 3)[:4]]
    table, labels = np.concatenate(views.views, 1)[chosen], views.labels[chosen]
    settings = {"epochs": 20, "hidden": (16,), "learning_rate": 1e-2}
    model: Any = build("temperature scaling", [6, 4, 5], 0, settings).fit(table, labels)
    assert model.score(table, labels) > 0.7
    assert model.predict_proba(table).shape == (len(labels), 4)


def test_wrong_names_and_settings_are_refused() -> None:
    with pytest.raises(DataError, match="method 'SVM' is none of concatenation"):
        build("SVM", [1], 0, {})
    with pytest.raises(DataError, match="method 'TMC' does not take these settings"):
        build("TMC", [1], 0, {"gamma": 1})


def test_scores_are_those_of_the_metrics() -> None:
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(3), 50)
    labels = rng.integers(0, 4, 50)  # class 3 was never seen in training
    found = scores(probability, labels, probability.max(1), np.arange(3))
    right = probability.argmax(1) == labels
    assert found["accuracy"] == right.mean()
    risks = np.cumsum(~right[np.argsort(-probability.max(1))]) / np.arange(1, 51)
    assert found["aurc"] == pytest.approx(risks.mean())
    chance = np.where(labels < 3, probability[np.arange(50), np.minimum(labels, 2)], 1e-12)
    assert found["nll"] == pytest.approx(-np.log(chance).mean())


CONFIG = """
title: Three rows
sets: {some: some.npz}
methods:
  mean softmax:
  ours: {method: ter_fast, failure_rate: 0.2}
settings: {epochs: 3, hidden: [8]}
seeds: 3
first_seed: 5
reference: mean softmax
notes: [They are made up.]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    views = some_views()
    named = {f"view{number}": view for number, view in enumerate(views.views)}
    np.savez(tmp_path / "some.npz", y=views.labels, **named)
    path = tmp_path / "three.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def test_the_command_writes_a_page_and_goes_on_where_it_ended(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    comparison = Comparison.read(config)
    runs = run(comparison, out / "three.jsonl")
    first = [next(runs), next(runs)]
    runs.close()
    before = (out / "three.jsonl").read_text()
    answer = CliRunner().invoke(app, ["bench", "trust", str(config), "--out", str(out)])
    assert answer.exit_code == 0, answer.output
    assert answer.output.count(" % normal") == 4
    assert (out / "three.jsonl").read_text().startswith(before)
    results = read_results(out / "three.jsonl")
    assert results[:2] == first
    assert len({(r["method"], r["seed"]) for r in results}) == 6
    page = (out / "three.md").read_text()
    assert page.startswith("# Three rows\n")
    assert "- They are made up." in page
    mean = 100 * np.mean([r["normal"]["accuracy"] for r in results if r["method"] == "ours"])
    [row] = [line for line in page.splitlines() if line.startswith("| ours ")]
    assert f"| {mean:.2f} [" in row
    by_seed = {(r["method"], r["seed"]): r["conflictive"]["accuracy"] for r in results}
    assert {seed for _, seed in by_seed} == {5, 6, 7}
    gains = [100 * (by_seed["ours", s] - by_seed["mean softmax", s]) for s in (5, 6, 7)]
    assert f"{np.mean(gains):+.2f} [" in row.split("|")[-2]
    with (out / "three.jsonl").open("a") as lines:
        lines.write('{"set": "so')
    with pytest.raises(DataError, match="line 7 is damaged"):
        read_results(out / "three.jsonl")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sets: {a: b}\nmethods: [SVM]", "'SVM' is no method; choose of concatenation"),
        ("sets: {a: b}", "expected sets and methods"),
        ("sets: {a: b}\nmethods: [TMC]\nepochs: 3", "expected sets and methods"),
        ("[", "cannot be read as YAML"),
        ("sets: [a]\nmethods: [TMC]", "sets is .*; expected names and their files"),
        ("sets: {a: b}\nmethods: {TMC: 3}", "methods is .*; expected names"),
        ("sets: {a: b}\nmethods: [TMC]\nseeds: ten", "seeds is 'ten'; expected a whole number"),
        ("sets: {a: b}\nmethods: [TMC]\nseeds: 0", "seeds is 0; expected a whole number from 1"),
        ("sets: {a: b}\nmethods: [TMC]\nreference: FUML", "reference is 'FUML'; expected a row"),
        ("sets: {a: b}\nmethods: [TMC]\nnotes: hm", "notes is 'hm'; expected a list"),
        ("sets: {a: b}\nmethods: [TMC]\nof_sets: {c: {}}", "of_sets names the set 'c'"),
        ("sets: {a: b}\nmethods: {TMC: {of_sets: {c: {}}}}", "of_sets of TMC names the set 'c'"),
        ("sets: {a: b}\nmethods: [TMC]\nsettings: 3", "settings is 3; expected names and values"),
    ],
)
def test_configurations_that_say_what_there_is_not(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        Comparison.read(path)
    with pytest.raises(DataError, match="cannot be read as YAML"):
        Comparison.read(tmp_path / "nowhere.yaml")


def test_intervals_are_those_of_scipy() -> None:
    values = np.random.default_rng(0).normal(size=10).tolist()
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    np.testing.assert_allclose(interval(values), expected)
    low, high = interval(values, 0.25)
    wide = (high - low) / (expected.high - expected.low)
    assert wide == pytest.approx(np.sqrt((0.1 + 0.25) / 0.1))
    assert all(np.isnan(interval([1.0])))


def test_settings_of_the_row_on_a_set_come_last(config: Path, tmp_path: Path) -> None:
    config.write_text(
        CONFIG.replace(
            "failure_rate: 0.2", "epochs: 4, of_sets: {some: {epochs: 5}, other: {epochs: 6}}"
        ).replace("some: some.npz", "some: some.npz, other: some.npz")
        + "of_sets: {some: {epochs: 2, dropout: 0.1}}\n"
    )
    comparison = Comparison.read(config)
    assert comparison.settings_of("ours", "some") == {
        "method": "ter_fast", "epochs": 5, "hidden": [8], "dropout": 0.1
    }  # fmt: skip
    assert comparison.settings_of("mean softmax", "some")["epochs"] == 2
    with pytest.raises(DataError, match="there is no set 'else'; choose of some"):
        list(run(comparison, tmp_path / "r.jsonl", ["else"]))


def test_results_are_lines_of_json(config: Path, tmp_path: Path) -> None:
    comparison = Comparison.read(config)
    found = list(run(comparison, tmp_path / "r.jsonl"))
    assert [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()] == found
    assert list(run(comparison, tmp_path / "r.jsonl")) == []
    config.write_text(CONFIG.replace("failure_rate: 0.2", "failure_rate: 0.3"), encoding="utf-8")
    with pytest.raises(DataError, match="results of 'ours' on some with the settings"):
        list(run(Comparison.read(config), tmp_path / "r.jsonl"))
    config.write_text(CONFIG.replace("epochs: 3", "epochs: 0"), encoding="utf-8")
    with pytest.raises(DataError, match="'mean softmax' on some, draw 5: epochs is 0"):
        list(run(Comparison.read(config), tmp_path / "other.jsonl"))


def test_conflict_weighs_as_in_the_papers_code() -> None:
    """Mean over V + 1 losses and V times the mean conflict of pairs, in the scale of a sum."""
    for name in ("RCML", "DBF"):
        model: Any = build(name, [3] * 6, 0, {})
        assert model.conflict_weight == 42
        changed: Any = build(name, [3] * 6, 0, {"conflict_weight": 1.0})
        assert changed.conflict_weight == 1
