"""Fit the out-of-distribution guards of a trained model's experts, and drop them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ter_fast.data.splits import sides
from ter_fast.errors import DataError, warn
from ter_fast.experts.out_of_distribution import OutOfDistributionConfig, OutOfDistributionGuard
from ter_fast.opinions.default_device import on_cpu_by_default
from ter_fast.predict.prepare import PreparedData, prepare
from ter_fast.train.encoded import Encoded, encode

if TYPE_CHECKING:
    from ter_fast.data import Dataset
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


@on_cpu_by_default
def fit_ood(
    model: Network,
    train: Dataset,
    validation: Dataset | None = None,
    *,
    progress: bool = True,
    face_model: str | Path | None = None,
    max_unreadable: int | float = 0.05,
) -> Network:
    """Fit out-of-distribution guards: a trained model, in place, discounts its opinions on unlike inputs.

    Each expert whose modality the data hold learns where the features of the training clips lie and how
    far those of the validation clips are from there; the others keep what they have, so that a model
    joined of two corpora takes two calls. Thresholds of these modalities are dropped, with a warning:
    `calibrate` again.

    Args:
        model: The model.
        train: The labelled clips that it was trained on; when `validation` is None, its own splits
            "train" and "validation" are used, and a tenth of the groups is held out where it has none.
        validation: Labelled clips of other speakers or sources, on which it was not trained.
        progress: Show progress bars.
        face_model: YuNet face detector, where the model asks for faces.
        max_unreadable: As of `fit`.

    Raises:
        DataError: Data that do not fit the model, one group on both sides, more unreadable files than
            allowed, or a modality in training clips that no validation clip has.
        TerFastError: scikit-learn is not installed.

    Reference:
        Lee et al. 2018; see `ter_fast.experts.out_of_distribution`.
    """
    training, validating = sides(train, validation)
    data = [
        prepare(
            model, each, progress=progress, face_model=face_model, max_unreadable=max_unreadable
        )
        for each in (training, validating)
    ]
    for each in data:
        each.report()
    before = {**model.config.thresholds, **model.config.window_thresholds}
    learn_ood(model, data[0], data[1], training.name)
    after = {**model.config.thresholds, **model.config.window_thresholds}
    if dropped := sorted(set(before) - set(after)):
        warn(
            f"the thresholds of {', '.join(dropped)} were set on other confidences and are dropped: "
            "calibrate again"
        )
    return model


def fit_ood_by_dataset(
    model: Network, datasets: Sequence[Dataset], split: str = "validation", **options: Any
) -> Network:
    """Fit guards from each dataset's training split before thresholds are set on another of its splits.

    For a model joined of experts that were trained on data of their own. Thresholds are dropped without a
    warning, because new ones are set next.

    Args:
        model: Trained; changed in place.
        datasets: Labelled clips with the split "train", no modality in two of them.
        split: That says how far from the training clips new ones lie.
        **options: `progress`, `face_model` and `max_unreadable` of `fit_ood`.

    Raises:
        DataError: Two datasets hold a modality of the model, or what `fit_ood` refuses.
    """
    names = [name for each in datasets for name in each.modalities if name in model.config.experts]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            f"several datasets hold {', '.join(twice)}, and the guard of a modality is fitted on one: join "
            "them as one dataset (A+B in one --data)"
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the thresholds of .* dropped")
        for dataset in datasets:
            fit_ood(model, dataset.split("train"), dataset.split(split), **options)
    return model
