"""The JSON files of comparisons and experiments: read, and refused where damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.records import read_json, read_json_lines
from ter_fast.errors import DataError


@pytest.mark.parametrize(
    "content", [b"{", b"3", b'{"a": 1}{', b"[" * 100_000, b"\xff", b'{"b": 1}']
)
def test_lines_that_are_damaged_are_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_bytes(b'{"a": 1}\n' + content + b"\n")
    where = "some.jsonl is damaged" if content == b"\xff" else "some.jsonl: line 2 is damaged"
    with pytest.raises(DataError, match=where):
        read_json_lines(path, ["a"])
    with pytest.raises(DataError, match="cannot be read"):
        read_json_lines(tmp_path, ["a"])
    with pytest.raises(DataError, match=f"^{tmp_path} cannot be read"):
        read_json(tmp_path)
