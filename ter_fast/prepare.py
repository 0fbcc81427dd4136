"""A labelled dataset decoded into memory, as a model's experts read it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ter_fast.errors import DataError, TerFastError
from ter_fast.inference import Window, dataset_sources, prepared

if TYPE_CHECKING:
    from ter_fast.data import Dataset, Sample
    from ter_fast.model import Model


@dataclass(frozen=True)
class PreparedData:
    """A dataset decoded into memory: its clips' windows, targets and groups.

    Attributes:
        clips: windows of each clip `(N,)`.
        labels: class of each clip `(N,)` int64, among the model's classes.
        targets: soft targets `(N, K)` float32; one-hot where the data have no votes.
        samples: the clips' entries in the dataset, with path, group and attributes.
        empty: by modality, a tensor without rows.
        errors: what was wrong with files that could not be used.
    """

    clips: list[list[Window]]
    labels: Tensor
    targets: Tensor
    samples: tuple[Sample, ...]
    empty: dict[str, Tensor]
    errors: tuple[str, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """Speaker or source of each clip."""
        return tuple(sample.group for sample in self.samples)

    def report(self) -> None:
        """Warn of the clips that could not be used."""
        if self.errors:
            count = len(self.errors)
            warnings.warn(
                f"{count} of {count + len(self.clips)} clips could not be used; the first: {self.errors[0]}",
                UserWarning,
                stacklevel=3,
            )


def prepare(
    model: Model,
    dataset: Dataset,
    *,
    progress: bool = True,
    face_model: str | Path | None = None,
    workers: int | None = None,
) -> PreparedData:
    """Decode a dataset into memory, as the model's experts read it.

    Args:
        model: gives the classes and how sound and pictures are taken.
        dataset: labelled clips, whose classes must be among the model's.
        progress: show a progress bar.
        face_model: YuNet face detector, where the model asks for faces.
        workers: threads that decode.

    Raises:
        DataError: the data have a class that the model lacks, or no file could be used.
    """
    known = model.config.labels
    if unknown := sorted(set(dataset.labels) - set(known)):
        raise DataError(
            f"{dataset.name} has the classes {', '.join(unknown)} that the model lacks (it has {', '.join(known)}); "
            "merge or drop them"
        )
    preparer = model.preparer(face_model=face_model)
    sources = dataset_sources(dataset, preparer)
    stream: Any = prepared(sources, preparer, workers)
    if progress:
        from rich.console import Console
        from rich.progress import track

        # Standard output is for results, and a bar that redraws itself is noise in a file.
        console = Console(stderr=True)
        stream = track(
            stream, f"reading {dataset.name}", total=len(sources), transient=True,
            console=console, disable=not console.is_terminal,
        )  # fmt: skip
    clips, rows, errors = [], [], []
    for index, windows in stream:
        if isinstance(windows, TerFastError):
            errors.append(str(windows))
        elif all(value is None for window in windows for value in window.values.values()):
            notes = "; ".join(f"{name}: {note}" for name, note in windows[0].notes.items())
            errors.append(f"{sources[index].name}: {notes}")
        else:
            clips.append(windows)
            rows.append(index)
    if not clips:
        raise DataError(
            f"no clip of {dataset.name} could be used; the first said: {errors[0] if errors else 'nothing'}"
        )
    chosen = [dataset[index] for index in rows]
    labels = torch.tensor([known.index(sample.label) for sample in chosen])
    targets = torch.nn.functional.one_hot(labels, len(known)).float()
    for row, sample in enumerate(chosen):
        if sample.target is not None:
            targets[row] = 0
            for label, share in zip(dataset.labels, sample.target, strict=True):
                targets[row, known.index(label)] += share
    return PreparedData(
        clips,
        labels,
        targets,
        tuple(chosen),
        preparer.empty,
        tuple(errors),
    )
