"""What is said of each epoch: what is trained, and its number from 1."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ter_fast.train.callbacks import EpochBar, EpochLines


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("", "epoch 3/30"),
        ("member 2 of 7 (audio, logmel_cnn)", "member 2 of 7 (audio, logmel_cnn), epoch 3/30"),
    ],
)
def test_epochs_are_counted_from_one(
    title: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer: Any = SimpleNamespace(
        current_epoch=2, max_epochs=30, callback_metrics={"nll": 0.5}, sanity_checking=False
    )
    EpochLines(title).on_train_epoch_end(trainer, trainer)
    assert capsys.readouterr().err == f"{said}  nll 0.5000\n"
    bar = EpochBar(title)
    bar._trainer = trainer
    assert bar._get_train_description(2).strip() == said
