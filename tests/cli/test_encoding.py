"""Every row reaches a terminal or a pipe, whatever it can encode and however files are called."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console

from helpers.tiny import noisy_tone, tiny_model, write_wav
from ter_fast.cli import main
from ter_fast.cli.common import escape_markup
from ter_fast.cli.console import _subgroup_table
from ter_fast.cli.encoding import escape_unencodable
from ter_fast.trust.subgroups import Subgroup

NAMES = [
    "plain.wav",
    "tea \N{HOT BEVERAGE} – ü.wav",
    "-dash.wav",
    "[red]<b>&.wav",
    "x" * 240 + ".wav",
]
if sys.platform == "linux":
    NAMES += [os.fsdecode(b"caf\xe9.wav"), "new\nline.wav", "red\x1b[31m.wav"]
ENCODINGS = ["ascii", "cp1252", "latin-1", "utf-8", "utf-16-le"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("clips")
    tiny_model("audio").save_pretrained(place / "model")
    (place / "clips").mkdir()
    for seed, name in enumerate(NAMES):
        write_wav(place / "clips" / name, noisy_tone(400, 0.3, seed))
    return place


def said(monkeypatch: pytest.MonkeyPatch, clips: Path, encoding: str, *options: str) -> str:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.chdir(clips)
    arguments = ["predict", "clips", "--model", "model", "--quiet", *options]
    monkeypatch.setattr(sys, "argv", ["ter-fast", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    out.seek(0)
    return out.read()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_table_has_a_line_for_each_clip(
    monkeypatch: pytest.MonkeyPatch, clips: Path, encoding: str
) -> None:
    text = said(monkeypatch, clips, encoding)
    assert sum(".wav" in line for line in text.splitlines()) == len(NAMES)
    assert "\x1b" not in text
    if not encoding.startswith("utf"):
        assert "-----" in text
        assert r"tea \u2615" in text


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_says_the_same_in_every_encoding(
    monkeypatch: pytest.MonkeyPatch, clips: Path, encoding: str
) -> None:
    lines = said(monkeypatch, clips, encoding, "--json").splitlines()
    rows = [json.loads(line) for line in lines]
    expected = {f"clips/{name}".encode("utf-8", "backslashreplace").decode() for name in NAMES}
    assert {row["path"].replace("\\\\", "/") for row in rows} == expected


def test_what_stands_for_a_sign_is_no_part_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", out)
    escape_unencodable()
    out.write("✓ 1 … 2 é\n")
    out.write('{"path": "✓😀"}\n')
    out.seek(0)
    assert out.readline() == "+ 1 ~ 2 \\u00e9\n"
    assert json.loads(out.readline()) == {"path": "✓😀"}


def test_labels_and_messages_hold_no_control_characters() -> None:
    assert escape_markup("[red]a\x1b[31m\nb") == "\\[red]a\\x1b[31m\nb"
    table = _subgroup_table("class", {"a\x1b[31m": Subgroup(1, 1, {})})
    written = io.StringIO()
    Console(file=written, width=80).print(table)
    assert "a\\x1b[31m" in written.getvalue()
