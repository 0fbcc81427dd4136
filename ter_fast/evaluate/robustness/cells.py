"""What a model did under each corruption: the figures of a cell, the trend over severities, all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ter_fast.evaluate.evaluation import plain
from ter_fast.media.corrupt.suite import Level
from ter_fast.media.files import write_json
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.results import Estimate

FIGURES = (
    "accuracy", "aurc", "uncertainty", "answered", "trusted_precision", "trusted_recall",
    "trusted_f1", "accept_all_f1", "lift", "coverage",
)  # fmt: skip
"""Names of the figures of a cell; the last six only of a calibrated model."""


@dataclass(frozen=True)
class Cell:
    """A model's answers to N clips under one corruption at one severity.

    Attributes:
        corruption: Its name; "" for the clean clips.
        severity: 1 to 5; 0 for the clean clips.
        level: What the severity is (see `ter_fast.media.corrupt`); None for the clean clips.
        figures: By name (see `FIGURES`), each with its interval, resampled by group. A clip with
            no modality left counts as wrong, and `answered` is the share of the others.
        outcomes: Every clip's answer, with the attributes "corruption" and "severity".
        trusted: (N,) which are trusted, each by the threshold of the modalities that are left; None
            where the model is not calibrated for the clean clips.
    """

    corruption: str
    severity: int
    level: Level | None
    figures: Mapping[str, Estimate]
    outcomes: Outcomes = field(repr=False, compare=False)
    trusted: NDArray[np.bool_] | None = field(repr=False, compare=False)


@dataclass(frozen=True)
class Trend:
    """How a model fared as one corruption grew worse.

    Attributes:
        corruption: Its name.
        spearman: Mean over the clips of the rank correlation of a clip's uncertainty with the
            severity, the clean clip being severity 0; 0 for a clip whose uncertainty never changes.
        rise: Mean uncertainty at the worst severity minus that of the clean clips.
        accuracy_change: The same of accuracy.
        clear_falls: Severities at which the mean uncertainty is clearly below that of the
            severity before.
        broke_at: The least severity whose trusted precision is clearly below that of the clean
            clips; None where there is none.
        none_trusted_at: The least severity at which nothing is trusted; None where there is none.

    "Clearly" means that the paired 95 % interval of the difference, resampled by group, lies below 0.
    """

    corruption: str
    spearman: Estimate
    rise: Estimate
    accuracy_change: Estimate
    clear_falls: tuple[int, ...]
    broke_at: int | None
    none_trusted_at: int | None

    @property
    def verdict(self) -> str:
        """Return "rose", "fell" or "unclear": what uncertainty did with severity."""
        if self.spearman.low > 0 and self.rise.low > 0:
            return "rose"
        return "fell" if self.spearman.high < 0 and self.rise.high < 0 else "unclear"

    @property
    def blind(self) -> bool:
        """Say whether accuracy clearly fell while uncertainty did not rise."""
        return self.accuracy_change.high < 0 and self.verdict != "rose"


@dataclass(frozen=True)
class Robustness:
    """What a model did on clean and on corrupted clips.

    Attributes:
        name: Of the data.
        modalities: That were used, joined by "+".
        samples: Clips measured, the same in every cell: those that have these modalities when clean.
        excluded: Clips that lack one of them.
        groups: Speakers or sources among them.
        threshold: Trusted threshold of the clean clips; None when the model is not calibrated.
        seed: Of the corruptions.
        clean: The clean clips.
        cells: Every corruption and severity.
        trends: By corruption.
        errors: What was wrong with files that could not be used.
        note: What limits the intervals; "" for nothing.
        origin: The model, the data, the day and the version, as far as they are known.
    """

    name: str
    modalities: str
    samples: int
    excluded: int
    groups: int
    threshold: float | None
    seed: int
    clean: Cell
    cells: tuple[Cell, ...]
    trends: Mapping[str, Trend]
    errors: tuple[str, ...]
    note: str
    origin: Mapping[str, str] = field(default_factory=dict)
    _write: ClassVar[Callable[[Robustness, str | Path], Path] | None] = None

    def of(self, corruption: str) -> list[Cell]:
        """Return the clean cell and those of a corruption, by severity."""
        return [self.clean, *(cell for cell in self.cells if cell.corruption == corruption)]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a cell, for a table: figures and the ends of their intervals."""
        return [
            {
                "corruption": cell.corruption or "clean",
                "severity": cell.severity,
                "level": level_text(cell.level),
                **{
                    f"{name}{end}": value
                    for name, figure in cell.figures.items()
                    for end, value in (
                        ("", figure.value), ("_low", figure.low), ("_high", figure.high),
                    )
                },
            }
            for cell in (self.clean, *self.cells)
        ]  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, for JSON; the clips' answers apart."""
        facts = ("name", "modalities", "samples", "excluded", "groups", "threshold", "seed", "note")
        found: dict[str, Any] = {name: getattr(self, name) for name in facts}
        found["errors"] = list(self.errors)
        found["cells"] = [plain(row) for row in self.rows()]
        found["trends"] = {name: _trend(each) for name, each in self.trends.items()}
        return found

    def to_json(self, path: str | Path) -> None:
        """Write the figures as JSON, null where a figure has no value; all of it or nothing."""
        write_json(path, self.to_dict())

    def save(self, folder: str | Path) -> Path:
        """Write a page to read, and the pictures and tables behind it; return the page.

        Args:
            folder: Made if it is not there. It gets `robustness.html`, which needs no other file,
                `figures/` (PNG and SVG), `tables/` (CSV) and `robustness.json`.

        Raises:
            TerFastError: Matplotlib or Jinja2 is missing, or the folder cannot be written to.
        """
        assert (
            Robustness._write is not None
        )  # set by ter_fast.evaluate.report, which reads this class
        return Robustness._write(self, folder)


def level_text(level: Level | None) -> str:
    """Return a level as it is read; "" for none."""
    if level is None:
        return ""
    return "; ".join(f"{part:g}" for part in (level if isinstance(level, tuple) else (level,)))


def _trend(trend: Trend) -> dict[str, Any]:
    figures = ("spearman", "rise", "accuracy_change")
    found: dict[str, Any] = {
        f"{name}{end}": plain(value)
        for name in figures
        for figure in (getattr(trend, name),)
        for end, value in (("", figure.value), ("_low", figure.low), ("_high", figure.high))
    }
    return found | {
        "uncertainty": trend.verdict,
        "blind": trend.blind,
        "clear_falls": list(trend.clear_falls),
        "broke_at": trend.broke_at,
        "none_trusted_at": trend.none_trusted_at,
    }
