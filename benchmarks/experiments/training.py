"""Build and train the model of one row on one fold."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ter_fast.errors import DataError
from ter_fast.experts.config import VideoInput
from ter_fast.model import Model
from ter_fast.predict.prepare import PreparedData

SOFTMAX_SCALE = 1e6
"""Evidence scale at which (s exp(z_k) + 1) / (s sum_j exp(z_j) + K) is a softmax of the logits z."""


def build(labels: Sequence[str], settings: Mapping[str, Any], family: str, seed: int = 0) -> Model:
    """Build an untrained model.

    With the evidence scale of `SOFTMAX_SCALE` the prior weight of one for each class is nothing, so
    the expected probability is the softmax of the logits and its cross-entropy (kind "log") that of
    every other classifier: peers differ from the evidential model in nothing else.

    Args:
        labels: Class names.
        settings: As of `Plan.model`.
        family: "evidential" or "softmax".
        seed: Of the first weights.

    Raises:
        DataError: Settings that make no model.

    Example:
        >>> model = build(["a", "b"], {"modalities": {"audio": {"encoder": "logmel_cnn"}}}, "softmax")
        >>> model.config.experts["audio"].evidence_scale
        1000000.0
    """
    given = dict(settings)
    known = given.pop("modalities", {})
    used = tuple(given.pop("use", tuple(known)))
    if not used or (unknown := [name for name in used if name not in known]):
        raise DataError(
            f"the model uses {', '.join(unknown) if used else 'nothing'}; expected some of "
            f"modalities ({', '.join(known)}), each with its encoder"
        )
    experts = {name: dict(known[name]) for name in used}
    video = VideoInput(**given.pop("video", {}))
    try:
        modalities = {name: (expert.pop("encoder"), expert) for name, expert in experts.items()}
    except KeyError:
        raise DataError(
            "a modality has no encoder; name one of ter_fast.experts.encoders.cnn"
        ) from None
    try:
        model = Model.build(labels, modalities, video=video, seed=seed, **given)
    except TypeError as error:
        raise DataError(f"these settings make no model: {given} ({error})") from error
    if family == "softmax":
        if model.config.activation != "exp":
            raise DataError("a softmax is the activation exp of its logits; leave activation out")
        _scale(model, dict.fromkeys(used, SOFTMAX_SCALE))
        model.config = replace(model.config, confidence="max_probability")
    return model


def train(
    model: Model,
    family: str,
    training: PreparedData,
    validation: PreparedData,
    settings: Mapping[str, Any],
    seed: int,
) -> Model:
    """Train a model on one fold, to its best validation epoch.

    An evidential model of one modality has its evidence scale fitted on the validation clips.

    Raises:
        DataError: An unknown setting.
    """
    from ter_fast.train import Settings, fit_prepared
    from ter_fast.train.out_of_distribution import learn_ood
    from ter_fast.train.validation import fit_scale

    try:
        chosen = Settings(**{**settings, "seed": seed})
    except (TypeError, ValueError) as error:
        raise DataError(f"these settings do not train: {dict(settings)} ({error})") from error
    level = logging.getLogger("lightning.fabric").getEffectiveLevel()
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    try:
        fit_prepared(model, training, validation, replace(chosen, ood=False))
    finally:
        logging.getLogger("lightning.fabric").setLevel(level)
    if family == "evidential" and len(model.config.modalities) == 1:
        fit_scale(model, validation)
    if chosen.ood:
        # After the scale, which is of evidence that nothing discounts.
        learn_ood(model, training, validation)
    return model.eval()


def _scale(model: Model, scales: Mapping[str, float]) -> None:
    experts = dict(model.config.experts)
    for name, scale in scales.items():
        experts[name] = replace(experts[name], evidence_scale=scale)
        model.get_buffer(f"experts.{name}.scale").fill_(scale)
    model.config = replace(model.config, experts=experts)
