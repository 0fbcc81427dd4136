"""The text files of comparisons and experiments: read, refused, written whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from ter_fast.data.settings import read_json, read_json_lines, read_settings, write_whole
from ter_fast.errors import DataError


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


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "some.jsonl"
    write_whole(path, '{"a": 1}\n{"a": "é"}\n')
    assert read_json_lines(path) == [{"a": 1}, {"a": "é"}]
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "half \ud800")
    assert len(read_json_lines(path, ["a"])) == 2
    assert [file.name for file in path.parent.iterdir()] == ["some.jsonl"]
