"""Progress bars: on standard error, only on a terminal, and gone when the work is done."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

Item = TypeVar("Item")


class Advance(Protocol):
    """What is told that work was done."""

    def __call__(self, count: int, item: str = "") -> None:
        """Take note of `count` more steps, and of the name of what is being done now."""


@contextmanager
def progress_bar(
    description: str, total: int | None, show: bool = True, console: Console | None = None
) -> Iterator[Advance]:
    """Show how much of the work is done: n of N, the time that is left, and the name of what is being done.

    Standard output is for results, and a bar that redraws itself is noise in a file: so the bar is
    on standard error, and only where that is a terminal.

    Args:
        description: What is being done, as "reading clips".
        total: Number of steps; None where nobody knows.
        show: Whether to show it at all.
        console: Where, for who prints above the bar meanwhile; None for standard error.

    Yields:
        A function that is called with the number of steps that were done, and the name of the next.

    Example:
        >>> with progress_bar("reading", 2, show=False) as advance:
        ...     advance(2)
    """
    if not show:
        yield lambda count, item="": None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    console = console or Console(stderr=True)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn(
            "{task.fields[item]}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis"),
        ),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        # What goes into a file or a pipe must not be printed above the bar instead.
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task(description, total=total, item="")
        yield lambda count, item="": bar.update(task, advance=count, item=os.path.basename(item))


def track(
    items: Iterable[Item],
    description: str,
    total: int | None,
    show: bool = True,
    names: Sequence[str] | None = None,
) -> Iterator[Item]:
    """Yield the items, and show how many of them are done, and the name of the next; see `progress_bar`.

    Example:
        >>> list(track("ab", "reading", 2, show=False))
        ['a', 'b']
    """
    following = iter(names or ())
    with progress_bar(description, total, show) as advance:
        advance(0, next(following, ""))
        for item in items:
            yield item
            advance(1, next(following, ""))
