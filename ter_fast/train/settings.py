"""How to train: every choice, with the values that are recorded in a model, and the rates they set."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from ter_fast.errors import DataError
from ter_fast.experts.encoders.pretrained import PretrainedEncoder

if TYPE_CHECKING:
    from ter_fast.experts.network import Network

SCHEDULES = ("one-cycle", "cosine", "constant")


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        epochs: Passes over the training data, at most.
        batch_size: Windows in a step of each process: two processes learn from twice as many a step.
        learning_rate: Peak of the schedule.
        backbone_learning_rate: Peak for what learns of pretrained backbones, which is best a tenth of the
            other or less; None for `learning_rate`.
        schedule: Of the learning rate over the steps of all epochs: "one-cycle" (up along a cosine, then
            down to almost nothing), "cosine" (up along a line, then down along a cosine to 0) or
            "constant" (up along a line, then as it is).
        warmup: Share of the steps in which the learning rate rises; 0 starts "cosine" and "constant" at
            its peak.
        gradient_clip: Largest Euclidean norm of the gradient of all weights; longer ones are shortened to
            it, and 0 leaves them.
        weight_decay: AdamW's.
        kind: Evidential loss, one of `ter_fast.losses.LOSSES`.
        kl_weight: Final weight of the regularizer.
        annealing: Epochs until it is reached.
        balance: Weight of the classification term of `TrustedCELoss`.
        conflict_weight: Weight of the disagreement of the modalities in the loss.
        label_smoothing: Share of a target that is spread evenly over the classes.
        class_weight: "balanced" to weigh the loss by 1 / class count (mean 1), "" for equal weights;
            `class_balance` draws evenly instead, and both together would balance twice.
        modality_dropout: Probability that a present modality is left out of the fused opinion in a step,
            never all of a window, so that a missing modality is met in training.
        learn_reliability: Learn, with the weights, how far fusion believes each modality (from w = 0.9 on);
            the model's configuration keeps it. On data not trained on, `calibrate(…, reliability=True)`.
        ood: Learn, after the weights, how far from the training data the features of new clips
            lie, and discount opinions on what lies further (see `ter_fast.experts.out_of_distribution`).
        class_balance: Power of 1 / class count by which samples are drawn: 0 as they come, 1 evenly.
        balance_corpora: Count the classes of each corpus apart in `class_balance`, so that a small corpus
            is not drowned by a large one; a class that some corpora lack is then drawn less than others.
        crop_seconds: Length of the random stretch of sound that a step sees.
        patience: Epochs without a better validation score before training stops.
        monitor: Validation score: "nll" (lowest) or "uar" (highest).
        precision: Lightning's, such as "32-true" or "bf16-mixed"; "auto" for the latter where the device
            computes in bfloat16 and the former elsewhere, where bfloat16 is several times slower.
        ema: Decay of the exponential moving average of the weights, which is what is validated and kept;
            0 keeps the weights themselves.
        seed: Of the order of the data and of augmentation (the first weights are `Model.build`'s).

    Raises:
        DataError: A value out of its range; the message names it and says what is expected.

    Example:
        >>> Settings(epochs=0)
        Traceback (most recent call last):
        ter_fast.errors.DataError: epochs is 0; expected a whole number from 1 on
    """

    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 2e-3
    backbone_learning_rate: float | None = None
    schedule: str = "one-cycle"
    warmup: float = 0.15
    gradient_clip: float = 5.0
    weight_decay: float = 5e-2
    kind: str = "digamma"
    kl_weight: float = 0.05
    annealing: float = 10.0
    balance: float = 1.0
    conflict_weight: float = 0.0
    label_smoothing: float = 0.0
    class_weight: str = ""
    modality_dropout: float = 0.0
    learn_reliability: bool = False
    ood: bool = False
    class_balance: float = 0.5
    balance_corpora: bool = False
    crop_seconds: float = 3.0
    patience: int = 8
    monitor: str = "nll"
    precision: str = "32-true"
    ema: float = 0.995
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (fits, expected) in _EXPECTED.items():
            if not fits(value := getattr(self, name)):
                raise DataError(f"{name} is {value!r}; expected {expected}")
        if self.balance_corpora and not self.class_balance:
            raise DataError(
                "balance_corpora counts for class_balance, which is 0; raise it, such as to 0.5"
            )


def _is_count(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= 1


def _is_share(value: Any) -> bool:
    return isinstance(value, Real) and 0 <= float(value) < 1


def _is_positive(value: Any) -> bool:
    return isinstance(value, Real) and 0 < float(value) < math.inf


_COUNT = "a whole number from 1 on"
_EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epochs": (_is_count, _COUNT),
    "batch_size": (_is_count, _COUNT),
    "patience": (_is_count, _COUNT),
    "learning_rate": (_is_positive, "a rate above 0, such as 0.002"),
    "backbone_learning_rate": (
        lambda value: value is None or _is_positive(value),
        "a rate above 0, such as 0.00001, or None for learning_rate",
    ),
    "schedule": (SCHEDULES.__contains__, f"one of {', '.join(SCHEDULES)}"),
    "warmup": (_is_share, "a share of the steps, 0 <= it < 1"),
    "gradient_clip": (
        lambda value: value == 0 or _is_positive(value),
        "a norm above 0, or 0 for none",
    ),
    "class_weight": (("", "balanced").__contains__, "balanced, or nothing"),
    "label_smoothing": (_is_share, "a share of the target, 0 <= it < 1"),
    "modality_dropout": (_is_share, "a probability, 0 <= it < 1"),
    "balance_corpora": (lambda value: isinstance(value, bool), "true or false"),
    "crop_seconds": (_is_positive, "seconds above 0, such as 3"),
    "monitor": (("nll", "uar").__contains__, "nll or uar"),
    "ema": (_is_share, "a decay, 0 <= it < 1, with 0 for no average"),
}


def parameter_groups(model: Network, settings: Settings) -> list[dict[str, Any]]:
    """Return the model's parameters as an optimizer takes them, what learns of backbones at its own rate.

    Raises:
        DataError: A rate for backbones, and nothing of a backbone learns.
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
