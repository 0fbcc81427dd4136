"""Finished figures as JSON: all that a page shows, so that it is written again without data and answers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.records import read_json
from ter_fast.errors import DataError
from ter_fast.media.files import write_atomically
from ter_fast.trust.metrics import Replicates

Figure = Sequence[float | None]
"""Value, and the ends of its 95 % interval; None where there is no number."""

Figures = Mapping[str, Mapping[str, Figure]]
"""By row and name."""

Measured = Mapping[str, Mapping[str, Replicates]]
"""By row and name, before they are recorded."""

# Only what is no text has a new line in JSON.
_NUMBERS = re.compile(r"\[\n([^][{}\"]*?)\s+\]")


def recorded(figure: Replicates) -> list[float | None]:
    """Return value, low and high for JSON, which knows no NaN.

    Example:
        >>> from ter_fast.trust.metrics import Bootstrap
        >>> recorded(Bootstrap(4, resamples=50).means(right=[1, 1, 1, 1])["right"])
        [1.0, 1.0, 1.0]
    """
    values = (figure.value, *figure.interval())
    # All digits: a figure that is rounded twice may be shown as another than it is.
    return [float(value) if math.isfinite(value) else None for value in values]


def all_recorded(rows: Measured) -> dict[str, dict[str, list[float | None]]]:
    """Return the figures of every row for JSON."""
    return {
        name: {key: recorded(figure) for key, figure in row.items()} for name, row in rows.items()
    }


def against(rows: Measured, reference: str) -> dict[str, dict[str, list[float | None]]]:
    """Return for JSON what each other row's figures are above the reference's, resampled in pairs."""
    other = rows[reference]
    return {
        name: {key: recorded(row[key] - other[key]) for key in row if key in other}
        for name, row in rows.items()
        if name != reference
    }


def against_largest(kinds: Measured) -> dict[str, dict[str, list[float | None]]]:
    """Return for JSON what each row's kinds of confidence are above its largest probability."""
    return {
        name: {
            kind: recorded(figure - row["max_probability"])
            for kind, figure in row.items()
            if kind != "max_probability"
        }
        for name, row in kinds.items()
    }


def write_figures(path: Path, content: Mapping[str, Any]) -> None:
    """Write figures as JSON, a line for each."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    lines = _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text)
    write_atomically(path, lines + "\n", parents=True)


def write_page(path: Path, lines_of: Callable[[dict[str, Any]], Sequence[str]]) -> None:
    """Write a page of figures, read from the JSON of its name.

    Args:
        path: The page.
        lines_of: Returns the lines of the page for the figures.

    Raises:
        DataError: There is no such JSON, or it does not hold what the page shows.
    """
    file = path.with_suffix(".json")
    content = read_json(file)
    try:
        lines = lines_of(content)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{file} lacks figures that its page shows ({type(error).__name__}: {error}); run the "
            "comparison again, without --render"
        ) from error
    write_atomically(path, "\n".join(lines) + "\n", parents=True)
