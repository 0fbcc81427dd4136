"""Turn cases and their rows into parameters of a test."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks.problems import Case

DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
"""Where rows are timed; a GPU that is not there is not collected."""


def parameters(cases: Iterable[Case], rows_of: Callable[[Any], Iterable[str]]) -> list[Any]:
    """Return `(case, row)` for each row of each case on each device, a case's rows together."""
    return [
        pytest.param(
            placed,
            row,
            # Without the signs that an expression for `-k` may not hold.
            id=re.sub(r"[^\w-]+", "_", re.sub("[,=]", "", f"{placed.group}-{row}")),
            marks=[pytest.mark.gpu] if device == "cuda" else [],
        )
        for device in DEVICES
        for case in cases
        if device == "cuda" or not case.gpu_only
        for placed in [replace(case, device=device)]
        for row in rows_of(placed)
    ]
