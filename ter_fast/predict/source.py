"""`Source`: something to predict or to learn from, read when its turn comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ter_fast.media.clip import Clip


@dataclass(frozen=True)
class Source:
    """Something to predict.

    Attributes:
        name: what the table calls it.
        windows: yields its windows.
        cropped: its pictures are face crops already, so no face is looked for.
        tensors: by modality, what a clip does not hold (text, physiology, features).
        extras: by modality, what is still to be read by its registered reader.
        notes: by modality, why what was given for it could not be read.
    """

    name: str
    windows: Callable[[], Iterator[Clip]]
    cropped: bool = False
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
