"""The command `ter-fast`: parse, call, print."""

from __future__ import annotations

from collections.abc import Callable

import typer

from ter_fast.cli.calibration import calibrate, join
from ter_fast.cli.card import card
from ter_fast.cli.common import run
from ter_fast.cli.data import check_data, fetch_models, prepare
from ter_fast.cli.evaluation import evaluate, info
from ter_fast.cli.imports import import_modules
from ter_fast.cli.learning import train
from ter_fast.cli.listed_names import Command
from ter_fast.cli.media import live, predict

__all__ = ["app", "main"]

app = typer.Typer(
    name="ter-fast",
    help="Estimate emotions from audio and video, and say when not to trust the estimate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(
    help="Data and the models that prepare it.", no_args_is_help=True, rich_markup_mode=None
)
_COMMANDS: tuple[Callable[..., None], ...]
_COMMANDS = (predict, live, train, join, calibrate, evaluate, card, info)
_command: Callable[..., None]
for _command in _COMMANDS:
    app.command(cls=Command)(_command)
data_app.command("check", cls=Command)(check_data)
data_app.command("fetch-models", cls=Command)(fetch_models)
data_app.command("prepare", cls=Command)(prepare)
app.add_typer(data_app, name="data")
app.callback()(import_modules)


def main() -> None:
    """Run the command line; errors that a user can cause end it with one sentence."""
    run(app)
