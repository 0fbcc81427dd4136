"""Comparisons: sets, splits and corruptions, runs that go on, intervals, the page."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import assume, given, strategies
from scipy import stats
from scipy.io import savemat
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.comparison import (
    METHODS,
    Answers,
    ComparisonConfig,
    Protocol,
    ViewSet,
    answers_of,
    build,
    conflictive,
    grouped_folds,
    load_grouped,
    load_views,
    run,
    run_folds,
    split,
    split_as_published,
)
from benchmarks.comparison.figures import draws_of, figures_of
from benchmarks.comparison.methods import ONE_TABLE
from benchmarks.comparison.page import interval, write_page
from benchmarks.comparison.recorded import against, recorded, write_figures
from benchmarks.comparison.run import check_settings, read_results, scores
from benchmarks.comparison.tables import MISSING, Column, cell, difference
from benchmarks.comparison.vote_ways import WAYS
from benchmarks.comparison.votes import (
    jensen_shannon,
    log_loss,
    majority,
    read_vote_counts,
    shares,
)
from ter_fast.errors import DataError
from ter_fast.multiview import TrustedClassifier
from ter_fast.opinions.opinion import CONFIDENCE_KINDS, RULES
from ter_fast.trust.metrics import Bootstrap
from ter_fast.trust.scaling import fit_temperature


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


def test_a_missing_view_leaves_the_columns_range_to_the_others() -> None:
    rng = np.random.default_rng(3)
    views = (rng.normal(size=(40, 3)), rng.normal(size=(40, 2)))
    views[0][::4] = np.nan
    views[1][:, 1] = np.nan
    data = ViewSet("gaps", views, rng.integers(0, 2, 40))
    drawn = split(data, 0, noisy=0.0, swapped=0.0)
    assert np.isnan(drawn.train[0]).any()
    np.testing.assert_allclose(np.nanmin(drawn.train[0], 0), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.nanmax(drawn.train[0], 0), 1.0)
    assert np.isnan(drawn.train[1][:, 1]).all()
    assert not np.isnan(drawn.train[1][:, 0]).any()


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


def test_samples_as_published_code_prepares_them() -> None:
    views = some_views()
    honest, drawn = split(views, 3), split_as_published(views, 3, noisy=0.0, swapped=0.5)
    np.testing.assert_array_equal(honest.train_labels, drawn.train_labels)
    np.testing.assert_array_equal(honest.test_labels, drawn.test_labels)
    both = [np.vstack(pair) for pair in zip(drawn.train, drawn.test, strict=True)]
    assert all(view.min() == 0 and view.max() == 1 for view in both)
    first = {k: [view[k] for view in views.views] for k in range(4)}
    changed = 0
    for row, label in enumerate(drawn.test_labels):
        for place, (before, after) in enumerate(zip(drawn.test, drawn.conflictive, strict=True)):
            if np.array_equal(before[row], after[row]):
                continue
            changed += 1
            raw = views.views[place]
            low, high = raw.min(0), raw.max(0)
            expected = (first[(label + 1) % 4][place] - low) / (high - low)
            np.testing.assert_allclose(after[row], expected)
    assert changed == 8
    noisy = split_as_published(views, 3, noisy=0.5, swapped=0.0)
    other = [(a != b).any(1) for a, b in zip(noisy.test, noisy.conflictive, strict=True)]
    assert 0 < sum(np.any(other, 0)) <= 8
    assert not np.all(other, 0).any()


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


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_built_cloned_and_learns(name: str) -> None:
    drawn = split(some_views(), 0)
    model: Any = clone(
        build(name, [6, 4, 5], 0, {"epochs": 20, "hidden": (16,), "learning_rate": 1e-2})
    )
    one = name in ONE_TABLE
    given, tested = ((np.concatenate(v, 1) if one else list(v)) for v in (drawn.train, drawn.test))
    model.fit(given, drawn.train_labels)
    assert model.score(tested, drawn.test_labels) > 0.7


@pytest.mark.slow
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
published: {some: {theirs: [99.5, 80]}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    views = some_views()
    named = {f"view{number}": view for number, view in enumerate(views.views)}
    np.savez(tmp_path / "some.npz", y=views.labels, **named)
    path = tmp_path / "three.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


@pytest.mark.slow
def test_the_two_preparations_are_told_apart(config: Path, tmp_path: Path) -> None:
    comparison = ComparisonConfig.read(config)
    published = replace(comparison, as_published=True)
    honest, traps = tmp_path / "honest.jsonl", tmp_path / "traps.jsonl"
    rows = [list(run(each, out)) for each, out in ((comparison, honest), (published, traps))]
    drawn = split_as_published(load_views(tmp_path / "some.npz"), 5)
    model = build("ter_fast", [6, 4, 5], 5, {"failure_rate": 0.2, "epochs": 3, "hidden": [8]})
    right = model.fit(drawn.train, drawn.train_labels).score(drawn.conflictive, drawn.test_labels)
    [own] = [r for r in rows[1] if (r["method"], r["seed"]) == ("ours", 5)]
    assert own["conflictive"]["accuracy"] == pytest.approx(right)
    assert own["as_published"] is True
    assert all("as_published" not in row for row in rows[0])
    for other, results in ((published, honest), (comparison, traps)):
        with pytest.raises(DataError, match=r"results with as_published: (true|false), and the"):
            next(run(other, results))
        with pytest.raises(DataError, match="results with as_published"):
            check_settings(other, results)
    pages = [tmp_path / "honest.md", tmp_path / "traps.md"]
    for each, found, page in zip((comparison, published), rows, pages, strict=True):
        write_page(each, found, page)
    honest_text, text = (page.read_text(encoding="utf-8") for page in pages)
    assert "scaled over all samples, test samples among them" in text
    assert "that of the first sample of the next class in the file" in text
    assert "scaled over the training samples" in honest_text
    assert "that of a test sample of another class" in honest_text


@pytest.mark.slow
def test_the_command_writes_a_page_and_goes_on_where_it_ended(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    comparison = ComparisonConfig.read(config)
    runs = run(comparison, out / "three.jsonl")
    first = [next(runs), next(runs)]
    runs.close()
    before = (out / "three.jsonl").read_text()
    answer = CliRunner().invoke(app, ["trust", str(config), "--out", str(out)])
    assert answer.exit_code == 0, answer.output
    assert answer.output.count(" % normal") == 4
    assert (out / "three.jsonl").read_text().startswith(before)
    results = read_results(out / "three.jsonl")
    assert results[:2] == first
    assert len({(r["method"], r["seed"]) for r in results}) == 6
    page = (out / "three.md").read_text()
    assert page.startswith("# Three rows\n")
    assert "- They are made up." in page
    assert "| theirs | 99.50 | 80.00 |" in page
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
    (out / "three.jsonl").write_text("3\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1 is damaged"):
        read_results(out / "three.jsonl")


@pytest.mark.slow
def test_a_page_of_draws_is_written_from_results_alone(config: Path, tmp_path: Path) -> None:
    command = ["trust", str(config), "--out", str(tmp_path)]
    assert CliRunner().invoke(app, command).exit_code == 0
    page = (tmp_path / "three.md").read_bytes()
    (tmp_path / "three.md").unlink()
    (tmp_path / "some.npz").unlink()
    assert CliRunner().invoke(app, [*command, "--render"]).exit_code == 0
    assert (tmp_path / "three.md").read_bytes() == page
    config.write_text(CONFIG.replace("failure_rate: 0.2", "failure_rate: 0.3"), encoding="utf-8")
    told = CliRunner().invoke(app, [*command, "--render"])
    assert "results of 'ours' on some with the settings" in str(told.exception)
    (tmp_path / "three.jsonl").unlink()
    told = CliRunner().invoke(app, [*command, "--render"])
    assert "three.jsonl cannot be read" in str(told.exception)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sets: {a: b}\nmethods: [SVM]", "'SVM' is no method; choose of concatenation"),
        ("sets: {a: b}", "expected sets and methods"),
        ("sets: {a: b}\nmethods: [TMC]\npublished: {a: {x: [1]}}", "two accuracies of each"),
        (
            "sets: {a: b}\nmethods: [TMC]\npublished: {c: {x: [1, 2]}}",
            "published names the set 'c'",
        ),
        ("sets: {a: b}\nmethods: [TMC]\nepochs: 3", "expected sets and methods"),
        ("[", "cannot be read as YAML"),
        ("sets: [a]\nmethods: [TMC]", "sets is .*; expected names and their files"),
        ("sets: {a: b}\nmethods: {TMC: 3}", "methods is .*; expected names"),
        ("sets: {a: b}\nmethods: [TMC]\nseeds: ten", "seeds is 'ten'; expected a whole number"),
        ("sets: {a: b}\nmethods: [TMC]\nseeds: 0", "seeds is 0; expected a whole number from 1"),
        ("sets: {a: b}\nmethods: [TMC]\nreference: FUML", "reference is 'FUML'; expected a row"),
        (
            "sets: {a: b}\nmethods: [TMC]\nas_published: 1",
            "as_published is 1; expected true or false",
        ),
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
        ComparisonConfig.read(path)
    with pytest.raises(DataError, match="cannot be read as YAML"):
        ComparisonConfig.read(tmp_path / "nowhere.yaml")


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
        + "of_sets: {some: {epochs: 2, dropout: 0.1}}\n",
        encoding="utf-8",
    )
    comparison = ComparisonConfig.read(config)
    assert comparison.settings_of("ours", "some") == {
        "method": "ter_fast", "epochs": 5, "hidden": [8], "dropout": 0.1
    }  # fmt: skip
    assert comparison.settings_of("mean softmax", "some")["epochs"] == 2
    with pytest.raises(DataError, match="there is no set 'else'; choose of some"):
        list(run(comparison, tmp_path / "r.jsonl", ["else"]))


@pytest.mark.slow
def test_results_are_lines_of_json(config: Path, tmp_path: Path) -> None:
    comparison = ComparisonConfig.read(config)
    found = list(run(comparison, tmp_path / "r.jsonl"))
    assert [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()] == found
    assert list(run(comparison, tmp_path / "r.jsonl")) == []
    config.write_text(CONFIG.replace("failure_rate: 0.2", "failure_rate: 0.3"), encoding="utf-8")
    with pytest.raises(DataError, match="results of 'ours' on some with the settings"):
        list(run(ComparisonConfig.read(config), tmp_path / "r.jsonl"))
    config.write_text(CONFIG.replace("epochs: 3", "epochs: 0"), encoding="utf-8")
    with pytest.raises(DataError, match="'mean softmax' on some, draw 5: epochs is 0"):
        list(run(ComparisonConfig.read(config), tmp_path / "other.jsonl"))


def test_conflict_weighs_as_in_the_papers_code() -> None:
    """Mean over V + 1 losses and V times the mean conflict of pairs, in the scale of a sum."""
    for name in ("RCML", "DBF"):
        model: Any = build(name, [3] * 6, 0, {})
        assert model.conflict_weight == 42
        changed: Any = build(name, [3] * 6, 0, {"conflict_weight": 1.0})
        assert changed.conflict_weight == 1


# -- folds of whole groups ------------------------------------------------------------------------

NAMED = {"group": "actor", "labels": "emotion", "views": {"face": "au", "voice": "sound"}}


@pytest.mark.slow
@given(
    groups=strategies.lists(strategies.integers(0, 12), min_size=30, max_size=80),
    folds=strategies.integers(2, 4),
    validation=strategies.integers(0, 2),
    seed=strategies.integers(0, 99),
    strata=strategies.sampled_from(["", "parity"]),
)
def test_no_group_stands_on_two_sides(
    groups: list[int], folds: int, validation: int, seed: int, strata: str
) -> None:
    names = set(groups)
    assume(len(names) >= 2 * folds + validation)
    how = Protocol(folds, "", "", {}, validation, strata)
    dealt = grouped_folds(np.array(groups), how, seed)
    sides = [
        [{groups[row] for row in part} for part in (f.train, f.validation, f.test)] for f in dealt
    ]
    for fold, (train, held, tested) in zip(dealt, sides, strict=True):
        assert train | held | tested == names
        assert len(train) + len(held) + len(tested) == len(names)
        assert len(held) == validation
        rows = np.concatenate([fold.train, fold.validation, fold.test])
        assert sorted(rows.tolist()) == list(range(len(groups)))
    # Each group is tested on once, and folds are alike in size and, by strata, in men and women.
    assert sorted(name for *_, tested in sides for name in tested) == sorted(names)
    sizes = [len(tested) for *_, tested in sides]
    assert max(sizes) - min(sizes) <= 1
    if strata:
        odd = [sum(name % 2 for name in tested) for *_, tested in sides]
        assert max(odd) - min(odd) <= 1


def test_folds_that_cannot_be_are_refused() -> None:
    how = Protocol.read({"folds": 3, "validation": 1, **NAMED})
    with pytest.raises(DataError, match="2 groups are too few for 3 folds and 1 validation groups"):
        grouped_folds(np.array([1, 2, 2]), how, 0)
    with pytest.raises(DataError, match="3 groups are too few for 3 folds and 2 validation"):
        grouped_folds(np.array([1, 2, 3]), how, 0, validation=2)
    by_name = Protocol.read({"folds": 2, "strata": "parity", **NAMED})
    with pytest.raises(DataError, match="strata by parity need whole numbers"):
        grouped_folds(np.array(["a", "b", "c"]), by_name, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folds": 1}, "protocol: folds is 1; expected a whole number from 2"),
        ({"folds": "six"}, "protocol: folds is 'six'; expected a whole number"),
        ({"validation": -1}, "protocol: validation is -1; expected a whole number from 0"),
        ({"views": ["au"]}, r"protocol: views is \['au'\]; expected names and arrays"),
        ({"strata": "sex"}, "protocol: strata is 'sex'; expected parity"),
        ({"fold": 6}, "protocol holds .*; expected "),
    ],
)
def test_protocols_that_say_what_there_is_not(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Protocol.read({"folds": 2, **NAMED, **change}, "some.yaml")
    with pytest.raises(DataError, match=r"some\.yaml: protocol holds 6"):
        Protocol.read(6, "some.yaml")


GROUPED = """
title: New actors
sets: {some: some.npz}
protocol:
  {folds: 3, group: actor, labels: emotion, views: {face: au, voice: sound}, validation: 2, strata: parity}
