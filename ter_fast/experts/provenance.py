"""Whom a model learned from, and whether data that it is measured on hold some of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from ter_fast.errors import warn
from ter_fast.experts.config import ModelConfig

if TYPE_CHECKING:
    from ter_fast.data import Dataset

MOST_NAMED = 200
"""Speakers or sources of a split beyond which a model's configuration counts them."""

_SHOWN = 5


def named_groups(dataset: Dataset) -> tuple[str, ...] | int:
    """Return the speakers or sources of a dataset, sorted, or how many where they are more than 200.

    A clip that stands for itself, because nothing is known of who speaks, is no group: its path says
    nothing elsewhere.

    Example:
        >>> from ter_fast.data import Dataset, Sample
        >>> clips = (Sample("a.wav", "calm", "", "anna"), Sample("b.wav", "tense", "", "b.wav"))
        >>> named_groups(Dataset("mine", ("calm", "tense"), clips, "CC0", ("audio",)))
        ('anna',)
    """
    names = sorted({each.group for each in dataset if each.group not in ("", each.path)})
    return tuple(names) if len(names) <= MOST_NAMED else len(names)


def groups_by_split(**splits: Dataset) -> dict[str, tuple[str, ...] | int]:
    """Return what `named_groups` says of each split that names any."""
    return {name: found for name, each in splits.items() if (found := named_groups(each))}


def known_groups(
    config: ModelConfig, datasets: Iterable[Dataset], modalities: Collection[str]
) -> tuple[str, ...]:
    """Return the speakers or sources of data from which, by their names, a model learned.

    Names are compared within one corpus alone: speaker "1" of two corpora is two people. Where a model
    only counted its speakers, or was trained before it kept them, none is known. Whoever measures on a split
    called "validation" means those by which training was stopped; speakers of it in other splits count.

    Args:
        config: Of the model.
        datasets: To measure it on.
        modalities: Whose experts are measured.
    """
    found: set[str] = set()
    for dataset in datasets:
        corpora = set(dataset.name.split("+"))
        groups = {each: _groups_beside(dataset, each) for each in ("train", "validation")}
        for record in config.training:
            if corpora & set(record.data.split("+")) and set(record.modalities) & set(modalities):
                for split, names in record.groups.items():
                    found |= groups.get(split, set()) & set(() if isinstance(names, int) else names)
    return tuple(sorted(found))


def _groups_beside(dataset: Dataset, split: str) -> set[str]:
    """Return the groups of clips, of validation only those that are not called so themselves."""
    return {each.group for each in dataset if split == "train" or each.split != split}


def warn_of_known_groups(groups: Collection[str], data: str) -> None:
    """Warn, in a sentence, of groups that a model learned from and is measured on; of none, say nothing."""
    if groups:
        shown = ", ".join(sorted(groups)[:_SHOWN]) + (" …" if len(groups) > _SHOWN else "")
        warn(
            f"{data} shares speakers or sources, by name, with the training or validation data of the model "
            f"({len(groups)}: {shown}), so that figures on it flatter the model: measure on others"
        )
