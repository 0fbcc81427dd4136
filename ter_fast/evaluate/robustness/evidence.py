"""The experts' evidence for every clip under every corruption, decoding each file once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ter_fast.errors import DataError, MediaError, TerFastError
from ter_fast.media.clip import Clip
from ter_fast.media.corrupt import CORRUPTIONS, Corruption, corrupt
from ter_fast.media.corrupt.apply import clip_key
from ter_fast.media.features import collate
from ter_fast.media.progress import track
from ter_fast.media.threads import in_order, worker_count
from ter_fast.predict.evidence import window_mean
from ter_fast.predict.preprocessor import Preprocessor
from ter_fast.predict.source import Source
from ter_fast.predict.sources import dataset_sources

if TYPE_CHECKING:
    from ter_fast.data import Dataset, Sample
    from ter_fast.experts.network import Network

CLEAN = ("", 0)
"""The cell that nothing was done to."""

POOL = 24
"""Clips of the data whose sound is kept at hand, for babble and foreign sound."""

_AT_ONCE = 16

CellName = tuple[str, int]


@dataclass(frozen=True)
class CorruptedEvidence:
    """Evidence of N clips under each of C corruptions and severities.

    Attributes:
        cells: (C,) corruption and severity, `CLEAN` first.
        values: (C, V, N, K) mean evidence over the windows where a modality is present.
        mask: (C, V, N) whether it is, in any window.
        rows: (N,) numbers of the clips in the dataset.
        errors: What was wrong with files that could not be used.
    """

    cells: tuple[CellName, ...]
    values: Tensor
    mask: Tensor
    rows: tuple[int, ...]
    errors: tuple[str, ...]


@dataclass(frozen=True)
class Voice:
    """The sound of one clip of the data, for use in others."""

    path: str
    group: str
    label: str
    audio: Tensor


def corrupted_evidence(
    model: Network,
    dataset: Dataset,
    cells: Sequence[CellName],
    preprocessor: Preprocessor,
    *,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = False,
) -> CorruptedEvidence:
    """Read each clip once; corrupt, prepare and encode its windows under every cell.

    One window of a clip under `_AT_ONCE` cells is in memory for each worker, whatever the length of
    a clip and the number of clips; a corruption of the sound leaves the pictures' evidence alone,
    and the other way round, so that is not worked out again.

    Args:
        model: In evaluation mode.
        dataset: Labelled clips.
        cells: Corruption and severity of each cell; the clean one is added in front.
        preprocessor: Turns windows into what the experts read.
        seed: Of the corruptions.
        workers: Threads, each on one core; by default one per core, at most 8.
        progress: Show a progress bar.

    Raises:
        DataError: No file could be used, a corruption needs other clips' sound and none has any, or `workers` is no
            whole number of at least 1.
    """
    every = (CLEAN, *cells)
    sources = dataset_sources(dataset, preprocessor)
    borrow = any(CORRUPTIONS[name].takes("others") for name, _ in cells)
    pool = _voices(dataset, sources, seed) if borrow else []
    work = _Worker(model, preprocessor, every, pool, seed)
    found: list[tuple[Tensor, Tensor]] = []
    rows, errors = [], []
    stream = in_order(work, sources, dataset, workers=worker_count(workers))
    for index, result in enumerate(
        track(stream, f"corrupting {dataset.name}", len(sources), progress)
    ):
        if isinstance(result, TerFastError):
            errors.append(str(result))
        else:
            found.append(result)
            rows.append(index)
    if not found:
        raise DataError(
            f"no clip of {dataset.name} could be used; the first said: {errors[0] if errors else 'nothing'}"
        )
    values, masks = (torch.stack(each, 2) for each in zip(*found, strict=True))
    return CorruptedEvidence(every, values, masks, tuple(rows), tuple(errors))


@dataclass(frozen=True)
class _Worker:
    model: Network
    preprocessor: Preprocessor
    cells: tuple[CellName, ...]
    pool: Sequence[Voice]
    seed: int

    def __call__(self, source: Source, sample: Sample) -> tuple[Tensor, Tensor] | TerFastError:
        try:
            return self._evidence(source, sample)
        except MediaError as error:
            return error
        except (DataError, torch.OutOfMemoryError):
            # Not this file's fault: every other clip would say the same.
            raise
        except Exception as error:  # a decoder's own complaint about one file must not end the run
            return MediaError(
                f"{source.name} could not be read ({type(error).__name__}: {error}); convert it with ffmpeg"
            )

    @torch.no_grad()
    def _evidence(self, source: Source, sample: Sample) -> tuple[Tensor, Tensor]:
        """Return (C, V, K) evidence and its (C, V) mask."""
        device = self.model.device
        source = self.preprocessor.with_extras(source)
        windows = []
        for clip in source.windows():
            parts = []
            for begin in range(0, len(self.cells), _AT_ONCE):
                prepared = [
                    self.preprocessor(source, self._corrupt(clip, sample, cell)).values
                    for cell in self.cells[begin : begin + _AT_ONCE]
                ]
                parts.append(
                    self.model.evidence(collate(prepared, self.preprocessor.empty).to(device))
                )
            # By window (V, C, K) and (V, C).
            windows.append([torch.cat(each, 1).cpu() for each in zip(*parts, strict=True)])
        if not windows:
            raise MediaError(f"{source.name} holds neither pictures nor sound; check the file")
        mean, there = window_mean(*(torch.stack(each, 2) for each in zip(*windows, strict=True)))
        values, mask = mean.transpose(0, 1), there.T
        self._fill_untouched(values, mask)
        if not bool(mask[0].any()):
            raise MediaError(f"{source.name}: no modality of it can be used; check the file")
        return values, mask

    def _corrupt(self, clip: Clip, sample: Sample, cell: CellName) -> Clip:
        name, severity = cell
        if cell == CLEAN:
            return clip
        corruption = CORRUPTIONS[name]
        if corruption.modality == "audio":
            clip = replace(clip, frames=None, times=None)
        else:
            clip = replace(clip, audio=None)
        others = _others(self.pool, sample, corruption) if corruption.takes("others") else ()
        return corrupt(
            clip,
            name,
            severity,
            seed=self.seed,
            others=others,
            cropper=None if sample.attributes.get("crop") == "face" else self.preprocessor.cropper,
            key=clip_key(sample.name),
        )

    def _fill_untouched(self, values: Tensor, mask: Tensor) -> None:
        for place, (name, _) in enumerate(self.cells):
            for view, modality in enumerate(self.model.config.modalities):
                if place and CORRUPTIONS[name].modality != modality:
                    values[place, view], mask[place, view] = values[0, view], mask[0, view]


def _others(pool: Sequence[Voice], sample: Sample, corruption: Corruption) -> list[Tensor]:
    """Return the sound of clips by others, of another class where the corruption asks and there is one."""
    others = [each for each in pool if each.group != sample.group]
    others = others or [each for each in pool if each.path != sample.path]
    if corruption.another_class:
        others = [other for other in others if other.label != sample.label] or others
    return [other.audio for other in others]


def _voices(dataset: Dataset, sources: Sequence[Source], seed: int) -> list[Voice]:
    """Return the first window's sound of some clips, chosen by their names and the seed alone."""

    def place(index: int) -> str:
        text = f"{seed}\0{clip_key(dataset[index].name)}"
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

    found: list[Voice] = []
    for index in sorted(range(len(dataset)), key=place)[: 4 * POOL]:
        sample = dataset[index]
        try:
            clip = next(iter(sources[index].windows()), None)
        except Exception:
            # A file that cannot be read is told of when its turn comes.
            continue
        if clip is not None and clip.audio is not None and not clip.is_silent():
            found.append(Voice(sample.path, sample.group, sample.label, clip.audio))
        if len(found) == POOL:
            break
    return found


Result = tuple[Tensor, Tensor] | TerFastError
