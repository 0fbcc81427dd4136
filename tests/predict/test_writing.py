"""A table that is written row by row: the same bytes as at once, and taken up again after any end."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pandas
import pytest

from ter_fast import Prediction, Predictions, TerFastError
from ter_fast.predict.prediction import table_columns
from ter_fast.predict.writing import open_table

LABELS = ("anger", "calm")
COLUMNS = table_columns(LABELS, ["audio"])


def row(path: str, **values: object) -> Prediction:
    return Prediction(path, labels=LABELS, opinions={"audio": None}, **values)  # type: ignore[arg-type]


ROWS = [
    row("a.wav", label="calm", confidence=0.5, trusted=True, threshold=0.25),
    row('b, "c"\nd.wav', error="line\nbreak", trusted=False),
    row("ü.wav", label="anger", confidence=0.75, trusted=None),
]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_row_by_row_is_as_at_once(tmp_path: Path, suffix: str) -> None:
    file, whole = tmp_path / f"t.{suffix}", tmp_path / f"whole.{suffix}"
    with open_table(file, COLUMNS) as table:
        for each in ROWS:
            table.write([each])
    Predictions(ROWS).save(whole)
    if suffix == "parquet":
        found, expected = pandas.read_parquet(file), pandas.read_parquet(whole)
        pandas.testing.assert_frame_equal(found, expected)
    else:
        assert file.read_bytes() == whole.read_bytes()
    with open_table(file, COLUMNS, resume=True) as table:
        assert table.done == {each.path for each in ROWS}
    with open_table(tmp_path / f"empty.{suffix}", COLUMNS):
        pass
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        f"empty.{suffix}", f"t.{suffix}", f"whole.{suffix}",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_cut_end_is_done_again(tmp_path: Path, suffix: str) -> None:
    """What a killed process or a full disk leaves: the last row in part, at any byte."""
    file = tmp_path / f"t.{suffix}"
    with open_table(file, COLUMNS) as table:
        table.write(ROWS)
    whole = file.read_bytes()
    ends = [len(whole) - 1, len(whole) - 2, len(whole) - 9, len(whole) - 40]
    for end in ends:
        file.write_bytes(whole[:end])
        with open_table(file, COLUMNS, resume=True) as table:
            # The last row that is whole might be one of several windows of a clip.
            assert table.done in (set(), {"a.wav"})
            table.write([each for each in ROWS if each.path not in table.done])
        assert file.read_bytes() == whole


def test_windows_of_a_clip_that_was_cut_are_all_done_again(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    with open_table(file, COLUMNS) as table:
        table.write([ROWS[0]])
        table.write([row("long.wav", start=0.0), row("long.wav", start=2.0)])
    file.write_bytes(file.read_bytes()[:-20])
    with open_table(file, COLUMNS, resume=True) as table:
        assert table.done == {"a.wav"}
    assert file.read_text().count("\n") == 1


def test_a_former_file_stays_until_the_first_row(tmp_path: Path) -> None:
    for name in ("t.csv", "t.parquet"):
        (tmp_path / name).write_text("precious")
        with open_table(tmp_path / name, COLUMNS):
            pass
        with open_table(tmp_path / name, COLUMNS) as table:
            assert (tmp_path / name).read_text() == "precious"
            table.write(ROWS)
        assert b"precious" not in (tmp_path / name).read_bytes()


def test_an_error_keeps_the_rows_that_were_written(tmp_path: Path) -> None:
    for name in ("t.csv", "t.jsonl", "t.parquet"):
        with suppress(KeyboardInterrupt), open_table(tmp_path / name, COLUMNS) as table:
            table.write(ROWS[:2])
            raise KeyboardInterrupt
        with open_table(tmp_path / name, COLUMNS, resume=True) as table:
            assert len(table.done) == 2


def test_many_rows_make_row_groups(tmp_path: Path) -> None:
    with open_table(tmp_path / "t.parquet", COLUMNS) as table:
        for i in range(600):
            table.write([row(f"{i}.wav", label="calm")])
    assert pandas.read_parquet(tmp_path / "t.parquet")["path"].tolist() == [
        f"{i}.wav" for i in range(600)
    ]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_file_of_another_kind_is_left_alone(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(json.dumps({"path": "a.wav", "mood": "blue"}) + "\n")
    before = file.read_bytes()
    with pytest.raises(
        TerFastError, match=rf"{name} cannot be gone on with \(.*; choose another name"
    ):
        open_table(file, COLUMNS, resume=True)
    assert file.read_bytes() == before
