"""`--help` at 80 columns: every word of every text is there, and no line is longer."""

from __future__ import annotations

import re

import pytest
import typer
from typer.core import TyperGroup

from helpers.command import Run
from ter_fast.cli import app
from ter_fast.cli.listed_names import LISTS

ROOT = typer.main.get_command(app)


def commands() -> list[tuple[str, ...]]:
    assert isinstance(ROOT, TyperGroup)
    names: list[tuple[str, ...]] = [()]
    for name, command in ROOT.commands.items():
        names.append((name,))
        if isinstance(command, TyperGroup):
            names += [(name, each) for each in command.commands]
    return names


@pytest.mark.parametrize("names", commands(), ids=" ".join)
def test_help_cuts_nothing(run: Run, names: tuple[str, ...]) -> None:
    found = run(*names, "--help")
    assert found.code == 0
    assert max(map(len, found.out.splitlines())) <= 80
    command = ROOT
    for name in names:
        assert isinstance(command, TyperGroup)
        command = command.commands[name]
    words = set(found.out.split())
    texts = [getattr(each, "help", None) or "" for each in command.params]
    if isinstance(command, TyperGroup):
        texts += [(each.help or "").partition("\n\n")[0] for each in command.commands.values()]
    for place, listed in LISTS.items():
        texts = [text.replace(place, listed()) if place in text else text for text in texts]
    missing = [word for text in texts for word in text.split() if word not in words]
    assert missing == []
    options = {name for each in command.params for name in each.opts if name.startswith("-")}
    assert options <= set(re.findall(r"(?<!\S)-{1,2}[a-z][a-z-]*", found.out))
    # A flag takes no value.
    assert "<bool>" not in found.out
