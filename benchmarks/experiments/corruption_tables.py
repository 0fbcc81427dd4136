"""What the page says of answers under corruptions."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.experiments.summary import Line
from ter_fast.media.corrupt import CORRUPTIONS

_KINDS = {"audio": "of sound", "video": "of pictures", "cross": "between the two"}
_THREE = ("accuracy", "coverage", "trusted_precision")


def under_corruptions(lines: Sequence[Line]) -> list[str]:
    """Return Markdown for lines of the table "corruption": by figure, or by corruption.

    Corruptions of sound alone have a table of each figure with a column for each row; with others among
    them each corruption has a narrow table of its own, since joint models have too many rows.
    """
    if any(line["corruption"] and _kind(line) != "audio" for line in lines):
        return _corruption_by_corruption(lines)
    text = []
    rows = list(dict.fromkeys(line["row"] for line in lines))
    places = sorted({(line["corruption"], line["severity"]) for line in lines}, key=_order)
    found = {(line["row"], line["corruption"], line["severity"]): line["figures"] for line in lines}
    for title, name, factor in (
        ("Accuracy", "accuracy", 100), ("Coverage", "coverage", 100),
        ("Trusted precision", "trusted_precision", 100), ("AURC", "aurc", 1000),
    ):  # fmt: skip
        cells = [
            [
                f"{CORRUPTIONS[corruption].title}, {severity}" if corruption else "clean",
                *(
                    value(found.get((row, corruption, severity), {}).get(name), factor)
                    for row in rows
                ),
            ]
            for corruption, severity in places
        ]
        if cells:
            text += [
                "",
                f"### {title} under corruptions, by severity",
                "",
                *table(["", *rows], cells),
            ]
    return text


def _kind(line: Line) -> str:
    return CORRUPTIONS[line["corruption"]].kind


def _corruption_by_corruption(lines: Sequence[Line]) -> list[str]:
    clean = {line["row"]: _three(line) for line in lines if not line["corruption"]}
    text = [
        "", "### Under corruptions", "",
        "Accuracy / coverage / trusted precision, in whole %, of the same clips clean and by severity; a "
        "dash where nothing is trusted. A row is asked about corruptions of what it reads, and about "
        "those between sound and pictures if it reads both; \"only\" are parts of a row that reads both.",
    ]  # fmt: skip
    names = dict.fromkeys(line["corruption"] for line in lines if line["corruption"])
    before = ""
    for name in sorted(names, key=list(CORRUPTIONS).index):
        own = [line for line in lines if line["corruption"] == name]
        if (kind := _kind(own[0])) != before:
            text += ["", f"#### Corruptions {_KINDS[kind]}"]
            before = kind
        severities = sorted({line["severity"] for line in own})
        found = {(line["row"], line["severity"]): _three(line) for line in own}
        cells = [
            [
                row,
                clean.get(row, "-"),
                *(found.get((row, severity), "-") for severity in severities),
            ]
            for row in dict.fromkeys(line["row"] for line in own)
        ]
        levels = ", ".join(_level(name, severity) for severity in severities)
        title = f"{CORRUPTIONS[name].title} ({CORRUPTIONS[name].measure}: {levels})"
        text += ["", f"{title}:", "", *table(["", "clean", *map(str, severities)], cells)]
    return text


def _level(name: str, severity: int) -> str:
    level = CORRUPTIONS[name].level(severity)
    return " and ".join(f"{each:g}" for each in (level if isinstance(level, tuple) else (level,)))


def _three(line: Line) -> str:
    """Return accuracy, coverage and trusted precision in whole %; no precision where none is trusted."""
    figures = [line["figures"].get(name) for name in _THREE]
    if not figures[1] or not figures[1][0]:
        figures[2] = None
    found = [figure[0] if figure else None for figure in figures]
    return " / ".join("-" if each is None else f"{100 * each:.0f}" for each in found)


def _order(place: tuple[str, int]) -> tuple[int, int]:
    name, severity = place
    return (list(CORRUPTIONS).index(name) if name else -1), severity


def value(figure: Sequence[float | None] | None, factor: float, sign: str = "") -> str:
    """Return a figure times a factor, a dash for none."""
    if not figure or figure[0] is None:
        return "-"
    return f"{factor * figure[0]:{sign}.1f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]
