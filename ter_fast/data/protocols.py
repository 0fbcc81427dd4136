"""Evaluation protocols by name: the same words give everyone the same split."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from ter_fast.data.dataset import Dataset
from ter_fast.data.messages import counted_examples
from ter_fast.data.registry import CORPORA
from ter_fast.errors import DataError

_LEAVE = re.compile(r"leave-(.+)-out")
_FOLD = re.compile(r"(\d+)-fold-(\d+)", re.ASCII)


def with_protocol(dataset: Dataset, protocol: str) -> Dataset:
    """Split a dataset as a named protocol says.

    ``"published"``
        The corpus' own split, as its adapter reads it.
    ``"chumachenko"``, or another that the corpus is registered with
        The split of a paper, such as that of Chumachenko et al. (2022) of RAVDESS: test actors
        5, 10, 16, 19; validation 11, 13, 18, 22 (`ter_fast.data.Corpus.protocols`).
    ``"leave-NAME-out"``
        Test on one group (``leave-03-out`` of EmoDB, ``leave-Ses01F-out`` of IEMOCAP) or one
        session (``leave-Ses01-out``); the rest is for training, and nothing for validation:
        see `ter_fast.data.with_validation`.
    ``"K-fold-I"``
        The I-th, from 1, of K folds that are stratified and keep groups together, with seed 0
        (`ter_fast.data.kfold`); the next fold is for validation.

    Args:
        dataset: One corpus.
        protocol: One of these names.

    Raises:
        DataError: No such protocol, group or fold, or one that does not fit the corpus.

    Example:
        >>> from ter_fast.data import Sample
        >>> clips = [Sample(f"{i}.wav", "ab"[i % 2], "", f"x:{i // 4}") for i in range(20)]
        >>> mine = Dataset("mine", ("a", "b"), tuple(clips), "CC0", ("audio",))
        >>> with_protocol(mine, "leave-3-out").split("test").groups()
        {'x:3'}
    """
    if protocol == "published":
        return _published_split(dataset)
    if named := _registered_split(protocol):
        return _by_group(dataset, protocol, named)
    if fold := _FOLD.fullmatch(protocol):
        count, index = int(fold[1]), int(fold[2])
        if not 1 <= index <= count:
            raise DataError(f"protocol {protocol!r}: fold {index} of {count}; count from 1.")
        from ter_fast.data.splits import kfold

        return kfold(dataset, count)[index - 1]
    if left := _LEAVE.fullmatch(protocol):
        return _leave_out(dataset, left[1])
    raise DataError(f"unknown protocol {protocol!r}; expected one of {protocol_forms()}.")


def protocol_forms() -> str:
    """Return the forms that a protocol may have, in words.

    Example:
        >>> protocol_forms()
        'published, chumachenko (RAVDESS), leave-NAME-out, or K-fold-I as in 5-fold-1'
    """
    named = [
        f"{protocol} ({corpus.title})"
        for corpus in CORPORA.values()
        for protocol in corpus.protocols
    ]
    return ", ".join(["published", *named, "leave-NAME-out", "or K-fold-I as in 5-fold-1"])


def _published_split(dataset: Dataset) -> Dataset:
    if all(not s.split for s in dataset):
        raise DataError(
            f"{dataset.name} was published without a split; use leave-NAME-out or K-fold-I."
        )
    return dataset


def _registered_split(protocol: str) -> dict[str, Mapping[str, str]]:
    """Return the split of each group that a protocol names, by corpus."""
    return {
        name: corpus.protocols[protocol]
        for name, corpus in CORPORA.items()
        if protocol in corpus.protocols
    }


def _by_group(dataset: Dataset, protocol: str, named: Mapping[str, Mapping[str, str]]) -> Dataset:
    if dataset.name not in named:
        raise DataError(
            f"the protocol {protocol} is one of {' and '.join(named)}, not of {dataset.name}."
        )
    split = named[dataset.name]
    samples = tuple(replace(s, split=split.get(s.group, "train")) for s in dataset)
    return replace(dataset, samples=samples)


def _leave_out(dataset: Dataset, name: str) -> Dataset:
    left = {s.group for s in dataset if name in (_bare(s.group), s.attributes.get("session"))}
    rest = dataset.groups() - left
    if not left or not rest:
        known = sorted(map(_bare, dataset.groups()))
        raise DataError(
            f"protocol leave-{name}-out: {dataset.name} has "
            f"{'no group' if not left else 'nothing beside the group'} {name!r}; it has "
            f"{counted_examples(known, 'group')}."
        )
    samples = tuple(replace(s, split="test" if s.group in left else "train") for s in dataset)
    return replace(dataset, samples=samples, known_overlap=frozenset())


def _bare(group: str) -> str:
    return group.partition(":")[2] or group
