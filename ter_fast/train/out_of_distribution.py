"""Let a trained model learn what is familiar to its experts, and forget it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ter_fast.errors import DataError
from ter_fast.experts.out_of_distribution import Familiarity, FamiliarityConfig
from ter_fast.predict.prepare import PreparedData
from ter_fast.train.encoded import Encoded, encode

if TYPE_CHECKING:
    from ter_fast.experts.network import Network


def learn_familiarity(
    model: Network, train: PreparedData, validation: PreparedData, data: str = ""
) -> None:
    """Put into each expert whose modality the data hold what is familiar to it, by window.

    The others keep what they have. Thresholds that any of these modalities has a part in are dropped.

    Args:
        model: trained; left as it was where this fails.
        train: what it was trained on.
        validation: clips of other speakers or sources.
        data: name of the training data.

    Raises:
        DataError: a modality that the training data hold is in no validation clip, or features from which
            nothing can be learned; see `Familiarity.fit`.
    """
    training = model.training
    model.eval()
    try:
        seen = encode(model, train.clips, train.empty)
        held = encode(model, validation.clips, validation.empty)
    finally:
        model.train(training)
    found = {
        name: _learned(name, view, seen, held, train)
        for view, name in enumerate(model.config.modalities)
        if bool(seen.mask[view].any())
    }
    records = {}
    for name, familiarity in found.items():
        expert: Any = model.experts[name]
        expert.familiarity = familiarity.to(model.device)
        view = model.config.modalities.index(name)
        records[name] = FamiliarityConfig(
            familiarity.limit, familiarity.power, len(familiarity.means), data,
            {"train": int(seen.mask[view].sum()), "validation": int(held.mask[view].sum())},
        )  # fmt: skip
    model.config = model.config.with_familiarity(records)


def _learned(
    name: str, view: int, seen: Encoded, held: Encoded, train: PreparedData
) -> Familiarity:
    own, new = seen.mask[view], held.mask[view]
    if not bool(new.any()):
        raise DataError(
            f"no validation clip has {name}, so nothing says how far from the training clips new ones lie; "
            f"give validation clips that have {name}"
        )
    try:
        return Familiarity.fit(
            seen.features[name][own].double().numpy(),
            train.labels[seen.owner[own]].numpy(),
            held.features[name][new].double().numpy(),
        )
    except DataError as error:
        raise DataError(f"what is familiar to {name} cannot be learned: {error}") from error


def drop_familiarity(model: Network) -> bool:
    """Let every opinion of a model stand as it is again; say whether any was discounted before."""
    names = [name for name, each in model.config.experts.items() if each.familiarity is not None]
    for name in names:
        expert: Any = model.experts[name]
        expert.familiarity = None
    model.config = model.config.with_familiarity(dict.fromkeys(names))
    return bool(names)
