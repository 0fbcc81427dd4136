"""The CPU as torch's default device, where this package makes tensors of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def on_cpu_by_default(
    function: Callable[_Arguments, _Result],
) -> Callable[_Arguments, _Result]:
    """Decorate a function that makes tensors from files, arrays and settings.

    What is decoded lies on the CPU, and moves to the model's device batch by batch. Under
    `torch.set_default_device` a new tensor would lie elsewhere than the others.

    Example:
        >>> @on_cpu_by_default
        ... def place():
        ...     return torch.zeros(1).device.type
        >>> with torch.device("meta"):
        ...     place()
        'cpu'
    """

    @wraps(function)
    def run(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        if torch.get_default_device().type == "cpu":
            return function(*args, **kwargs)
        with torch.device("cpu"):
            return function(*args, **kwargs)

    return run
