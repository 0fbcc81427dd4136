"""Predictions as a notebook shows them: an HTML table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

SHOWN_ROWS = 20
"""Rows that a notebook shows of a longer table."""

_COLUMNS = ("path", "start", "end", "label", "confidence", "threshold", "trusted", "label_set")


def table_html(rows: Sequence[Mapping[str, Any]], total: int) -> str:
    """Return rows as an HTML table, with a line below that says how many there are.

    Args:
        rows: As `Prediction.row` gives them.
        total: Rows of the whole table.

    Example:
        >>> "<td>&lt;b&gt;.wav</td>" in table_html([{"path": "<b>.wav"}], 1)
        True
    """
    columns = [name for name in _COLUMNS if any(name in row for row in rows)]
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in (*columns, "why"))
    body = "".join(
        "<tr>"
        + "".join(f"<td>{escape(_cell(row.get(name)))}</td>" for name in columns)
        + f"<td>{escape(row.get('error') or row.get('reasons') or '')}</td></tr>"
        for row in rows
    )
    more = f"; the first {len(rows)} are shown" if len(rows) < total else ""
    count = f"{total} prediction{'' if total == 1 else 's'}{more}"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{count}</p>"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
