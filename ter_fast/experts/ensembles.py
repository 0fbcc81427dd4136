"""Several experts of one modality, trained apart, as one expert: the mean of their logits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch

from ter_fast.errors import ModelError
from ter_fast.experts.config import ModelConfig
from ter_fast.experts.encoders.ensemble import Ensemble
from ter_fast.experts.expert import Expert


def ensemble_config(configs: Sequence[ModelConfig], modality: str) -> ModelConfig:
    """Return the configuration of a model whose one expert averages those of several models.

    Raises:
        ModelError: Models that lack the modality, know other classes, take pictures otherwise, or have
            experts that cannot be averaged.
    """
    if not configs:
        raise ModelError(f"no model is given for {modality!r}; give one, or several to be averaged")
    if lacking := [each for each in configs if modality not in each.experts]:
        raise ModelError(
            f"a model given for {modality!r} has only {', '.join(lacking[0].modalities)}"
        )
    experts = [each.experts[modality] for each in configs]
    first, config = experts[0], configs[0]
    alike: dict[str, list[Any]] = {
        "classes": [expert.labels for expert in experts],
        "activation": [each.activation for each in configs],
        "reliability": [expert.reliability for expert in experts],
        "way to take pictures": [each.video if modality == "video" else None for each in configs],
    }
    for what, values in alike.items():
        if any(value != values[0] for value in values):
            raise ModelError(
                f"the members of an ensemble differ in their {what} ({values[0]} and "
                f"{next(value for value in values if value != values[0])}); train them alike"
            )
    if any(expert.ood for expert in experts):
        raise ModelError(
            "a member of an ensemble has a guard of its own; leave it out, and fit one to the ensemble "
            "(fit_ood, or ter-fast calibrate --ood)"
        )
    if config.activation != "exp" and any(expert.evidence_scale != 1 for expert in experts):
        raise ModelError(
            f"members with the activation {config.activation} have an evidence scale, which only the "
            "logits of exp can take in; average them before they are calibrated"
        )
    members = [{"encoder": expert.encoder, "options": dict(expert.options)} for expert in experts]
    joined = replace(first, encoder="ensemble", options={"members": members}, evidence_scale=1.0)
    return replace(
        config.uncalibrated(),
        labels=first.labels,
        experts={modality: joined},
        disagreement_limit=None,
        video=config.video if modality == "video" else None,
        training=tuple(
            record for each in configs for record in each.training if modality in record.modalities
        ),
    )


@torch.no_grad()
def take_over(ensemble: Expert, members: Sequence[Expert]) -> None:
    """Give an ensemble's expert the weights of its members.

    An evidence scale s becomes part of the logits: s exp(z) = exp(z + ln s).
    """
    encoders = cast(Ensemble, ensemble.encoder).members
    for mine, member in zip(encoders, members, strict=True):
        mine.load_state_dict(member.encoder.state_dict())
    ensemble.head.weight.copy_(torch.cat([each.head.weight for each in members], 1))
    biases = [each.head.bias + math.log(float(each.scale)) for each in members]
    ensemble.head.bias.copy_(torch.stack(biases).mean(0))
