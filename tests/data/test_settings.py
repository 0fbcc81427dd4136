"""Files of settings: read by name, and refused where they are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from ter_fast.data.settings import read_settings
from ter_fast.errors import DataError


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"some\.txt holds NoneType; expected sets, rows and title, and of \['no', "),
        (b"sets: 1\nrows: 2", r"holds \['rows', 'sets'\]; expected sets, rows and title"),
        (b"sets: 1\nrows: 2\ntitle: 3\nx: 4\n5: 6", r"holds \['5', 'rows', 'sets', 'title', 'x'\]"),
        (b"[1, 2", "cannot be read as YAML"),
        (b"\xff\xfe\x00", "cannot be read as YAML"),
        (b"title: 2026-99-99", "cannot be read as YAML"),
        (b"[" * 5000, "cannot be read as YAML"),
    ],
)
def test_settings_that_are_none_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_settings(path, ("sets", "rows", "title"), ("sets", "rows", "title", "no"))
    with pytest.raises(DataError, match="cannot be read as YAML"):
        read_settings(tmp_path, ("sets",), ("sets",))


def test_settings_are_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text("sets: [1]\nseeds: {a: b}", encoding="utf-8")
    assert read_settings(path, ("sets",), {"sets": 0, "seeds": 0}) == {
        "sets": [1],
        "seeds": {"a": "b"},
    }
