"""Names of registries in help texts, looked up when a command's own help is asked for.

Corpora and corruptions register themselves as their modules load, which takes a quarter of a second with
NumPy: nobody should wait for it who asks `ter-fast --help` or runs another command. What a user's own code
has registered by then (`--import`) is listed, too.
"""

from __future__ import annotations

from collections.abc import Callable

import typer
from typer.core import TyperCommand


def _corpora() -> str:
    from ter_fast.data import CORPORA

    return ", ".join(CORPORA)


def _corruptions() -> str:
    from ter_fast.media.corrupt import CORRUPTIONS

    return ", ".join(CORRUPTIONS)


def _protocols() -> str:
    from ter_fast.data.protocols import protocol_forms

    return protocol_forms()


_LONGEST_LINE = 200

LISTS: dict[str, Callable[[], str]] = {
    "{corpora}": _corpora,
    "{corruptions}": _corruptions,
    "{protocols}": _protocols,
}
"""What a help text may hold, and what then stands in its place."""


class Command(TyperCommand):
    """A command whose help texts may hold the names in `LISTS`, and whose first line lists show in full."""

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first line of the help, which long lines may break but nothing cuts."""
        return super().get_short_help_str(max(limit, _LONGEST_LINE))

    def format_help(self, ctx: typer.Context, formatter: object) -> None:  # type: ignore[override]
        """Fill the names in, and write the help."""
        for parameter in self.params:
            text = getattr(parameter, "help", None)
            for place, names in LISTS.items():
                if text and place in text:
                    text = text.replace(place, names())
                    parameter.help = text  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)  # type: ignore[arg-type]
