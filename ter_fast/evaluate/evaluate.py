"""Honest figures on labelled data: accuracy and trust, with intervals resampled by group."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.experts.provenance import known_groups, warn_of_known_groups
from ter_fast.media.files import write_atomically
from ter_fast.predict.labelled import label, modalities_present, outcomes, pair, restricted
from ter_fast.trust import metrics
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.results import Figure, bootstrap_of, differences, figures_of
from ter_fast.trust.subgroups import Breakdown, break_down
from ter_fast.trust.thresholds import sweep

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.model import Model


@dataclass(frozen=True)
class Evaluation:
    """What a model did on labelled data.

    Attributes:
        name: of the data.
        modalities: that were used, joined by "+"; "" where a model has no such parts.
        pairing: "label-matched" for pairs of clips of two corpora, else "".
        samples: clips measured: those that have all of these modalities.
        excluded: clips that lack one of them.
        groups: speakers or sources among them.
        without_confidence: clips whose confidence is NaN: counted, never trusted.
        threshold: trusted threshold in force; None when the model is not calibrated for these.
        figures: by name (see `ter_fast.trust.results.figures_of`), each with its interval.
        aurc_by_confidence: area under the risk-coverage curve by kind of confidence: which ranks
            errors best.
        breakdowns: by what clips were grouped by ("class", "predicted class", "sex", "group", …), then by
            its values.
        confusion: rows true, columns predicted, in the order of `labels`.
        trusted_confusion: the same of trusted predictions alone; None without a threshold.
        labels: class names.
        errors: what was wrong with files that could not be used.
        note: what limits the intervals, such as few groups; "" for nothing.
        outcomes: every clip's answer.
        known_groups: speakers or sources that the model learned from, going by their names; figures on
            them flatter it.
    """

    name: str
    modalities: str
    pairing: str
    samples: int
    excluded: int
    groups: int
    without_confidence: int
    threshold: float | None
    figures: Mapping[str, Figure]
    aurc_by_confidence: Mapping[str, float]
    breakdowns: Mapping[str, Mapping[str, Breakdown]]
    confusion: tuple[tuple[int, ...], ...]
    trusted_confusion: tuple[tuple[int, ...], ...] | None
    labels: tuple[str, ...]
    errors: tuple[str, ...]
    note: str
    outcomes: Outcomes = field(repr=False, compare=False)
    known_groups: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, for JSON; the clips' answers apart."""
        return {
            each.name: _plain(getattr(self, each.name))
            for each in fields(self)
            if each.name != "outcomes"
        }

    def to_json(self, path: str | Path) -> None:
        """Write the figures as JSON, null where a figure has no value; all of it or nothing."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
        # A file name need not be text; its stray bytes are written as escapes.
        write_atomically(path, text.encode("utf-8", "backslashreplace"))

    def compare(
        self, other: Evaluation, resamples: int = 2000, seed: int = 0
    ) -> dict[str, metrics.Comparison]:
        """Return this model's figures minus another's on the same clips, resampled in pairs.

        Two intervals that overlap do not make two models alike: on the same clips they err together.

        Args:
            other: of another model, on the same data.
            resamples: bootstrap draws of whole groups.
            seed: of the draws.

        Raises:
            DataError: the other answers are not to the same clips.
        """
        return differences(self.outcomes, other.outcomes, resamples, seed)

    def save(self, folder: str | Path) -> Path:
        """Write the report: a page to read, and the pictures and tables behind it.

        Args:
            folder: made if it is not there. It gets `index.html`, which needs no other file,
                `figures/` (PNG and SVG), `tables/` (CSV) and `evaluation.json`.

        Returns:
            The page.

        Raises:
            TerFastError: matplotlib or Jinja2 is missing, or the folder cannot be written to.
        """
        from ter_fast.evaluate.report import write_report

        return write_report(self, folder)


def _plain(value: Any) -> Any:
    """Return what JSON knows; NaN and infinity, which it does not know, become None."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, (Figure, Breakdown)):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def evaluate(
    model: Model,
    *datasets: Dataset,
    modalities: Sequence[str] | None = None,
    by: Sequence[str] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    **options: Any,
) -> Evaluation:
    """Measure a model on labelled clips that it has not seen.

    Warns once where data and training share speakers or sources by name (see `ter_fast.experts.provenance`).

    Args:
        model: the model.
        *datasets: one dataset, or two of one modality each, whose clips are paired by label.
        modalities: use only these, on the clips that have all of them; None for all there are.
        by: attributes of the clips to break the figures down by; None for those known to matter.
        resamples: bootstrap draws of whole groups.
        seed: of the bootstrap and the pairing.
        **options: `progress`, `face_model`, `workers` (see `ter_fast.predict.prepare.prepare`).

    Raises:
        DataError: no dataset, more than two, no clip with these modalities, or an attribute that no
            clip has.
    """
    found = [label(model, each, **options) for each in datasets]
    if len(found) not in (1, 2):
        raise DataError(f"evaluate takes one dataset, or two to pair; given {len(found)}")
    data = found[0]
    if len(found) == 2:
        sets = [modalities_present(model, each) for each in found]
        if any(len(each) != 1 for each in sets) or sets[0] == sets[1]:
            raise DataError(
                f"two datasets are paired by label, so each must hold one modality of its own; "
                f"{found[0].name} holds {' and '.join(sets[0])}, {found[1].name} {' and '.join(sets[1])}"
            )
        data = pair(found[0], found[1], seed)
    wanted = tuple(modalities or modalities_present(model, data))
    if unknown := [name for name in wanted if name not in model.config.modalities]:
        raise DataError(
            f"the model has no modality {', '.join(unknown)}; it has {', '.join(model.config.modalities)}"
        )
    names = tuple(name for name in model.config.modalities if name in wanted)
    everything = len(data.labels)
    data = restricted(model, data, names)
    if not len(data.labels):
        raise DataError(
            f"no clip of {data.name} has {' and '.join(names)}; choose other modalities"
        )
    known = known_groups(model.config, datasets, names)
    warn_of_known_groups(known, data.name)
    return measure(
        outcomes(model, data),
        by=by,
        resamples=resamples,
        seed=seed,
        modalities="+".join(names),
        excluded=everything - len(data.labels),
        errors=data.errors,
        known=known,
    )


