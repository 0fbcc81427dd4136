"""Experiments on clips: plans, folds, what peers answer, density, runs that go on, figures, the page."""

from __future__ import annotations

import csv
import importlib
import json
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.experiments import Density, Plan, run, summarize, summary, write_page
from benchmarks.experiments.answers import TRUST, Answer, Judge, ensemble, entropy_of
from benchmarks.experiments.corruption import Voice, corrupted
from benchmarks.experiments.material import Material, dataset_of, load, select, split
from benchmarks.experiments.page import read_lines, write_lines
from benchmarks.experiments.plan import Experiment, Row
from benchmarks.experiments.pooled import Kept, Pooled, check_folds
from benchmarks.experiments.run import Unit, evaluation_settings, training_settings, units
from benchmarks.experiments.signals import SIGNALS, signal
from benchmarks.experiments.training import build
from helpers.tiny import LABELS, film_corpus, tiny_model, tone_corpus, write_manifest
from ter_fast.data import Dataset, Sample
from ter_fast.errors import DataError
from ter_fast.experts.out_of_distribution import OutOfDistributionConfig
from ter_fast.media.corrupt import CORRUPTIONS, corrupt
from ter_fast.media.corrupt.apply import clip_key
from ter_fast.model import Model
from ter_fast.predict.evidence import clip_evidence
from ter_fast.predict.prepare import PreparedData, prepare
from ter_fast.predict.sources import dataset_sources
from ter_fast.train.encoded import encode
from ter_fast.trust.metrics import Bootstrap

run_module = importlib.import_module(
    "benchmarks.experiments.run"
)  # its package has a function `run`

ENCODER = {"encoder": "logmel_cnn", "widths": [4, 6, 8, 16], "dropout": 0.2}
CONTENT: dict[str, Any] = {
    "title": "Tones",
    "seeds": [0, 1],
    "reference": "softmax",
    "model": {"modalities": {"audio": ENCODER}},
    "train": {"epochs": 1, "batch_size": 16, "crop_seconds": 0.5},
    "experiments": {
        "tones": {
            "data": "tones.csv",
            "folds": 3,
            "validation": 0.3,
            "corruptions": ["white_noise"],
            "severities": [5],
            "corrupted": 4,
            "ood": {"hiss": "signal:white_noise", "same": "tones.csv"},
            "ood_clips": 6,
            "by": ["sex"],
        }
    },
    "rows": {"evidential": None, "softmax": {"family": "softmax", "ensemble": True}},
    "published": [{"experiment": "tones", "what": "somebody", "figure": "99.9 %"}],
    "notes": ["A note."],
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump({**CONTENT, **changes}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    manifest = tone_corpus(folder, {"train": 9})
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    sexes = ("female", "male")
    write_manifest(manifest, [{**r, "sex": sexes[int(r["group"][-1]) % 2]} for r in rows])
    return folder


@pytest.fixture(scope="module")
def plan(tones: Path) -> Plan:
    return Plan.read(written(tones))


@pytest.fixture(scope="module")
def lines(plan: Plan, work: Path) -> list[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "RESAMPLES", 80)
        return list(summarize(plan, work))


@pytest.fixture(scope="module")
def work(tones: Path, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    said = list(run(plan, tones, folder))
    assert len(said) == 1 + 3 * 2 * 2
    return folder


def material_of(plan: Plan, folder: Path) -> Any:
    experiment = plan.experiments["tones"]
    dataset = dataset_of(experiment, folder)
    return load(experiment, dataset, build(dataset.labels, plan.model, "evidential"), folder)


# -- plans ----------------------------------------------------------------------------------------


def test_a_plan_merges_settings_from_the_common_to_the_row(tones: Path) -> None:
    rows = {"noisy": {"model": {"modalities": {"audio": {"dropout": 0.5}}}, "train": {"epochs": 9}}}
    read = Plan.read(written(tones, rows=rows, reference=""))
    row, experiment = read.rows["noisy"], read.experiments["tones"]
    assert read.model_of(experiment, row) == {"modalities": {"audio": {**ENCODER, "dropout": 0.5}}}
    assert read.train_of(experiment, row) == {**CONTENT["train"], "epochs": 9}
    assert read.seeds_of(experiment) == (0, 1)
    assert read.seeds_of(replace(experiment, seeds=(5,))) == (5,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": {}}, "rows is {}"),
        ({"rows": {"a": {"famly": "softmax"}}}, "famly"),
        ({"rows": {"a": {"family": "bayesian"}}}, "none of"),
        ({"rows": {"a": {"only": ["elsewhere"]}}}, "no experiment 'elsewhere'"),
        ({"rows": {"a": 3}}, "a is 3"),
        ({"colour": "red"}, "colour"),
        ({"seeds": []}, "no seed"),
        ({"reference": "chance"}, "reference is 'chance'"),
        ({"experiments": {"tones": {"folds": 3}}}, "data"),
        ({"experiments": {"t": {"data": "x.csv", "corruptions": ["blur"]}}}, "corruption of what"),
        ({"experiments": {"t": {"data": "x.csv", "corruptions": ["other_sound"]}}}, "row reads"),
        ({"experiments": {"t": {"data": "x.csv", "severities": [9]}}}, "severity"),
        ({"experiments": {"t": {"data": "x.csv", "ood": {"s": "signal:hum"}}}}, "signal"),
    ],
)
def test_plans_that_say_what_there_is_not_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as found:
        Plan.read(written(tmp_path, **{"reference": "", **changes}))
    assert "plan.yaml" in str(found.value)


@pytest.mark.parametrize("content", [b"", b"[1, 2", b"\xff\xfe", b"title: x\n"])
def test_files_that_are_no_plan_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"plan\.yaml"):
        Plan.read(path)
    with pytest.raises(DataError, match=r"nothing\.yaml"):
        Plan.read(tmp_path / "nothing.yaml")


# -- material -------------------------------------------------------------------------------------


def speakers(count: int, split_name: str = "") -> Dataset:
    samples = (
        Sample(f"{speaker}-{label}-{take}.wav", label, split_name, str(speaker))
        for speaker in range(count)
        for label in ("a", "b")
        for take in range(3)
    )
    return Dataset("mine", ("a", "b"), tuple(samples), "CC0", ("audio",))


def test_folds_test_each_speaker_once_and_share_none() -> None:
    data = speakers(12)
    folds = split(Experiment("x", "", folds=4, validation=0.25), data)
    groups = np.array([sample.group for sample in data])
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested.tolist()) == list(range(len(data)))
    for fold in folds:
        sides = [set(groups[rows]) for rows in (fold.train, fold.validation, fold.test)]
        assert not sides[0] & sides[1]
        assert not (sides[0] | sides[1]) & sides[2]
        assert len(sides[1]) == 2
        assert sum(len(rows) for rows in (fold.train, fold.validation, fold.test)) == len(data)


