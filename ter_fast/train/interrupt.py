"""Ctrl-C in training: stop before the next step, and keep the best epoch so far."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class TrainingStopped(KeyboardInterrupt):
    """Ctrl-C stopped training.

    A `KeyboardInterrupt`, so that what comes after training in a script or notebook does not run.

    Attributes:
        epoch: In which it was stopped, counted from 1.
        epochs: That were asked for.
        best: The best validated epoch so far, whose weights the model has; 0 where none was over.
        scores: Of that epoch on the validation clips.
        member: Of a recipe, the one in training; "" otherwise.

    Example:
        >>> str(TrainingStopped(3, 30, 2, {"nll": 0.5}))
        'training was stopped in epoch 3 of 30; the model has the weights of epoch 2 (nll 0.5000)'
    """

    def __init__(
        self, epoch: int, epochs: int, best: int, scores: Mapping[str, float], member: str = ""
    ) -> None:
        super().__init__(epoch, epochs, best, scores, member)
        self.epoch, self.epochs, self.best, self.scores = epoch, epochs, best, dict(scores)
        self.member = member

    def __str__(self) -> str:
        what = f"training of {self.member}" if self.member else "training"
        said = f"{what} was stopped in epoch {self.epoch} of {self.epochs}"
        if not self.best:
            return f"{said}; no epoch was over, so there is nothing to keep"
        scores = ", ".join(f"{name} {value:.4f}" for name, value in self.scores.items())
        return f"{said}; the model has the weights of epoch {self.best} ({scores})"


class CalibrationStopped(KeyboardInterrupt):
    """Ctrl-C stopped calibration after training: the model is saved, without thresholds."""

    def __str__(self) -> str:
        return "calibration was stopped; the model is trained"


class StopAsked(BaseException):
    """Raised inside a run of Lightning, which ends the process at a `KeyboardInterrupt`."""


class Stop:
    """Remember that Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.asked = False

    def check(self) -> None:
        """Raise where it was.

        Raises:
            StopAsked: Ctrl-C was pressed.
        """
        if self.asked:
            raise StopAsked

    def ask(self, number: int, frame: Any) -> None:
        """Handle SIGINT: stop before the next step; at once when it comes again.

        Raises:
            StopAsked: It came before.
        """
        self.check()
        self.asked = True
        text = "stopping before the next step, with the best epoch so far; Ctrl-C again: at once"
        print(text, file=sys.stderr, flush=True)


@contextmanager
def catch_interrupt() -> Iterator[Stop]:
    """Catch Ctrl-C for a while, where nobody else has taken it over.

    Python handles signals in the main thread alone, and a handler of the caller's own stays.
    """
    stop = Stop()
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield stop
        return
    signal.signal(signal.SIGINT, stop.ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