def measure(
    answers: Outcomes,
    *,
    by: Sequence[str] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    modalities: str = "",
    excluded: int = 0,
    errors: Sequence[str] = (),
    known: Sequence[str] = (),
) -> Evaluation:
    """Measure answers to labelled clips: those of a model of this package, or of any other.

    Args:
        answers: at least one clip's.
        by: attributes to break the figures down by; None for those known to matter.
        resamples: bootstrap draws of whole groups.
        seed: of the bootstrap.
        modalities: that were used, for the record.
        excluded: clips left out, for the record.
        errors: what was wrong with files, for the record.
        known: groups that the model learned from, for the record.

    Raises:
        DataError: an attribute that no clip has.

    Example:
        >>> answers = Outcomes.from_arrays([[0.8, 0.2], [0.4, 0.6]], [0, 0], threshold=0.7)
        >>> measure(answers).figures["trusted_precision"].value
        1.0
    """
    correct = answers.correct
    return Evaluation(
        name=answers.name,
        modalities=modalities,
        pairing=answers.pairing,
        samples=len(answers),
        excluded=excluded,
        groups=len(set(answers.groups)),
        without_confidence=int(np.isnan(answers.confidence).sum()),
        threshold=answers.threshold,
        figures=figures_of(answers, resamples, seed),
        aurc_by_confidence={
            kind: sweep(answers.within_limit(values), correct).aurc
            for kind, values in answers.confidences.items()
        },
        breakdowns=break_down(answers, by, resamples, seed),
        confusion=_confusion(answers, np.ones(len(answers), bool)),
        trusted_confusion=None if answers.trusted is None else _confusion(answers, answers.trusted),
        labels=answers.labels,
        errors=tuple(errors),
        note=bootstrap_of(answers, resamples, seed).note,
        outcomes=answers,
        known_groups=tuple(known),
    )


def _confusion(answers: Outcomes, chosen: NDArray[np.bool_]) -> tuple[tuple[int, ...], ...]:
    matrix = metrics.confusion_matrix(
        answers.prediction[chosen], answers.target[chosen], len(answers.labels)
    )
    return tuple(tuple(int(value) for value in row) for row in matrix)