def test_a_published_split_keeps_its_test_clips_and_needs_one() -> None:
    train, test = speakers(6, "train"), speakers(3, "test")
    samples = (*train, *(replace(s, path=f"t{s.path}", group=f"t{s.group}") for s in test))
    (fold,) = split(Experiment("x", "", folds=0, validation=0.3), replace(train, samples=samples))
    assert fold.test.tolist() == list(range(36, 54))
    assert len(fold.validation) == 12
    with pytest.raises(DataError, match="without train and test"):
        split(Experiment("x", "", folds=0), train)


def test_ood_clips_are_no_longer_than_the_clips(plan: Plan, tones: Path) -> None:
    material = material_of(plan, tones)
    lengths = [len(w.values["audio"]) for clip in material.data.clips for w in clip]
    for clips in material.ood.values():
        assert len(clips.clips) == len(clips.groups) == 6
        assert max(len(clip[0].values["audio"]) for clip in clips.clips) <= np.median(lengths)


def test_clips_without_what_a_row_reads_are_left_out(plan: Plan, tones: Path) -> None:
    data = material_of(plan, tones).data
    mute = [replace(data.clips[0][0], values={"audio": None})]
    kept = select(replace(data, clips=[mute, *data.clips[1:]]), [0, 2, 5], ["audio"])
    assert [sample.path for sample in kept.samples] == [data.samples[i].path for i in (2, 5)]
    assert kept.labels.tolist() == data.labels[[2, 5]].tolist()
    with pytest.raises(DataError, match="no clip"):
        select(replace(data, clips=[mute]), [0], ["audio"])


def test_corruptions_change_sound_and_silence_is_masked(plan: Plan, tones: Path) -> None:
    data = select(material_of(plan, tones).data, range(4), ["audio"])
    noisy = corrupted(data, "white_noise", 5)
    again = corrupted(data, "white_noise", 5)
    for before, after, twice in zip(data.clips, noisy, again, strict=True):
        one, other = before[0].values["audio"], after[0].values["audio"]
        assert one is not None
        assert other is not None
        assert not torch.allclose(one, other)
        assert torch.equal(other, twice[0].values["audio"])
    silent = corrupted(data, "silence", 5)
    assert all(windows[0].values["audio"] is None for windows in silent)


@pytest.mark.parametrize("name", SIGNALS)
def test_signals_are_alike_for_a_seed_and_heard(name: str) -> None:
    one, two, other = signal(name, 8000, 1), signal(name, 8000, 1), signal(name, 8000, 2)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    level = 20 * np.log10(float(one.square().mean().sqrt()))
    assert -55 < level < -5


# -- pictures and sound ---------------------------------------------------------------------------

