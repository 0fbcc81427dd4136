"""What is in a dataset, whether its files can be used, and whether its split is honest."""

from __future__ import annotations

import math
import statistics
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ter_fast.data import shards
from ter_fast.data.dataset import Dataset, Sample, shared_groups
from ter_fast.data.files import modalities_of
from ter_fast.data.registry import CORPORA
from ter_fast.errors import DataError, MediaError, TerFastError
from ter_fast.media.clip import MediaInfo
from ter_fast.media.decode import probe, read
from ter_fast.media.threads import thread_pool, worker_count

WORKERS = 8

# Seconds.
_SHORT = 0.1


@dataclass(frozen=True)
class SplitSummary:
    """Count one split.

    Attributes:
        name: ``"train"``, ``"validation"``, ``"test"``, or ``""`` where there is no split.
        samples: Number of samples.
        groups: Number of samples of each speaker or source, the largest first.
        classes: Number of samples of each class, absent classes included.
    """

    name: str
    samples: int
    groups: dict[str, int]
    classes: dict[str, int]


@dataclass(frozen=True)
class Durations:
    """Sum up the lengths of the samples that could be opened, in seconds.

    A sample that is a span of a file is as long as what the file holds of the span.

    Attributes:
        shortest: The shortest.
        median: The median.
        longest: The longest.
        total: Their sum.
    """

    shortest: float
    median: float
    longest: float
    total: float


