"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


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
