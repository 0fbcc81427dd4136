"""The page of a comparison: a table for each set, with intervals and paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparison.config import ComparisonConfig
from benchmarks.comparison.run import CONDITIONS
from ter_fast.errors import DataError
from ter_fast.media.files import write_atomically

# Share of test to training samples at 80:20, by which draws that overlap vary less than fresh ones.
_OVERLAP = 0.25


def write_page(
    comparison: ComparisonConfig, results: Iterable[dict[str, Any]], path: Path, command: str = ""
) -> None:
    """Write the tables as Markdown.

    Args:
        comparison: What was compared.
        results: What `run` found.
        path: The page.
        command: The command that makes it, for its foot.

    Raises:
        DataError: There are no results of this comparison.
    """
    rows = [
        found
        for found in results
        if found["set"] in comparison.sets
        and found["method"] in comparison.methods
        and found["seed"] in comparison.draws
    ]
    if not rows:
        raise DataError("there are no results of this comparison; run it first")
    lines = [f"# {comparison.title}", "", *_explained(comparison)]
    for name in comparison.sets:
        own = [row for row in rows if row["set"] == name]
        if own:
            lines += ["", f"## {name}", "", *_table(comparison, own)]
            if published := comparison.published.get(name):
                lines += ["", *_published(published)]
    if comparison.notes:
        lines += ["", "## Notes", "", *(f"- {note}" for note in comparison.notes)]
    if command:
        lines += ["", f"Made by `{command}`."]
    write_atomically(path, "\n".join(lines) + "\n", parents=True)


def interval(values: Sequence[float], overlap: float = 0.0) -> tuple[float, float]:
    """Return the 95 % t-interval of a mean over draws.

    Args:
        values: One for each draw.
        overlap: Test samples over training samples, where draws share samples: the variance of the
            mean is then (1/n + overlap) s^2 instead of s^2 / n.

    Reference:
        Nadeau & Bengio, "Inference for the generalization error", 2003 (overlap).

    Example:
        >>> [round(bound, 2) for bound in interval([1.0, 2.0, 3.0])]
        [-0.48, 4.48]
    """
    from scipy.stats import t

    each = np.asarray(values, dtype=np.float64)
    if each.size < 2:
        return float("nan"), float("nan")
    half = t.ppf(0.975, each.size - 1) * each.std(ddof=1) * np.sqrt(1 / each.size + overlap)
    return float(each.mean() - half), float(each.mean() + half)


def _explained(comparison: ComparisonConfig) -> list[str]:
    over, swapped = "the training samples", "a test sample of another class"
    if comparison.as_published:
        over = "all samples, test samples among them, as published code does"
        swapped = "the first sample of the next class in the file, trained on or not, as published code does"
    text = [
        f"{comparison.seeds} draws (seeds {comparison.draws[0]} to {comparison.draws[-1]}) of 80:20 by "
        f"chance, features scaled over {over}, the "
        "last epoch, not the one that is best on test samples. *Conflictive*: noise of deviation 0.5 on up to "
        f"V - 1 views of 10 % of the test samples, and one view of 40 % swapped for that of {swapped}. "
        "Accuracy in %, its 95 % interval over draws in brackets; AURC times 1000 "
        "(lower is better), failure AUROC in %.",
    ]
    if comparison.reference:
        text += [
            "",
            f"The last two columns are differences to {comparison.reference} in points of accuracy, draw by "
            "draw, with the 95 % interval of their mean; * where it is above 0 also when corrected "
            "for draws that overlap (Nadeau & Bengio).",
        ]
    return text


def _table(comparison: ComparisonConfig, rows: list[dict[str, Any]]) -> list[str]:
    compared = bool(comparison.reference)
    head = [
        "",
        "draws",
        *CONDITIONS,
        "AURC",
        "AURC, conflictive",
        "AUROC",
        "AUROC, conflictive",
        "s",
    ]
    if compared:
        head += [f"normal - {comparison.reference}", f"conflictive - {comparison.reference}"]
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    against = {row["seed"]: row for row in rows if row["method"] == comparison.reference}
    for method in comparison.methods:
        own = [row for row in rows if row["method"] == method]
        if not own:
            continue
        cells = [method, str(len(own))]
        cells += [_with_interval([100 * row[c]["accuracy"] for row in own]) for c in CONDITIONS]
        cells += [f"{1000 * _mean(own, c, 'aurc'):.1f}" for c in CONDITIONS]
        cells += [f"{100 * _mean(own, c, 'failure_auroc'):.1f}" for c in CONDITIONS]
        cells.append(f"{np.mean([row['seconds'] for row in own]):.0f}")
        if compared:
            cells += [_difference(own, against, c) for c in CONDITIONS]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _published(rows: Mapping[str, Sequence[float]]) -> list[str]:
    lines = [f"| published | {' | '.join(CONDITIONS)} |", "|---|---:|---:|"]
    return lines + [
        f"| {name} | {normal:.2f} | {other:.2f} |" for name, (normal, other) in rows.items()
    ]


def _mean(rows: list[dict[str, Any]], condition: str, figure: str) -> float:
    # A figure that does not exist in a draw (no error, so nothing to rank) is left out.
    found = [row[condition][figure] for row in rows if not np.isnan(row[condition][figure])]
    return float(np.mean(found)) if found else float("nan")


def _with_interval(values: list[float]) -> str:
    low, high = interval(values)
    return f"{np.mean(values):.2f} [{low:.2f}, {high:.2f}]"


def _difference(
    rows: list[dict[str, Any]], against: dict[int, dict[str, Any]], condition: str
) -> str:
    pairs = [(row, against[row["seed"]]) for row in rows if row["seed"] in against]
    if not pairs or rows[0] is pairs[0][1]:
        return ""
    gains = [100 * (a[condition]["accuracy"] - b[condition]["accuracy"]) for a, b in pairs]
    low, high = interval(gains)
    star = "*" if interval(gains, _OVERLAP)[0] > 0 else ""
    return f"{np.mean(gains):+.2f} [{low:+.2f}, {high:+.2f}]{star}"
