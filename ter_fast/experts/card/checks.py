"""Whether what a file holds are figures that a card can show: damage is found before anything is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[Any], bool]


def is_evaluation(values: Any) -> bool:
    """Return whether values have the form of `ter_fast.evaluate.Evaluation.to_dict`, as far as a card shows it.

    Example:
        >>> is_evaluation({"figures": {}, "confusion": []})
        False
    """
    if not _has(values, _EVALUATION) or len(values["confusion"]) != len(values["labels"]):
        return False
    # What an earlier version wrote has no such entry.
    return _is_list_of(_is_text)(values.get("known_groups", ()))


def is_robustness(values: Any) -> bool:
    """Return whether values have the form of `ter_fast.evaluate.robustness.Robustness.to_dict`, likewise.

    Example:
        >>> is_robustness({"trends": {}, "cells": []})
        False
    """
    if not _has(values, _ROBUSTNESS) or not values["cells"]:
        return False
    return set(values["trends"]) <= {cell["corruption"] for cell in values["cells"][1:]}


def is_split(values: Any) -> bool:
    """Return whether values have the form of `ter_fast.experts.card.splits_of`.

    Example:
        >>> is_split({"name": "mine", "train": {"clips": 1, "classes": {"a": 1}, "groups": ["x"]}})
        True
    """
    return _has(values, {"name": _is_text}) and all(
        _has(value, _SPLIT) for value in values.values() if isinstance(value, Mapping)
    )


def _has(values: Any, checks: Mapping[str, Check]) -> bool:
    return isinstance(values, Mapping) and all(
        name in values and check(values[name]) for name, check in checks.items()
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    # Null stands for a figure that has no value.
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value is None or (known and math.isfinite(value))


def _is_list_of(check: Check) -> Check:
    return lambda value: isinstance(value, (list, tuple)) and all(map(check, value))


def _is_table_of(check: Check) -> Check:
    return lambda value: (
        isinstance(value, Mapping) and all(map(_is_text, value)) and all(map(check, value.values()))
    )


def _is_form(checks: Mapping[str, Check]) -> Check:
    return lambda value: _has(value, checks)


def _is_square(value: Any) -> bool:
    rows = _is_list_of(_is_list_of(_is_count))(value)
    return rows and all(len(row) == len(value) for row in value)


_FIGURES = _is_table_of(_is_form(dict.fromkeys(("value", "low", "high"), _is_number)))
_PARTS = _is_table_of(_is_form({"samples": _is_count, "figures": _FIGURES}))
_EVALUATION: Mapping[str, Check] = {
    **dict.fromkeys(("name", "modalities", "pairing"), _is_text),
    **dict.fromkeys(("samples", "groups"), _is_count),
    "threshold": _is_number,
    "figures": _FIGURES,
    "subgroups": _is_table_of(_PARTS),
    "confusion": _is_square,
    "labels": _is_list_of(_is_text),
}
_CELL = {"corruption": _is_text, "severity": _is_count}
_SHOWN = ("accuracy", "trusted_precision", "coverage")


def _is_cell(value: Any) -> bool:
    return _has(value, _CELL) and all(_is_number(value.get(name)) for name in _SHOWN)


_ROBUSTNESS: Mapping[str, Check] = {
    **dict.fromkeys(("name", "modalities"), _is_text),
    "samples": _is_count,
    "cells": _is_list_of(_is_cell),
    "trends": _is_table_of(_is_form({"uncertainty": _is_text, "blind": _is_flag})),
}


def _is_groups(value: Any) -> bool:
    return _is_count(value) or _is_list_of(_is_text)(value)


_SPLIT: Mapping[str, Check] = {
    "clips": _is_count,
    "classes": _is_table_of(_is_count),
    "groups": _is_groups,
}
