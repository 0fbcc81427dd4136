"""Tables in Markdown of figures with intervals and of paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.comparison.recorded import Figure, Figures

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


def table_of_kinds(
    kinds: Figures, differences: Figures, known: Sequence[str], column: Column
) -> list[str]:
    """Return a table of one figure by kind of confidence, and of its paired differences.

    Args:
        kinds: Of each row, the figure by kind.
        differences: Of each row, its paired differences by kind.
        known: Kinds in the order of the columns; one that was not yet known when the figures were made, and
            so is in no row, has no column.
        column: How the figure is shown.

    Example:
        >>> table_of_kinds({"ours": {"a": [1, 1, 1]}}, {"ours": {}}, ("a", "b"), Column("x", "x", 1.0, 0))
        ['| | a |', '|---|---:|', '| ours | 1 [1, 1] |']
    """
    shown = [kind for kind in known if any(kind in row for row in kinds.values())]
    body = []
    for name, row in kinds.items():
        cells = [cell(row[kind], column) if kind in row else MISSING for kind in shown]
        for place, kind in enumerate(shown):
            if kind in differences[name]:
                cells[place] += f"; {difference(differences[name][kind], column)}"
        body.append([name, *cells])
    return table(["", *shown], body)


def cell(figure: Figure | None, column: Column) -> str:
    """Return a figure and its 95 % interval.

    Example:
        >>> cell([0.5, 0.25, 0.75], Column("right", "accuracy"))
        '50.0 [25.0, 75.0]'
    """
    return _shown(figure, column, "")


def difference(figure: Figure | None, column: Column) -> str:
    """Return a paired difference and its 95 % interval.

    A + behind it where all of the interval is on the better side of 0, a - where all is on the worse.

    Example:
        >>> difference([0.5, 0.25, 0.75], Column("right", "accuracy"))
        '+50.0 [+25.0, +75.0] **+**'
    """
    shown = _shown(figure, column, "+")
    if shown == MISSING:
        return shown
    assert figure is not None
    ends = [column.better * end for end in figure[1:] if end is not None]
    better = len(ends) == 2 and min(ends) > 0
    worse = len(ends) == 2 and max(ends) < 0
    return shown + (" **+**" if better else " **-**" if worse else "")


def _shown(figure: Figure | None, column: Column, sign: str) -> str:
    if figure is None or figure[0] is None:
        return MISSING
    value, low, high = (
        f"{column.scale * (math.nan if each is None else each):{sign}.{column.digits}f}"
        for each in figure
    )
    return f"{value} [{low}, {high}]"


def _line(cells: Sequence[str]) -> str:
    return "|" + "".join(f" {each} |" if each else " |" for each in cells)
