"""Several processes train one model: each its share, one that writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from helpers.tiny import tone_corpus
from ter_fast import Model

pytestmark = pytest.mark.slow

SCRIPT = """
import os, signal, sys
import torch
import ter_fast.train
from ter_fast.cli import main
from ter_fast.train import batches
from ter_fast.train import training as sequence
from ter_fast.train.task import Task

record = {"drawn": [], "sizes": [], "gradients": [], "validated": 0, "prepared": 0}
drawing, stepping, training, fitting = (
    batches.Draws.__iter__, Task.training_step, Task.on_before_optimizer_step, sequence.fit
)
from ter_fast.train import session
scoring = session.scores

def drawn(self):
    share = list(drawing(self))
    record["drawn"].append(share)
    return iter(share)

def step(self, batch, index):
    if os.environ.get("KILL_RANK") == os.environ["RANK"] and self.trainer.global_step == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    record["sizes"].append(len(batch[1]))
    return stepping(self, batch, index)

def gradient(self, optimizer):
    record["gradients"].append(torch.cat([p.grad.flatten() for p in self.model.parameters()]).clone())

def scores(*given):
    record["validated"] += 1
    return scoring(*given)

def fit(model, *given, **named):
    fitting(model, *given, **named)
    record["state"] = {name: value.clone() for name, value in model.state_dict().items()}
    record["config"] = model.config.to_json()
    return model

batches.Draws.__iter__, Task.training_step, Task.on_before_optimizer_step = drawn, step, gradient
sequence.fit, session.scores = fit, scores
folder, sys.argv = sys.argv[1], ["ter-fast", *sys.argv[2:]]
try:
    main()
finally:
    torch.save(record, f"{folder}/rank{os.environ['RANK']}.pt")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def command(folder: Path) -> list[str]:
    script = folder / "script.py"
    script.write_text(SCRIPT)
    corpus = tone_corpus(folder / "tones", {"train": 9, "validation": 3})
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *(str(script), str(folder), "train", "--data", str(corpus), "--out", str(folder / "model")),
        *("--epochs", "2", "--batch-size", "4"),
    ]


@pytest.fixture(scope="module")
def said(command: list[str]) -> tuple[str, str]:
    run = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout, run.stderr


def test_two_processes_train_one_model(folder: Path, said: tuple[str, str]) -> None:
    first, second = (torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["config"] == second["config"]
    for name, value in first["state"].items():
        assert torch.equal(value, second["state"][name]), name
    # Four windows in each of two steps of two epochs: eight in all, as the batch size is each process's.
    assert first["sizes"] == second["sizes"] == [4] * 4
    assert len(first["drawn"]) == len(second["drawn"]) == 2
    for share, other in zip(first["drawn"], second["drawn"], strict=True):
        assert len(share) == len(other) == 9
        assert share != other
    # Equal, though what each learned from was not: they were averaged.
    assert all(map(torch.equal, first["gradients"], second["gradients"]))
    assert (first["validated"], second["validated"]) == (2, 0)


def test_one_process_writes_and_prints(folder: Path, said: tuple[str, str]) -> None:
    output, errors = said
    assert output.count("saved to") == 1
    assert [errors.count(f"epoch {epoch}/2") for epoch in (1, 2)] == [1, 1]
    assert "Initializing" not in errors
    model = Model.from_pretrained(folder / "model")
    assert set(model.config.thresholds) == {"audio"}
    state = torch.load(folder / "rank0.pt", weights_only=True)["state"]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    (prediction,) = model.predict([folder / "tones" / "validation-0-low.wav"])
    assert prediction.label in model.config.labels


def test_processes_that_are_killed_and_called_again_end_as_if_they_were_not(
    folder: Path, said: tuple[str, str], command: list[str]
) -> None:
    before = [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, "--overwrite", "--checkpoints", str(folder / "run")],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    assert run(KILL_RANK="1").returncode != 0
    again = run()
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("going on after epoch 1 of 2") == 1
    assert again.stdout.count("saved to") == 1
    for rank, expected in enumerate(before):
        record = torch.load(folder / f"rank{rank}.pt", weights_only=True)
        assert record["drawn"] == expected["drawn"][1:]
        assert record["config"] == expected["config"]
        assert all(torch.equal(value, record["state"][n]) for n, value in expected["state"].items())
