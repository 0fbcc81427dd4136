"""From evidence under corruptions to figures with intervals, and to trends over severities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.evaluate.origin import origin_of
from ter_fast.evaluate.robustness.cells import Cell, Robustness, Trend
from ter_fast.evaluate.robustness.evidence import CellName, CorruptedEvidence, corrupted_evidence
from ter_fast.experts.opinions import thresholds_of
from ter_fast.experts.provenance import known_groups, warn_of_known_groups
from ter_fast.media.corrupt import CORRUPTIONS, SEVERITIES, chosen
from ter_fast.opinions.default_device import on_cpu_by_default
from ter_fast.predict.evidence import Evidence
from ter_fast.predict.labelled_evidence import LabelledEvidence, outcomes
from ter_fast.predict.preprocessor import preprocessor_of
from ter_fast.trust.metrics import Bootstrap, Replicates
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.results import Estimate

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.experts.network import Network

Measured = tuple[Cell, dict[str, Replicates]]


@on_cpu_by_default
def evaluate_corrupted(
    model: Network,
    dataset: Dataset,
    corruptions: str | Sequence[str] = "suite",
    *,
    severities: Sequence[int] = SEVERITIES,
    modalities: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = 1000,
    progress: bool = False,
    face_model: str | Path | None = None,
    workers: int | None = None,
) -> Robustness:
    """Measure a model on labelled clips, clean and under corruptions.

    Warns once where data and training share speakers or sources by name (see `ter_fast.experts.provenance`).
    Each file is decoded once, and memory does not grow with its length. Figures of all cells are
    of the same clips and the same resamples, so their differences are paired.

    Args:
        model: The model.
        dataset: Clips that it has not seen.
        corruptions: "suite" for all that touch its modalities, or names of `ter_fast.media.corrupt.CORRUPTIONS`.
        severities: Some of 1 to 5.
        modalities: Use only these; None for those of model and data.
        seed: Of corruptions and bootstrap.
        resamples: Bootstrap draws of whole groups.
        progress: Show a progress bar.
        face_model: YuNet face detector, where the model asks for faces.
        workers: Threads, each on one core; by default one per core, at most 8.

    Raises:
        DataError: An unknown corruption, severity, class or modality, a negative seed, fewer than one
            worker, or no usable clip.

    Example:
        >>> import tempfile
        >>> from scipy.io import wavfile
        >>> from ter_fast import Model
        >>> from ter_fast.data import load_dataset
        >>> folder = tempfile.TemporaryDirectory()
        >>> for label, hertz in (("calm", 200), ("tense", 900)):
        ...     tone = np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000)
        ...     (Path(folder.name) / label).mkdir()
        ...     wavfile.write(f"{folder.name}/{label}/a.wav", 16_000, np.float32(tone / 2))
        >>> model = Model.build(["calm", "tense"], modalities=("audio",))
        >>> data = load_dataset(f"folders:{folder.name}")
        >>> found = evaluate_corrupted(model, data, "white_noise", severities=[1], resamples=50)
        >>> [(cell.corruption, cell.severity, cell.level) for cell in found.cells]
        [('white_noise', 1, 20.0)]
        >>> folder.cleanup()
    """
    if seed < 0:
        raise DataError(f"seed is {seed}; expected 0 or more")
    names = _modalities(model, dataset, modalities)
    text = corruptions if isinstance(corruptions, str) else ",".join(corruptions)
    cells = [
        (name, severity)
        for name in chosen(text, names)
        for severity in sorted(set(severities))
        if CORRUPTIONS[name].level(severity) is not None
    ]
    if not cells:
        raise DataError("no severity was given; give some of 1, 2, 3, 4, 5")
    if unknown := sorted(set(dataset.labels) - set(model.config.labels)):
        raise DataError(
            f"{dataset.name} has the classes {', '.join(unknown)} that the model lacks (it has "
            f"{', '.join(model.config.labels)}); merge or drop them"
        )
    warn_of_known_groups(known_groups(model.config, [dataset], names), dataset.name)
    training = model.training
    model.eval()
    try:
        evidence = corrupted_evidence(
            model, dataset, cells, preprocessor_of(model.config, face_model=face_model),
            seed=seed, workers=workers, progress=progress,
        )  # fmt: skip
    finally:
        model.train(training)
    return _measure(model, dataset, evidence, names, seed, resamples)


def _modalities(
    model: Network, dataset: Dataset, modalities: Sequence[str] | None
) -> tuple[str, ...]:
    possible = [name for name in model.config.modalities if name in dataset.modalities]
    wanted = tuple(possible if modalities is None else modalities)
    if not wanted or (unknown := [name for name in wanted if name not in possible]):
        raise DataError(
            f"{', '.join(unknown) if wanted else 'nothing'} is not in both model and data; the model "
            f"has {', '.join(model.config.modalities)}, {dataset.name} {', '.join(dataset.modalities)}"
        )
    return tuple(name for name in possible if name in wanted)


def _measure(
    model: Network,
    dataset: Dataset,
    evidence: CorruptedEvidence,
    names: Sequence[str],
    seed: int,
    resamples: int,
) -> Robustness:
    used = torch.tensor([name in names for name in model.config.modalities])
    mask = evidence.mask & used[None, :, None]
    rows = torch.nonzero(mask[0][used].all(0)).flatten()
    if not len(rows):
        raise DataError(
            f"no clip of {dataset.name} has {' and '.join(names)}; choose other modalities"
        )
    samples = [dataset[evidence.rows[row]] for row in rows.tolist()]
    splits = "/".join(dict.fromkeys(sample.split for sample in dataset if sample.split))
    base = LabelledEvidence(
        f"{dataset.name} {splits}".strip(),
        Evidence(evidence.values[0][:, rows], mask[0][:, rows]),
        torch.tensor([model.config.labels.index(sample.label) for sample in samples]),
        tuple(sample.group for sample in samples),
        tuple(sample.name for sample in samples),
        tuple(sample.attributes for sample in samples),
    )
    threshold = outcomes(model, base).threshold
    draws = Bootstrap(len(samples), base.groups, resamples=resamples, seed=seed)
    measured: dict[CellName, Measured] = {}
    for place, name in enumerate(evidence.cells):
        present = mask[place][:, rows]
        values = torch.where(present[..., None], evidence.values[place][:, rows], 0)
        data = replace(base, evidence=Evidence(values, present))
        measured[name] = _cell(model, data, name, threshold, draws)
    clean, *cells = (cell for cell, _ in measured.values())
    touched = dict.fromkeys(name for name, _ in evidence.cells[1:])
    return Robustness(
        name=base.name,
        modalities="+".join(names),
        samples=len(samples),
        excluded=len(evidence.rows) - len(samples),
        groups=draws.n_groups,
        threshold=threshold,
        seed=seed,
        clean=clean,
        cells=tuple(cells),
        trends={
            name: _trend(name, [each for key, each in measured.items() if key[0] in ("", name)])
            for name in touched
        },
        errors=evidence.errors,
        note=draws.note,
        origin=origin_of(model, [dataset]),
    )


def _cell(
    model: Network,
    data: LabelledEvidence,
    name: CellName,
    threshold: float | None,
    draws: Bootstrap,
) -> Measured:
    answers = outcomes(model, data)
    answered = data.evidence.mask.any(0).numpy()
    tags = {"corruption": name[0] or "clean", "severity": str(name[1])}
    answers = replace(
        answers,
        threshold=threshold,
        confidence=np.where(answered, answers.confidence, np.nan),
        attributes={
            **answers.attributes, **{key: (value,) * len(answers) for key, value in tags.items()}
        },
    )  # fmt: skip
    # Each clip is held to the threshold of the modalities that it has left, as `predict` does.
    limits = None if threshold is None else thresholds_of(model.config, data.evidence.mask)
    trusted = None if limits is None else answers.trusted_at(limits.numpy())
    drawn = _replicates(answers, answered, trusted, draws)
    figures = {key: _figure(each) for key, each in drawn.items()}
    level = CORRUPTIONS[name[0]].level(name[1]) if name[1] else None
    return Cell(name[0], name[1], level, figures, answers, trusted), drawn


def _replicates(
    answers: Outcomes,
    answered: NDArray[np.bool_],
    trusted: NDArray[np.bool_] | None,
    draws: Bootstrap,
) -> dict[str, Replicates]:
    assert answers.uncertainty is not None
    correct = answers.correct & answered
    replicates = draws.means(accuracy=correct, uncertainty=answers.uncertainty, answered=answered)
    replicates["aurc"] = draws.trust(answers.ranked, correct)["aurc"]
    if trusted is not None:
        # Thresholds differ by modality, so what is held against one here is the decision itself.
        decided = draws.trust(trusted.astype(np.float64), correct, 0.5)
        names = (
            "trusted_precision",
            "trusted_recall",
            "trusted_f1",
            "accept_all_f1",
            "lift",
            "coverage",
        )
        replicates |= {name: decided[name] for name in names}
    return replicates


def _trend(name: str, measured: Sequence[Measured]) -> Trend:
    cells, drawn = zip(*measured, strict=True)
    clean, worst = drawn[0], drawn[-1]
    source = clean["accuracy"].source
    assert isinstance(source, Bootstrap)
    uncertainty = np.stack([cell.outcomes.uncertainty for cell in cells])
    ranks = source.means(spearman=rank_correlation(uncertainty))
    broke = none = None
    for cell, each in zip(cells[1:], drawn[1:], strict=True):
        if cell.trusted is None:
            break
        if not cell.trusted.any():
            none = cell.severity if none is None else none
        elif broke is None and _falls(each, clean, "trusted_precision"):
            broke = cell.severity
    return Trend(
        corruption=name,
        spearman=_figure(ranks["spearman"]),
        rise=_figure(worst["uncertainty"] - clean["uncertainty"]),
        accuracy_change=_figure(worst["accuracy"] - clean["accuracy"]),
        clear_falls=tuple(
            cells[place].severity
            for place in range(1, len(cells))
            if _falls(drawn[place], drawn[place - 1], "uncertainty")
        ),
        broke_at=broke,
        none_trusted_at=none,
    )


def rank_correlation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each column's Spearman rank correlation with the row number: (S, N) to (N,).

    Ties share their mean rank. A column of equal values rises with nothing: 0.

    Example:
        >>> rank_correlation(np.array([[0.1, 0.5, 0.3], [0.2, 0.5, 0.1], [0.9, 0.5, 0.0]])).tolist()
        [1.0, 0.0, -1.0]
    """
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=0)
    ranks = ranks - ranks.mean(axis=0)
    steps = np.arange(len(values)) - (len(values) - 1) / 2
    spread = np.sqrt((ranks**2).sum(axis=0) * (steps**2).sum())
    product: NDArray[np.float64] = (ranks * steps[:, None]).sum(axis=0)
    correlation: NDArray[np.float64] = np.divide(
        product, spread, out=np.zeros_like(product), where=spread > 0
    )
    return correlation


def _falls(drawn: Mapping[str, Replicates], other: Mapping[str, Replicates], name: str) -> bool:
    return (drawn[name] - other[name]).interval().high < 0


def _figure(drawn: Replicates) -> Estimate:
    return Estimate(drawn.value, *drawn.interval())
