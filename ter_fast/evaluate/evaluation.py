"""`Evaluation`: what a model did on labelled data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

from ter_fast.media.files import write_json
from ter_fast.trust import metrics
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.results import Estimate, differences
from ter_fast.trust.subgroups import Subgroup


@dataclass(frozen=True)
class Evaluation:
    """What a model did on labelled data.

    Attributes:
        name: Of the data.
        modalities: That were used, joined by "+"; "" where a model has no such parts.
        pairing: "label-matched" for pairs of clips of two corpora, else "".
        samples: Clips measured: those that have all of these modalities.
        excluded: Clips that lack one of them.
        groups: Speakers or sources among them.
        without_confidence: Clips whose confidence is NaN: counted, never trusted.
        threshold: Trusted threshold in force; None when the model is not calibrated for these.
        figures: By name (see `ter_fast.trust.results.estimates_of`), each with its interval.
        aurc_by_confidence: Area under the risk-coverage curve by kind of confidence: which ranks
            errors best.
        subgroups: By what clips were grouped by ("class", "predicted class", "sex", "group", …), then by
            its values.
        confusion: Rows true, columns predicted, in the order of `labels`.
        trusted_confusion: The same of trusted predictions alone; None without a threshold.
        labels: Class names.
        errors: What was wrong with files that could not be used.
        note: What limits the intervals, such as few groups; "" for nothing.
        outcomes: Every clip's answer.
        known_groups: Speakers or sources that the model learned from, going by their names; figures on
            them flatter it.
        origin: The model, the data, the day and the version, as far as they are known.
    """

    name: str
    modalities: str
    pairing: str
    samples: int
    excluded: int
    groups: int
    without_confidence: int
    threshold: float | None
    figures: Mapping[str, Estimate]
    aurc_by_confidence: Mapping[str, float]
    subgroups: Mapping[str, Mapping[str, Subgroup]]
    confusion: tuple[tuple[int, ...], ...]
    trusted_confusion: tuple[tuple[int, ...], ...] | None
    labels: tuple[str, ...]
    errors: tuple[str, ...]
    note: str
    outcomes: Outcomes = field(repr=False, compare=False)
    known_groups: tuple[str, ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)
    _write: ClassVar[Callable[[Evaluation, str | Path], Path] | None] = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, for JSON; the clips' answers apart."""
        return {
            each.name: plain(getattr(self, each.name))
            for each in fields(self)
            if each.name != "outcomes"
        }

    def to_json(self, path: str | Path) -> None:
        """Write the figures as JSON, null where a figure has no value; all of it or nothing."""
        write_json(path, self.to_dict())

    def compare(
        self, other: Evaluation, resamples: int = 2000, seed: int = 0
    ) -> dict[str, metrics.Comparison]:
        """Return this model's figures minus another's on the same clips, resampled in pairs.

        Two intervals that overlap do not make two models alike: on the same clips they err together.

        Args:
            other: Of another model, on the same data.
            resamples: Bootstrap draws of whole groups.
            seed: Of the draws.

        Raises:
            DataError: The other answers are not to the same clips.
        """
        return differences(self.outcomes, other.outcomes, resamples, seed)

    def save(self, folder: str | Path) -> Path:
        """Write the report: a page to read, and the pictures and tables behind it.

        Args:
            folder: Made if it is not there. It gets `index.html`, which needs no other file,
                `figures/` (PNG and SVG), `tables/` (CSV) and `evaluation.json`.

        Returns:
            The page.

        Raises:
            TerFastError: Matplotlib or Jinja2 is missing, or the folder cannot be written to.
        """
        assert (
            Evaluation._write is not None
        )  # set by ter_fast.evaluate.report, which reads this class
        return Evaluation._write(self, folder)


def plain(value: Any) -> Any:
    """Return what JSON knows; NaN and infinity, which it does not know, become None."""
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, (Estimate, Subgroup)):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    return None if isinstance(value, float) and not math.isfinite(value) else value
