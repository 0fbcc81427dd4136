"""Labelled samples, and the checks that keep a speaker or a source on one side of a split."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ter_fast.data.aliases import split_name
from ter_fast.data.files import FileKey, file_key
from ter_fast.data.messages import require_label
from ter_fast.data.twice import check_twice
from ter_fast.errors import DataError, warn

EMOTIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""The class names of the shipped model, in its order."""

SPLITS = ("train", "validation", "test", "")
"""The split names a sample may carry; the empty one means "not split yet"."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Describe one labelled clip or picture; nothing of it is decoded here.

    Attributes:
        path: Media file, or ``"fer2013.parquet#123"`` for row 123 of a table of pictures.
        label: Class name: the emotion the expression was acted or perceived as.
        split: ``"train"``, ``"validation"``, ``"test"`` or ``""`` (not split yet).
        group: Speaker or source, which never stands on both sides of a split.
        target: Soft target (K,) over the dataset's labels: rater votes divided by their sum.
        image: Encoded picture, for a sample that lies inside a table.
        attributes: Whatever else is known: corpus, sex, intensity, age.
        extras: By registered modality, what its reader is given: a text, or the path of a file.
        span: Start and end in seconds of the stretch of the file that is the sample; None for the
            whole file.

    Example:
        >>> Sample("clip.wav", "anger", "train", "ravdess:01").label
        'anger'
    """

    path: str
    label: str
    split: str
    group: str
    target: tuple[float, ...] | None = None
    image: bytes | None = field(default=None, repr=False)
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    span: tuple[float, float] | None = None
    extras: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        """Return the path, with the span behind it as in a web address of a stretch of a film.

        Example:
            >>> Sample("film.mp4", "anger", "", "1", span=(2.5, 4.0)).name
            'film.mp4#t=2.5,4'
        """
        if self.span is None:
            return self.path
        start, end = self.span
        return f"{self.path}#t={start:.10g},{end:.10g}"


@dataclass(frozen=True)
class Dataset:
    """Hold labelled samples with their classes, terms of use and modalities.

    Attributes:
        name: Name of the corpus; unions read ``"a+b"``.
        labels: Class names, sorted (K,).
        samples: The samples (N,).
        terms: Licence or terms of use of the data, in one line.
        modalities: ``("audio",)``, ``("video",)`` or ``("audio", "video")``, and the registered ones
            that samples carry as extras.
        known_overlap: Groups that a published split puts on both sides; `check` warns of
            these and raises for any other.

    Example:
        >>> clips = (Sample("a.wav", "calm", "train", "1"), Sample("b.wav", "anger", "test", "2"))
        >>> data = Dataset("mine", ("anger", "calm"), clips, "CC0", ("audio",))
        >>> data.merge_classes({"calm": "neutral"}).class_counts()
        {'anger': 1, 'neutral': 1}
        >>> len(data.split("test"))
        1
    """

    name: str
    labels: tuple[str, ...]
    samples: tuple[Sample, ...]
    terms: str
    modalities: tuple[str, ...]
    known_overlap: frozenset[str] = frozenset()

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        """Iterate over the samples in order."""
        return iter(self.samples)

    def __getitem__(self, index: int) -> Sample:
        """Return the sample at ``index``."""
        return self.samples[index]

    def split(self, name: str) -> Dataset:
        """Return the samples of one split, with all the labels kept.

        Args:
            name: ``"train"``, ``"validation"``, ``"test"`` or ``""``, or another name of one of these,
                such as ``"dev"``.

        Raises:
            DataError: The name is none of these, or no sample carries it; the message lists
                the splits that are there.
        """
        asked, name = name, split_name(name)
        chosen = tuple(s for s in self.samples if s.split == name)
        if not chosen:
            present = sorted({s.split for s in self.samples})
            # Who has no splits at all is not helped by the name of the empty one.
            advice = (
                "Give each sample one, or split by ?protocol=5-fold-1 behind the path or ter_fast.data.holdout"
                if present == [""]
                else "Choose one of those, or make one with ter_fast.data.holdout"
            )
            there = "no splits" if present == [""] else present
            raise DataError(
                f"{self.name} has no samples in split {asked!r}; it has {there}. {advice}."
            )
        return replace(self, samples=chosen)

    def class_counts(self) -> dict[str, int]:
        """Count the samples of every class, absent classes included."""
        counted = Counter(s.label for s in self.samples)
        return {label: counted[label] for label in self.labels}

    def groups(self) -> set[str]:
        """Return the speakers or sources."""
        return {s.group for s in self.samples}

    def merge_classes(self, mapping: Mapping[str, str]) -> Dataset:
        """Rename classes, or merge several into one; the soft targets of merged classes add.

        Args:
            mapping: New name by old name; classes that it does not name stay.

        Raises:
            DataError: The mapping names a class that the dataset does not have.
        """
        for old in mapping:
            require_label(old, self.labels, f"the mapping given to {self.name}.merge_classes")
        renamed = [mapping.get(label, label) for label in self.labels]
        labels = tuple(sorted(set(renamed)))
        samples = tuple(
            replace(s, label=mapping.get(s.label, s.label), target=_move_target(s, renamed, labels))
            for s in self.samples
        )
        return replace(self, labels=labels, samples=samples)

    def __add__(self, other: Dataset) -> Dataset:
        """Join two datasets: the union of the labels by name, and of the modalities.

        Samples that no corpus is named of get the attribute ``"corpus"``, the name of their dataset.
        """
        labels = tuple(sorted({*self.labels, *other.labels}))
        samples = tuple(
            replace(
                s,
                target=_move_target(s, part.labels, labels),
                attributes={**s.attributes, "corpus": s.attributes.get("corpus") or part.name},
            )
            for part in (self, other)
            for s in part.samples
        )
        return Dataset(
            name=f"{self.name}+{other.name}",
            labels=labels,
            samples=samples,
            terms="; ".join(dict.fromkeys((self.terms, other.terms))),
            modalities=tuple(sorted({*self.modalities, *other.modalities})),
            known_overlap=self.known_overlap | other.known_overlap,
        )

    def align(self, labels: Iterable[str]) -> Dataset:
        """Put the dataset on given labels, such as a model's, of which its own are a part.

        Args:
            labels: Class names that include every class of this dataset.

        Raises:
            DataError: A class of the dataset is not among them; the message suggests the
                closest name.
        """
        wanted = tuple(sorted(set(labels)))
        for label in self.labels:
            require_label(label, wanted, self.name)
        samples = tuple(
            replace(s, target=_move_target(s, self.labels, wanted)) if s.target else s
            for s in self.samples
        )
        return replace(self, labels=wanted, samples=samples)

    def check(self) -> None:
        """Check what every training and every honest figure relies on.

        Raises:
            DataError: There are no samples, fewer than two classes, an unknown split name, a
                label outside ``labels``, a soft target that is no distribution over ``labels``,
                a path or span twice, a span that is none, or a group on both sides of a split.
                The message names the first few samples and what to do.

        Warns:
            UserWarning: A published split is known to share groups; the message names them.
        """
        self._check_samples()
        if len({s.label for s in self.samples}) < 2:
            raise DataError(
                f"{self.name} has samples of one class only ({self.samples[0].label!r}); "
                f"a classifier needs at least two. Add samples of other classes."
            )
        shared = shared_groups(self)
        known = {g: splits for g, splits in shared.items() if g in self.known_overlap}
        new = {g: splits for g, splits in shared.items() if g not in self.known_overlap}
        if new:
            raise DataError(
                f"{self.name}: {_describe_shared(new, 3)}. A figure on such a split measures "
                f"memory of the speaker or source; give each group one split, or leave the "
                f"split empty and use ter_fast.data.holdout."
            )
        if known:
            warn(
                f"{self.name}: {_describe_shared(known, len(known))}, as published. Figures on it "
                f"flatter; load the clean split where the corpus offers one."
            )

    def _check_samples(self) -> None:
        if not self.samples:
            raise DataError(f"{self.name} has no samples. Check the path and the file names.")
        for s in self.samples:
            for what, value in (("path", s.path), ("label", s.label)):
                if not isinstance(value, str) or not value:
                    raise DataError(
                        f"{self.name} has a sample with the {what} {value!r} (path {s.path!r}). Give it one as "
                        f"text, or leave the sample out."
                    )
        check_twice(self.name, self.samples)
        for s in self.samples:
            where = f"{self.name}, {s.name}"
            require_label(s.label, self.labels, where)
            if s.split not in SPLITS:
                raise DataError(
                    f"{where}: unknown split {s.split!r}; expected one of {list(SPLITS)}. "
                    f"Rename it."
                )
            if s.target is not None and not _is_distribution(s.target, len(self.labels)):
                raise DataError(
                    f"{where}: the soft target {s.target} is no distribution over the "
                    f"{len(self.labels)} labels. Give one share per label, summing to one."
                )
            if s.span is not None and not 0 <= s.span[0] < s.span[1] < math.inf:
                raise DataError(
                    f"{where}: {s.span} is no stretch of time. Give start and end in seconds, with "
                    f"0 <= start < end."
                )


