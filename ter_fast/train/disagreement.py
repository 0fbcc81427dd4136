"""The limit on disagreement, set on clips whose modalities belong together and on clips where they do not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.predict.evidence import Evidence
from ter_fast.predict.labelled_evidence import LabelledEvidence, outcomes

if TYPE_CHECKING:
    from ter_fast.experts.network import Network

YOUDEN = "youden"


def mismatch_clips(data: LabelledEvidence, seed: int = 0) -> LabelledEvidence:
    """Give each clip one of its modalities from a clip of another label, drawn evenly among these.

    Of two modalities it is the second that comes from elsewhere; of more, each in turn, so that there are as
    many times more clips. Labels stay those of the other modalities. A partner may serve several clips.

    Args:
        data: Clips that all have the same modalities, two or more.
        seed: Of the draws.

    Raises:
        DataError: All clips have one label.
    """
    generator = np.random.default_rng(seed)
    labels = data.labels.numpy()
    if len(np.unique(labels)) < 2:
        raise DataError(
            f"all clips of {data.name} with several modalities have one label, so none contradicts another; "
            "give clips of several labels"
        )
    views = np.flatnonzero(data.evidence.mask.any(1).numpy())
    parts = []
    for view in views[1:] if len(views) == 2 else views:
        partner = np.empty_like(labels)
        for each in np.unique(labels):
            mine = labels == each
            partner[mine] = generator.choice(np.flatnonzero(~mine), int(mine.sum()))
        values = data.evidence.values.clone()
        values[view] = values[view, partner]
        parts.append(values)
    times = len(parts)
    return LabelledEvidence(
        f"{data.name}, mismatched",
        Evidence(torch.cat(parts, 1), data.evidence.mask.repeat(1, times)),
        data.labels.repeat(times),
        data.groups * times,
        data.paths * times,
        data.attributes * times,
        "mismatched",
        held=data.held * times,
    )


def check_limit(given: float | str | None, quantile: float | None) -> None:
    """Refuse a limit, or a share of right answers within it, that cannot be.

    Raises:
        DataError: Both, a number below 0, another name than "youden", or a share that is none.
    """
    if given is not None and quantile is not None:
        raise DataError("give disagreement_limit or disagreement_quantile, not both")
    if given is not None and given != YOUDEN and (isinstance(given, str) or not given >= 0):
        raise DataError(
            f"disagreement_limit is {given!r}; expected a number of 0 or more, or {YOUDEN}"
        )
    if quantile is not None and not 0 < quantile <= 1:
        raise DataError(f"disagreement_quantile is {quantile}; expected a share above 0, at most 1")


def choose_limit(
    model: Network,
    data: Sequence[LabelledEvidence],
    given: float | str | None,
    quantile: float | None,
    seed: int = 0,
) -> float | None:
    """Return the limit of disagreement from now on; None for none.

    Args:
        model: The model, whose limit stays where nothing is given.
        data: Clips with several modalities, all that a limit may be chosen on.
        given: A limit, infinity for none, or "youden".
        quantile: Share of the right answers that is to stay within it.
        seed: Of mismatched clips.

    Raises:
        DataError: No clip has several modalities and is predicted right, or all have one label.
    """
    if quantile is not None:
        return _to_float32(np.quantile(_of_right(model, data, "disagreement_quantile"), quantile))
    if isinstance(given, str):
        return _youden(model, data, seed)
    limit = model.config.disagreement_limit if given is None else given
    return None if limit is not None and math.isinf(limit) else limit


def _youden(model: Network, data: Sequence[LabelledEvidence], seed: int) -> float:
    right = np.sort(_of_right(model, data, "disagreement_limit"))
    wrong = np.sort(
        np.concatenate([_of(model, mismatch_clips(each, seed)) for each in data if each.paths])
    )
    limits = np.unique(right)
    within, slipped = (
        np.searchsorted(values, limits, "right") / len(values) for values in (right, wrong)
    )
    return _to_float32(limits[int((within - slipped).argmax())])


def _of_right(model: Network, data: Sequence[LabelledEvidence], option: str) -> NDArray[np.float64]:
    """Return the disagreement of the clips that are predicted right, (N,)."""
    by_dataset = [_of(model, each)[outcomes(model, each).correct] for each in data if each.paths]
    values = np.concatenate(by_dataset) if by_dataset else np.empty(0)
    if not values.size:
        raise DataError(
            f"no validation clip has several modalities and is predicted right; leave {option} out"
        )
    return values


def _of(model: Network, data: LabelledEvidence) -> NDArray[np.float64]:
    disagreement = outcomes(model, data).disagreement
    return np.empty(0) if disagreement is None else disagreement


def _to_float32(limit: float) -> float:
    """Return a float32, as the disagreements are, so that whoever compares rounds nothing."""
    return float(np.float32(limit))
