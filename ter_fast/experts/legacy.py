"""Names in files of ter_fast 0.1, read as the names of today.

Files on disk are never rewritten: they are read through these functions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

Value = TypeVar("Value")

_OOD = {"familiarity": "ood"}
_THRESHOLD = {"promise": "guarantee_text"}
_EVALUATION = {"breakdowns": "subgroups"}
_CALIBRATION = {"promise": "guarantee_for"}
_WEIGHT = re.compile(r"^(experts\.[^.]+\.)familiarity\.")


def config_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a `config.json` under the names of today.

    Example:
        >>> config_values({"experts": {"audio": {"familiarity": None}}})
        {'experts': {'audio': {'ood': None}}}
    """
    renamed = dict(values)
    for table, names in (
        ("experts", _OOD),
        ("thresholds", _THRESHOLD),
        ("window_thresholds", _THRESHOLD),
    ):
        # What is no table of tables is left to whoever checks the values.
        if isinstance(entries := values.get(table), Mapping):
            renamed[table] = {name: _rename(entry, names) for name, entry in entries.items()}
    if isinstance(records := values.get("training"), list | tuple):
        renamed["training"] = [_training_record(record) for record in records]
    return renamed


def _training_record(record: Any) -> Any:
    if not isinstance(record, Mapping) or "settings" not in record:
        return record
    return {**record, "settings": _rename(record["settings"], _OOD)}


def evaluation_values(values: Any) -> Any:
    """Return the values of an evaluation, as card.json or evaluation.json holds them, likewise.

    Example:
        >>> evaluation_values({"breakdowns": {}})
        {'subgroups': {}}
    """
    return _rename(values, _EVALUATION)


def calibration_values(values: Any) -> Any:
    """Return the arguments of `calibrate`, as a recipe holds them, likewise.

    Example:
        >>> calibration_values({"promise": "clips"})
        {'guarantee_for': 'clips'}
    """
    return _rename(values, _CALIBRATION)


def weight_names(weights: Mapping[str, Value]) -> dict[str, Value]:
    """Return weights by their names of today.

    Example:
        >>> weight_names({"experts.audio.familiarity.means": 0})
        {'experts.audio.ood.means': 0}
    """
    return {_WEIGHT.sub(r"\1ood.", name): value for name, value in weights.items()}


def _rename(values: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(values, Mapping):
        return values
    return {names.get(key, key): value for key, value in values.items()}
