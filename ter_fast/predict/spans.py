"""Stretches of time on which an answer does not change, and how times are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

TOUCH = 1e-6
"""Seconds between stretches that still touch."""


@dataclass(frozen=True)
class Span:
    """A stretch of time on which the answer does not change.

    Attributes:
        start: seconds.
        end: seconds.
        label: The class; "" where nothing could be predicted.
        trusted: As of the windows in it.
    """

    start: float
    end: float
    label: str
    trusted: bool | None


def merge(spans: Iterable[Span], key: Callable[[Span], object]) -> list[Span]:
    """Join neighbours that touch and have the same key; the first of a run gives its label and trust.

    Example:
        >>> calm = [Span(0.0, 1.0, "calm", True), Span(1.0, 2.0, "calm", True)]
        >>> merge(calm, key=lambda span: span.label)
        [Span(start=0.0, end=2.0, label='calm', trusted=True)]
    """
    runs: list[Span] = []
    for span in spans:
        last = runs[-1] if runs else None
        if last and key(last) == key(span) and abs(last.end - span.start) < TOUCH:
            runs[-1] = replace(last, end=span.end)
        else:
            runs.append(span)
    return runs


def clock(seconds: float) -> str:
    """Return seconds as minutes and seconds, with hours where there are some.

    Example:
        >>> clock(62.0), clock(3725.0), clock(0.25)
        ('1:02', '1:02:05', '0:00.25')
    """
    whole, hundredths = divmod(round(seconds * 100), 100)
    part = f".{hundredths:02}".rstrip("0").rstrip(".")
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:{minutes:02}" if hours else str(minutes)) + f":{rest:02}{part}"
