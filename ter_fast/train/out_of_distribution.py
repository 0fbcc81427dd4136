"""Fit the out-of-distribution guards of a trained model's experts, and drop them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ter_fast.errors import DataError
from ter_fast.experts.out_of_distribution import OutOfDistributionConfig, OutOfDistributionGuard
from ter_fast.predict.prepare import PreparedData
from ter_fast.train.encoded import Encoded, encode

if TYPE_CHECKING:
    from ter_fast.experts.network import Network


def learn_ood(
    model: Network, train: PreparedData, validation: PreparedData, data: str = ""
) -> None:
    """Fit a guard, on windows, for each expert whose modality the data hold.

    The others keep what they have. Thresholds that any of these modalities has a part in are dropped.

    Args:
        model: Trained; left as it was where this fails.
        train: What it was trained on.
        validation: Clips of other speakers or sources.
        data: Name of the training data.

    Raises:
        DataError: A modality that the training data hold is in no validation clip, or features from which
            nothing can be learned; see `OutOfDistributionGuard.fit`.
    """
    training = model.training
    model.eval()
    try:
        trained = encode(model, train.clips, train.empty)
        validated = encode(model, validation.clips, validation.empty)
    finally:
        model.train(training)
    guards = {
        name: _fit_guard(name, view, trained, validated, train)
        for view, name in enumerate(model.config.modalities)
        if bool(trained.mask[view].any())
    }
    records = {}
    for name, guard in guards.items():
        expert: Any = model.experts[name]
        expert.ood = guard.to(model.device)
        view = model.config.modalities.index(name)
        records[name] = OutOfDistributionConfig(
            guard.limit, guard.power, len(guard.means), data,
            {"train": int(trained.mask[view].sum()), "validation": int(validated.mask[view].sum())},
        )  # fmt: skip
    model.config = model.config.with_ood(records)


def _fit_guard(
    name: str, view: int, seen: Encoded, held: Encoded, train: PreparedData
) -> OutOfDistributionGuard:
    own, new = seen.mask[view], held.mask[view]
    if not bool(new.any()):
        raise DataError(
            f"no validation clip has {name}, so nothing says how far from the training clips new ones lie; "
            f"give validation clips that have {name}"
        )
    try:
        return OutOfDistributionGuard.fit(
            seen.features[name][own].double().numpy(),
            train.labels[seen.owner[own]].numpy(),
            held.features[name][new].double().numpy(),
        )
    except DataError as error:
        raise DataError(f"no guard for {name} can be learned: {error}") from error


def drop_ood(model: Network) -> bool:
    """Let every opinion of a model stand as it is again; say whether any was discounted before."""
    names = [name for name, each in model.config.experts.items() if each.ood is not None]
    for name in names:
        expert: Any = model.experts[name]
        expert.ood = None
    model.config = model.config.with_ood(dict.fromkeys(names))
    return bool(names)
