"""FER2013: grey 48 x 48 faces from the web, with the FER+ votes of ten raters."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ter_fast.data.corpora.fer2013_published import (
    LABELS,
    TABLES,
    VOTES,
    Face,
    read_folders,
    read_pixels,
    without_copies,
)
from ter_fast.data.dataset import Dataset, Sample
from ter_fast.data.names import require_option
from ter_fast.data.registry import register_dataset
from ter_fast.data.tables import read_parquet
from ter_fast.errors import DataError

TERMS = (
    "FER2013: web images, research use only, no redistribution (Goodfellow et al. 2013); "
    "FER+ votes: MIT (Barsoum et al. 2016)"
)

VALIDATION_SHARE = 0.1

_SORTED = tuple(sorted(LABELS))
_BY_NUMBER = dict(enumerate(LABELS))
_COLUMNS = [
    "image",
    "labels",
    "split",
    "ferplus_votes",
    "ferplus_valid",
    "pixel_source",
    "dup_group",
    "in_train",
]


@register_dataset(
    "fer2013",
    title="FER2013",
    description="grey faces from the web, 48 x 48, with the votes of FER+",
    modalities=("video",),
    labels=LABELS,
    terms=TERMS,
    reference="Goodfellow et al. 2013, Barsoum et al. 2016",
    split="as published; of the Parquet table, test is the public test",
)
def load_fer2013(path: str | Path, label: str = "fer2013") -> Dataset:
    """Read FER2013 with FER+ votes: a Parquet table, or the table or folders as published.

    As published, ``fer2013.csv`` holds the pixels and ``fer2013new.csv`` beside it the FER+ votes;
    or pictures lie in ``train/angry`` … ``test/surprise``, without votes. Training is
    ``"train"``, PublicTest ``"validation"`` and PrivateTest ``"test"``; pictures outside training
    that stand there too are left out. No identities are published: the group is the picture
    with its copies.

    The rest of this is on the Parquet table, which holds no PrivateTest. Left out are images
    whose pixels are not the original ones (``pixel_source``), and from the test part those of
    which the training part has a copy (``in_train``). Test is the public test; validation is
    the tenth of the training part whose ``dup_group`` hashes lowest, so copies stay together
    and the choice never changes.

    The label is FER2013's own. The soft target is the votes for the seven classes over their
    sum; votes for contempt, unknown and "not a face" are dropped from it. Where most raters, or
    as many as for any emotion, chose unknown or "not a face", there is no emotion to learn:
    such an image has no soft target, and is left out of training and validation. Testing keeps
    it, so that the figures remain those of FER2013. ``attributes["ferplus"]`` is the option
    with most votes (one of `VOTES`), or ``"tie"``.

    Args:
        path: The table (``.parquet`` or ``.csv``), or the folder that holds ``fer2013.parquet``,
            ``fer2013.csv``, or ``train`` and ``test``.
        label: ``"fer2013"``, or ``"ferplus"`` to take what most raters chose as the label and leave
            out the pictures on which they tie or choose none of the seven classes.

    Raises:
        DataError: The table is missing, damaged or lacks a column, `label` is neither of these, or
            pyarrow is not installed.

    Reference:
        Goodfellow et al. (2013), "Challenges in Representation Learning: A report on three
        machine learning contests". Barsoum et al. (2016), "Training Deep Networks for Facial
        Expression Recognition with Crowd-Sourced Label Distribution".

    Example:
        >>> load_fer2013("no/such.parquet")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: no/such.parquet is not there. ...
    """
    require_option("fer2013", "label", label, ("fer2013", "ferplus"))
    source = Path(path)
    samples = _read_published(source)
    if samples is None:
        samples = _parquet(source / "fer2013.parquet" if source.is_dir() else source)
    if label == "ferplus":
        samples = tuple(
            replace(sample, label=sample.attributes["ferplus"])
            for sample in samples
            if sample.attributes["ferplus"] in LABELS
        )
    return Dataset("fer2013", _SORTED, samples, TERMS, ("video",))


def _read_published(source: Path) -> tuple[Sample, ...] | None:
    """Read the published table or folders; None where there is a Parquet table or nothing."""
    if source.is_dir() and (source / "fer2013.parquet").is_file():
        return None
    tables = [source / name for name in TABLES if (source / name).is_file()]
    if source.suffix.lower() == ".csv":
        tables = [source]
    if tables:
        return _with_votes(read_pixels(tables[0]))
    if (source / "train").is_dir() or (source / "test").is_dir():
        return _with_votes(read_folders(source))
    return None


def _with_votes(faces: Iterable[Face]) -> tuple[Sample, ...]:
    """Give published pictures their soft targets, under the same rules as the table's."""
    samples = []
    for face, votes in without_copies(faces):
        target = soft_target(votes)
        if votes and target is None and face.split != "test":
            continue
        attributes = {"corpus": "fer2013", "crop": "face", "ferplus": most_votes(votes)}
        samples.append(replace(face, target=target, attributes=attributes))
    return tuple(samples)


