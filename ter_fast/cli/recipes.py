"""What `train --recipe` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from ter_fast.cli.common import dataset_of, escape_markup, note_untested
from ter_fast.errors import TerFastError

# Options of `train` that say nothing which a recipe says too.
BESIDE = (
    *("data", "out", "recipe", "labels", "validation_share", "checkpoints", "max_unreadable"),
    *("face_model", "quiet"),
)


def only_with_recipe(context: typer.Context) -> None:
    """Refuse options that the recipe settles.

    Raises:
        TerFastError: One was given.
    """
    given = [
        name
        for name in context.params
        if name not in BESIDE
        and getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]
    if given:
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        raise TerFastError(
            f"--recipe settles {options}; leave it out, or give a copy of the recipe's YAML that says otherwise"
        )


def by_recipe(
    name: str, data: Sequence[str], out: Path, *, labels: tuple[str, ...], **settings: Any
) -> None:
    """Train by a recipe and say what came of it.

    Args:
        name: Of a recipe, or a YAML file.
        data: What `--data` names; those of the same modalities are one dataset.
        out: Folder for the model.
        labels: Class names; empty for those of the data.
        **settings: Further arguments of `ter_fast.train.recipes.train`.
    """
    from ter_fast.cli.console import thresholds_table
    from ter_fast.train.recipes import Recipe, train

    recipe = Recipe.read(name)
    alike: dict[tuple[str, ...], list[str]] = {}
    for each in data:
        alike.setdefault(dataset_of([each], labels).modalities, []).append(each)
    datasets = [dataset_of(each, labels) for each in alike.values()]
    model = train(recipe, *datasets, out=out, **settings)
    Console().print(thresholds_table(model.config), escape_markup(f"saved to {out}"))
    if said := note_untested(*datasets):
        Console().print(said)
