"""The user's own code that `--import` names: it registers encoders, modalities, corpora and corruptions."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from ter_fast import __version__
from ter_fast.errors import TerFastError


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ter_fast {__version__}")
        raise typer.Exit


def import_modules(
    imports: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="MODULE_OR_FILE.py",
            help="Code of yours that registers encoders, modalities, corpora or corruptions; may be given several "
            "times.",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Import all code that a command line names, before its command runs.

    Modalities count for manifests, and encoders for models, that are loaded after them.
    """
    for name in imports or ():
        import_code(name)


def import_code(name: str) -> ModuleType:
    """Import a module by its name, or a file as a module of the file's name.

    Both are found as a script would find them: a module also in the working directory, and what a file
    imports also beside it, after everything that is installed.

    Args:
        name: A module such as "my_package.encoders", or a file such as "encoders.py".

    Raises:
        TerFastError: There is no such file or module, or it fails as it is imported.

    Example:
        >>> import_code("gone.py")
        Traceback (most recent call last):
        ter_fast.errors.TerFastError: --import gone.py: there is no such file; ...
    """
    given = Path(name)
    is_file = given.suffix == ".py" or os.sep in name
    if is_file and not (given.is_file() and given.suffix == ".py"):
        what = "that is no .py file" if given.exists() else "there is no such file"
        raise TerFastError(
            f"--import {name}: {what}; give a Python file, or the name of a module such as package.module"
        )
    folder = os.path.abspath(given.parent) if is_file else os.getcwd()
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        return _module_of(given.resolve()) if is_file else importlib.import_module(name)
    # Whatever code of others may raise; a script without a guard may also end itself.
    except (Exception, SystemExit) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise TerFastError(
            f"--import {name}: it could not be imported ({type(error).__name__}: {reason}); fix it, or "
            "correct the name"
        ) from error


def _module_of(file: Path) -> ModuleType:
    """Import a file once, as a module of its name."""
    name = file.stem
    if (known := sys.modules.get(name)) is not None:
        if getattr(known, "__file__", None) == str(file):
            return known
        raise ImportError(f"another module is called {name!r}; rename the file")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # As an import does, so that other files of the user's get this module and not a second one.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
