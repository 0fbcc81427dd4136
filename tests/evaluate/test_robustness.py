"""Figures under corruptions against what predictions of corrupted clips say."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from typer.testing import CliRunner

from helpers.tiny import film_corpus, tiny_model, tone_corpus, with_threshold
from ter_fast import DataError, Model
from ter_fast.cli import app
from ter_fast.data import Dataset, load_dataset
from ter_fast.evaluate.evaluate import evaluate
from ter_fast.evaluate.report.robustness import sentence
from ter_fast.evaluate.robustness import Robustness, Trend, evaluate_corrupted
from ter_fast.evaluate.robustness.measure import rank_correlation
from ter_fast.media.corrupt import CORRUPTIONS, corrupt, suite
from ter_fast.trust.results import Estimate

LABELS = ("high", "low")
FEW = {"resamples": 20}
SEVERITIES = (1, 5)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("films")
    return load_dataset(str(film_corpus(folder, {"test": 3}))).split("test")


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tone_corpus(tmp_path_factory.mktemp("tones"), {"test": 4})


def both() -> Model:
    model = tiny_model("audio", "video", labels=LABELS)
    model = with_threshold(model, 0.4, "audio+video")
    thresholds = {**model.config.thresholds}
    record = thresholds["audio+video"]
    thresholds["audio"] = replace(record, threshold=0.05)
    model.config = replace(model.config, thresholds=thresholds)
    return model


NAMES = ("white_noise", "packet_loss", "silence", "blur", "dropped_frames", "shifted_sound",
         "missing_audio", "missing_video")  # fmt: skip


@pytest.fixture(scope="module")
def found(films: Dataset) -> Robustness:
    return evaluate_corrupted(both(), films, NAMES, severities=SEVERITIES, **FEW)


def test_clean_cell_is_the_evaluation(films: Dataset, found: Robustness) -> None:
    plain = evaluate(both(), films, progress=False, resamples=20)
    for name, figure in found.clean.figures.items():
        if name not in ("uncertainty", "answered"):
            assert figure == plain.figures[name], name
    mean = float(np.mean(plain.outcomes.uncertainty))
    assert found.clean.figures["uncertainty"].value == pytest.approx(mean)
    assert found.clean.trusted.tolist() == plain.outcomes.trusted.tolist()
    assert (found.samples, found.groups) == (plain.samples, plain.groups)


@pytest.mark.parametrize("name", NAMES)
def test_cells_are_predictions_of_corrupted_clips(
    name: str, films: Dataset, found: Robustness
) -> None:
    model = both()
    preprocessor = model.preprocessor()
    for cell in found.of(name)[1:]:
        for row, sample in enumerate(films):
            (clip,) = list(preprocessor.read(sample.path))
            damaged = corrupt(clip, name, cell.severity)
            if damaged.frames is None and damaged.audio is None:
                continue
            prediction = model.predict(damaged)
            assert cell.outcomes.uncertainty[row] == pytest.approx(prediction.uncertainty, abs=1e-4)
            assert cell.outcomes.labels[cell.outcomes.prediction[row]] == prediction.label
            # A row without a threshold for what is left is not trusted; a prediction does not say.
            assert bool(cell.trusted[row]) == bool(prediction.trusted)


def test_clips_without_a_modality_have_no_answer(tones: Path) -> None:
    model = with_threshold(tiny_model("audio", labels=LABELS), 0.0, "audio")
    found = evaluate_corrupted(model, load_dataset(str(tones)), "silence", severities=[5], **FEW)
    (cell,) = found.cells
    figures = {name: each.value for name, each in cell.figures.items()}
    assert figures["answered"] == figures["accuracy"] == figures["coverage"] == 0
    assert figures["uncertainty"] == figures["aurc"] == 1
    trend = found.trends["silence"]
    assert trend.none_trusted_at == 5
    assert trend.broke_at is None
    assert "no modality left" in sentence(found, trend)
    assert cell.outcomes.attributes["corruption"] == ("silence",) * len(cell.outcomes)
    assert cell.outcomes.attributes["severity"] == ("5",) * len(cell.outcomes)


def test_workers_and_order_do_not_matter(tones: Path) -> None:
    data = load_dataset(str(tones))
    model = tiny_model("audio", labels=LABELS)
    names = ("babble", "white_noise")
    one = evaluate_corrupted(model, data, names, workers=1, **FEW)
    many = evaluate_corrupted(model, data, names[::-1], workers=3, **FEW)
    for name in names:
        for cell, other in zip(one.of(name), many.of(name), strict=True):
            # Cells are encoded in batches, whose rounding depends on what is beside them.
            np.testing.assert_allclose(
                cell.outcomes.uncertainty, other.outcomes.uncertainty, rtol=1e-4
            )


def test_babble_is_not_of_ones_own_voice(tones: Path) -> None:
    from ter_fast.evaluate.robustness.evidence import Voice, _others

    data = load_dataset(str(tones))
    pool = [Voice(s.path, s.group, s.label, torch.full((9,), float(i))) for i, s in enumerate(data)]
    for sample in data:
        for name in (each for each in CORRUPTIONS if CORRUPTIONS[each].takes("others")):
            chosen = [data[int(sound[0])] for sound in _others(pool, sample, CORRUPTIONS[name])]
            assert chosen
            assert all(each.group != sample.group for each in chosen)
            if CORRUPTIONS[name].another_class:
                assert all(each.label != sample.label for each in chosen)


def test_another_seed_is_other_noise(tones: Path) -> None:
    model = tiny_model("audio", labels=LABELS)
    data = load_dataset(str(tones))
    first, again, other = (
        model.evaluate_corrupted(data, "white_noise", severities=[3], seed=seed, **FEW)
        for seed in (0, 0, 1)
    )
    same = [run.cells[0].outcomes.uncertainty for run in (first, again, other)]
    assert np.array_equal(same[0], same[1])
    assert not np.array_equal(same[0], same[2])
    with pytest.raises(DataError, match="seed is -1; expected 0 or more"):
        model.evaluate_corrupted(data, "white_noise", seed=-1)


def test_suite_of_a_voice_has_only_sound(tones: Path) -> None:
    model = tiny_model("audio", "video", labels=LABELS)
    found = evaluate_corrupted(model, load_dataset(str(tones)), severities=[3], **FEW)
    assert tuple(found.trends) == suite(["audio"])
    assert found.threshold is None
    assert all(cell.trusted is None for cell in found.cells)


def test_a_bad_file_costs_only_itself(tmp_path: Path) -> None:
    table = tone_corpus(tmp_path / "some", {"test": 3})
    data = load_dataset(str(table))
    Path(data[2].path).write_bytes(b"RIFF no sound")
    model = tiny_model("audio", labels=LABELS)
    found = evaluate_corrupted(model, data, "babble", severities=[2], **FEW)
    assert found.samples == len(data) - 1
    assert len(found.errors) == 1
    assert data[2].path in found.errors[0]
    assert data[2].path not in found.clean.outcomes.paths
    for sample in data:
        Path(sample.path).write_bytes(b"")
    with pytest.raises(DataError, match=r"no clip of .* could be used; the first said"):
        evaluate_corrupted(model, data, "clipping", **FEW)


def test_errors(films: Dataset) -> None:
    model = both()
    with pytest.raises(DataError, match="fog is no corruption"):
        evaluate_corrupted(model, films, "fog")
    with pytest.raises(DataError, match="jpeg is no corruption of audio"):
        evaluate_corrupted(model, films, ["jpeg"], modalities=["audio"])
    with pytest.raises(DataError, match="expected 1, 2, 3, 4 or 5"):
        evaluate_corrupted(model, films, "jpeg", severities=[7])
    with pytest.raises(DataError, match="no severity was given"):
        evaluate_corrupted(model, films, "jpeg", severities=[])
    with pytest.raises(DataError, match="smell is not in both model and data"):
        evaluate_corrupted(model, films, "jpeg", modalities=["smell"])
    with pytest.raises(DataError, match="classes high, low that the model lacks"):
        evaluate_corrupted(tiny_model("audio"), films, "silence")


# -- trends -----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=6), min_size=1, max_size=5))
def test_rank_correlation_is_spearman(columns: list[list[int]]) -> None:
    size = min(map(len, columns))
    values = np.array([column[:size] for column in columns], float).T
    for column, answer in zip(values.T, rank_correlation(values), strict=True):
        if len(set(column)) == 1:
            assert answer == 0
        else:
            assert answer == pytest.approx(spearmanr(column, np.arange(size))[0])


def test_trend_follows_from_the_cells(found: Robustness) -> None:
    for name, trend in found.trends.items():
        cells = found.of(name)
        table = np.stack([cell.outcomes.uncertainty for cell in cells])
        rise = table[-1].mean() - table[0].mean()
        assert trend.rise.value == pytest.approx(rise)
        assert trend.spearman.value == pytest.approx(rank_correlation(table).mean())
        change = cells[-1].figures["accuracy"].value - cells[0].figures["accuracy"].value
        assert trend.accuracy_change.value == pytest.approx(change)


def trend(spearman: float, rise: float, accuracy: float) -> Trend:
    figures = [Estimate(x, x - 0.1, x + 0.1) for x in (spearman, rise, accuracy)]
    return Trend("jpeg", *figures, (), None, None)


def test_verdicts() -> None:
    assert trend(0.5, 0.2, -0.3).verdict == "rose"
    assert not trend(0.5, 0.2, -0.3).blind
    assert trend(-0.5, -0.2, -0.3).verdict == "fell"
    assert trend(-0.5, -0.2, -0.3).blind
    for mixed in (trend(0.5, 0.05, -0.3), trend(0.05, 0.5, -0.3), trend(0.5, -0.5, -0.3)):
        assert mixed.verdict == "unclear"
        assert mixed.blind
    assert not trend(0.0, 0.0, -0.05).blind
    lone = Estimate(0.9, float("nan"), float("nan"))
    assert Trend("jpeg", lone, lone, lone, (), None, None).verdict == "unclear"


# -- what is written --------------------------------------------------------------------------------


@pytest.mark.slow
def test_page_tables_and_record(found: Robustness, tmp_path: Path) -> None:
    page = found.save(tmp_path / "report")
    text = page.read_text(encoding="utf-8")
    assert page.name == "robustness.html"
    assert "Signal-to-noise ratio, dB" in text
    assert ">\u22125</td>" in text
    for name, each in found.trends.items():
        assert f'id="severity-{name.replace("_", "-")}"' in text
        assert f"{sentence(found, each)[:20]}" in text
    record = json.loads((page.parent / "robustness.json").read_text(encoding="utf-8"))
    assert len(record["cells"]) == 1 + len(NAMES) * len(SEVERITIES)
    assert record["trends"]["blur"]["uncertainty"] == found.trends["blur"].verdict
    with (page.parent / "tables" / "cells.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row, cell in zip(rows, (found.clean, *found.cells), strict=True):
        assert float(row["accuracy"]) == cell.figures["accuracy"].value
        assert row["corruption"] == (cell.corruption or "clean")
    with (page.parent / "tables" / "corrupted-clips.csv").open(encoding="utf-8") as file:
        assert sum(1 for _ in csv.reader(file)) == 1 + len(rows) * found.samples
    again = found.save(tmp_path / "again")
    assert again.read_bytes() == page.read_bytes()


@pytest.mark.slow
def test_command_line(tones: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with_threshold(tiny_model("audio", labels=LABELS), 0.3, "audio").save_pretrained(folder)
    command = ["evaluate", "-m", str(folder), "-d", str(tones), "--quiet", "--corrupt"]
    done = CliRunner().invoke(app, [*command, "babble,low_pass", "-o", str(tmp_path / "out.json")])
    assert done.exit_code == 0, done.output
    assert "babble" in done.output
    assert "Did uncertainty rise" in done.output
    record = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert set(record["trends"]) == {"babble", "low_pass"}
    seeded = [*command, "packet_loss", "--seed", "3", "-o", str(tmp_path / "seeded.json")]
    seeded += ["--name", "some tones"]
    assert CliRunner().invoke(app, seeded).exit_code == 0
    expected = Model.from_pretrained(folder).evaluate_corrupted(
        load_dataset(str(tones)).split("test"), "packet_loss", seed=3
    )
    replace(expected, name="some tones").to_json(tmp_path / "expected.json")
    assert (tmp_path / "seeded.json").read_bytes() == (tmp_path / "expected.json").read_bytes()
    assert expected.seed == 3
    bad = CliRunner().invoke(app, [*command, "fog"])
    assert isinstance(bad.exception, DataError)


@pytest.mark.slow
def test_real_speech_loses_accuracy_under_noise(data_dir: Path) -> None:
    data = load_dataset(f"ravdess:{data_dir / 'ravdess'}").split("validation")
    data = replace(data, samples=data.samples[::6])
    found = evaluate_corrupted(Model.from_pretrained(), data, "white_noise", severities=[5], **FEW)
    assert found.trends["white_noise"].accuracy_change.value < 0
