"""`ter-fast --import`: encoders and modalities of the user's own, on the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ter_fast
from helpers.command import Result, Run
from ter_fast import Model, ModelError, TerFastError
from ter_fast.cli import app
from ter_fast.cli.imports import import_code
from ter_fast.data.modalities import MODALITIES
from ter_fast.experts.encoders.registry import ENCODERS
from ter_fast.train.encoders import parse_encoders

CODE = """
import torch
import beside_the_file
import ter_fast

ter_fast.register_modality("words", beside_the_file.read, shape=(None,), dtype=torch.int64)

@ter_fast.register_encoder("own_letters")
class Letters(torch.nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(128, width)
        self.out_features = width

    def forward(self, values, lengths):
        return self.table(values).sum(1) / lengths[:, None]
"""


@pytest.fixture(autouse=True)
def as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget at the end what was imported."""
    modules = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    forget(modules)


def forget(modules: set[str]) -> None:
    for name in set(sys.modules) - modules:
        if name in ("own_code", "beside_the_file") or name.startswith("own_package"):
            del sys.modules[name]


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "own_code.py").write_text(CODE)
    (folder / "beside_the_file.py").write_text("read = lambda text: [ord(c) % 128 for c in text]\n")
    return folder / "own_code.py"


def run(*arguments: object) -> None:
    app([str(argument) for argument in arguments], standalone_mode=False)


@pytest.mark.slow
def test_a_file_of_registrations_trains_and_measures_a_model_of_text(
    code: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["path,label,split,group,words"]
    for split in ("train", "validation", "test"):
        for n, (label, word) in enumerate([("high", "up"), ("low", "down")] * 4):
            (tmp_path / f"{split}{n}.wav").touch()
            rows.append(f"{split}{n}.wav,{label},{split},{split}{n},{word}")
    data = tmp_path / "clips.csv"
    data.write_text("\n".join(rows))
    before = set(sys.modules)
    run(
        "--import", code, "train", "-d", data, "-o", tmp_path / "m", "--modalities", "words",
        "--encoder", "words=own_letters:width=3", "--epochs", 12, "--batch-size", 4,
        "--learning-rate", 0.1, "-q",
    )  # fmt: skip
    assert Model.from_pretrained(tmp_path / "m").config.experts["words"].options == {"width": 3}

    del ENCODERS["own_letters"], MODALITIES["words"]
    with pytest.raises(ModelError, match=r"'own_letters'.*ter-fast --import"):
        run("info", "--model", tmp_path / "m")
    forget(before)
    capsys.readouterr()
    run("--import", code, "evaluate", "-d", data, "-m", tmp_path / "m", "-q")
    figures = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["accuracy", "1.0000"] in [line[:2] for line in figures]


def test_a_module_is_found_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").touch()
    (tmp_path / "own_package" / "code.py").write_text("import ter_fast\nVALUE = 5\n")
    monkeypatch.chdir(tmp_path)
    assert import_code("own_package.code").VALUE == 5


def test_a_file_is_imported_once(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = import_code(str(code))
    monkeypatch.chdir(code.parent)
    assert import_code("own_code.py") is first is import_code("own_code")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of"),
        ("def broken(:", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise RuntimeError", "RuntimeError: RuntimeError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("\0", "null bytes"),
    ],
)
def test_code_that_fails_is_one_sentence(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "own_code.py"
    file.write_text(content)
    with pytest.raises(TerFastError, match=rf"(?s)--import .*own_code.py: .*{message}"):
        import_code(str(file))
    assert "own_code" not in sys.modules


def test_an_empty_file_registers_nothing(tmp_path: Path) -> None:
    (tmp_path / "own_code.py").touch()
    assert import_code(str(tmp_path / "own_code.py")).__name__ == "own_code"


def test_what_is_no_code_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    for name, message in (
        ("gone.py", "there is no such file"),
        ("folder/gone", "there is no such file"),
        ("./notes.txt", "that is no .py file"),
        (f"{tmp_path}", "that is no .py file"),
        ("no_such_module", "No module named 'no_such_module'"),
        ("", "ValueError: Empty module name"),
    ):
        with pytest.raises(TerFastError, match=message):
            import_code(name)


def test_a_file_does_not_take_the_place_of_a_module(tmp_path: Path) -> None:
    import json

    (tmp_path / "json.py").write_text("VALUE = 1")
    with pytest.raises(TerFastError, match="another module is called 'json'; rename the file"):
        import_code(str(tmp_path / "json.py"))
    assert sys.modules["json"] is json


def test_encoders_take_options() -> None:
    given = ["audio=hf_audio:./a=b,c/d,layers=weighted,frozen=false", "face=vector_mlp:size=35"]
    assert parse_encoders(given, ["audio", "face"], 1) == {
        "audio": ("hf_audio", {"name": "./a=b,c/d", "layers": "weighted", "frozen": False}),
        "face": ("vector_mlp", {"size": 35}),
    }


@pytest.mark.parametrize(
    "arguments", [("--version",), ("--version", "predict"), ("--version", "--import", "gone.py")]
)
def test_the_version_is_printed_before_anything_else_is_done(
    run: Run, arguments: tuple[str, ...]
) -> None:
    assert run(*arguments) == Result(0, f"ter_fast {ter_fast.__version__}\n", "")


@pytest.mark.slow
def test_python_m_prints_the_version_as_the_command_does() -> None:
    command = [sys.executable, "-P", "-m", "ter_fast", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout == f"ter_fast {ter_fast.__version__}\n"