settings: {epochs: 8, hidden: [8], learning_rate: 0.01}
methods:
  ours: {method: ter_fast}
  mean softmax:
  face: {method: ter_fast, views: [face]}
  baseline: {method: logistic regression, validation: 0}
  found: {method: ter_fast, choose: failure_rate}
seeds: 2
reference: mean softmax
confidences: [ours, mean softmax]
notes: [They are made up.]
"""


@pytest.fixture
def grouped(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    actor, emotion = np.repeat(np.arange(9), 12), np.tile(np.arange(3), 36)
    centres = rng.normal(size=(3, 5))
    au = centres[emotion, :4] + rng.normal(size=(108, 4))
    sound = centres[emotion] + rng.normal(size=(108, 5))
    np.savez(tmp_path / "some.npz", actor=actor, emotion=emotion, au=au, sound=sound)
    path = tmp_path / "grouped.yaml"
    path.write_text(GROUPED, encoding="utf-8")
    return path


@pytest.mark.slow
def test_every_sample_is_answered_by_the_fold_that_left_it_out(grouped: Path) -> None:
    comparison = ComparisonConfig.read(grouped)
    assert comparison.protocol is not None
    views = load_grouped(comparison.sets["some"], comparison.protocol, "some")
    found = answers_of(comparison, views, "ours", 1, comparison.settings_of("ours", "some"))
    assert views.groups is not None
    for fold in grouped_folds(views.groups, comparison.protocol, 1):
        given = {
            part: [view[rows] for view in views.views]
            for part, rows in (
                ("train", fold.train),
                ("held", fold.validation),
                ("test", fold.test),
            )
        }
        settings = {"epochs": 8, "hidden": [8], "learning_rate": 0.01}
        model: Any = build("ter_fast", [4, 5], 1, settings)
        model.fit(given["train"], views.labels[fold.train])
        np.testing.assert_array_equal(
            found.probability[fold.test], model.predict_proba(given["test"])
        )
        fused, _ = model.opinions(given["test"])
        for kind in CONFIDENCE_KINDS:
            np.testing.assert_allclose(
                found.confidence[kind][fold.test], fused.confidence_of(kind).numpy()
            )
        # Accepted as many as are correct, on the validation groups.
        sure = model.predict_proba(given["held"])
        right = int((sure.argmax(1) == views.labels[fold.validation]).sum())
        [threshold] = np.unique(found.threshold[fold.test])
        assert int((model.confidence_of(given["held"]) >= threshold).sum()) == right
        temperature = fit_temperature(np.log(sure), views.labels[fold.validation])
        expected = softmax(np.log(model.predict_proba(given["test"])) / temperature, axis=1)
        np.testing.assert_allclose(found.tempered[fold.test], expected)
        gone = [given["test"][0], np.full_like(given["test"][1], np.nan)]
        np.testing.assert_array_equal(found.alone["face"][fold.test], model.predict(gone))


@pytest.mark.slow
def test_rows_that_train_alike_answer_as_if_each_were_trained(
    grouped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = GROUPED.replace("seeds: 2", "seeds: 1").replace(
        "  mean softmax:\n",
        "  mean softmax:\n"
        "  sums: {method: ter_fast, rule: cumulative, failure_rate: 0.0}\n"
        "  fused: {method: ter_fast, rule: cumulative, failure_rate: 0.0, train_fused: true}\n",
    )
    grouped.write_text(text, encoding="utf-8")
    fits: list[int] = []
    plain = TrustedClassifier.fit

    def counted(self: TrustedClassifier, *data: Any) -> TrustedClassifier:
        fits.append(1)
        return plain(self, *data)

    monkeypatch.setattr(TrustedClassifier, "fit", counted)
    comparison = ComparisonConfig.read(grouped)
    assert comparison.protocol is not None
    found = {row: answers for _, row, _, answers in run_folds(comparison, tmp_path / "kept")}
    # ours, fused and face, on three folds; sums and found take the networks of ours.
    assert len(fits) == 9
    views = load_grouped(comparison.sets["some"], comparison.protocol, "some")
    for row in ("ours", "sums", "found", "fused"):
        alone = answers_of(comparison, views, row, 0, comparison.settings_of(row, "some"))
        np.testing.assert_array_equal(found[row].probability, alone.probability)
        np.testing.assert_array_equal(found[row].threshold, alone.threshold)
    assert (found["sums"].probability != found["ours"].probability).any()
    assert (found["sums"].probability != found["fused"].probability).any()


def test_a_view_alone_stands_at_the_mean_where_a_method_takes_one_table(grouped: Path) -> None:
    comparison = ComparisonConfig.read(grouped)
    assert comparison.protocol is not None
    views = load_grouped(comparison.sets["some"], comparison.protocol, "some")
    settings = comparison.settings_of("baseline", "some")
    found = answers_of(comparison, views, "baseline", 0, settings)
    assert np.isinf(found.threshold).all()
    assert views.groups is not None
    table = np.concatenate(views.views, 1)
    for fold in grouped_folds(views.groups, comparison.protocol, 0, validation=0):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
        model.fit(table[fold.train], views.labels[fold.train])
        np.testing.assert_allclose(
            found.probability[fold.test], model.predict_proba(table[fold.test]), atol=1e-6
        )
        gone = table[fold.test].copy()
        gone[:, 4:] = table[fold.train, 4:].mean(0)
        np.testing.assert_array_equal(found.alone["face"][fold.test], model.predict(gone))


@pytest.mark.slow
def test_the_command_in_folds_writes_what_scikit_learn_finds(grouped: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["trust", str(grouped), "--out", str(out)]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 0, answer.output
    page = (out / "grouped.md").read_text()
    figures = json.loads((out / "grouped.json").read_text())["some"]
    comparison = ComparisonConfig.read(grouped)
    kept = sorted((out / "grouped.answers").glob("*.npz"))
    assert len(kept) == 10
    answers = {
        (row, seed): found for _, row, seed, found in run_folds(comparison, out / "grouped.answers")
    }
    true = np.tile(np.arange(3), 36)
    for row in ("ours", "mean softmax", "face"):
        parts = [answers[row, seed] for seed in (0, 1)]
        answered = np.concatenate([part.probability.argmax(1) for part in parts])
        right = answered == np.tile(true, 2)
        found = figures["figures"][row]
        assert found["accuracy"][0] == pytest.approx(right.mean(), abs=1e-6)
        recalls = balanced_accuracy_score(np.tile(true, 2), answered)
        assert found["uar"][0] == pytest.approx(recalls, abs=1e-6)
        confidence = np.concatenate([part.confidence["own"] for part in parts])
        assert found["failure_auroc"][0] == pytest.approx(
            roc_auc_score(right, confidence), abs=1e-6
        )
        trusted = confidence >= np.concatenate([part.threshold for part in parts])
        assert found["trusted_f1"][0] == pytest.approx(f1_score(right, trusted), abs=1e-6)
        assert found["lift"][0] == pytest.approx(
            f1_score(right, trusted) - f1_score(right, np.ones_like(right)), abs=1e-6
        )
        low, high = found["accuracy"][1:]
        assert low < right.mean() < high
    assert "trusted_f1" not in figures["figures"]["baseline"]
    gain = figures["minus reference"]["ours"]["accuracy"]
    values = [figures["figures"][row]["accuracy"][0] for row in ("ours", "mean softmax")]
    assert gain[0] == pytest.approx(values[0] - values[1], abs=2e-6)
    assert f"| ours | {100 * values[0]:.1f} [" in page
    assert set(figures["aurc by confidence"]["mean softmax"]) == {
        "max_probability", "margin", "one_minus_entropy"
    }  # fmt: skip
    # A second run takes what is kept, but for a file that is damaged.
    kept[0].write_bytes(kept[0].read_bytes()[:200])
    changed = [file.stat().st_mtime_ns for file in kept]
    assert CliRunner().invoke(app, command).exit_code == 0
    renewed = [file.stat().st_mtime_ns for file in kept]
    assert [a != b for a, b in zip(changed, renewed, strict=True)] == [True] + [False] * 9
    assert (out / "grouped.md").read_text() == page
    # One of two sets alone makes no page, nor figures in place of those of both.
    figures_before = (out / "grouped.json").read_text()
    grouped.write_text(GROUPED.replace("sets: {", "sets: {other: some.npz, "), encoding="utf-8")
    answer = CliRunner().invoke(app, [*command, "--only", "some"])
    assert answer.exit_code == 0, answer.output
    assert "the page is written by a run without --only" in answer.output
    assert (out / "grouped.json").read_text() == figures_before
    grouped.write_text(GROUPED, encoding="utf-8")
    # The page alone is written from the figures alone.
    (tmp_path / "some.npz").unlink()
    shutil.rmtree(out / "grouped.answers")
    (out / "grouped.md").unlink()
    render = [*command, "--render"]
    assert CliRunner().invoke(app, render).exit_code == 0
    assert (out / "grouped.md").read_text() == page
    told = CliRunner().invoke(app, [*render, "--only", "some"])
    assert "leave out --only" in str(told.exception)
    text = GROUPED.replace("epochs: 8", "epochs: 9").replace("folds: 3", "folds: 4")
    grouped.write_text(text.replace("seeds: 2", "seeds: 3"), encoding="utf-8")
    told = CliRunner().invoke(app, render)
    assert isinstance(told.exception, DataError)
    assert "made with other seeds, protocol, settings than" in str(told.exception)
    assert (out / "grouped.md").read_text() == page
    grouped.write_text(GROUPED.replace("sets: {some:", "sets: {other:"), encoding="utf-8")
    told = CliRunner().invoke(app, render)
    assert "the set 'some', which the configuration does not name" in str(told.exception)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"grouped\.json cannot be read \(No such file or directory\)"),
        ("", r"grouped\.json is damaged"),
        ('{"some": {"figures"', r"grouped\.json is damaged"),
        ("[" * 100_000, r"grouped\.json is damaged"),
        ("[1]", r"grouped\.json holds list; expected values by name"),
        ("{}", r"grouped\.json: there are no figures; run the comparison first"),
        (
            '{"some": {"figures": {}}}',
            r"grouped\.json lacks figures .*made with.*run the comparison",
        ),
        ('{"some": 3}', r"grouped\.json lacks figures"),
        (b"\xff\xfe", r"grouped\.json is damaged"),
    ],
)
def test_figures_that_make_no_page_are_named(
    content: str | bytes | None, message: str, grouped: Path, tmp_path: Path
) -> None:
    if content is not None:
        raw = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "grouped.json").write_bytes(raw)
    told = CliRunner().invoke(app, ["trust", str(grouped), "--out", str(tmp_path), "--render"])
    assert isinstance(told.exception, DataError)
    assert re.search(message, str(told.exception))
    assert not (tmp_path / "grouped.md").exists()


BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def rendered(pages: Path, *command: str) -> None:
    told = CliRunner().invoke(app, [*command, "--out", str(pages), "--render"])
    assert told.exit_code == 0, (told.output, told.exception)


@pytest.mark.slow
@pytest.mark.parametrize("config", sorted(BENCHMARKS.glob("*.yaml")), ids=lambda path: path.stem)
def test_committed_pages_are_written_anew_from_committed_figures(
    config: Path, tmp_path: Path
) -> None:
    """The page and its figures lie beside each other, or neither has been published."""
    committed = BENCHMARKS / "results" / f"{config.stem}.md"
    kind = "media" if "experiments" in yaml.safe_load(config.read_text("utf-8")) else "trust"
    figures = [f for f in committed.parent.glob(f"{config.stem}.json*") if f.is_file()]
    assert bool(figures) == committed.is_file()
    if figures:
        for file in figures:
            shutil.copy(file, tmp_path)
        rendered(tmp_path, kind, str(config))
        assert (tmp_path / committed.name).read_bytes() == committed.read_bytes()


def test_the_committed_page_of_votes_is_written_anew_from_its_figures(tmp_path: Path) -> None:
    results = BENCHMARKS / "results"
    shutil.copy(results / "cremad_votes.json", tmp_path)
    rendered(tmp_path, "votes")
    page = (tmp_path / "cremad_votes.md").read_bytes()
    assert page == (results / "cremad_votes.md").read_bytes()


def test_intervals_are_of_groups_and_of_all_their_seeds_together(grouped: Path) -> None:
    comparison = ComparisonConfig.read(grouped)
    assert comparison.protocol is not None
    views = load_grouped(comparison.sets["some"], comparison.protocol)
    assert views.groups is not None
    rng = np.random.default_rng(0)
    wrong = Answers(np.eye(3)[rng.permutation(views.labels)], np.eye(3)[views.labels], np.ones(108))
    wrong.confidence["own"] = rng.random(108)
    once = figures_of([wrong], views.labels, draws_of(views.groups, 1))["accuracy"]
    thrice = figures_of([wrong] * 3, views.labels, draws_of(views.groups, 3))["accuracy"]
    assert once.value == thrice.value
    np.testing.assert_allclose(once.interval(), thrice.interval())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("views: [face]", "views: [hand]", r"'face' on some, seed 0: views is \['hand'\]"),
        ("choose: failure_rate", "choose: rule", "choose is 'rule'; expected failure_rate"),
        ("method: logistic", "depth: 3, method: logistic", "unknown setting 'depth'"),
        ("[ours, mean softmax]", "[SVM]", "confidences names 'SVM'; expected rows of methods"),
        ("group: actor", "group: speaker", r"some\.npz holds .*, but no speaker"),
        ("face: au", "face: emotion", r"emotion is int64 of shape \(108,\); expected finite"),
        ("labels: emotion", "labels: au", r"au has shape \(108, 4\), actor has \(108,\)"),
        ("some.npz}", "none.npz}", r"none\.npz cannot be read"),
    ],
)
def test_rows_and_files_that_do_not_fit_are_named(
    old: str, new: str, message: str, grouped: Path, tmp_path: Path
) -> None:
    grouped.write_text(GROUPED.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        list(run_folds(ComparisonConfig.read(grouped), tmp_path / "answers"))


def test_differences_are_marked_where_the_interval_leaves_out_0() -> None:
    draws = Bootstrap(60, resamples=200)
    right = np.arange(60) % 3 > 0
    figures = draws.means(good=right, bad=np.zeros(60), same=right)
    more, less = Column("x", "x"), Column("x", "x", better=-1)
    above = against({name: {"x": figure} for name, figure in figures.items()}, "bad")
    assert difference(above["good"]["x"], more).endswith("] **+**")
    assert difference(above["good"]["x"], less).endswith("] **-**")
    assert difference(recorded(figures["good"] - figures["same"]), more) == "+0.0 [+0.0, +0.0]"
    assert "bad" not in above
    assert difference(None, more) == MISSING == cell(None, more)
    assert cell([None] * 3, more) == MISSING == difference([None] * 3, more)
    assert difference([0.5, None, None], more) == "+50.0 [+nan, +nan]"


def test_figures_lie_in_json_as_they_are_a_line_for_each(tmp_path: Path) -> None:
    content = {"rows [ 1 ]": {"b": [0.5, None, -0.0], "a": [1, 2, 3]}, "names": ["x", "y"], "n": []}
    write_figures(tmp_path / "some.json", content)
    text = (tmp_path / "some.json").read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert '"b": [0.5, null, -0.0],\n' in text
    assert [file.name for file in tmp_path.iterdir()] == ["some.json"]


# -- votes ----------------------------------------------------------------------------------------


def some_votes(actors: int = 8, clips: int = 40) -> dict[str, Any]:
    """Votes of raters whose voices say less than faces, and of which fear sounds like sadness."""
    rng = np.random.default_rng(0)
    count = actors * clips
    intended = rng.integers(0, 4, count)
    clear = np.eye(4)[intended]
    heard = clear.copy()
    heard[intended == 2] = np.eye(4)[3]
    chances = [0.4 * heard + 0.15, 0.7 * clear + 0.075, 0.8 * clear + 0.05]
    counts = np.stack([rng.multinomial(10, chance) for chance in chances], 1)
    return {
        "counts": counts.astype(np.int16),
        "intended": intended,
        "actor": np.repeat(np.arange(actors), clips),
        "classes": np.array(list("ADFH")),
    }


def test_votes_are_fused_as_the_formulas_say(tmp_path: Path) -> None:
    np.savez(tmp_path / "votes.npz", **some_votes())
    votes = read_vote_counts(tmp_path)
    known, asked = votes[votes.actor < 4], votes[votes.actor >= 4]
    for rule, evidence in {
        "dempster": 4 * ((1 + asked.voice / 4) * (1 + asked.face / 4) - 1),
        "cumulative": asked.voice + asked.face,
        "averaging": (asked.voice + asked.face) / 2,
    }.items():
        answer, _ = WAYS[f"{rule}, votes as evidence"](known, asked)
        expected = (evidence + 1) / (evidence + 1).sum(1, keepdims=True)
        np.testing.assert_allclose(answer.probability, expected)
        np.testing.assert_allclose(answer.scores["max_probability"], expected.max(1))
    target = (asked.voice + 1) * (asked.face + 1)
    answer, _ = WAYS["product of shares, one vote added"](known, asked)
    np.testing.assert_allclose(answer.probability, target / target.sum(1, keepdims=True))


@pytest.mark.slow
def test_what_is_fitted_fits_better_and_knows_nothing_of_who_is_asked(tmp_path: Path) -> None:
    np.savez(tmp_path / "votes.npz", **some_votes())
    votes = read_vote_counts(tmp_path)
    known, asked = votes[votes.actor < 4], votes[votes.actor >= 4]
    blind = replace(asked, both=asked.both[::-1], intended=asked.intended[::-1])
    losses = {}
    for name, way in WAYS.items():
        answer, fitted = way(known, asked)
        np.testing.assert_allclose(answer.probability.sum(1), 1)
        np.testing.assert_array_equal(way(known, blind)[0].probability, answer.probability)
        losses[name] = log_loss(way(known, known)[0].probability, shares(known.both))
        assert bool(fitted) == ("fitted" in name or "alone" in name or name.endswith("dempster"))
    for rule in RULES:
        as_counted, scaled, discounted = (
            losses[f"{rule}, {what}"]
            for what in ("votes as evidence", "scales fitted", "scales and discounts fitted")
        )
        # Reliabilities start a hair below 1, the best they can be here.
        assert discounted <= scaled + 1e-4 < as_counted
    assert losses["product of shares, fitted"] < losses["product of shares, one vote added"]
    # Who hears fear as sadness is understood by a regression, and by no rule over raw votes.
    rules = [loss for name, loss in losses.items() if "scales" in name]
    assert losses["regression of both channels"] < min(rules)


def test_divergences_and_majorities_are_those_of_scipy_and_of_counting() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(4), (2, 30))
    q[0] = [1, 0, 0, 0]
    expected = [jensenshannon(a, b) ** 2 for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(jensen_shannon(p, q), expected)
    expected_loss = np.mean(
        [stats.entropy(b) + stats.entropy(b, a) for a, b in zip(p, q, strict=True)]
    )
    assert log_loss(p, q) == pytest.approx(expected_loss)
    counts = rng.integers(0, 4, (50, 3))
    for row, found in zip(counts, majority(counts.astype(float)), strict=True):
        winners = np.flatnonzero(row == row.max())
        assert found == (winners[0] if len(winners) == 1 else -1)


@pytest.mark.slow
def test_the_command_for_votes_writes_its_page(tmp_path: Path) -> None:
    content = some_votes(4, 25)
    np.savez(tmp_path / "votes.npz", **content)
    out = tmp_path / "out"
    command = ["votes", "--data", str(tmp_path), "--out", str(out), "--seeds", "1"]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 0, answer.output
    figures = json.loads((out / "cremad_votes.json").read_text())
    page = (out / "cremad_votes.md").read_text()
    counts = content["counts"].astype(float)
    best = np.sort(counts, 2)
    clear = best[:, 2, -1] > best[:, 2, -2]
    face = (counts[:, 1].argmax(1) == counts[:, 2].argmax(1))[clear].mean()
    assert figures["all"]["face alone"]["right"][0] == pytest.approx(face, abs=1e-6)
    human = (counts[:, 2].argmax(1) == content["intended"])[clear].mean()
    assert figures["all"]["raters who had both"]["intended"][0] == pytest.approx(human, abs=1e-6)
    split = (
        (best[:, 0, -1] > best[:, 0, -2])
        & (best[:, 1, -1] > best[:, 1, -2])
        & (counts[:, 0].argmax(1) != counts[:, 1].argmax(1))
    )
    assert f"\n{split.sum()} of 100 clips.\n" in page
    parted = figures["voice and face differ"]["voice alone"]
    assert (parted["with_voice"][0], parted["with_face"][0]) == (1.0, 0.0)
    assert f"| face alone | {100 * face:.1f} [" in page
    (out / "cremad_votes.md").unlink()
    render = ["votes", "--out", str(out), "--render"]
    assert CliRunner().invoke(app, render).exit_code == 0
    assert (out / "cremad_votes.md").read_text() == page
    told = CliRunner().invoke(app, [*render, "--data", str(tmp_path)])
    assert "leave out --data" in str(told.exception)
    told = CliRunner().invoke(app, render[:-1])
    assert "give --data, or --render" in str(told.exception)
    del figures["aurc"]
    write_figures(out / "cremad_votes.json", figures)
    told = CliRunner().invoke(app, render)
    assert "cremad_votes.json lacks figures" in str(told.exception)


def test_what_is_no_table_of_votes_is_refused(tmp_path: Path) -> None:
    content = some_votes(2, 5)
    path = tmp_path / "votes.npz"
    with pytest.raises(DataError, match=r"holds 0 \.npz files"):
        read_vote_counts(tmp_path)
    for change, message in {
        "classes": (np.array(["A"]), "of 1 classes; expected whole numbers"),
        "actor": (np.zeros(3, int), r"actor \(3,\)"),
        "counts": (content["counts"] / 2, "expected whole numbers"),
        "intended": (np.full(10, 9), "an intended emotion is none of"),
    }.items():
        np.savez(path, **{**content, change: message[0]})
        with pytest.raises(DataError, match=message[1]):
            read_vote_counts(path)
    np.savez(path, counts=content["counts"])
    with pytest.raises(DataError, match=r"votes\.npz holds \['counts'\], but no actor"):
        read_vote_counts(path)
    np.savez(path, **content)
    for kept in (0, 900):
        (tmp_path / "cut").write_bytes(path.read_bytes()[:kept])
        with pytest.raises(DataError, match="cut"):
            read_vote_counts(tmp_path / "cut")
    content["counts"][0, 1] = 0
    np.savez(path, **content)
    assert len(read_vote_counts(path)) == 9
