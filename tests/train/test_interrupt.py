"""Ctrl-C in training: the best epoch so far stays, and the same call goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.tiny import LABELS, tone_corpus
from ter_fast import Model
from ter_fast.data import Dataset, load_dataset
from ter_fast.train import CalibrationStopped, TrainingStopped, train_model, training
from ter_fast.train.interrupt import StopAsked, catch_interrupt
from ter_fast.train.task import Task

ENCODER = {"audio": ("logmel_cnn", {"widths": [4, 6, 8, 16], "dropout": 0.3})}
OPTIONS: dict[str, Any] = {
    "epochs": 4, "learning_rate": 1e-2, "batch_size": 8, "crop_seconds": 0.4, "progress": False
}  # fmt: skip
STEPS = 2
"""In an epoch: 16 clips in batches of 8."""


def voice() -> Model:
    return Model.build(LABELS, ENCODER, window_seconds=2.0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tone_corpus(tmp_path_factory.mktemp("tones"), {"train": 8, "validation": 3})


@pytest.fixture(scope="module")
def tones(corpus: Path) -> Dataset:
    return load_dataset(str(corpus))


@pytest.fixture(autouse=True)
def _ctrl_c_raises() -> Iterator[None]:
    """Have Python's own handler, also where the tests run in the background of a shell, which ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press_in_step(patch: pytest.MonkeyPatch, step: int, times: int = 1) -> None:
    original = Task.training_step

    def pressed(self: Task, batch: Any, index: int) -> torch.Tensor:
        if self.trainer.global_step == step:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        return original(self, batch, index)

    patch.setattr(Task, "training_step", pressed)


@pytest.mark.slow
def test_the_best_epoch_so_far_stays_and_the_next_call_goes_on(
    tones: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through = voice().fit(tones, **OPTIONS)
    after_two = voice().fit(tones, **{**OPTIONS, "schedule": "constant", "epochs": 2})
    press_in_step(monkeypatch, 2 * STEPS)
    with pytest.raises(TrainingStopped) as caught:
        voice().fit(tones, checkpoints=tmp_path, **OPTIONS)
    assert (caught.value.epoch, caught.value.epochs) == (3, 4)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    constant = voice()
    with pytest.raises(
        TrainingStopped, match=r"in epoch 3 of 4; the model has the weights of epoch"
    ):
        constant.fit(tones, **{**OPTIONS, "schedule": "constant"})
    assert constant.config.training[-1].stopped_in == 3
    assert constant.config.experts == after_two.config.experts
    for name, value in after_two.state_dict().items():
        assert torch.equal(value, constant.state_dict()[name]), name
    monkeypatch.undo()
    resumed = voice().fit(tones, checkpoints=tmp_path, resume=True, **OPTIONS)
    assert resumed.config == through.config
    for name, value in through.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_before_the_first_epoch_is_over_there_is_nothing_to_keep(
    tones: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    press_in_step(monkeypatch, 0, times=2)
    with pytest.raises(TrainingStopped, match="no epoch was over") as caught:
        train_model(tones, tmp_path / "model", ENCODER, **OPTIONS)
    assert (caught.value.epoch, caught.value.best) == (1, 0)
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_calibration_that_is_stopped_leaves_the_trained_model(
    tones: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "calibrate", stopped)
    with pytest.raises(CalibrationStopped):
        train_model(tones, tmp_path / "model", ENCODER, **{**OPTIONS, "epochs": 1})
    assert Model.from_pretrained(tmp_path / "model").config.thresholds == {}


def test_the_second_time_stops_at_once() -> None:
    with catch_interrupt() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked
        with pytest.raises(StopAsked):
            os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_handler_of_the_callers_own_and_other_threads_are_left_alone() -> None:
    heard: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    with catch_interrupt() as stop:
        os.kill(os.getpid(), signal.SIGINT)
    assert heard == [signal.SIGINT]
    assert not stop.asked
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def inside() -> None:
        with catch_interrupt():
            heard.append(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert heard == [signal.SIGINT, True]


MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from ter_fast.cli import main; main()"
)


def started(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAIN, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to a process")
def test_the_command_saves_the_best_epoch_and_goes_on(corpus: Path, tmp_path: Path) -> None:
    model, state = tmp_path / "model", tmp_path / "state"
    command = (
        *("train", "--data", corpus, "--out", model, "--checkpoints", state, "--epochs", 60),
        *("--encoder", "audio=voice_functionals:width=8", "--patience", 60),
    )
    lines = []
    with started(*command) as process:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if line.startswith("epoch 3/60"):
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    said = "".join(lines)
    assert "training was stopped in epoch 4 of 60; the model has the weights of epoch" in said
    assert f"saved to {model}, without thresholds" in said
    assert "to go on: the same command" in said
    assert Model.from_pretrained(model).config.training[-1].stopped_in == 4
    # It may replace what it saved itself, without being told so.
    with started(*command) as again:
        out, err = again.communicate()
    assert again.returncode == 0, err
    assert f"going on after epoch 3 of 60, from {state / 'latest.ckpt'}" in err
    assert f"saved to {model}" in "".join(out.split("\n"))
    kept = Model.from_pretrained(model).config
    assert kept.training[-1].stopped_in == 0
    assert set(kept.thresholds) == {"audio"}
