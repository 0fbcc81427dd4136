"""The command `card`: what is known of a model, written to be published with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ter_fast.cli.common import dataset_of, escape_markup
from ter_fast.errors import TerFastError


def card(
    model: Annotated[Path, typer.Argument(help="Folder of the model; its README.md is written.")],
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(
            "--evaluation", "-e",
            help="What evaluate --out wrote, on data that the model has not seen; may be given several times.",
        ),
    ] = None,
    robustness: Annotated[
        list[Path] | None,
        typer.Option("--robustness", "-r", help="What evaluate --corrupt … --out wrote; likewise."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data", "-d",
            help="Data of its training, calibration and test, as train takes them, whose splits the card lists; "
            "likewise.",
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Heading; empty for one made of the modalities.")
    ] = None,
    notes: Annotated[
        Path | None, typer.Option(help="Further limits: a file in Markdown; empty for none.")
    ] = None,
) -> None:  # fmt: skip
    """Write the card of a model, and say what it could not say.

    What is given stays in card.json beside it, and need not be given again until the model changes.
    """
    from ter_fast.experts.card import read_text
    from ter_fast.experts.saving import CARD, holds_own_card, read_facts, write_card

    if not model.is_dir():
        raise TerFastError(
            f"{model} is no folder; give the one that train --out or join --out wrote"
        )
    config, _ = read_facts(model)
    if holds_own_card(model):
        raise TerFastError(
            f"{model / CARD} was written by someone, not by ter-fast; move it away, and give its text by "
            "--notes if the card is to hold it"
        )
    written = write_card(
        model,
        evaluation or None,
        robustness or None,
        [dataset_of([each], config.labels) for each in data] if data else None,
        title=title,
        notes=None if notes is None else read_text(notes),
    )
    console = Console(soft_wrap=True)
    console.print(escape_markup(f"card: {written}"), highlight=False)
    if gaps := read_facts(model)[1].gaps(config):
        console.print("It cannot say:")
        for gap in gaps:
            console.print(escape_markup(f"- {gap}"), highlight=False)
