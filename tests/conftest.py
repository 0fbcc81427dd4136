"""Fixtures that every test may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from helpers.command import Result, Run
from helpers.tiny import LABELS, film_corpus, tiny_model, tone_corpus
from ter_fast import Model, cli
from ter_fast.data import Dataset, load_dataset


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data that TER_FAST_DATA names; in CI its absence is a failure, not a skip."""
    folder = os.environ.get("TER_FAST_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder)
    message = f"TER_FAST_DATA is {folder!r}: set it to the folder with the test data"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def face_model(data_dir: Path) -> Path:
    """A YuNet face detector."""
    return data_dir / "models" / "yunet_s_dynamic.onnx"


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Tones of two classes: 12 clips for validation, 8 for the test."""
    folder = tmp_path_factory.mktemp("tones")
    return load_dataset(str(tone_corpus(folder, {"validation": 6, "test": 4})))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Films with tones of the same classes: 8 clips for validation, 6 for the test."""
    folder = tmp_path_factory.mktemp("films")
    return load_dataset(str(film_corpus(folder, {"validation": 4, "test": 3})))


@pytest.fixture
def voice() -> Model:
    """A model that has learned nothing and hears tones."""
    return tiny_model("audio", labels=LABELS)


@pytest.fixture
def both() -> Model:
    """A model that has learned nothing and hears and sees films."""
    return tiny_model("audio", "video", labels=LABELS)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `ter-fast` as its entry point does, in a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")

    def call(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["ter-fast", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return Result(int(ended.value.code or 0), printed.out, printed.err)

    return call
