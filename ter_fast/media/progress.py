"""Progress bars: on standard error, only on a terminal, and gone when the work is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def progress_bar(
    description: str, total: int, show: bool = True
) -> Iterator[Callable[[int], None]]:
    """Show how much of the work is done.

    Standard output is for results, and a bar that redraws itself is noise in a file: so the bar is
    on standard error, and only where that is a terminal.

    Args:
        description: What is being done, as "reading clips".
        total: Number of steps.
        show: Whether to show it at all.

    Yields:
        A function that is called with the number of steps that were done.

    Example:
        >>> with progress_bar("reading", 2, show=False) as advance:
        ...     advance(2)
    """
    if not show:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)
        yield lambda count: bar.advance(task, count)


def track(items: Iterable[Item], description: str, total: int, show: bool = True) -> Iterator[Item]:
    """Yield the items, and show how many of them are done; see `progress_bar`.

    Example:
        >>> list(track("ab", "reading", 2, show=False))
        ['a', 'b']
    """
    with progress_bar(description, total, show) as advance:
        for item in items:
            yield item
            advance(1)
