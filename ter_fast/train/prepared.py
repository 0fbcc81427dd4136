"""`fit_prepared`: for experiments that decode once and train often."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ter_fast.errors import TerFastError
from ter_fast.predict.prepare import PreparedData
from ter_fast.train.out_of_distribution import drop_familiarity, learn_familiarity
from ter_fast.train.precision import precision_here
from ter_fast.train.settings import Settings

if TYPE_CHECKING:
    from ter_fast.experts.network import Network


def fit_prepared(
    model: Network,
    train: PreparedData,
    validation: PreparedData,
    settings: Settings,
    *,
    progress: bool = False,
) -> Network:
    """Train a model in place on clips that lie in memory already, to its best validation epoch.

    No groups are compared, no evidence scale is fitted, no record and no checkpoint is kept: `fit` does
    all that. What was familiar to its experts is forgotten, and learned anew only by the settings.

    Args:
        model: the model.
        train: clips as the model's experts read them.
        validation: clips of other speakers or sources.
        settings: how to train.
        progress: show progress.

    Raises:
        DataError: the settings ask for `familiarity`, which the data do not teach.
        TerFastError: Lightning is not installed.
    """
    try:
        import lightning

        from ter_fast.train.session import learn
    except ImportError as error:
        raise TerFastError("training needs Lightning: pip install 'ter_fast[train]'") from error
    settings = replace(settings, precision=precision_here(settings.precision))
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    drop_familiarity(model)
    learn(
        model, train, validation, settings, progress=progress, folder=None, resume=False,
        devices=1, nodes=1, strategy="auto",
    )  # fmt: skip
    if settings.familiarity:
        learn_familiarity(model, train, validation)
    return model.eval()
