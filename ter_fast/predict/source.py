"""`Source`, something to predict or to learn from, read when its turn comes, and the `Window`s made of it."""

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
        name: What the table calls it.
        windows: Yields its windows.
        cropped: Its pictures are face crops already, so no face is looked for.
        tensors: By modality, what a clip does not hold (text, physiology, features).
        extras: By modality, what is still to be read by its registered reader.
        notes: By modality, why what was given for it could not be read.
    """

    name: str
    windows: Callable[[], Iterator[Clip]]
    cropped: bool = False
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Window:
    """One window ready for the encoders.

    Attributes:
        values: By modality the `(N, …)` tensor, or None where it is missing.
        notes: By missing modality, why.
        remark: What a reader should know of the file; "" for nothing.
        ood_weights: By modality, the share of its belief that stays after out-of-distribution detection (see
            `ter_fast.experts.out_of_distribution`); none for an expert without.
        start: Seconds.
        end: Seconds.
    """

    values: dict[str, Tensor | None]
    notes: dict[str, str]
    start: float
    end: float
    remark: str = ""
    ood_weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Length of its longest tensor, by which windows are put together."""
        return max((len(value) for value in self.values.values() if value is not None), default=0)
