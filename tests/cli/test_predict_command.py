"""`ter-fast predict` on many files: rows as they come, Ctrl-C, --resume, and files that cannot be used."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from helpers.command import Run
from helpers.tiny import RATE, noisy_tone, tiny_model, with_threshold, write_wav

LABELS = ("high", "low")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that hears and sees, and trusts all that it hears."""
    folder = tmp_path_factory.mktemp("model") / "m"
    with_threshold(tiny_model("audio", "video", labels=LABELS), 0.0, "audio").save_pretrained(
        folder
    )
    return folder


@pytest.fixture
def sounds(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "sounds"
    folder.mkdir()
    return [write_wav(folder / f"{i}.wav", noisy_tone(300 + 50 * i)) for i in range(6)]


def paths_in(file: Path) -> list[str]:
    with file.open(encoding="utf-8", newline="") as text:
        return [row["path"] for row in csv.DictReader(text)]


def denied() -> list[str]:
    """What a command begins with so that permissions hold for it, also where root runs the tests."""
    if os.geteuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may read everything, and setpriv is missing")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def test_a_clip_without_an_answer_is_a_failed_row(run: Run, model: Path, tmp_path: Path) -> None:
    silent = write_wav(tmp_path / "silent.wav", np.zeros(RATE, np.float32))
    found = run("predict", silent, "-m", model, "-o", tmp_path / "t.csv")
    assert found.code == 1
    assert "1 clip: 0 trusted, 0 not, 1 failed" in " ".join(found.out.split())
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as text:
        (row,) = csv.DictReader(text)
    assert "no modality could be used (audio: silent; " in row["error"]
    assert row["label"] == row["confidence"] == ""
    found = run("predict", silent, "-m", model, "--json")
    assert found.code == 1
    assert json.loads(found.out)["error"] == row["error"]
    assert found.err == '1 of 1 clips failed; their rows say why in "error"\n'


def test_rows_are_in_the_file_before_the_next_clip_is_done(
    run: Run, model: Path, sounds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ter_fast.cli.prediction_output import PredictionOutput

    out, seen = tmp_path / "t.csv", []
    add = PredictionOutput.add

    def note(self: PredictionOutput, prediction: object) -> None:
        add(self, prediction)  # type: ignore[arg-type]
        seen.append(len(paths_in(out)))

    monkeypatch.setattr(PredictionOutput, "add", note)
    assert run("predict", *sounds, "-m", model, "-o", out).code == 0
    assert seen == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_control_c_keeps_what_is_done_and_resume_goes_on(
    run: Run, model: Path, sounds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:  # fmt: skip
    from ter_fast.predict.predict import PredictionStream

    out = tmp_path / f"t.{suffix}"
    whole = tmp_path / f"whole.{suffix}"
    step, taken = PredictionStream.__next__, []

    def interrupted(self: PredictionStream) -> object:
        if len(taken) == 2:
            raise KeyboardInterrupt
        taken.append(step(self))
        return taken[-1]

    with monkeypatch.context() as patch:
        patch.setattr(PredictionStream, "__next__", interrupted)
        found = run("predict", sounds[0].parent, "-m", model, "-o", out)
    assert found.code == 130
    assert f"interrupted: 2 of 6 clips are done and kept in {out}; go on with:" in found.err
    again = found.err.splitlines()[-1]
    assert again == f"ter-fast predict {sounds[0].parent} -m {model} -o {out} --resume"
    assert "2 clips: 2 trusted" in found.out

    found = run(*again.split()[1:])
    assert found.code == 0, found.err
    assert f"2 clips are in {out} already, 4 are left" in found.err
    assert "4 clips: 4 trusted" in found.out

    found = run(*again.split()[1:])
    assert (found.code, found.out) == (0, "")
    assert f"6 clips are in {out} already, 0 are left" in found.err
    run("predict", sounds[0].parent, "-m", model, "-o", whole)
    if suffix == "parquet":
        import pandas

        pandas.testing.assert_frame_equal(pandas.read_parquet(out), pandas.read_parquet(whole))
    else:
        assert out.read_bytes() == whole.read_bytes()
    assert run(*again.split()[1:]).code == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["sounds", out.name, whole.name]


def test_a_signal_ends_a_run_with_its_rows(model: Path, tmp_path: Path) -> None:
    """The real thing: another process, a pipe that never ends, and SIGINT."""
    done = write_wav(tmp_path / "a.wav", noisy_tone(400))
    os.mkfifo(tmp_path / "b.wav")
    out = tmp_path / "t.csv"
    command = [sys.executable, "-m", "ter_fast", "predict", str(done), str(tmp_path / "b.wav")]
    with subprocess.Popen(
        [*command, "-m", str(model), "-o", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd=Path(__file__).parents[2],
    ) as process:  # fmt: skip
        with (tmp_path / "b.wav").open("wb"):
            until = time.monotonic() + 60
            while not (out.exists() and len(paths_in(out)) == 1) and time.monotonic() < until:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        said, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert paths_in(out) == [str(done)]
    assert "1 clip: 1 trusted" in said
    assert "interrupted: 1 of 2 clips are done" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "none/t.csv"], "cannot write none/t.csv: No such file or directory; choose a folder"),
        (["-o", "folder.csv"], "cannot write folder.csv: Is a directory"),
        (["--timeline", "none/t.svg"], "cannot write none/t.svg: No such file or directory"),
        (["--subtitles", "none/t.srt"], "cannot write none/t.srt: No such file or directory"),
        (["--resume"], "--resume goes on with a file of a former run; name it by --out"),
        (["-o", "other.csv", "--resume"], "other.csv cannot be gone on with (its columns are not"),
        (["-o", "t.parquet"], "(.parquet) need pandas and pyarrow: pip install 'ter_fast[tables]'"),
        (["--threshold", "8"], "threshold is 8.0; expected a number from 0 to 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_before_the_first_file(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "other.csv").write_text("path,mood\na.wav,blue\n")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    before = sorted(tmp_path.iterdir())
    found = run("predict", "gone.wav", "-m", model, *arguments)
    assert (found.code, found.out) == (1, "")
    assert message in found.err
    assert sorted(tmp_path.iterdir()) == before


def test_files_and_folders_that_may_not_be_read_cost_only_themselves(
    model: Path, sounds: list[Path], tmp_path: Path
) -> None:
    closed = tmp_path / "sounds" / "closed"
    closed.mkdir()
    write_wav(closed / "in.wav", noisy_tone(500))
    sounds[1].chmod(0)
    closed.chmod(0)
    command = [
        sys.executable,
        "-m",
        "ter_fast",
        "predict",
        str(tmp_path / "sounds"),
        str(sounds[1]),
    ]
    try:
        found = subprocess.run(
            [*denied(), *command, str(closed / "in.wav"), "-m", str(model), "--json"],
            capture_output=True, text=True, timeout=120, check=False, cwd=Path(__file__).parents[2],
        )  # fmt: skip
    finally:
        closed.chmod(0o700)
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert found.returncode == 1
    errors = {Path(row["path"]).name: row["error"] for row in rows if row["error"]}
    assert len(rows) == 9
    assert sorted(errors) == ["1.wav", "closed", "in.wav"]
    assert all("may not be read" in error for error in errors.values())
    assert f"warning: the folder {closed} may not be read (Permission denied)" in found.stderr
    assert "4 of 9 clips failed" in found.stderr


def test_standard_input_is_read(
    run: Run, model: Path, sounds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def piped(content: bytes) -> dict[str, object]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        return dict(json.loads(run("predict", "-", "-m", model, "--json").out))

    row = piped(sounds[0].read_bytes())
    assert (row["path"], row["error"]) == ("-", "")
    assert row["label"] in LABELS
    assert piped(b"")["error"] == "standard input is empty (0 bytes); copy or record it again."
    assert str(piped(b"a letter\n" * 9)["error"]).startswith("standard input holds text, not media")


def test_a_threshold_of_ones_own_is_used_and_said(
    run: Run, model: Path, sounds: list[Path]
) -> None:
    found = run("predict", *sounds[:2], "-m", model, "--threshold", "0.999", "--json")
    for row in map(json.loads, found.out.splitlines()):
        assert (row["trusted"], row["threshold"]) == (False, 0.999)
        assert "is below the threshold 0.999" in row["reasons"]
        assert (
            "the threshold 0.999 was given; for audio the calibrated one is 0.000" in row["reasons"]
        )
    table = run("predict", *sounds[:2], "-m", model, "--threshold", "0.999").out
    assert table.count("was given") == 1
    assert "one is 0.000 (2 clips)" in " ".join(table.split())


def test_per_window_counts_windows(run: Run, model: Path, tmp_path: Path) -> None:
    sound = np.concatenate([noisy_tone(500, 2.0), np.zeros(2 * RATE, np.float32)])
    path = write_wav(tmp_path / "half.wav", sound)
    found = run(
        "predict", path, "-m", model, "--window", "2", "--per-window", "-o", tmp_path / "t.csv"
    )
    assert found.code == 0, found.out
    assert (
        "2 windows: 0 trusted, 0 not, 1 without a threshold, 1 without an answer, 0 failed"
        in " ".join(found.out.split())
    )
    assert len(paths_in(tmp_path / "t.csv")) == 2