@dataclass(frozen=True)
class DatasetCheck:
    """Tell what `check_dataset` found.

    Attributes:
        name: Name of the dataset.
        terms: Licence or terms of use.
        modalities: What its files should hold.
        splits: Counts of each split, in the order train, validation, test, none.
        soft_targets: How many samples have rater votes.
        opened: Whether files were opened, or only looked for.
        missing: Files that are not there.
        unreadable: What is wrong with each file that could not be opened.
        lacking: Files without sound or pictures that their kind promises, and which.
        durations: Lengths of the samples opened, pictures apart; None where there are none.
        problems: What makes figures on the dataset wrong or impossible; with any, it is refused.
        warnings: What to know besides.

    Example:
        >>> found = DatasetCheck("mine", "CC0", ("audio",), (), 0, False, ("a.wav",), (), (), None,
        ...                      (), ())
        >>> found.ok
        False
    """

    name: str
    terms: str
    modalities: tuple[str, ...]
    splits: tuple[SplitSummary, ...]
    soft_targets: int
    opened: bool
    missing: tuple[str, ...]
    unreadable: tuple[str, ...]
    lacking: tuple[str, ...]
    durations: Durations | None
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every file can be used and the split is honest."""
        return not (self.missing or self.unreadable or self.problems)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self) | {"ok": self.ok}


def check_dataset(
    dataset: Dataset,
    *,
    open_files: bool = True,
    workers: int = WORKERS,
    on_file: Callable[[], None] | None = None,
) -> DatasetCheck:
    """Count a dataset, look for its files, open them, and check its split.

    A file is opened with `ter_fast.media.decode.probe`, which reads its headers; what is damaged
    further in shows only when it is decoded.

    Args:
        dataset: Labelled samples, checked or not.
        open_files: Whether to open each file, or only to see whether it is there.
        workers: Threads that open files.
        on_file: Called after each file, from one thread, to show progress.

    Returns:
        What was found; nothing of it raises.

    Raises:
        DataError: `workers` is no whole number of at least 1.

    Example:
        >>> clips = (Sample("a.wav", "fear", "train", "x"), Sample("b.wav", "joy", "test", "x"))
        >>> data = Dataset("mine", ("fear", "joy"), clips, "CC0", ("audio",))
        >>> found = check_dataset(data, open_files=False)
        >>> found.missing, len(found.problems)
        (('a.wav', 'b.wav'), 1)
    """
    missing, unreadable, lacking, seconds = [], [], [], []
    for sample, result in _look(dataset, open_files, worker_count(workers)):
        if on_file is not None:
            on_file()
        if isinstance(result, FileNotFoundError):
            missing.append(str(result))
        elif isinstance(result, MediaError):
            unreadable.append(str(result))
        elif result is not None:
            lacking += [f"{sample.name} has no {what}" for what in _lacks(sample, result)]
            if not result.is_image:
                seconds.append(_seconds(sample, result))
    problems, notes = _verdict(dataset)
    return DatasetCheck(
        name=dataset.name,
        terms=dataset.terms,
        modalities=dataset.modalities,
        splits=tuple(_splits(dataset)),
        soft_targets=sum(s.target is not None for s in dataset),
        opened=open_files,
        missing=tuple(missing),
        unreadable=tuple(unreadable),
        lacking=tuple(lacking),
        durations=_durations(seconds),
        problems=problems,
        warnings=notes,
    )


Found = MediaInfo | MediaError | FileNotFoundError | None


def _look(dataset: Dataset, open_files: bool, workers: int) -> Iterator[tuple[Sample, Found]]:
    """Yield every sample with what its file holds, or what is wrong with it, in order."""

    def work(sample: Sample) -> Found:
        return _examine(sample, open_files)

    # A few at a time, so that an interrupt does not wait for a whole corpus.
    with thread_pool(workers, "ter_fast_check") as pool:
        for start in range(0, len(dataset), 64 * workers):
            part = dataset.samples[start : start + 64 * workers]
            yield from zip(part, pool.map(work, part), strict=True)


def _examine(sample: Sample, open_files: bool) -> Found:
    if sample.image is not None:
        return _examine_picture(sample, sample.image) if open_files else None
    if shards.holds(sample.path):
        return _examine_stored(sample.path, open_files)
    sound = sample.attributes.get("audio_path")
    for path in filter(None, (sample.path, sound)):
        if not Path(path).is_file():
            return FileNotFoundError(path)
    if not open_files:
        return None
    try:
        if sound is not None:
            _nonempty(probe(sound))
        return _holding(sample, _nonempty(probe(sample.path)))
    except MediaError as error:
        return error
    except Exception as error:  # a decoder's own complaint about one file must not end the check
        return MediaError(f"{sample.path} could not be opened ({type(error).__name__}: {error}).")


def _nonempty(info: MediaInfo) -> MediaInfo:
    if info.is_image or info.duration >= _SHORT:
        return info
    if info.duration <= 0:
        raise MediaError(
            f"{info.path} holds no samples, only a header; copy or record it again, or leave it out."
        )
    # Some headers state a little where there is nothing, and a little is soon decoded.
    read(info.path, frames=1)
    return info


def _holding(sample: Sample, info: MediaInfo) -> MediaInfo:
    if sample.span is not None and (info.is_image or info.duration <= sample.span[0]):
        raise MediaError(
            f"{sample.name} begins behind the end of the file, which lasts {info.duration:.2f} s; "
            f"correct the span."
        )
    return info


def _seconds(sample: Sample, info: MediaInfo) -> float:
    start, end = sample.span or (0.0, info.duration)
    return min(end, info.duration) - start


def _examine_stored(path: str, open_files: bool) -> Found:
    """Decode a clip that lies in a prepared shard, which is quicker than to open its film."""
    if not Path(path.rpartition("#")[0]).is_file():
        return FileNotFoundError(path)
    if not open_files:
        return None
    start, end, audio, video = math.inf, 0.0, False, False
    try:
        for clip in shards.shard_windows(path):
            start, end = min(start, clip.start), clip.end
            audio, video = audio or clip.audio is not None, video or clip.frames is not None
    except TerFastError as error:
        return MediaError(str(error))
    seconds = max(0.0, end - start)
    return MediaInfo(path, seconds, 0.0, video, audio, seconds <= 0)


def _examine_picture(sample: Sample, image: bytes) -> MediaInfo | MediaError:
    import cv2
    import numpy as np

    content = np.frombuffer(image, np.uint8)
    picture = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if len(content) else None
    if picture is None:
        return MediaError(f"{sample.path} is not a picture that OpenCV reads; check the table.")
    height, width = picture.shape[:2]
    return MediaInfo(sample.path, 0.0, 0.0, True, False, True, width=width, height=height)


def _lacks(sample: Sample, info: MediaInfo) -> list[str]:
    if sample.image is not None or shards.holds(sample.path):
        return []
    promised = set(modalities_of(sample.path))
    # A film beside its own sound, or one that its corpus calls silent, promises pictures alone.
    if "audio_path" in sample.attributes or sample.attributes.get("modality") == "video":
        promised.discard("audio")
    held = {"audio": ("sound", info.has_audio), "video": ("pictures", info.has_video)}
    lacking = [held[m][0] for m in sorted(promised) if not held[m][1]]
    # Headers and tables round; a second and more is a part of what was said.
    if sample.span is not None and sample.span[1] > info.duration + 1.0:
        lacking.append(f"end: its file lasts {info.duration:.2f} s")
    return lacking


def _splits(dataset: Dataset) -> Iterator[SplitSummary]:
    order = ("train", "validation", "test", "")
    present = {s.split for s in dataset}
    for name in (*order, *sorted(present - set(order))):
        if name in present:
            samples = [s for s in dataset if s.split == name]
            counted = Counter(s.label for s in samples)
            classes = {label: counted[label] for label in dataset.labels}
            groups = dict(Counter(s.group for s in samples).most_common())
            yield SplitSummary(name, len(samples), groups, classes)


def _durations(seconds: Iterable[float]) -> Durations | None:
    known = sorted(seconds)
    if not known:
        return None
    return Durations(known[0], statistics.median(known), known[-1], sum(known))


def _verdict(dataset: Dataset) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what refuses the dataset and what only needs saying."""
    problems = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            dataset.check()
        except DataError as error:
            problems.append(str(error))
    notes = [str(each.message) for each in caught if each.category is UserWarning]
    if dataset.known_overlap & set(shared_groups(dataset)):
        corpora = {s.attributes.get("corpus", "") for s in dataset}
        notes += [
            f"{corpus.clean}."
            for name, corpus in CORPORA.items()
            if name in corpora and corpus.clean
        ]
    if len(dataset) and all(s.group == s.path for s in dataset):
        notes.append(
            "every file is its own group, so nothing can tell whether a speaker or source stands "
            "on both sides of a split; give the groups where they are known."
        )
    if any(not s.split for s in dataset):
        notes.append(
            "there are samples without a split; training holds some out by group, and "
            "?protocol=5-fold-1 and the like give a test part that shares no group."
        )
    return tuple(problems), tuple(notes)
