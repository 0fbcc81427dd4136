"""Where `ter-fast predict` puts its rows as they come: a table or JSON, a file, and a progress bar."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType

from ter_fast.cli.prediction_table import TablePrinter
from ter_fast.experts.config import ModelConfig
from ter_fast.media.progress import progress_bar
from ter_fast.predict.prediction import Prediction
from ter_fast.predict.tables import json_line
from ter_fast.predict.writing import TableFile


class PredictionOutput:
    """Print, write and count predictions.

    Args:
        config: Of the model.
        names: Of the clips that come.
        table: The file that rows are also written to.
        per_window: A row for each window instead of one per clip.
        as_json: JSON lines in place of a table.
        quiet: No progress bar.

    Attributes:
        clips: How many clips are done.
        failed: How many of them got no answer.
        interrupted: Ctrl-C ended the run.
    """

    def __init__(
        self,
        config: ModelConfig,
        names: Sequence[str],
        table: TableFile | None,
        per_window: bool,
        as_json: bool,
        quiet: bool,
    ) -> None:
        self.clips = self.failed = 0
        self.interrupted = False
        self._console = Console()
        terminal = self._console.is_terminal
        # A file is read by other programs, too, which look for names in full.
        self._unbroken = not terminal and "COLUMNS" not in os.environ
        width = None if self._unbroken else self._console.width
        self._printer = TablePrinter(config, names, per_window, width)
        self._table, self._per_window, self._as_json = table, per_window, as_json
        self._names, self._upcoming = names, iter(names)
        # On one terminal, rows are printed above the bar, which has to know of them.
        self._show = not quiet and len(names) > 1 and not (as_json and terminal)
        self._bar_console = self._console if terminal else None
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        """Print what comes before the rows."""
        shown = self._show and sys.stderr.isatty()
        self._advance = self._opened.enter_context(
            progress_bar("predicting", len(self._names), shown, self._bar_console)
        )
        self._advance(0, next(self._upcoming, ""))
        done = 0 if self._table is None else len(self._table.done)
        if done:
            assert self._table is not None
            self._say(
                f"{done} clips are in {self._table.path} already, {len(self._names)} are left"
            )
        self._tabular = not self._as_json and not (done and not self._names)
        if self._tabular:
            self._print(self._printer.head())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Print what comes after the rows."""
        self._opened.close()
        if self._tabular:
            self._print(self._printer.foot())
        elif self.failed:
            self._say(f'{self.failed} of {self.clips} clips failed; their rows say why in "error"')

    def add(self, prediction: Prediction) -> None:
        """Print and write one clip."""
        rows = prediction.windows if self._per_window else [prediction]
        if self._table is not None:
            self._table.write(rows)
        # At once, so that Ctrl-C while it prints does not take a row that is written for one that is not.
        self.clips += 1
        self.failed += bool(prediction.error)
        for row in rows:
            if self._as_json:
                sys.stdout.write(json_line(row.row()))
            else:
                self._print(self._printer.row(row))
        sys.stdout.flush()
        self._advance(1, next(self._upcoming, ""))

    def _print(self, lines: Iterator[RenderableType]) -> None:
        for line in lines:
            self._console.print(line, soft_wrap=self._unbroken, highlight=False)

    @staticmethod
    def _say(text: str) -> None:
        Console(stderr=True, soft_wrap=True).print(text, highlight=False, markup=False)
