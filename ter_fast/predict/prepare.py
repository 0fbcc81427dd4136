"""A labelled dataset decoded into memory, as a model's experts read it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ter_fast.errors import DataError, TerFastError, warn
from ter_fast.media.progress import track
from ter_fast.predict.preprocessor import preprocessor_of
from ter_fast.predict.source import Window
from ter_fast.predict.sources import dataset_sources
from ter_fast.predict.streaming import prepare_clips

if TYPE_CHECKING:
    from ter_fast.data import Dataset, Sample
    from ter_fast.experts.network import Network

LISTED = 100
"""How many unreadable files an error or a warning lists before it only counts."""


@dataclass(frozen=True)
class PreparedData:
    """A dataset decoded into memory: its clips' windows, targets and groups.

    Attributes:
        clips: Windows of each clip `(N,)`.
        labels: Class of each clip `(N,)` int64, among the model's classes.
        targets: Soft targets `(N, K)` float32; one-hot where the data have no votes.
        samples: The clips' entries in the dataset, with path, group and attributes.
        empty: By modality, a tensor without rows.
        errors: What was wrong with files that could not be used.
        unreadable: Those of them whose file could not be read at all; the others were read, and
            held nothing that the model reads (silence, no face).
    """

    clips: list[list[Window]]
    labels: Tensor
    targets: Tensor
    samples: tuple[Sample, ...]
    empty: dict[str, Tensor]
    errors: tuple[str, ...]
    unreadable: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[str, ...]:
        """Speaker or source of each clip."""
        return tuple(sample.group for sample in self.samples)

    def by_window(self) -> PreparedData:
        """Return every window that shows or sounds like anything as its own clip."""
        pieces = [
            (row, window)
            for row, windows in enumerate(self.clips)
            for window in windows
            if any(value is not None for value in window.values.values())
        ]
        rows = [row for row, _ in pieces]
        return replace(
            self,
            clips=[[window] for _, window in pieces],
            labels=self.labels[rows],
            targets=self.targets[rows],
            samples=tuple(self.samples[row] for row in rows),
        )

    def report(self) -> None:
        """Warn of the clips that could not be used, with the list of those that cannot be read."""
        if self.errors:
            count = len(self.errors)
            text = f"{count} of {count + len(self.clips)} clips could not be used; the first: {self.errors[0]}"
            if self.unreadable:
                text += f"\nCould not be read and were skipped:\n{_list_errors(self.unreadable)}"
            warn(text)


def parse_limit(text: str) -> int | float:
    """Read a limit of unreadable files: a number, a share or a percentage.

    Raises:
        DataError: It is none of these.

    Example:
        >>> parse_limit("20"), parse_limit("0.05"), parse_limit("5%")
        (20, 0.05, 0.05)
    """
    try:
        if text.endswith("%"):
            limit: int | float = float(text[:-1]) / 100
        else:
            limit = int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise _no_limit(text) from None
    most_unreadable(limit, 1)
    return limit


def most_unreadable(limit: int | float, count: int) -> int:
    """Return how many of `count` files may be unreadable: an int is a number, a float a share.

    Raises:
        DataError: A negative number, or a share outside [0, 1].

    Example:
        >>> most_unreadable(3, 1000), most_unreadable(0.05, 50), most_unreadable(1.0, 50)
        (3, 2, 50)
    """
    share = isinstance(limit, float)
    if isinstance(limit, bool) or not (0 <= limit <= 1 if share else limit >= 0):
        raise _no_limit(limit)
    # 0.29 of 100 files are 29, though 0.29 * 100 is a little less.
    return math.floor(limit * count + 1e-9) if share else int(limit)


def _no_limit(given: object) -> DataError:
    return DataError(
        f"the limit of unreadable files is {given!r}; give a number of files from 0 on such as 20, or a "
        "share from 0.0 to 1.0 such as 0.05 (on the command line also 5%)"
    )


def _list_errors(errors: Sequence[str]) -> str:
    lines = [f"  {error}" for error in errors[:LISTED]]
    more = len(errors) - LISTED
    return "\n".join([*lines, f"  and {more} more"] if more > 0 else lines)


def prepare(
    model: Network,
    dataset: Dataset,
    *,
    progress: bool = True,
    face_model: str | Path | None = None,
    workers: int | None = None,
    max_unreadable: int | float = 1.0,
) -> PreparedData:
    """Decode a dataset into memory, as the model's experts read it.

    Args:
        model: Gives the classes and how sound and pictures are taken.
        dataset: Labelled clips, whose classes must be among the model's.
        progress: Show a progress bar.
        face_model: YuNet ONNX file for OpenCV; None for the built-in face detector.
        workers: Threads that decode.
        max_unreadable: How many files may be unreadable, as a number (int) or a share of the clips
            (float in [0, 1]); they are skipped. One more ends the run.

    Raises:
        DataError: The data have a class that the model lacks, no file could be used, or more files than
            `max_unreadable` cannot be read; the message lists these.
    """
    most = most_unreadable(max_unreadable, len(dataset))
    known = model.config.labels
    if unknown := sorted(set(dataset.labels) - set(known)):
        raise DataError(
            f"{dataset.name} has the classes {', '.join(unknown)} that the model lacks (it has {', '.join(known)}); "
            "merge or drop them"
        )
    preprocessor = preprocessor_of(model.config, face_model=face_model)
    sources = dataset_sources(dataset, preprocessor)
    reading: Any = prepare_clips(sources, preprocessor, workers)
    stream: Iterator[tuple[int, list[Window] | TerFastError]] = track(
        reading, f"reading {dataset.name}", len(sources), progress
    )
    kept: dict[int, list[Window]] = {}
    errors: list[str] = []
    unreadable: list[str] = []
    # Closed at once when too many fail, so that no thread reads on behind the error's traceback.
    with closing(reading):
        for index, windows in stream:
            if isinstance(windows, TerFastError):
                errors.append(str(windows))
                unreadable.append(str(windows))
                if len(unreadable) > most:
                    raise _too_many(dataset, unreadable, index + 1, max_unreadable)
            elif all(value is None for window in windows for value in window.values.values()):
                notes = "; ".join(f"{name}: {note}" for name, note in windows[0].notes.items())
                errors.append(f"{sources[index].name}: {notes}")
            else:
                kept[index] = windows
    if not kept:
        raise DataError(
            f"no clip of {dataset.name} could be used; the first said: {errors[0] if errors else 'nothing'}"
        )
    chosen = [dataset[index] for index in kept]
    labels = torch.tensor([known.index(sample.label) for sample in chosen])
    targets = torch.nn.functional.one_hot(labels, len(known)).float()
    for row, sample in enumerate(chosen):
        if sample.target is not None:
            targets[row] = 0
            for label, share in zip(dataset.labels, sample.target, strict=True):
                targets[row, known.index(label)] += share
    return PreparedData(
        list(kept.values()),
        labels,
        targets,
        tuple(chosen),
        preprocessor.empty,
        tuple(errors),
        tuple(unreadable),
    )


def _too_many(
    dataset: Dataset, unreadable: Sequence[str], read: int, limit: int | float
) -> DataError:
    allowed = f"{limit:.1%} of all" if isinstance(limit, float) else f"{limit}"
    return DataError(
        f"{len(unreadable)} of the first {read} of {len(dataset)} clips of {dataset.name} cannot be read, "
        f"and at most {allowed} may be (max_unreadable); fix or drop these, or allow more:\n"
        f"{_list_errors(unreadable)}"
    )
