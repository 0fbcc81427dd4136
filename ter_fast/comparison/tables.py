"""Tables in Markdown of figures with intervals and of paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ter_fast.metrics import Replicates, compare

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """Hold how a figure is shown.

    Attributes:
        key: Name of the figure.
        title: Over the column.
        scale: Factor, such as 100 for per cent.
        digits: Behind the point.
        better: 1 where more is better, -1 where less is, 0 where neither.
    """

    key: str
    title: str
    scale: float = 100.0
    digits: int = 1
    better: int = 1


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table, its first column to the left and the others to the right.

    Example:
        >>> table(["", "accuracy"], [["ours", "0.5"]])
        ['| | accuracy |', '|---|---:|', '| ours | 0.5 |']
    """
    lines = [_line(head), f"|---|{'---:|' * (len(head) - 1)}"]
    return [*lines, *(_line(row) for row in rows)]


def cell(figure: Replicates | None, column: Column) -> str:
    """Return a figure and its 95 % interval.

    Example:
        >>> from ter_fast.metrics import Bootstrap
        >>> figure = Bootstrap(4, resamples=50).means(right=[1, 1, 1, 1])["right"]
        >>> cell(figure, Column("right", "accuracy"))
        '100.0 [100.0, 100.0]'
    """
    if figure is None or math.isnan(figure.value):
        return MISSING
    low, high = figure.interval()
    shown = [f"{column.scale * each:.{column.digits}f}" for each in (figure.value, low, high)]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def difference(first: Replicates | None, second: Replicates | None, column: Column) -> str:
    """Return the paired difference, first minus second, with its 95 % interval.

    A + behind it where all of the interval is on the better side of 0, a - where all is on the worse.
    """
    if first is None or second is None or first is second:
        return "" if first is not None and first is second else MISSING
    found = compare(first, second)
    ends = column.scale * found.low, column.scale * found.high
    better = column.better * found.low > 0 and column.better * found.high > 0
    worse = column.better * found.low < 0 and column.better * found.high < 0
    mark = " **+**" if better else " **-**" if worse else ""
    value = f"{column.scale * found.difference:+.{column.digits}f}"
    return f"{value} [{ends[0]:+.{column.digits}f}, {ends[1]:+.{column.digits}f}]{mark}"


def recorded(figure: Replicates) -> list[float | None]:
    """Return value, low and high for JSON, which knows no NaN."""
    values = (figure.value, *figure.interval())
    return [round(value, 6) if math.isfinite(value) else None for value in values]


def _line(cells: Sequence[str]) -> str:
    return "|" + "".join(f" {each} |" if each else " |" for each in cells)
