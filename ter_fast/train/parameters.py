"""Which parameters learn at which rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ter_fast.errors import DataError
from ter_fast.experts.encoders.pretrained import PretrainedEncoder
from ter_fast.train.settings import Settings

if TYPE_CHECKING:
    from ter_fast.experts.network import Network


def parameter_groups(model: Network, settings: Settings) -> list[dict[str, Any]]:
    """Return the model's parameters as an optimizer takes them, what learns of backbones at its own rate.

    Raises:
        DataError: a rate for backbones, and nothing of a backbone learns.
    """
    rate = settings.backbone_learning_rate
    if rate is None:
        return [{"params": model.parameters()}]
    backbones = [each.backbone for each in model.modules() if isinstance(each, PretrainedEncoder)]
    inside = [each for one in backbones for each in one.parameters() if each.requires_grad]
    if not inside:
        what = (
            "all of the pretrained backbone is frozen" if backbones else "no encoder has a backbone"
        )
        raise DataError(
            f"backbone_learning_rate is {rate}, and {what}; leave it out, or give an encoder such as "
            "hf_audio with frozen=False or trainable_layers"
        )
    known = set(map(id, inside))
    others = [each for each in model.parameters() if id(each) not in known]
    return [{"params": others}, {"params": inside, "lr": rate}]
