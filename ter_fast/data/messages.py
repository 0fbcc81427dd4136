"""Wording that the errors about data share: examples and a count, and the closest name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from ter_fast.errors import DataError, warn

NAMED = 3
"""How many examples a message names before it only counts."""


def counted_examples(items: Iterable[object], noun: str) -> str:
    """Name the first three items and how many there are in all.

    Example:
        >>> counted_examples(["a", "b", "c", "d"], "file")
        '4 files (a, b, c, …)'
    """
    found = [str(item) for item in items]
    first = ", ".join(found[:NAMED]) + (", …" if len(found) > NAMED else "")
    return f"{len(found)} {noun}{'' if len(found) == 1 else 's'} ({first})"


def report_missing(
    missing: Sequence[object], count: int, noun: str, where: str, advice: str
) -> None:
    """Warn of files that a corpus lacks; where it lacks all of them, it was not unpacked there.

    A published corpus with a few files lost is still of use. Its samples stay in the dataset: a
    training run skips them up to its limit of unreadable files, and
    `ter_fast.data.check_dataset` names them all.

    Args:
        missing: Names of what is missing.
        count: How many there should be.
        noun: What they are.
        where: The corpus, and which part of it.
        advice: What to do, as a sentence.

    Raises:
        DataError: Nothing is there.

    Example:
        >>> report_missing([], 9, "clip", "meld, test", "Unpack it.")
    """
    if not missing:
        return
    text = f"{where} lacks {counted_examples(missing, noun)} of {count}. {advice}"
    if len(missing) == count:
        raise DataError(text)
    warn(text)


def require_label(label: str, labels: Iterable[str], where: str) -> None:
    """Raise unless ``label`` is one of ``labels``, suggesting the closest name.

    Raises:
        DataError: With the place, the label given, the labels expected, and the closest one.

    Example:
        >>> require_label("angr", ("anger", "fear"), "row 2")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: row 2: unknown label 'angr'; ... Did you mean 'anger'?
    """
    known = list(labels)
    if label not in known:
        raise DataError(
            f"{where}: unknown label {label!r}; expected one of {known}. "
            f"{closest_name(label, known)}"
        )


def closest_name(name: str, known: Iterable[str]) -> str:
    """Ask whether the closest of the known names was meant, or say to correct it.

    Example:
        >>> closest_name("valid", ("train", "validation"))
        "Did you mean 'validation'?"
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else "Correct it."
