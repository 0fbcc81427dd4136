"""`Window`: a stretch of a clip as the encoders read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Window:
    """One window ready for the encoders.

    Attributes:
        values: by modality the `(N, …)` tensor, or None where it is missing.
        notes: by missing modality, why.
        remark: what a reader should know of the file; "" for nothing.
        familiar: by modality, how familiar it is to an expert that can tell (see
            `ter_fast.experts.out_of_distribution`).
        start: seconds.
        end: seconds.
    """

    values: dict[str, Tensor | None]
    notes: dict[str, str]
    start: float
    end: float
    remark: str = ""
    familiar: Mapping[str, float] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Length of its longest tensor, by which windows are put together."""
        return max((len(value) for value in self.values.values() if value is not None), default=0)
