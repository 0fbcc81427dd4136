"""What validation says during training, and the evidence scale that it fits afterwards."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from ter_fast.errors import DataError, warn
from ter_fast.predict.evidence import Evidence, clip_evidence
from ter_fast.predict.prepare import PreparedData
from ter_fast.trust.metrics import unweighted_average_recall
from ter_fast.trust.scaling import fit_evidence_scale

if TYPE_CHECKING:
    from ter_fast.experts.network import Network


def scores(model: Network, found: Evidence, data: PreparedData) -> dict[str, float]:
    """Return nll, accuracy and uar of the fused opinions on the evidence of all clips."""
    fused, _ = model.opinions(found.values.cpu(), found.mask.cpu())
    likelihood = (fused.probability.clamp_min(1e-12).log() * data.targets).sum(-1)
    return {
        "nll": -float(likelihood.mean()),
        "accuracy": float((fused.prediction == data.labels).float().mean()),
        "uar": unweighted_average_recall(fused.prediction.numpy(), data.labels.numpy()),
    }


def fit_scale(model: Network, data: PreparedData) -> None:
    """Put the factor on the one expert's evidence that minimizes the validation clips' NLL."""
    name = model.config.modalities[0]
    evidence = clip_evidence(model, data.clips, data.empty, 64).values[0]
    try:
        with warnings.catch_warnings():
            # Validation clips that are all right push the factor to its bound: that is what it is for.
            warnings.filterwarnings("ignore", message="the evidence scale reached its bound")
            factor = fit_evidence_scale(evidence, data.targets)
    except DataError as error:
        # What was learned is worth more than its scale.
        warn(f"the evidence scale of {name} stays as it was: {error}")
        return
    expert = model.config.experts[name]
    scale = expert.evidence_scale * factor
    model.config = replace(model.config, experts={name: replace(expert, evidence_scale=scale)})
    model.get_buffer(f"experts.{name}.scale").fill_(scale)