JOINT: dict[str, Any] = {
    "title": "Films",
    "model": {
        "modalities": {"audio": ENCODER, "video": {"encoder": "frame_cnn", "widths": [4, 6, 8, 8]}},
        "video": {"frames": 3, "size": 24, "faces": "whole"},
    },
    "train": {"epochs": 1, "batch_size": 8},
    "experiments": {
        "films": {
            "data": "films.csv",
            "folds": 0,
            "validation": 0.4,
            "corruptions": ["white_noise", "blur", "missing_video"],
            "severities": [2, 5],
            "corrupted": 3,
        }
    },
    "rows": {
        "ears": {"model": {"use": ["audio"]}},
        "eyes": {"model": {"use": ["video"]}},
        "both": None,
    },
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    film_corpus(folder, {"train": 5, "test": 2})
    (folder / "plan.yaml").write_text(yaml.safe_dump(JOINT, sort_keys=False), encoding="utf-8")
    return folder


def films_of(folder: Path) -> tuple[Material, Model]:
    plan = Plan.read(folder / "plan.yaml")
    experiment = plan.experiments["films"]
    dataset = dataset_of(experiment, folder)
    model = build(dataset.labels, plan.model, "evidential")
    return load(experiment, dataset, model, folder), model


@pytest.mark.parametrize("name", ["blur", "dropped_frames", "jpeg"])
def test_pictures_are_corrupted_before_they_are_scaled(films: Path, name: str) -> None:
    material, model = films_of(films)
    data = select(material.data, range(3), ["audio", "video"])
    changed = corrupted(data, name, 4, pictures=material.pictures)
    preprocessor = model.preprocessor()
    sources = dataset_sources(replace(material.dataset, samples=data.samples), preprocessor)
    for before, after, source, sample in zip(
        data.clips, changed, sources, data.samples, strict=True
    ):
        (clip,) = source.windows()
        expected = preprocessor(source, corrupt(clip, name, 4, key=clip_key(sample.name)))
        one, other = after[0].values["video"], expected.values["video"]
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)
        was = before[0].values["video"]
        assert was is not None
        assert one.shape != was.shape or not torch.equal(one, was)
        assert after[0].values["audio"] is before[0].values["audio"]
    # What was decoded for one row is not decoded again for the next.
    unable: Any = object()
    again = corrupted(data, name, 4, pictures=replace(material.pictures, preprocessor=unable))
    assert again[0][0].values["video"] is changed[0][0].values["video"]
    with pytest.raises(DataError, match="give pictures"):
        corrupted(data, name, 4)


def test_files_that_went_away_are_named(films: Path, tmp_path: Path) -> None:
    material, _ = films_of(films)
    data = select(material.data, range(2), ["video"])
    gone = [replace(sample, path=str(tmp_path / "gone.mp4")) for sample in data.samples]
    with pytest.raises(DataError, match=r"gone\.mp4 .*could be read before"):
        corrupted(replace(data, samples=tuple(gone)), "blur", 1, pictures=material.pictures)


def test_corruptions_between_sound_and_pictures_change_one_of_them(films: Path) -> None:
    material, _ = films_of(films)
    data = select(material.data, range(6), ["audio", "video"])
    gone = [corrupted(data, "missing_video", level) for level in (1, 3, 5)]
    lost = [[clip[0].values["video"] is None for clip in each] for each in gone]
    assert all(lost[2])
    assert sum(lost[0]) < len(data.clips)
    # What is lost at one severity is lost at the next.
    for clip in zip(*lost, strict=True):
        assert list(clip) == sorted(clip)
    for place, windows in enumerate(data.clips):
        sound, pictures = (windows[0].values[name] for name in ("audio", "video"))
        assert sound is not None
        assert gone[2][place][0].values["audio"] is sound
        shifted = corrupted(data, "shifted_sound", 1)[place][0].values["audio"]
        assert shifted is not None
        offset = round(0.1 * 16_000)
        assert any(torch.equal(shifted, sound.roll(o)) for o in (-offset, offset))
        silent = corrupted(data, "missing_audio", 5)[place][0].values
        assert silent["audio"] is None
        assert silent["video"] is pictures


def test_foreign_sound_is_of_another_class_where_it_can_be(films: Path) -> None:
    material, _ = films_of(films)
    data = select(material.data, range(6), ["audio", "video"])
    ticks = torch.sin(torch.arange(16_000) * 0.3)
    voices = [Voice(ticks, 0), Voice(ticks.sign(), 1)]
    for voice, label, windows in zip(
        (voices[1 - label] for label in data.labels.tolist()),
        data.labels.tolist(),
        corrupted(data, "other_sound", 5, voices),
        strict=True,
    ):
        heard = windows[0].values["audio"]
        assert heard is not None
        likeness = torch.corrcoef(torch.stack([heard, voice.sound[: len(heard)]]))[0, 1]
        assert likeness > 0.99, label
    alone = corrupted(data, "other_sound", 5, voices[:1])
    assert all(windows[0].values["audio"] is not None for windows in alone)


