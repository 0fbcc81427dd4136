"""Retrain the last layer of a trained expert, on features that stay as they are."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ter_fast.data.splits import sides
from ter_fast.errors import DataError, ModelError
from ter_fast.experts.config import TrainingRecord
from ter_fast.experts.provenance import groups_by_split
from ter_fast.opinions.default_device import on_cpu_by_default
from ter_fast.opinions.losses import evidential_loss
from ter_fast.opinions.opinion import evidence_from_logits
from ter_fast.predict.prepare import prepare
from ter_fast.train.batches import draw_weights
from ter_fast.train.encoded import encode
from ter_fast.train.settings import Settings
from ter_fast.train.validation import fit_scale

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.experts.network import Network

CLASS_BALANCE, PENALTY = 0.5, 1e-3
_STEPS = 500


@on_cpu_by_default
def fit_last_layer(
    model: Network,
    train: Dataset,
    validation: Dataset | None = None,
    *,
    class_balance: float = CLASS_BALANCE,
    penalty: float = PENALTY,
    progress: bool = True,
    face_model: str | Path | None = None,
    max_unreadable: int | float = 0.05,
) -> Network:
    r"""Retrain the last layer of a model of one modality, in place, with the classes of each corpus weighed.

    An encoder trained on corpora of unequal size knows more of the small ones than its last layer, which
    follows the many, lets through. With the features f_i of the training windows, the n_i windows of the
    class and corpus of window i, and the weights W_0 and b_0 that the layer has::

        min_{W, b}  sum_i w_i loss(e_i, y_i) / sum_i w_i  +  penalty (|W - W_0|^2 + |b - b_0|^2)
        w_i = n_i^-class_balance,  e_i = activation(W f_i + b),  loss(e, y) = sum_k y_k (log S - log(e_k + 1))

    by L-BFGS in float64; features are those of whole windows, without augmentation or dropout. The evidence
    scale is then fitted on the validation data. Thresholds set before are dropped: `calibrate` again.

    Args:
        model: A trained model of one modality, such as an ensemble that `Model.from_experts` averaged.
        train: The labelled clips that it was trained on; when `validation` is None, its own splits
            "train" and "validation" are used, and a tenth of the groups is held out where it has none. The
            corpus of a clip is its attribute "corpus".
        validation: Labelled clips of other speakers or sources.
        class_balance: 0 to count windows as they come, 1 to count each class of each corpus alike.
        penalty: On the squared change of the layer, 0 or more; the larger, the less it changes.
        progress: Show progress bars.
        face_model: YuNet face detector, where the model asks for faces.
        max_unreadable: As of `fit`.

    Returns:
        The model.

    Raises:
        DataError: Data that do not fit the model, one group on both sides, more unreadable files than
            allowed, or a number out of its range.
        ModelError: A model of several modalities, or whose expert knows only some of its classes.

    Reference:
        Kirichenko, Izmailov and Wilson, "Last layer re-training is sufficient for robustness to spurious
        correlations", 2023, who balance groups by leaving some out, and use data held out for it; the penalty is
        L2-SP of Li, Grandvalet and Davoine, "Explicit inductive bias for transfer learning", 2018.

    Example:
        >>> from ter_fast import Model
        >>> fit_last_layer(Model.from_pretrained("default"), None)
        Traceback (most recent call last):
        ter_fast.errors.ModelError: the last layer is retrained of models of one modality, and this one ...
    """
    if len(model.config.experts) > 1:
        raise ModelError(
            "the last layer is retrained of models of one modality, and this one has "
            f"{' and '.join(model.config.modalities)}; do it before they are joined"
        )
    name = model.config.modalities[0]
    expert: Any = model.experts[name]
    if set(model.config.experts[name].labels) != set(model.config.labels):
        raise ModelError(
            f"the expert of {name} knows other classes than the model; do it before it is joined with others"
        )
    check_last_layer(class_balance, penalty)
    training, validating = sides(train, validation)
    seen, held = (
        prepare(
            model, each, progress=progress, face_model=face_model, max_unreadable=max_unreadable
        )
        for each in (training, validating)
    )
    for each in (seen, held):
        each.report()
    model.eval()
    found = encode(model, seen.clips, seen.empty)
    here = found.mask[0]
    if not bool(here.any()):
        raise DataError(f"no training clip has {name}; give the clips that it was trained on")
    owner = found.owner[here]
    weighed = Settings(class_balance=class_balance, balance_corpora=class_balance > 0)
    weight = draw_weights(seen, weighed)[owner]
    head = _learn(
        expert.head, found.features[name][here].double(), seen.targets[owner][:, list(expert.places)].double(),
        weight / weight.mean(), model.config.activation, penalty,
    )  # fmt: skip
    expert.head.load_state_dict(head.state_dict())
    settings = {"last_layer": True, "class_balance": class_balance, "penalty": penalty}
    record = TrainingRecord(
        modalities=model.config.modalities,
        data=training.name,
        terms=training.terms,
        samples={"train": len(seen.clips), "validation": len(held.clips)},
        settings=settings,
        groups=groups_by_split(train=training, validation=validating),
    )
    model.config = replace(model.config.uncalibrated(), training=(*model.config.training, record))
    # A scale is put on evidence before a guard discounts it, and features, which a guard judges by, stay.
    guard, expert.ood = expert.ood, None
    try:
        fit_scale(model, held)
    finally:
        expert.ood = guard
    return model


def check_last_layer(class_balance: Any = CLASS_BALANCE, penalty: Any = PENALTY) -> None:
    """Refuse what `fit_last_layer` cannot do with.

    Raises:
        DataError: A number out of its range.
    """
    if not isinstance(class_balance, Real) or not 0 <= float(class_balance) <= 1:
        raise DataError(f"class_balance is {class_balance!r}; expected a number from 0 to 1")
    if not isinstance(penalty, Real) or not 0 <= float(penalty) < math.inf:
        raise DataError(f"penalty is {penalty!r}; expected a number from 0 on")


def _learn(
    head: torch.nn.Linear,
    features: Tensor,
    target: Tensor,
    weight: Tensor,
    activation: str,
    penalty: float,
) -> torch.nn.Linear:
    layer = deepcopy(head).cpu().double()
    first = [each.detach().clone() for each in layer.parameters()]
    steps = torch.optim.LBFGS(
        layer.parameters(),
        max_iter=_STEPS,
        tolerance_grad=1e-8,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        steps.zero_grad()
        evidence = evidence_from_logits(layer(features), activation)
        each = evidential_loss(evidence, target, "log", reduction="none")
        moved = sum(
            (now - before).square().sum()
            for now, before in zip(layer.parameters(), first, strict=True)
        )
        value = (weight * each).mean() + penalty * moved
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        steps.step(objective)  # type: ignore[no-untyped-call]
    return layer
