"""The two sides of training, which share no group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ter_fast.errors import DataError

if TYPE_CHECKING:
    from ter_fast.data import Dataset


def sides(train: Dataset, validation: Dataset | None) -> tuple[Dataset, Dataset]:
    """Return what to learn from and what to validate on.

    Args:
        train: training data, or data with both splits where `validation` is None; a tenth of the groups is
            held out where they have no validation split.
        validation: of other groups.

    Raises:
        DataError: a group stands on both sides.
    """
    from ter_fast.data import with_validation

    if validation is None:
        train = with_validation(train)
        train, validation = train.split("train"), train.split("validation")
    if shared := sorted(train.groups() & validation.groups()):
        raise DataError(
            f"{len(shared)} groups stand in both training and validation data, such as {shared[0]!r}; "
            "split by speaker or source"
        )
    return train, validation