def test_rows_are_asked_about_what_they_read(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "RESAMPLES", 80)
    plan = Plan.read(films / "plan.yaml")
    assert len(list(run(plan, films, tmp_path / "work"))) == 1 + 3
    expected = {
        "ears": {"white_noise"},
        "eyes": {"blur"},
        "both": {"white_noise", "blur", "missing_video"},
    }
    for unit in units(plan, tmp_path / "work"):
        with np.load(unit.answers) as file:
            asked = {name.split("/")[0] for name in file.files} - {"test", "validation"}
            assert asked - {"corrupted"} == {
                f"{name}-{level}" for name in expected[unit.row.name] for level in (2, 5)
            }
            if unit.row.name == "both":
                np.testing.assert_allclose(
                    file["missing_video-5//probability"],
                    file["test/only audio/probability"][file["corrupted"]],
                    atol=1e-5,
                )
    lines = list(summarize(plan, tmp_path / "work"))
    write_page(plan, lines, tmp_path / "plan.md")
    page = (tmp_path / "plan.md").read_text(encoding="utf-8")
    part = page[page.index("### Under corruptions") :]
    noise, blurred, missing = (
        part[part.index(f"{CORRUPTIONS[name].title} (") :].split("\n\n")[1].splitlines()
        for name in ("white_noise", "blur", "missing_video")
    )
    for rows, there in ((noise, "ears"), (blurred, "eyes"), (missing, "both")):
        assert rows[0] == "|  | clean | 2 | 5 |"
        assert rows[2].startswith(f"| {there} |")
        assert all(row.count("|") == 5 for row in rows)
        # A phone is some 50 characters wide beside the names of the rows.
        assert max(len(row.split("|", 2)[2]) for row in rows) < 50
    assert "ears" not in "".join(blurred + missing)
    (line,) = [
        x
        for x in lines
        if x["row"] == "eyes" and x.get("corruption") == "blur" and x["severity"] == 5
    ]
    accuracy, covered, precise = (
        line["figures"][name][0] for name in ("accuracy", "coverage", "trusted_precision")
    )
    right = f"{100 * precise:.0f}" if covered else "-"
    cell = f"{100 * accuracy:.0f} / {100 * covered:.0f} / {right}"
    assert blurred[2].split(" | ")[-1] == f"{cell} |"


# -- density --------------------------------------------------------------------------------------


def test_density_is_as_defined() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    known = rng.normal(size=(120, 5)) @ rng.normal(size=(5, 5)) + 4 * labels[:, None]
    asked = rng.normal(size=(40, 5)) * 3
    density = Density.fit(known, labels, neighbours=4)
    means = np.stack([known[labels == each].mean(0) for each in range(3)])
    precision = LedoitWolf(assume_centered=True).fit(known - means[labels]).precision_
    slow = [min(mahalanobis(one, mean, precision) for mean in means) for one in asked]
    np.testing.assert_allclose(density.mahalanobis(asked), slow, rtol=1e-6)
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (known, asked)]
    neighbours, _ = NearestNeighbors(n_neighbors=4).fit(unit[0]).kneighbors(unit[1])
    np.testing.assert_allclose(density.nearest(asked), neighbours[:, -1], atol=1e-7)


def test_density_needs_clips_and_numbers() -> None:
    with pytest.raises(DataError, match="two clips"):
        Density.fit(np.zeros((1, 3)), np.zeros(1, np.int64))
    with pytest.raises(DataError, match="finite"):
        Density.fit(np.full((4, 3), np.nan), np.zeros(4, np.int64))
    # Features that never move are no reason to divide by nothing.
    still = Density.fit(np.ones((6, 3)), np.arange(6) % 2)
    assert np.isfinite(still.mahalanobis(np.ones((2, 3)))).all()


# -- answers --------------------------------------------------------------------------------------


def prepared(folder: Path, model: Any) -> PreparedData:
    from ter_fast.data import load_dataset

    return prepare(model, load_dataset(str(folder / "tones.csv")), progress=False)


def test_one_pass_gives_the_evidence_of_inference_and_the_features(tones: Path) -> None:
    model = tiny_model("audio", labels=("high", "low"), window_seconds=0.3)
    data = prepared(tones, model)
    found = encode(model, data.clips, data.empty, batch_size=5)
    assert len(found.owner) > found.count
    expected = clip_evidence(model, data.clips, data.empty)
    evidence, mask = found.clip_evidence()
    torch.testing.assert_close(evidence, expected.values, rtol=1e-4, atol=1e-4)
    assert torch.equal(mask, expected.mask)
    expert: Any = model.experts["audio"]
    window = data.clips[0][0].values["audio"]
    assert window is not None
    with torch.no_grad():
        pooled = expert.encoder(window[None], torch.tensor([len(window)]))[0]
    torch.testing.assert_close(found.features["audio"][0], pooled, rtol=1e-4, atol=1e-4)
    assert not expert.head._forward_pre_hooks


