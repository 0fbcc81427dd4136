"""The table: names, columns and notes that a reader of 80 columns can use."""

from __future__ import annotations

import io

import pytest
import torch
from rich.cells import cell_len
from rich.console import Console

from ter_fast import ExpertConfig, ModelConfig, Opinion, Prediction, Predictions, VideoInput
from ter_fast.cli.prediction_table import PredictionTable, TablePrinter, live_line, shorten

LABELS = ("happiness", "sadness")
CONFIG = ModelConfig(
    LABELS,
    {
        "audio": ExpertConfig("logmel_cnn", {}, LABELS),
        "video": ExpertConfig("frame_cnn", {}, LABELS),
    },
    VideoInput(),
)
SOUND = Opinion(torch.tensor([1.0, 0.0]))
NO_PICTURES = "video: no pictures"


def clip(path: str, confidence: float = 0.41, **values: object) -> Prediction:
    given = {
        "threshold": 0.55,
        "trusted": confidence >= 0.55,
        "opinions": {"audio": SOUND, "video": None},
    }
    return Prediction(path, 0.0, 4.0, "happiness", confidence=confidence, **{**given, **values})  # type: ignore[arg-type]


def shown(*predictions: Prediction, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(PredictionTable(Predictions(predictions), CONFIG))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_note_that_repeats_is_printed_once_with_its_count() -> None:
    note = "video: no face found in 16 sampled frames"
    text = shown(*(clip(f"{i}.mp4", reasons=(note,)) for i in range(7)), clip("other.mp4"))
    assert text.count(note) == 1
    assert f"[1] {note} (7 clips)" in text
    rows = [line for line in text.splitlines() if ".mp4" in line]
    assert ["[1]" in row for row in rows] == [True] * 7 + [False]


def test_many_different_notes_stand_below_their_rows() -> None:
    text = shown(*(clip(f"{i}.mp4", reasons=(f"disagreement {i}",)) for i in range(40)))
    assert all(
        text.count(f"disagreement {i}\n") + text.count(f"disagreement {i} ") == 1 for i in range(40)
    )


@pytest.mark.parametrize(("suffix", "gone"), [("wav", "video"), ("png", "audio")])
def test_what_a_file_cannot_hold_is_no_column_and_no_note(suffix: str, gone: str) -> None:
    note = f"{gone}: not there"
    alone = shown(clip(f"a.{suffix}", reasons=(note,)), width=200)
    assert gone not in alone
    both = shown(clip(f"a.{suffix}", reasons=(note,)), clip("b.mp4", reasons=(note,)), width=200)
    assert gone in both.splitlines()[0]
    assert f"[1] {note}\n" in both


def test_confidence_says_what_it_needs() -> None:
    text = shown(
        clip("a.wav"),
        clip("b.wav", 0.93),
        clip("c.wav", 0.54996),
        clip("d.wav", threshold=None, trusted=None),
    )
    needs = [
        line.partition("happiness")[2].split("  ")[1]
        for line in text.splitlines()
        if ".wav" in line
    ]
    assert needs == ["0.41, needs 0.55", "0.93, needs 0.55", "0.54996, needs 0.55000", "0.41"]
    assert "is below the threshold" not in shown(
        clip("a.wav", reasons=("confidence 0.410 is below the threshold 0.550",))
    )


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_rows_fit_and_keep_the_name_of_the_file(width: int) -> None:
    folder = "/a/long/way/to/where/the/recordings/of/this/study/lie"
    names = [f"{folder}/clip{i}.mp4" for i in range(3)]
    text = shown(*(clip(name, reasons=(NO_PICTURES,)) for name in names), width=width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert all(f"/clip{i}.mp4" in text for i in range(3))


def test_a_file_gets_names_in_full() -> None:
    name = "/a/long/way/to/where/the/recordings/of/this/study/lie/so/that/no/terminal/holds/it.mp4"
    printer = TablePrinter(CONFIG, [name])
    assert name in str(next(printer.row(clip(name))))


def test_labels_and_trust_are_counted_at_the_end() -> None:
    predictions = [clip("a.wav"), clip("b.wav", 0.9), clip("c.wav", error="c.wav is empty")]
    text = " ".join(shown(*predictions).split())
    assert "By label: happiness 2 (1 trusted)." in text
    assert "3 clips: 1 trusted, 1 not, 1 failed." in text


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        ("short.mp4", 20, "short.mp4"),
        ("/data/speakers/anna.mp4", 18, "/data/sp…/anna.mp4"),
        ("日本語の長い名前のファイル.mp4", 14, "日本語…ル.mp4"),
        ("x" * 40, 9, "xxxx…xxxx"),
    ],
)
def test_names_are_shortened_in_the_middle(name: str, width: int, expected: str) -> None:
    assert shorten(name, width) == expected
    assert cell_len(expected) <= width


def test_a_line_of_a_stream_says_what_it_needs() -> None:
    reasons = ("confidence 0.410 is below the threshold 0.550", "video: no pictures")
    assert live_line(clip("cam", reasons=reasons)).plain == (
        "0:00–0:04  happiness  0.41, needs 0.55  ✗ no  video: no pictures"
    )
