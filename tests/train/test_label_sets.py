"""Label sets from calibration to predictions, figures and pages."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.command import Run
from helpers.tiny import LABELS, QUIET, film, tiny_model, tone_corpus
from ter_fast import DataError, Model, ModelError, Predictions
from ter_fast.data import Dataset, load_dataset
from ter_fast.experts.card.text import card_text
from ter_fast.experts.config import ModelConfig
from ter_fast.experts.joining import joint_config
from ter_fast.trust.conformal import ConformalSets

SETS = {"audio", "video", "audio+video"}


def least(model: Model, name: str = "audio") -> float:
    """Return the least probability of a label in a set."""
    return 1 - model.config.conformal[name].quantile


def with_sets(model: Model, quantile: float, *names: str) -> Model:
    """Give a model of two classes label sets of a quantile."""
    sets = ConformalSets(0.2, quantile, 2, 20, 20, "none")
    model.config = replace(model.config, conformal=dict.fromkeys(names, sets))
    return model


def test_films_get_label_sets_for_each_set_of_modalities(both: Model, films: Dataset) -> None:
    data = films.split("validation")
    both.calibrate(data, conformal=0.2, progress=False)
    assert set(both.config.conformal) == set(both.config.thresholds) == SETS
    record = both.config.conformal["audio+video"]
    assert (record.alpha, record.samples, record.groups, record.data) == (
        0.2,
        8,
        8,
        data.name + " validation",
    )
    found = both.predict([sample.path for sample in data])
    true = [sample.label for sample in data]
    covered = [label in (each.label_set or ()) for each, label in zip(found, true, strict=True)]
    # On the calibration clips themselves: the ceil(9 * 0.8) = 8 lowest scores of 8.
    assert all(covered)
    scores = sorted(1 - each.probabilities[label] for each, label in zip(found, true, strict=True))
    assert record.quantile == pytest.approx(scores[-1], abs=1e-6)


def test_a_missing_modality_takes_the_sets_of_what_is_there(
    both: Model, films: Dataset, tmp_path: Path
) -> None:
    both.calibrate(films.split("validation"), conformal=0.2, progress=False)
    mute = film(tmp_path / "mute.mp4", "low", sound=False)
    (tmp_path / "damaged.mp4").write_text("this is no film")
    found = both.predict([mute, films[0].path, tmp_path / "damaged.mp4"])
    for each, name in ((found[0], "video"), (found[1], "audio+video")):
        in_order = sorted(LABELS, key=lambda k: -each.probabilities[k])
        floor = least(both, name) - 1e-6
        assert each.label_set == tuple(k for k in in_order if each.probabilities[k] >= floor)
    assert found[2].label_set is None
    rows = [each.row() for each in found]
    assert len({tuple(row) for row in rows}) == 1
    assert list(rows[0])[-3:] == ["label_set", "reasons", "error"]
    assert rows[2]["label_set"] is None
    assert rows[1]["label_set"] == "; ".join(found[1].label_set or ())
    only = {name: each for name, each in both.config.conformal.items() if name != "video"}
    both.config = replace(both.config, conformal=only)
    assert both.predict(mute).label_set is None


def test_an_empty_set_says_that_no_label_fits(voice: Model) -> None:
    sound = {"audio": torch.randn(1, 16000) * 0.1}
    found = with_sets(voice, 0.0, "audio").predict(sound)[0]
    assert found.label_set == ()
    assert found.label
    assert found.reasons[1] == (
        "no label fits: the true label of 80 % of the calibration clips was more probable than any here"
    )
    assert found.row()["label_set"] == ""
    every = with_sets(voice, 1.0, "audio").predict(sound)[0]
    assert set(every.label_set or ()) == set(LABELS)
    assert (every.label_set or ("",))[0] == every.label
    assert not any("no label fits" in reason for reason in every.reasons)


def test_without_label_sets_nothing_changes(voice: Model) -> None:
    found = voice.predict({"audio": torch.randn(1, 16000) * 0.1})
    assert found[0].label_set is None
    assert "label_set" not in found[0].row()
    assert "conformal" not in voice.config.to_json()
    assert "Label sets" not in card_text(voice.config)


def test_tables_hold_the_column_before_the_reasons(voice: Model, tmp_path: Path) -> None:
    found = with_sets(voice, 1.0, "audio").predict({"audio": torch.randn(2, 16000) * 0.1})
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        found.save(tmp_path / name)
    text = "; ".join(found[0].label_set or ())
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert next(csv.DictReader(file))["label_set"] == text
    line = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])
    assert line["label_set"] == text
    frame = Predictions(list(found)).to_pandas()
    assert frame["label_set"].tolist()[0] == text


def test_windows_have_sets_of_their_own(tmp_path: Path) -> None:
    data = load_dataset(str(tone_corpus(tmp_path / "tones", {"validation": 3})))
    model = tiny_model("audio", labels=data.labels, window_seconds=0.2)
    model.calibrate(data, unit="window", conformal=0.2, progress=False)
    assert model.config.conformal == {}
    record = model.config.window_conformal["audio"]
    assert record.groups == len(data) < record.samples
    found = model.predict(data[0].path)
    assert found.label_set is None
    assert all(window.label_set is not None for window in found.windows)
    assert "label_set" in found.row()
    model.calibrate(data, conformal=0.2, progress=False)
    assert model.config.window_conformal["audio"] == record
    assert model.predict(data[0].path).label_set is not None
    other = model.predict(data[0].path, window=0.1).windows[0]
    assert "was set on windows of 0.2 s" in other.reasons[-1]
    with pytest.raises(DataError, match=r"audio: 6 calibration groups .* at least 9"):
        model.calibrate(data, unit="window", conformal=0.1, progress=False)


def test_too_few_clips_are_refused_and_change_nothing(voice: Model, tones: Dataset) -> None:
    voice.calibrate(tones.split("validation"), conformal=0.2, progress=False)
    before = voice.config
    with pytest.raises(DataError, match=r"audio: 12 calibration samples .* at least 99"):
        voice.calibrate(tones.split("validation"), conformal=0.01, progress=False)
    with pytest.raises(DataError, match=r"is 1.5; give a share"):
        voice.calibrate(tones.split("validation"), conformal=1.5, progress=False)
    assert voice.config == before


@pytest.mark.slow
def test_sets_are_kept_until_what_they_rest_on_changes(both: Model, films: Dataset) -> None:
    data = films.split("validation")
    both.calibrate(data, conformal=0.2, progress=False)
    before = both.config.conformal
    both.calibrate(data, confidence="margin", disagreement_limit=0.9, progress=False)
    assert both.config.conformal == before
    guarded = both.config.with_ood({"audio": None})
    assert set(guarded.conformal) == {"video"}
    assert both.config.uncalibrated().conformal == {}
    both.config = both.config.with_reliability({"audio": 0.37})
    with pytest.warns(UserWarning, match="cover a little less"):
        both.calibrate(data, conformal=0.3, reliability=True, progress=False)
    assert {each.alpha for each in both.config.conformal.values()} == {0.3}
    both.config = both.config.with_reliability({"audio": 0.41})
    both.calibrate(data, reliability=True, progress=False)
    assert both.config.conformal == {}


def test_joined_experts_keep_their_own(voice: Model) -> None:
    config = with_sets(voice, 0.6, "audio").config
    assert joint_config({"audio": config}).conformal == config.conformal
    assert joint_config({"audio": config}, {"high": "loud"}).conformal == {}


def test_saved_models_carry_their_sets(voice: Model, tones: Dataset, tmp_path: Path) -> None:
    data = tones.split("validation")
    voice.calibrate(data, conformal=0.2, progress=False).save_pretrained(tmp_path / "m")
    again = Model.from_pretrained(tmp_path / "m")
    assert again.config == voice.config
    assert again.predict(data[0].path).label_set == voice.predict(data[0].path).label_set
    card = (tmp_path / "m" / "README.md").read_text()
    assert "## Label sets" in card
    assert f"| audio | clips | 80 % | {least(voice):.3f} | tones validation | 12 |" in card
    values = json.loads(voice.config.to_json())
    for entry, message in (
        ({"classes": 3}, "over 3 classes, the model has 2"),
        ({"alpha": 0.0}, "give a share inside"),
        ({"colour": 1}, "unknown entries in ConformalSets: colour"),
    ):
        wrong = {**values, "conformal": {"audio": {**values["conformal"]["audio"], **entry}}}
        with pytest.raises(ModelError, match=message):
            ModelConfig.from_dict(wrong)
    del values["conformal"]["audio"]["quantile"]
    with pytest.raises(ModelError, match="'quantile' is missing"):
        ModelConfig.from_dict(values)


@pytest.mark.slow
def test_evaluation_and_report_measure_the_sets(
    voice: Model, tones: Dataset, tmp_path: Path
) -> None:
    voice.calibrate(tones.split("validation"), conformal=0.2, progress=False)
    figures = voice.evaluate(tones.split("test"), **QUIET)
    sets = [each.label_set or () for each in voice.predict([s.path for s in tones.split("test")])]
    true = [sample.label for sample in tones.split("test")]
    hit = [label in each for each, label in zip(sets, true, strict=True)]
    assert figures.figures["conformal_coverage"].value == pytest.approx(np.mean(hit))
    assert figures.figures["conformal_size"].value == pytest.approx(np.mean([*map(len, sets)]))
    figures.save(tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert 'id="label-sets"' in page
    assert "against 0.800 guaranteed" in page
    with (tmp_path / "tables" / "label-sets.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["labels_in_the_set"] for row in rows] == ["0", "1", "2"]
    assert sum(int(row["hold_the_true_label"]) for row in rows) == sum(hit)
    assert sum(int(row["clips"]) for row in rows) == len(hit)
    assert (tmp_path / "figures" / "label-set-sizes.svg").is_file()


@pytest.mark.slow
def test_the_command_line_calibrates_and_shows_them(run: Run, tmp_path: Path) -> None:
    manifest = tone_corpus(tmp_path / "data", {"validation": 6, "test": 2})
    folder = tmp_path / "model"
    tiny_model("audio", labels=LABELS).save_pretrained(folder)
    found = run("calibrate", "-d", manifest, "-m", folder, "--conformal", 0.2, "-q")
    assert found.code == 0, found.err
    record = Model.from_pretrained(folder).config.conformal["audio"]
    assert f"audio: {record.guarantee}" in " ".join(found.out.split())
    clips = sorted((tmp_path / "data").glob("test-*.wav"))
    answer = run("predict", *clips, "-m", folder)
    assert "label set: " in answer.out
    words = " ".join(answer.out.split())
    assert words.count(f"Guaranteed: {record.guarantee}.") == 1
    measured = run("evaluate", "-d", manifest, "-m", folder, "-q")
    assert "conformal coverage" in measured.out
    few = run("calibrate", "-d", manifest, "-m", folder, "--conformal", 0.01, "-q")
    assert few.code == 1
    assert "give at least 99" in " ".join(few.err.split())


def test_windows_of_a_stream_take_the_sets_of_clips_and_say_so(
    voice: Model, tones: Dataset
) -> None:
    with_sets(voice, 1.0, "audio")
    with voice.live(tones[0].path) as stream:
        found = next(stream)
    assert set(found.label_set or ()) == set(LABELS)
    assert "label set are of whole clips" in found.reasons[-1]