def test_the_softmax_family_is_a_softmax(tones: Path) -> None:
    model = build(("high", "low"), CONTENT["model"], "softmax").eval()
    data = prepared(tones, model)
    judge, answers = Judge.fit(model, "softmax", data, data)
    found = encode(model, data.clips, data.empty)
    expert: Any = model.experts["audio"]
    with torch.no_grad():
        logits = expert.head(found.features["audio"]).double()
    expected = torch.softmax(logits, -1).numpy()
    np.testing.assert_allclose(answers[""].probability, expected, atol=1e-6)
    opinion = model.opinions(*found.clip_evidence())[0]
    np.testing.assert_allclose(opinion.probability.numpy(), expected, atol=1e-5)
    cooled = torch.softmax(logits / judge.temperature, -1).numpy()
    np.testing.assert_allclose(answers["temperature"].probability, cooled, atol=1e-6)
    averaged = answers["MC dropout"]
    assert np.abs(averaged.probability - expected).max() > 1e-4
    assert (averaged.scores["mutual_information"] < 0).all()
    np.testing.assert_allclose(averaged.probability.sum(1), 1)


def test_the_guard_takes_confidence_and_never_changes_the_class(tones: Path) -> None:
    model = tiny_model("audio", labels=("high", "low"))
    data = prepared(tones, model)
    judge, _ = Judge.fit(model, "evidential", data, data)
    hiss = [
        [replace(data.clips[0][0], values={"audio": signal("white_noise", 8000, s)})]
        for s in range(5)
    ]
    answers = judge.answers(encode(model, hiss, data.empty))
    plain, guarded = answers[""], answers["density guard"]
    assert (guarded.scores[TRUST] <= plain.scores[TRUST] + 1e-6).all()
    assert (guarded.probability.argmax(1) == plain.probability.argmax(1)).all()
    silent = [[replace(data.clips[0][0], values={"audio": None})]]
    nothing = judge.answers(encode(model, silent, data.empty))[""]
    assert np.isnan(nothing.scores[TRUST]).all()
    assert np.isnan(nothing.scores["density_mahalanobis"]).all()


def test_a_joint_model_answers_with_each_modality_alone() -> None:
    model = tiny_model("audio", "text")
    clips = [
        [replace(_window(), values={"audio": torch.randn(8000) * 0.1, "text": torch.randn(5)})]
        for _ in range(12)
    ]
    data = PreparedData(
        clips, torch.arange(12) % 3, torch.eye(3)[torch.arange(12) % 3],
        tuple(Sample(str(i), "abc"[i % 3], "", str(i)) for i in range(12)),
        {"audio": torch.zeros(0), "text": torch.zeros(0)}, (),
    )  # fmt: skip
    _, answers = Judge.fit(model, "evidential", data, data)
    assert set(answers) == {"", "density guard", "only audio", "only text"}
    found = encode(model, data.clips, data.empty)
    evidence, _ = found.clip_evidence()
    alone = (evidence[0] + 1) / (evidence[0] + 1).sum(-1, keepdim=True)
    np.testing.assert_allclose(answers["only audio"].probability, alone.numpy(), atol=1e-5)


def test_the_guard_judges_each_modality_that_is_there_by_itself() -> None:
    model = tiny_model("audio", "text").eval()
    clips = [
        [replace(_window(), values={"audio": torch.randn(8000) * 0.1, "text": torch.randn(5)})]
        for _ in range(12)
    ]
    labels = torch.arange(12) % 3
    data = PreparedData(
        clips, labels, torch.eye(3)[labels],
        tuple(Sample(str(i), "abc"[i % 3], "", str(i)) for i in range(12)),
        {"audio": torch.zeros(0), "text": torch.zeros(0)}, (),
    )  # fmt: skip
    judge, _ = Judge.fit(model, "evidential", data, data)
    judge = replace(judge, limits=dict.fromkeys(judge.limits, 1e9))
    heard = [[replace(c[0], values={**c[0].values, "text": None})] for c in clips]
    answers = judge.answers(encode(model, heard, data.empty))
    # A modality that is missing is not far off: it is not there.
    for name in ("density guard", "only audio"):
        np.testing.assert_array_equal(answers[name].probability, answers[""].probability)
    near = judge.answers(encode(model, clips, data.empty))[""].scores["density_mahalanobis"]
    alone = answers[""].scores["density_mahalanobis"]
    assert (alone > -1).all()
    assert (near > -1).all()


