"""The table: its columns, its formats, and that a file is written whole or not at all."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pandas
import pytest
import torch

from helpers.tiny import film, noisy_tone, tiny_model, with_threshold, write_wav
from ter_fast import Model, Opinion, Prediction, Predictions, TerFastError

COLUMNS = [
    "path", "start", "end", "label", "confidence", "trusted", "threshold",
    "uncertainty", "conflict", "disagreement",
    "p_anger", "p_neutral",
    "audio_label", "audio_confidence", "audio_uncertainty",
    "video_label", "video_confidence", "video_uncertainty",
    "reasons", "error",
]  # fmt: skip
LABELS = ("anger", "neutral")


def three() -> Predictions:
    """One trusted prediction of both modalities, one of sound without a threshold, one failure."""
    heard, seen = Opinion(torch.tensor([6.0, 0.0])), Opinion(torch.tensor([0.0, 2.0]))
    full = Prediction(
        'a, "b".mp4', 0.5, 2.0, "anger", {"anger": 0.875, "neutral": 0.125}, 0.75, True, 0.5, 0.25, 0.1, 0.2,
        opinion=heard, opinions={"audio": heard, "video": seen}, labels=LABELS,
    )  # fmt: skip
    sound = Prediction(
        "ü.wav", 0.0, 1.0, "anger", {"anger": 0.875, "neutral": 0.125}, 0.75, None, None, 0.25, 0.0, 0.0,
        opinion=heard, opinions={"audio": heard, "video": None}, labels=LABELS,
        reasons=("not calibrated for audio: run calibrate", "video: no pictures"),
    )  # fmt: skip
    failed = Prediction(
        "c.mp4",
        opinions={"audio": None, "video": None},
        labels=LABELS,
        error="c.mp4 does not exist",
    )
    return Predictions([full, sound, failed])


@pytest.fixture(scope="module")
def model() -> Model:
    return with_threshold(tiny_model("audio", "video", labels=LABELS), 0.1, "audio+video")


def test_columns_stand_in_the_order_of_the_specification(model: Model, tmp_path: Path) -> None:
    paths = [film(tmp_path / "a.mp4", "high"), write_wav(tmp_path / "b.wav", noisy_tone(400))]
    for found in (model.predict([*paths, tmp_path / "none.mp4"]), three()):
        assert [list(prediction.row()) for prediction in found] == [COLUMNS] * 3
        assert list(found.to_pandas().columns) == COLUMNS


def test_a_row_holds_what_the_prediction_holds() -> None:
    row = three()[0].row()
    assert row["path"] == 'a, "b".mp4'
    assert (row["start"], row["end"]) == (0.5, 2.0)
    assert (row["label"], row["confidence"], row["trusted"]) == ("anger", 0.75, True)
    assert (row["p_anger"], row["p_neutral"]) == (0.875, 0.125)
    assert (row["audio_label"], row["video_label"]) == ("anger", "neutral")
    assert row["audio_confidence"] == pytest.approx(0.75)
    assert row["video_uncertainty"] == pytest.approx(0.5)


def test_missing_values_are_none_in_a_row() -> None:
    _, sound, failed = (each.row() for each in three())
    assert sound["trusted"] is None
    assert sound["threshold"] is None
    assert sound["video_label"] == ""
    assert sound["video_confidence"] is None
    assert sound["reasons"] == "not calibrated for audio: run calibrate; video: no pictures"
    assert failed["trusted"] is False
    assert failed["error"] == "c.mp4 does not exist"
    numbers = ("start", "end", "confidence", "uncertainty", "conflict", "p_anger")
    assert [failed[name] for name in numbers] == [None] * 6


def test_a_guarantee_is_no_column() -> None:
    promised = replace(three()[0], guarantee="for new speakers, at most 0.1 …")
    assert promised.row() == three()[0].row()


def test_csv_round_trip(tmp_path: Path) -> None:
    three().to_csv(tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == COLUMNS
    back = [dict(zip(COLUMNS, row, strict=True)) for row in rows[1:]]
    for row, prediction in zip(back, three(), strict=True):
        expected = prediction.row()
        for name, cell in row.items():
            if expected[name] is None:
                assert cell == "", name
            elif isinstance(expected[name], float):
                assert float(cell) == expected[name]
            else:
                assert cell == str(expected[name])


def test_json_lines_round_trip(tmp_path: Path) -> None:
    three().to_jsonl(tmp_path / "t.jsonl")
    text = (tmp_path / "t.jsonl").read_text(encoding="utf-8")
    assert text == three().to_json_lines()
    assert "ü.wav" in text
    assert "NaN" not in text
    rows = [json.loads(line) for line in text.splitlines()]
    assert rows == [each.row() for each in three()]
    assert [list(row) for row in rows] == [COLUMNS] * 3


def test_parquet_round_trip(tmp_path: Path) -> None:
    three().to_parquet(tmp_path / "t.parquet")
    back = pandas.read_parquet(tmp_path / "t.parquet")
    pandas.testing.assert_frame_equal(back, three().to_pandas())
    assert list(back.columns) == COLUMNS
    assert back["trusted"].isna().tolist() == [False, True, False]
    assert back["trusted"][0]
    assert math.isnan(back["threshold"][1])
    assert back["audio_label"].tolist() == ["anger", "anger", ""]


def test_column_types_do_not_depend_on_the_rows() -> None:
    expected = three().to_pandas().dtypes
    for part in (slice(0, 1), slice(1, 2), slice(2, 3)):
        assert three()[part].to_pandas().dtypes.equals(expected)


def test_nothing_predicted_is_an_empty_table(tmp_path: Path) -> None:
    empty = Predictions([])
    assert len(empty) == len(empty.to_pandas()) == 0
    assert empty.to_json_lines() == ""
    for name in ("e.csv", "e.parquet", "e.jsonl"):
        empty.save(tmp_path / name)
        assert (tmp_path / name).is_file()


def test_predictions_are_a_sequence() -> None:
    table = three()
    assert table.paths == ['a, "b".mp4', "ü.wav", "c.mp4"]
    assert table.trusted.paths == ['a, "b".mp4']
    assert table.failed.paths == ["c.mp4"]
    assert isinstance(table[1:], Predictions)
    assert table[1:].paths == ["ü.wav", "c.mp4"]
    assert table[-1].path == "c.mp4"
    assert repr(table) == "Predictions(3 clips, 1 trusted, 1 failed)"


@pytest.mark.parametrize("name", ["t.csv", "t.PARQUET", "t.jsonl"])
def test_save_goes_by_the_ending(tmp_path: Path, name: str) -> None:
    three().save(tmp_path / name)
    direct = tmp_path / f"direct{Path(name).suffix.lower()}"
    {".csv": three().to_csv, ".parquet": three().to_parquet, ".jsonl": three().to_jsonl}[
        direct.suffix
    ](direct)
    assert (tmp_path / name).read_bytes() == direct.read_bytes()


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TerFastError, match=r"t\.xlsx: expected a name that ends in \.csv, "):
        three().save(tmp_path / "t.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TerFastError, match=r"cannot write .*t\.csv: .*choose a folder that exists"):
        three().save(tmp_path / "none" / "t.csv")


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(TerFastError, match=r"cannot write .*t\.csv"):
        three().save(tmp_path / "t.csv")
    assert [each.name for each in tmp_path.iterdir()] == ["t.csv"]
