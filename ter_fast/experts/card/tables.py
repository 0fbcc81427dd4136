"""Tables of a card, and how its figures are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[str]], nothing: str = "") -> Iterator[str]:
    """Yield a table in Markdown, or a sentence where there are no rows."""
    lines = ["| " + " | ".join(map(cell_text, row)) + " |" for row in rows]
    if lines:
        yield f"| {' | '.join(head)} |\n|{'---|' * len(head)}"
        yield from lines
        yield ""
    elif nothing:
        yield nothing + "\n"


def cell_text(text: str) -> str:
    """Keep what a user named (data, speakers) from breaking the table, or the page."""
    return " ".join(text.replace("|", r"\|").replace("<", "&lt;").split())


def figure_table(
    found: Iterable[Mapping[str, Any]], names: Sequence[str], facts: Sequence[str]
) -> Iterator[str]:
    """Yield a table of figures with their intervals, a row for each evaluation."""

    def told(each: Mapping[str, Any], fact: str) -> str:
        if fact == "threshold":
            return number(each["threshold"])
        return count(each["samples" if fact == "clips" else fact])

    yield from table(
        ("data", *facts, *(readable_name(name) for name in names)),
        (
            (data_name(each), *(told(each, fact) for fact in facts), *values_of(each, *names))
            for each in found
        ),
    )


def readable_name(name: str) -> str:
    """Return what a figure is called."""
    known = {"uar": "UAR", "aurc": "AURC", "augrc": "AUGRC", "ece": "ECE"}
    plain = name.replace("accept_all", "accept-all").replace("_f1", " F1").replace("_", " ")
    return known.get(name, plain)


def data_name(each: Mapping[str, Any]) -> str:
    """Return what an evaluation was made on."""
    pairs = ", label-matched pairs" if each["pairing"] else ""
    return f"{each['modalities'] or 'all'}: {each['name']}{pairs}"


def values_of(each: Mapping[str, Any], *names: str) -> list[str]:
    """Return some figures of an evaluation, each with its interval."""
    return [interval(each["figures"].get(name)) for name in names]


def interval(figure: Mapping[str, float | None] | None) -> str:
    """Return a figure with its interval, as far as there is one."""
    if figure is None or figure["value"] is None:
        return "–"
    if figure["low"] is None or figure["high"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def number(value: float | None) -> str:
    """Return a number, or a dash for none."""
    return "–" if value is None else f"{value:.3f}"


def count(value: int | None) -> str:
    """Return a count, or a dash for none."""
    return "–" if value is None else f"{value:,}"


def names_or_count(groups: Sequence[str] | int) -> str:
    """Return names with their number, or the number alone."""
    return f"{groups:,}" if isinstance(groups, int) else f"{len(groups)}: {', '.join(groups)}"


def recall_of(each: Mapping[str, Any], label: str) -> float | None:
    """Return the share of a class that was found; None where the data have none of it."""
    if label not in each["labels"]:
        return None
    place = each["labels"].index(label)
    row = each["confusion"][place]
    return row[place] / sum(row) if sum(row) else None


def recall_text(each: Mapping[str, Any], label: str) -> str:
    """Return that share, or a dash for none."""
    found = recall_of(each, label)
    return "–" if found is None else f"{found:.2f}"


def damage_row(name: str, cell: Mapping[str, Any], trend: Any) -> tuple[str, ...]:
    """Return what one corruption did, for a table."""
    told = trend and trend["uncertainty"] + (" (blind)" if trend["blind"] else "")
    keys = ("accuracy", "trusted_precision", "coverage")
    # Of nothing trusted, no share was right.
    trusted = cell.get("coverage") != 0
    shown = (None if k == "trusted_precision" and not trusted else cell.get(k) for k in keys)
    return (name, *map(number, shown), told)