def test_experts_with_a_guard_of_their_own_are_not_guarded_twice(tones: Path) -> None:
    model = tiny_model("audio", labels=("high", "low"))
    data = prepared(tones, model)
    expert = replace(
        model.config.experts["audio"], ood=OutOfDistributionConfig(1.0, 4.0, 2, "tones", 8)
    )
    judge, answers = Judge.fit(model, "evidential", data, data)
    assert "density guard" in answers
    guarded = copy(model)
    guarded.config = replace(model.config, experts={"audio": expert})
    again = replace(judge, model=guarded).answers(encode(model, data.clips, data.empty))
    assert "density guard" not in again


def test_a_name_with_a_slash_is_refused() -> None:
    plan = Plan("Page", {"a/b": Experiment("a/b", "x:y")}, {"row": Row("row")})
    with pytest.raises(DataError, match="'a/b' has a slash"):
        plan.check()


def test_answers_are_discounted_as_the_models_are() -> None:
    model = tiny_model("audio", "text").eval()
    model.config = model.config.with_reliability({"audio": 0.3})
    clips = [
        [replace(_window(), values={"audio": torch.randn(8000) * 0.1, "text": torch.randn(5)})]
        for _ in range(12)
    ]
    labels = torch.arange(12) % 3
    data = PreparedData(
        clips, labels, torch.eye(3)[labels],
        tuple(Sample(str(i), "abc"[i % 3], "", str(i)) for i in range(12)),
        {"audio": torch.zeros(0), "text": torch.zeros(0)}, (),
    )  # fmt: skip
    judge, answers = Judge.fit(model, "evidential", data, data)
    found = clip_evidence(model, clips, data.empty)
    heard = found.mask & torch.tensor([True, False])[:, None]
    # No clip is farther off than a limit so large, so the guard adds nothing.
    far = replace(judge, limits=dict.fromkeys(judge.limits, 1e9))
    answers["density guard"] = far.answers(encode(model, clips, data.empty))["density guard"]
    for name, mask in (("", found.mask), ("density guard", found.mask), ("only audio", heard)):
        opinion, _ = model.opinions(found.values, mask)
        np.testing.assert_allclose(
            answers[name].probability, opinion.probability.numpy(), atol=1e-6, err_msg=name
        )


def _window() -> Any:
    from ter_fast.predict.source import Window

    return Window({}, {}, 0.0, 1.0)


def test_an_ensemble_is_the_mean_and_knows_its_disagreement() -> None:
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(4), size=(3, 20))
    members = [Answer(chance, {TRUST: chance.max(1)}) for chance in chances]
    both = ensemble(members)
    np.testing.assert_allclose(both.probability, chances.mean(0))
    information = entropy_of(chances.mean(0)) - entropy_of(chances.reshape(-1, 4)).reshape(
        3, 20
    ).mean(0)
    np.testing.assert_allclose(both.scores["mutual_information"], -information)
    np.testing.assert_allclose(both.scores[TRUST], chances.mean(0).max(1))


# -- runs -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_goes_on_and_refuses_other_settings(tones: Path, plan: Plan, work: Path) -> None:
    assert list(run(plan, tones, work)) == []
    unit = next(units(plan, work))
    with np.load(unit.answers) as file:
        before = {name: file[name] for name in file.files}
    assert {"test/target", "white_noise-5//probability", "ood hiss//probability"} <= set(before)
    weights = (unit.folder / "model" / "model.safetensors").stat().st_mtime_ns
    # Answers that were lost are given again, by the model that is kept.
    unit.answers.unlink()
    (again,) = list(run(plan, tones, work, ["tones/evidential/0"]))[1:]
    assert "trained" not in again
    assert (unit.folder / "model" / "model.safetensors").stat().st_mtime_ns == weights
    with np.load(unit.answers) as file:
        assert set(file.files) == set(before)
        for name in file.files:
            np.testing.assert_array_equal(file[name], before[name])
    for changes, message in (
        ({"train": {**CONTENT["train"], "epochs": 3}}, "train"),
        (
            {"experiments": {"tones": {**CONTENT["experiments"]["tones"], "severities": [1]}}},
            "severities",
        ),
    ):
        other = Plan.read(written(tones, **changes))
        with pytest.raises(DataError, match=f"other settings.*{message}"):
            list(run(other, tones, work))
        with pytest.raises(DataError, match="other settings"):
            list(summarize(other, work))
    with pytest.raises(DataError, match="nothing is called"):
        list(run(plan, tones, work, ["tones/evidental"]))


