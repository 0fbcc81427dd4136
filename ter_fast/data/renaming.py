"""Put the labels of datasets on those of a model or of each other: as told, or as everyone spells them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from ter_fast.data.aliases import common_labels, matching_labels, nearest_label
from ter_fast.data.dataset import Dataset
from ter_fast.errors import DataError, warn


def rename_labels(datasets: Sequence[Dataset], names: Mapping[str, str]) -> list[Dataset]:
    """Rename labels in those of several datasets that have them.

    Args:
        datasets: One or more.
        names: New name by old name; two old names of one new name are merged.

    Raises:
        DataError: None of the datasets has one of the old names.

    Example:
        >>> data = Dataset("mine", ("happy", "sad"), (), "CC0", ("audio",))
        >>> rename_labels([data], {"happy": "happiness"})[0].labels
        ('happiness', 'sad')
    """
    known = sorted({label for each in datasets for label in each.labels})
    for old in names:
        if old not in known:
            nearest = nearest_label(old, known)
            raise DataError(
                f"the label {old!r} cannot be renamed to {names[old]!r}: the data have {', '.join(known)}. "
                + (f"Did you mean {nearest!r}?" if nearest else "Rename one of these")
            )
    return [
        each.merge_classes({old: new for old, new in names.items() if old in each.labels})
        for each in datasets
    ]


def put_on(dataset: Dataset, labels: Iterable[str]) -> Dataset:
    """Put a dataset on given labels; see `Dataset.align`. Other spellings are taken as these, and that is said.

    Args:
        dataset: Whose labels are the given ones, or other spellings of them.
        labels: Such as those of a model.

    Raises:
        DataError: A label is neither; the message names the nearest, and how to rename it.

    Warns:
        UserWarning: Labels were taken as others.
    """
    wanted = tuple(labels)
    dataset = _respell(dataset, wanted)
    if unknown := [label for label in dataset.labels if label not in wanted]:
        raise DataError(_unknown(dataset, unknown, wanted))
    return dataset.align(wanted)


def unify(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Spell the labels of datasets alike that are about to be joined; see `put_on`.

    Example:
        >>> one = Dataset("one", ("anger", "calm"), (), "CC0", ("audio",))
        >>> [each.labels for each in unify([one, Dataset("two", ("anger",), (), "CC0", ("video",))])]
        [('anger', 'calm'), ('anger',)]
    """
    labels = common_labels(each.labels for each in datasets)
    return [_respell(each, labels) for each in datasets]


def _respell(dataset: Dataset, wanted: Sequence[str]) -> Dataset:
    names = matching_labels(dataset.labels, wanted)
    if names:
        said = ", ".join(f"{old} as {new}" for old, new in names.items())
        warn(
            f"{dataset.name}: labels are taken as other spellings of the same: {said}; rename them otherwise "
            "by --rename OLD=NEW, or rename={…} of load_dataset"
        )
    return dataset.merge_classes(names)


def _unknown(dataset: Dataset, unknown: Sequence[str], wanted: Sequence[str]) -> str:
    said, flags = [], []
    for label in unknown:
        having = [sample.name for sample in dataset if sample.label == label]
        nearest = nearest_label(label, wanted)
        clips = f"{len(having)} clip{'' if len(having) == 1 else 's'}"
        where = f", such as {having[0]}" if having else ""
        meant = f"; did you mean {nearest!r}?" if nearest else ""
        said.append(f"{label!r} ({clips}{where}{meant})")
        flags.append(f"--rename {shlex.quote(label)}={shlex.quote(nearest) if nearest else 'NAME'}")
    return (
        f"{dataset.name}: unknown label{'' if len(unknown) == 1 else 's'} {', '.join(said)}; expected "
        f"{', '.join(wanted)}. Correct them, leave those clips out, or rename them: {' '.join(flags)} "
        "(in Python rename={…} of load_dataset)"
    )
