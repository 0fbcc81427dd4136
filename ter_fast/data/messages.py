"""Wording that the errors about data share: examples and a count, and the closest name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ter_fast.errors import DataError

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