def test_damaged_answers_are_named(plan: Plan, tones: Path, tmp_path: Path) -> None:
    unit = next(units(plan, tmp_path))
    (unit.folder / "model").mkdir(parents=True)
    settings = {"settings": training_settings(plan, unit), "seconds": 1}
    (unit.folder / "model" / "training.json").write_text(json.dumps(settings), encoding="utf-8")
    about = {"settings": evaluation_settings(unit.experiment), "thresholds": {"": 0.5}, "terms": ""}
    (unit.folder / "evaluation.json").write_text(json.dumps(about), encoding="utf-8")
    unit.answers.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match=r"answers\.npz is damaged"):
        list(summarize(plan, tmp_path))
    (unit.folder / "evaluation.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"evaluation\.json is damaged"):
        list(run(plan, tones, tmp_path))


def test_figures_are_those_of_the_answers(
    plan: Plan, work: Path, lines: list[dict[str, Any]]
) -> None:
    tables = {line["table"] for line in lines}
    assert tables == {"main", "failure", "corruption", "ood", "group"}
    rows = {line["row"] for line in lines}
    assert rows == {
        "evidential", "evidential, density guard", "softmax", "softmax, temperature",
        "softmax, MC dropout", "softmax, ensemble of 2",
    }  # fmt: skip
    main = {line["row"]: line for line in lines if line["table"] == "main"}
    own = [u for u in units(plan, work) if u.row.name == "evidential"]
    right, known, strange, trusted = [], [], [], []
    for unit in own:
        threshold = json.loads((unit.folder / "evaluation.json").read_text())["thresholds"][""]
        with np.load(unit.answers) as file:
            right.append(file["test//probability"].argmax(1) == file["test/target"])
            known.append(file["test//score/max_probability"])
            strange.append(file["ood hiss//score/max_probability"])
            trusted.append(file["ood hiss//score/confidence"] >= np.float32(threshold))
    accuracy, low, high = main["evidential"]["figures"]["accuracy"]
    assert accuracy == pytest.approx(np.concatenate(right).mean(), abs=1e-4)
    assert low <= accuracy <= high
    assert main["evidential"]["clips"] == 18
    apart = main["evidential"]["differences"]["accuracy"]
    assert apart[0] == pytest.approx(accuracy - main["softmax"]["figures"]["accuracy"][0], abs=2e-4)
    assert main["softmax"]["differences"]["aurc"] == [0.0, 0.0, 0.0]
    assert main["softmax, ensemble of 2"]["differences"] == {}
    assert main["evidential"]["groups"] == 9
    (line,) = [x for x in lines if x["row"] == "evidential" and x.get("ood") == "hiss"]
    scores = np.concatenate([*known, *strange])
    inside = np.arange(len(scores)) < 36
    assert line["scores"]["max_probability"]["auroc"][0] == pytest.approx(
        roc_auc_score(inside, scores), abs=1e-4
    )
    assert line["figures"]["trusted"][0] == pytest.approx(np.concatenate(trusted).mean(), abs=1e-4)


def test_clips_are_counted_once(lines: list[dict[str, Any]]) -> None:
    counts = {
        line["ood"]: line["clips"]
        for line in lines
        if line["table"] == "ood" and line["row"] == "evidential"
    }
    # Six clips of one corpus, whose speakers are fewer.
    assert counts == {"hiss": 6, "same": 6}
    noisy = {line["clips"] for line in lines if line["table"] == "corruption"}
    assert noisy == {3 * 4}


def test_a_clip_that_nothing_is_known_of_is_answered_wrong() -> None:
    probability = np.array([[0.5, 0.5], [0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    target, known = np.array([0, 0, 1, 1]), np.array([np.nan, 0.8, np.nan, 0.6])
    answers = Pooled(
        target, np.array(list("abcd")), probability, {TRUST: known}, np.zeros(4), {},
        np.array(list("abcd")),
    )  # fmt: skip
    figures = summary.main_figures(answers, Bootstrap(4, answers.group, resamples=5))
    assert answers.correct.tolist() == [False, True, False, True]
    assert figures["accuracy"].value == figures["uar"].value == 0.5


def test_folds_of_data_that_changed_in_between_are_refused(plan: Plan, work: Path) -> None:
    unit = next(units(plan, work))
    kept = Kept.read(unit)
    check_folds("evidential", [kept, replace(kept, seed=kept.seed + 1, fold=1)])
    with pytest.raises(DataError, match="tested in fold 0 and in fold 1, so the data have changed"):
        check_folds("evidential", [kept, replace(kept, fold=1)])


def test_the_page_is_written_from_figures_alone(
    plan: Plan, lines: list[dict[str, Any]], tones: Path, tmp_path: Path
) -> None:
    figures = tmp_path / "plan.jsonl"
    write_lines(lines, figures)
    assert read_lines(figures) == lines
    command = ["media", str(written(tones)), "--out", str(tmp_path)]
    told = CliRunner().invoke(app, command)
    assert "give a folder for them by --work, or --render" in str(told.exception)
    told = CliRunner().invoke(app, [*command, "--render", "--work", str(tmp_path)])
    assert "leave out --work" in str(told.exception)
    told = CliRunner().invoke(app, [*command, "--render"])
    assert told.exit_code == 0, told.output
    page = (tmp_path / "plan.md").read_text(encoding="utf-8")
    for piece in (
        "# Tones",
        "## tones",
        "somebody | 99.9 %",
        "White noise, 5",
        "hiss",
        "A note.",
        "sex | female",
    ):
        assert piece in page, piece
    (main,) = [x for x in lines if x["table"] == "main" and x["row"] == "softmax"]
    assert f"{100 * main['figures']['accuracy'][0]:.1f} [" in page
    with pytest.raises(DataError, match="no figures"):
        write_page(plan, [], tmp_path / "other.md")
    figures.write_text("{\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1 is damaged"):
        read_lines(figures)
    with pytest.raises(DataError, match=r"none\.jsonl cannot be read"):
        read_lines(tmp_path / "none.jsonl")


def test_the_page_counts_the_clips_of_every_row(
    plan: Plan, lines: list[dict[str, Any]], tmp_path: Path
) -> None:
    counts = {"evidential": (18, 9), "softmax": (7, 5)}
    changed = [
        {**line, "clips": counts[line["row"]][0], "groups": counts[line["row"]][1]}
        for line in lines
        if line["table"] == "main" and line["row"] in counts
    ]
    write_page(plan, changed, tmp_path / "plan.md")
    page = (tmp_path / "plan.md").read_text(encoding="utf-8").splitlines()
    head = next(line for line in page if line.startswith("|  | clips | groups |"))
    table = page[page.index(head) + 2 :][:2]
    assert [tuple(line.split(" | ")[:3]) for line in table] == [
        ("| evidential", "18", "9"),
        ("| softmax", "7", "5"),
    ]


def test_of_two_processes_that_train_a_unit_the_first_is_kept(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"seeds": [0], "rows": {"evidential": None}, "reference": ""}
    own = Plan.read(written(tones, **changes))
    unit = next(units(own, tmp_path))
    material = material_of(own, tones)
    plain, kept = run_module.train, unit.folder / "model"
    first: list[Any] = []

    def slower(model: Any, *given: Any) -> Any:
        # While this process trains, another finishes, from other weights.
        other = build(LABELS, {"modalities": {"audio": ENCODER}}, "evidential", 5)
        first.append(run_module._keep(other, kept, {"settings": settings, "seconds": 1}))
        return plain(model, *given)

    settings = training_settings(own, unit)
    monkeypatch.setattr(run_module, "train", slower)
    run_module._unit(own, unit, material)
    assert first == [True]
    assert [file.name for file in unit.folder.iterdir() if file.name.startswith(".")] == []
    held = Model.from_pretrained(kept)
    other = build(LABELS, {"modalities": {"audio": ENCODER}}, "evidential", 5)
    for name, weight in other.state_dict().items():
        torch.testing.assert_close(held.state_dict()[name], weight)
    # Answers are of the model that is kept.
    with np.load(unit.answers) as file:
        answered = file["test//probability"]
    unit.answers.unlink()
    monkeypatch.setattr(run_module, "train", None)
    run_module._unit(own, unit, material)
    with np.load(unit.answers) as file:
        np.testing.assert_array_equal(file["test//probability"], answered)
    monkeypatch.setattr(Model, "save_pretrained", _cannot_save)
    with pytest.raises(OSError, match="save"):
        run_module._keep(other, tmp_path / "new" / "model", {})
    assert list((tmp_path / "new").iterdir()) == []


def _cannot_save(model: Model, folder: Path) -> None:
    raise OSError("cannot save")


def test_the_command_runs_a_part(tones: Path, tmp_path: Path) -> None:
    path = written(tones, seeds=[0], rows={"evidential": None}, reference="")
    arguments = ["media", str(path), "--data", str(tones), "--out", str(tmp_path / "out")]
    told = CliRunner().invoke(
        app, [*arguments, "--work", str(tmp_path / "work"), "--only", "tones/evidential/1"]
    )
    assert told.exit_code == 0, told.output
    assert "fold 1" in told.output
    done = [u for u in units(Plan.read(path), tmp_path / "work") if u.answers.is_file()]
    assert [(u.row.name, u.fold) for u in done] == [("evidential", 1)]
    assert isinstance(done[0], Unit)


@pytest.mark.parametrize(
    ("settings", "family", "message"),
    [
        ({"modalities": {}}, "evidential", "uses nothing"),
        ({"modalities": {"audio": ENCODER}, "use": ["video"]}, "evidential", "uses video"),
        ({"modalities": {"audio": {"dropout": 0.1}}}, "evidential", "no encoder"),
        ({"modalities": {"audio": ENCODER}, "speed": 3}, "evidential", "speed"),
        ({"modalities": {"audio": ENCODER}, "activation": "relu"}, "softmax", "activation"),
    ],
)
def test_settings_that_make_no_model_are_refused(
    settings: dict[str, Any], family: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        build(("a", "b"), settings, family)
