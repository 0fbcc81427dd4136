"""Training that is killed and goes on: the same bits, or a sentence that says why not."""

from __future__ import annotations

import hashlib
import io
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.tiny import LABELS, tone_corpus
from ter_fast import DataError, Model
from ter_fast.data import Dataset, load_dataset
from ter_fast.train import checkpoints, resume, session
from ter_fast.train.task import Task

# Dropout, crops and draws: whatever takes random numbers.
ENCODER = ("logmel_cnn", {"widths": [4, 6, 8, 16], "dropout": 0.3})
OPTIONS: dict[str, Any] = {
    "epochs": 4, "learning_rate": 1e-2, "batch_size": 8, "crop_seconds": 0.4, "progress": False
}  # fmt: skip
STEPS = 2
"""In an epoch: 16 clips in batches of 8."""


class Killed(BaseException):
    """Stands for SIGKILL where a process of its own would cost ten seconds."""


def voice(seed: int = 0) -> Model:
    return Model.build(LABELS, {"audio": ENCODER}, seed=seed, window_seconds=2.0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts = {"train": 8, "validation": 3}
    return tone_corpus(tmp_path_factory.mktemp("tones"), counts)


@pytest.fixture(scope="module")
def tones(corpus: Path) -> Dataset:
    return load_dataset(str(corpus))


@pytest.fixture(scope="module")
def through(tones: Dataset) -> Model:
    """A model that was trained without a stop, and without checkpoints."""
    return voice().fit(tones, **OPTIONS)


@pytest.fixture(scope="module")
def finished(tones: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of a run of one epoch that has ended."""
    folder = tmp_path_factory.mktemp("finished")
    voice().fit(tones, checkpoints=folder, **{**OPTIONS, "epochs": 1})
    return folder


def copy(folder: Path, target: Path) -> Path:
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def assert_same(first: Model, second: Model) -> None:
    assert first.config == second.config
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def kill_in_step(patch: pytest.MonkeyPatch, step: int) -> None:
    original = Task.training_step

    def counted(self: Task, batch: Any, index: int) -> torch.Tensor:
        if self.trainer.global_step == step:
            raise Killed
        return original(self, batch, index)

    patch.setattr(Task, "training_step", counted)


def kill_in_latest(patch: pytest.MonkeyPatch, epoch: int) -> None:
    """After the best weights of an epoch were written, before its state is."""
    original = resume.write_checkpoint

    def counted(path: Path, content: dict[str, Any]) -> None:
        if content["epoch"] == epoch:
            raise Killed
        original(path, content)

    patch.setattr(resume, "write_checkpoint", counted)


def kill_in_rename(patch: pytest.MonkeyPatch, count: int) -> None:
    """When a file is written under its temporary name, and not yet renamed."""
    original = Path.replace
    names: list[str] = []

    def counted(self: Path, target: Path) -> Path:
        names.append(self.name)
        if len(names) == count:
            raise Killed
        return original(self, target)

    patch.setattr(Path, "replace", counted)


@contextmanager
def killed(kill: Callable[[pytest.MonkeyPatch, int], None], when: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        kill(patch, when)
        with pytest.raises(Killed):
            yield


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kill", "when"),
    [
        (kill_in_step, 1),
        (kill_in_step, STEPS),
        (kill_in_step, 2 * STEPS + 1),
        (kill_in_latest, 1),
        (kill_in_rename, 1),
        (kill_in_rename, 4),
    ],
)
def test_a_killed_run_ends_as_one_that_ran_through(
    tones: Dataset, through: Model, tmp_path: Path, kill: Any, when: int
) -> None:
    with killed(kill, when):
        voice().fit(tones, checkpoints=tmp_path, **OPTIONS)
    torch.manual_seed(99)
    resumed = voice().fit(tones, checkpoints=tmp_path, resume=True, **OPTIONS)
    assert_same(resumed, through)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"ema": 0.0, "monitor": "uar", "schedule": "cosine"},
        {"schedule": "constant", "warmup": 0.5, "precision": "bf16-mixed"},
    ],
)
@pytest.mark.filterwarnings("ignore:this machine does not multiply in bfloat16")
def test_other_settings_go_on_too(tones: Dataset, tmp_path: Path, options: dict[str, Any]) -> None:
    settings = {**OPTIONS, "epochs": 3, **options}
    whole = voice().fit(tones, **settings)
    with killed(kill_in_step, 2 * STEPS):
        voice().fit(tones, checkpoints=tmp_path, **settings)
    assert_same(voice().fit(tones, checkpoints=tmp_path, resume=True, **settings), whole)


SCRIPT = """
import os, signal, sys
import torch
from ter_fast.data import load_dataset
from ter_fast.train.task import Task
import test_train_resume as tests

corpus, folder, out, kill = sys.argv[1:]
original = Task.training_step

def killed(self, batch, index):
    if kill == "kill" and self.trainer.global_step == 2 * tests.STEPS + 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, batch, index)

Task.training_step = killed
options = {**tests.OPTIONS, "progress": True}
model = tests.voice().fit(load_dataset(corpus), checkpoints=folder, resume=True, **options)
torch.save(model.state_dict(), out)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_goes_on_in_another(corpus: Path, tmp_path: Path) -> None:
    # This file's folder, for this file, and the one above, for its helpers.
    folders = [str(folder) for folder in Path(__file__).parents[:2]]
    code = f"import sys; sys.path[:0] = {folders!r}\n{SCRIPT}"

    def train(folder: str, kill: str = "") -> subprocess.CompletedProcess[str]:
        paths = [str(corpus), str(tmp_path / folder), str(tmp_path / f"{folder}.pt"), kill]
        # All in their own processes: what other tests set in this one may change bits.
        return subprocess.run(
            [sys.executable, "-c", code, *paths],
            capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip

    assert train("through").returncode == 0
    run = train("stopped", "kill")
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert not (tmp_path / "stopped.pt").exists()
    left = sorted(file.name for file in (tmp_path / "stopped").glob("[!.]*"))
    assert left == ["best.ckpt", "latest.ckpt"]
    resumed = train("stopped")
    assert resumed.returncode == 0, resumed.stderr
    where = tmp_path / "stopped" / "latest.ckpt"
    assert f"going on after epoch 2 of 4, from {where}" in resumed.stderr
    said = [f"epoch {epoch}/4" in resumed.stderr for epoch in (1, 2, 3, 4)]
    assert said == [False, False, True, True]
    whole, parts = (
        torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("through", "stopped")
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_run_that_has_ended_does_nothing_more(
    tones: Dataset, finished: Path, tmp_path: Path
) -> None:
    options = {**OPTIONS, "epochs": 1}
    with pytest.MonkeyPatch.context() as patch:
        kill_in_step(patch, 0)
        again = voice().fit(tones, checkpoints=finished, resume=True, **options)
    assert not again.training
    assert_same(again, voice().fit(tones, **options))


def test_a_run_that_stopped_early_stays_stopped(
    tones: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([1.0, 2.0])
    monkeypatch.setattr(
        session, "scores", lambda *_: {"nll": next(values), "accuracy": 0.0, "uar": 0.0}
    )
    stopped = voice().fit(tones, checkpoints=tmp_path, patience=1, **OPTIONS)
    again = voice().fit(tones, checkpoints=tmp_path, patience=1, resume=True, **OPTIONS)
    assert next(values, None) is None
    assert_same(stopped, again)


@pytest.mark.slow
def test_patience_and_the_best_are_kept_across_a_kill(tones: Dataset, tmp_path: Path) -> None:
    """The second of four scores is the best; two later ones end the run."""
    given = (2.0, 1.0, 3.0, 4.0, 0.5)

    def scored(**options: Any) -> Model:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                session, "scores", lambda *_: {"nll": next(left), "accuracy": 0.0, "uar": 0.0}
            )
            return voice().fit(tones, patience=2, **{**OPTIONS, "epochs": 5, **options})

    left = iter(given)
    whole = scored()
    assert next(left) == 0.5
    left = iter(given)
    with killed(kill_in_step, 2 * STEPS):
        scored(checkpoints=tmp_path)
    resumed = scored(checkpoints=tmp_path, resume=True)
    assert next(left) == 0.5
    assert_same(resumed, whole)


@pytest.mark.slow
def test_another_run_is_refused(tones: Dataset, finished: Path) -> None:
    options = {**OPTIONS, "epochs": 1}
    before = {file.name: file.read_bytes() for file in finished.iterdir()}

    def refused(match: str, model: Model, data: Dataset, **changed: Any) -> None:
        settings = {"resume": True, **options, **changed}
        with pytest.raises(DataError, match=match):
            model.fit(data, checkpoints=finished, **settings)

    refused("holds the checkpoints of a run; give resume=True", voice(), tones, resume=False)
    refused(
        r"a run with other settings: epochs \(1, now 2\), seed \(0, now 1\);",
        voice(), tones, epochs=2, seed=1,
    )  # fmt: skip
    refused("a run with other model or first weights; train as", voice(seed=1), tones)
    fewer = replace(tones, samples=tuple(s for s in tones if s.group != "train0"))
    refused("a run with other training data; train as", voice(), fewer)
    fewer = replace(tones, samples=tuple(s for s in tones if s.group != "validation0"))
    refused("a run with other validation data; train as", voice(), fewer)
    assert {file.name: file.read_bytes() for file in finished.iterdir()} == before


def signed(content: object) -> bytes:
    """Return a file with the right checksum around any content."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest().encode()
    return b"ter_fast checkpoint 1 " + digest + b"\n" + buffer.getvalue()


@pytest.mark.parametrize("name", ["latest.ckpt", "best.ckpt"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda old: b"", "is empty"),
        (lambda old: old[: len(old) // 2], "is damaged or cut"),
        (lambda old: old[:-9] + bytes([old[-9] ^ 1]) + old[-8:], "is damaged or cut"),
        (lambda old: b"RIFF" + old, "is not a checkpoint of ter_fast"),
        (lambda old: signed(Path("/")), "holds more than tensors and numbers"),
        (lambda old: signed([1]), "holds list, not a checkpoint"),
        (lambda old: signed({"epoch": 1}), "is not the (latest|best) checkpoint of a run"),
    ],
)
def test_a_damaged_file_is_named(
    tones: Dataset, finished: Path, tmp_path: Path, name: str, change: Any, message: str
) -> None:
    folder = copy(finished, tmp_path / "run")
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    with pytest.raises(DataError, match=rf"{name} {message}.*(folder|start again)"):
        voice().fit(tones, checkpoints=folder, resume=True, **{**OPTIONS, "epochs": 1})


def test_a_folder_that_cannot_be_used_is_named(
    tones: Dataset, finished: Path, tmp_path: Path
) -> None:
    options = {**OPTIONS, "epochs": 1}
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(DataError, match=r"kept in a folder, and .*file is a file"):
        voice().fit(tones, checkpoints=file, **options)
    with pytest.raises(DataError, match=r"cannot be kept in .*below \(Not a directory\)"):
        voice().fit(tones, checkpoints=file / "below", **options)
    with pytest.raises(DataError, match=r"best\.ckpt cannot be written \(Not a directory\)"):
        checkpoints.write_checkpoint(file / "below" / "best.ckpt", {})
    folder = copy(finished, tmp_path / "run")
    (folder / "best.ckpt").unlink()
    with pytest.raises(DataError, match=r"best\.ckpt cannot be read \(No such file"):
        voice().fit(tones, checkpoints=folder, resume=True, **options)


def test_two_runs_do_not_write_one_folder(tones: Dataset, finished: Path, tmp_path: Path) -> None:
    folder = copy(finished, tmp_path / "run")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with (
        checkpoints.hold_folder(folder),
        pytest.raises(DataError, match=r"Another run is writing .*run; wait for it"),
    ):
        voice().fit(tones, checkpoints=folder, resume=True, **{**OPTIONS, "epochs": 1})
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    voice().fit(tones, checkpoints=folder, resume=True, **{**OPTIONS, "epochs": 1})


def test_nothing_to_go_on_with_is_a_run_from_the_start(
    tones: Dataset, finished: Path, tmp_path: Path
) -> None:
    started = voice().fit(
        tones, checkpoints=tmp_path / "new", resume=True, **{**OPTIONS, "epochs": 1}
    )
    assert_same(
        started,
        voice().fit(tones, checkpoints=finished, resume=True, **{**OPTIONS, "epochs": 1}),
    )


def test_generators_go_on_where_they_were() -> None:
    import random

    import numpy as np

    def draw() -> tuple[float, float, float]:
        # Of normal numbers numpy keeps every second one for later.
        return float(torch.rand(())), float(np.random.normal()), random.gauss(0, 1)

    draw()
    states = checkpoints.generator_states()
    buffer = io.BytesIO()
    torch.save(states, buffer)
    expected = [draw() for _ in range(3)]
    buffer.seek(0)
    checkpoints.set_generator_states(torch.load(buffer, weights_only=True))
    assert [draw() for _ in range(3)] == expected
