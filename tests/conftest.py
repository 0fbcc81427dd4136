"""Fixtures that every test may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from helpers.command import Result, Run
from helpers.needs import missing_data, missing_extra, missing_gpu
from helpers.registries import restore_registries
from helpers.tiny import LABELS, film_corpus, tiny_model, tone_corpus
from ter_fast import Model, cli
from ter_fast.data import Dataset, load_dataset

# The same examples in every run, and no deadline, so that a run says something of a change and not of
# chance or of a busy machine. `--hypothesis-profile=default` draws new ones.
hypothesis.settings.load_profile("ci")


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what reads the folder of real data."""
    for item in items:
        if "data_dir" in getattr(item, "fixturenames", ()):
            item.add_marker("data")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs an extra, a GPU or data that are missing here, before any fixture is made."""
    reasons = [missing_extra(*marker.args) for marker in item.iter_markers("extra")]
    reasons += [missing_gpu(*marker.args) for marker in item.iter_markers("gpu")]
    reasons += [missing_data() for _ in item.iter_markers("data")]
    for reason in filter(None, reasons):
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _registered_names() -> Iterator[None]:
    """Take back what a test registers, since any other may come after it in the same process."""
    with restore_registries():
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data that TER_FAST_DATA names. A test that asks for it is marked `data`."""
    folder = Path(os.environ.get("TER_FAST_DATA", ""))
    # A folder that was named and is not there is a mistake, and skipping would hide it.
    assert folder.is_dir(), f"TER_FAST_DATA is {str(folder)!r}, which is no folder"
    return folder


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
