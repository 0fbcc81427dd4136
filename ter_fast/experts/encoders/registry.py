"""Encoders: one module per modality, from a batch's tensors to one feature vector per sample.

An encoder is any `nn.Module` with `forward(values, lengths) -> (B, out_features)` and the attribute
`out_features`. Register one under a name with `register_encoder` and a model can be built from, saved
with and loaded by that name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from ter_fast.errors import ModelError

ENCODERS: dict[str, Callable[..., nn.Module]] = {}
"""Every registered encoder by name."""

_Encoder = TypeVar("_Encoder", bound=Callable[..., nn.Module])


def register_encoder(name: str) -> Callable[[_Encoder], _Encoder]:
    """Register a class or factory of encoders under `name`.

    Its keyword arguments must be plain JSON values: they are what `config.json` stores.

    Raises:
        ValueError: The name is taken by another encoder.

    Example:
        >>> @register_encoder("doctest_mean")
        ... class Mean(nn.Module):
        ...     def __init__(self, size: int) -> None:
        ...         super().__init__()
        ...         self.out_features = size
        ...
        ...     def forward(self, values, lengths):
        ...         return values.mean(1)
        >>> build_encoder("doctest_mean", {"size": 3}).out_features
        3
    """

    def register(encoder: _Encoder) -> _Encoder:
        taken = ENCODERS.setdefault(name, encoder)
        if taken.__qualname__ != encoder.__qualname__ or taken.__module__ != encoder.__module__:
            raise ValueError(
                f"encoder name {name!r} is taken by {taken.__module__}.{taken.__qualname__}"
            )
        ENCODERS[name] = encoder
        return encoder

    return register


def build_encoder(name: str, options: Mapping[str, Any]) -> nn.Module:
    """Build the encoder registered as `name`.

    Raises:
        ModelError: No such encoder, or options that it does not take.
    """
    if name not in ENCODERS:
        known = ", ".join(sorted(ENCODERS))
        raise ModelError(
            f"no encoder is registered as {name!r} (known: {known}); import the module that registers it "
            "first (on the command line: ter-fast --import MODULE_OR_FILE.py …)"
        )
    try:
        encoder = ENCODERS[name](**options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"encoder {name!r} does not take these options: {dict(options)} ({error})"
        ) from error
    # Layers take torch's default type, and what they are given is float32 whatever that is.
    return encoder if torch.get_default_dtype() == torch.float32 else encoder.float()


def complete_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return an encoder's options with its defaults filled in.

    They are what a saved model keeps: a default that changes later must not change models of today.

    Example:
        >>> complete_options("frame_cnn", {"channels": 3})["dropout"]
        0.3
    """
    if name not in ENCODERS:
        return dict(options)
    parameters = inspect.signature(ENCODERS[name]).parameters.values()
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
    # JSON knows no tuples: as lists, options are the same after a model was saved and loaded.
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in {**defaults, **options}.items()
    }
