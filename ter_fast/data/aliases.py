"""Other spellings of splits and emotions that mean the same to everyone."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "development": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""Names that splits go by, in lower case, and what they are called here."""

_LABELS = (
    ("anger", "angry"),
    ("disgust", "disgusted"),
    ("fear", "fearful"),
    ("happiness", "happy"),
    ("neutral",),
    ("sadness", "sad"),
    ("surprise", "surprised"),
)
"""Names of one expression, the first of which this package uses; calm is another than neutral."""

_CANONICAL = {name: names[0] for names in _LABELS for name in names}


def split_name(name: str) -> str:
    """Return what a split is called here; a name that is not known stays.

    Example:
        >>> split_name("Dev"), split_name("eval"), split_name("fold1")
        ('validation', 'test', 'fold1')
    """
    return SPLIT_NAMES.get(name.strip().lower(), name)


def matching_labels(labels: Iterable[str], wanted: Iterable[str]) -> dict[str, str]:
    """Return which labels are other spellings of wanted ones, by the label.

    Case does not matter, nor whether an emotion is named by its noun or its adjective. A label is left alone
    where it is wanted as it is, where two of the wanted could be meant, or where another label of the data
    means the same, because then someone tells the two apart.

    Args:
        labels: Of the data.
        wanted: Of a model, or of other data.

    Example:
        >>> matching_labels(["Angry", "calm", "happy"], ["anger", "happiness", "neutral"])
        {'Angry': 'anger', 'happy': 'happiness'}
        >>> matching_labels(["happy", "happiness"], ["happiness"])
        {}
    """
    own, given = list(dict.fromkeys(labels)), list(dict.fromkeys(wanted))
    found = {}
    for label in own:
        meant = [name for name in given if _same(name, label)]
        alike = [name for name in own if _same(name, label)]
        if label not in given and len(meant) == 1 and len(alike) == 1:
            found[label] = meant[0]
    return found


def common_labels(parts: Iterable[Iterable[str]]) -> list[str]:
    """Return the labels that several datasets are put on before they are joined.

    Where two of them spell a label differently, that is the spelling of this package, or the first one.

    Example:
        >>> common_labels([["happy", "calm"], ["happiness", "calm"]])
        ['happiness', 'calm']
    """
    every = list(dict.fromkeys(label for labels in parts for label in labels))
    kept: dict[str, str] = {}
    for label in every:
        key = _key(label)
        if key not in kept or label == key:
            kept[key] = label
    return list(kept.values())


def nearest_label(label: str, wanted: Iterable[str]) -> str:
    """Return the label that means the same, or else is spelt most alike; "" where none is close.

    Example:
        >>> nearest_label("happy", ["fear", "happiness"]), nearest_label("angr", ["anger"])
        ('happiness', 'anger')
        >>> nearest_label("joy", ["anger"])
        ''
    """
    given = list(wanted)
    alike = [name for name in given if _same(name, label)]
    return next(iter(alike + difflib.get_close_matches(label, given, n=1)), "")


def _key(label: str) -> str:
    plain = label.strip().lower()
    return _CANONICAL.get(plain, plain)


def _same(one: str, other: str) -> bool:
    return _key(one) == _key(other)