def group_names(samples: Iterable[Sample]) -> list[str]:
    """Return the group of each sample; a file that is its own group has one name, however it is spelt.

    Example:
        >>> clips = (Sample("a.wav", "fear", "", "a.wav"), Sample("./a.wav", "fear", "", "./a.wav"))
        >>> group_names(clips)
        ['a.wav', 'a.wav']
    """
    first: dict[FileKey, str] = {}
    return [
        first.setdefault(file_key(s.path), s.group) if s.group == s.path else s.group
        for s in samples
    ]


def shared_groups(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """Find the groups that stand in more than one split.

    Returns:
        The splits of each such group, sorted; empty when the split is clean.

    Example:
        >>> clips = (Sample("a.wav", "fear", "train", "g"), Sample("b.wav", "joy", "test", "g"))
        >>> shared_groups(Dataset("mine", ("fear", "joy"), clips, "CC0", ("audio",)))
        {'g': ('test', 'train')}
    """
    splits: dict[str, set[str]] = defaultdict(set)
    for s, group in zip(dataset.samples, group_names(dataset.samples), strict=True):
        splits[group].add(s.split)
    return {g: tuple(sorted(names)) for g, names in splits.items() if len(names) > 1}


def _move_target(
    sample: Sample, names: Iterable[str], labels: tuple[str, ...]
) -> tuple[float, ...] | None:
    if sample.target is None:
        return None
    share = dict.fromkeys(labels, 0.0)
    for name, value in zip(names, sample.target, strict=True):
        share[name] += value
    return tuple(share.values())


def _is_distribution(target: tuple[float, ...], size: int) -> bool:
    return len(target) == size and min(target) >= 0 and abs(sum(target) - 1) < 1e-5


def _describe_shared(shared: Mapping[str, tuple[str, ...]], named: int) -> str:
    first = ", ".join(f"{g!r} in {' and '.join(n)}" for g, n in list(shared.items())[:named])
    more = f" and {len(shared) - named} more" if len(shared) > named else ""
    return f"{len(shared)} group(s) stand in more than one split: {first}{more}"