def _parquet(table: Path) -> tuple[Sample, ...]:
    if not table.is_file():
        raise DataError(
            f"{table} is not there. Give the Parquet table, or the folder that holds "
            f"fer2013.parquet, fer2013.csv, or train and test."
        )
    samples = []
    for number, row in enumerate(read_parquet(table, _COLUMNS)[1]):
        try:
            sample = _sample(table, number, row) if row["pixel_source"] == 0 else None
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{table}, row {number}: its label, votes or picture are not those of FER2013 "
                f"({type(error).__name__}: {error}). Download it again."
            ) from error
        if sample is not None:
            samples.append(sample)
    return tuple(samples)


def _sample(table: Path, number: int, row: Mapping[str, Any]) -> Sample | None:
    votes = row["ferplus_votes"] if row["ferplus_valid"] else []
    target = soft_target(votes)
    is_test = row["split"] == 1
    if row["in_train"] if is_test else target is None:
        return None
    group = str(row["dup_group"])
    held_out = _position(group) < VALIDATION_SHARE
    return Sample(
        path=f"{table}#{number}",
        label=_BY_NUMBER[row["labels"]],
        split="test" if is_test else ("validation" if held_out else "train"),
        group=f"fer2013:{group}",
        target=target,
        image=row["image"],
        attributes={"corpus": "fer2013", "crop": "face", "ferplus": most_votes(votes)},
    )


def soft_target(votes: Sequence[int]) -> tuple[float, ...] | None:
    """Turn ten FER+ counts into shares over the seven classes, sorted by name.

    Args:
        votes: Counts in the order of `VOTES`, or none.

    Returns:
        Shares (7,) that sum to one; None where there are no votes for an emotion, or no more
        than for unknown or for "not a face".

    Example:
        >>> soft_target([4, 0, 0, 1, 3, 2, 0, 0, 0, 0])
        (0.3, 0.2, 0.0, 0.0, 0.4, 0.1, 0.0)
        >>> soft_target([2, 0, 0, 1, 1, 0, 0, 0, 6, 0]) is None
        True
    """
    by_name = dict(zip(VOTES, votes, strict=bool(votes)))
    shown = [by_name.get(label, 0) for label in _SORTED]
    unclear = max(by_name.get("unknown", 0), by_name.get("not a face", 0))
    total = sum(shown)
    if total == 0 or max(shown) <= unclear:
        return None
    return tuple(count / total for count in shown)


def most_votes(votes: Sequence[int]) -> str:
    """Name the option with most votes, ``"tie"`` where two have as many, ``""`` without votes.

    Example:
        >>> most_votes([4, 0, 0, 1, 3, 2, 0, 0, 0, 0]), most_votes([5, 5] + [0] * 8)
        ('neutral', 'tie')
    """
    if not any(votes):
        return ""
    top = [name for name, count in zip(VOTES, votes, strict=True) if count == max(votes)]
    return top[0] if len(top) == 1 else "tie"


def _position(group: str) -> float:
    """Map a group to [0, 1) by its SHA-256, which neither platform nor seed changes."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) / 2**64
