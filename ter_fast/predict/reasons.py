"""Why a prediction is not trusted, and why a modality is missing or not believed, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ter_fast.opinions.opinion import Opinion
from ter_fast.opinions.trusted import is_trusted, is_within
from ter_fast.predict.source import Window

# An expert that keeps less than this share of its belief hardly counts, and the prediction says so.
_MOSTLY_DISCOUNTED = 0.5


def below(confidence: float, threshold: float) -> str:
    """Say that a confidence is not enough.

    Example:
        >>> below(0.41, 0.55)
        'confidence 0.410 is below the threshold 0.550'
    """
    return f"confidence {confidence:.3f} is below the threshold {threshold:.3f}"


def objections(opinion: Opinion, threshold: float, limit: float | None) -> Iterator[str]:
    """Yield what speaks against trusting one opinion: each half of the rule of trust by itself."""
    if not is_trusted(opinion.confidence, threshold):
        yield below(float(opinion.confidence), threshold)
    disagreement = opinion.disagreement
    if limit is not None and disagreement is not None and not is_within(disagreement, limit):
        yield f"disagreement {float(disagreement):.3f} is above the limit {limit:.3f}"


def notes_of(windows: Sequence[Window], modalities: Sequence[str]) -> Iterator[str]:
    """Say of each modality why it is missing, or that it is out of distribution, and in how many windows."""
    for modality in modalities:
        missing = [window for window in windows if modality in window.notes]
        if not missing:
            continue
        yield f"{modality}: {missing[0].notes[modality]}{_where(missing, windows)}"
    for modality in modalities:
        outside = [
            window
            for window in windows
            if window.ood_weights.get(modality, 1.0) < _MOSTLY_DISCOUNTED
        ]
        if not outside:
            continue
        note = f"{modality}: unlike what its expert was trained on"
        if len(windows) == 1:
            yield f"{note}, so {outside[0].ood_weights[modality]:.0%} of its belief counts"
        else:
            yield f"{note}, and mostly not believed{_where(outside, windows)}"


def _where(some: Sequence[Window], windows: Sequence[Window]) -> str:
    """Say in how many of a clip's windows something is, and where; nothing where it is in all."""
    if len(some) == len(windows):
        return ""
    return (
        f", in {len(some)} of {len(windows)} windows ({some[0].start:.0f} to {some[-1].end:.0f} s)"
    )
