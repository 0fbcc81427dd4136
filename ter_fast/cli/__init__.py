"""The command `ter-fast`: parse, call, print."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from ter_fast.cli.bench import clips, trust, votes
from ter_fast.cli.card import card
from ter_fast.cli.common import escaped
from ter_fast.cli.data import check_data, fetch_models, prepare
from ter_fast.cli.evaluation import evaluate, info
from ter_fast.cli.imports import import_code
from ter_fast.cli.learning import calibrate, join, train
from ter_fast.cli.media import live, predict
from ter_fast.errors import TerFastError

__all__ = ["app", "main"]

app = typer.Typer(
    name="ter-fast",
    help="Estimate emotions from audio and video, and say when not to trust the estimate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
data_app = typer.Typer(help="Data and the models that prepare it.", no_args_is_help=True)
_COMMANDS: tuple[Callable[..., None], ...]
_COMMANDS = (predict, live, train, join, calibrate, evaluate, card, info)
_command: Callable[..., None]
for _command in _COMMANDS:
    app.command()(_command)
data_app.command("check")(check_data)
data_app.command("fetch-models")(fetch_models)
data_app.command("prepare")(prepare)
app.add_typer(data_app, name="data")
bench_app = typer.Typer(help="Comparisons with other methods.", no_args_is_help=True)
bench_app.callback()(lambda: None)
bench_app.command("trust")(trust)
bench_app.command("votes")(votes)
bench_app.command("media")(clips)
app.add_typer(bench_app, name="bench")


@app.callback()
def _before(
    imports: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="MODULE_OR_FILE.py",
            help="Code of yours that registers encoders or modalities; may be given several times.",
        ),
    ] = None,
) -> None:
    # Modalities count for manifests, and encoders for models, that are loaded after them.
    for name in imports or ():
        import_code(name)


def main() -> None:
    """Run the command line; errors that a user can cause end it with one sentence."""
    try:
        app()
    except TerFastError as error:
        Console(stderr=True, soft_wrap=True).print(
            f"[bold red]error:[/] {escaped(str(error))}", highlight=False
        )
        sys.exit(1)
