"""What several commands do: load a model, read data, say warnings as sentences."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import typer
from rich.console import Console

from ter_fast.cli.encoding import escape_unencodable
from ter_fast.errors import TerFastError
from ter_fast.media.text import clean

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.model import Model


_BREAKS = "\n\t"


def run(app: typer.Typer) -> None:
    """Run a command line; errors that a user can cause end it with one sentence."""
    escape_unencodable()
    try:
        app()
    except TerFastError as error:
        Console(stderr=True, soft_wrap=True).print(
            f"[bold red]error:[/] {escape_markup(str(error))}", highlight=False
        )
        sys.exit(1)


def load(name: str, device: str = "cpu") -> Model:
    """Load a model on a device, or say in a sentence why not."""
    from ter_fast.model import Model

    model = Model.from_pretrained(name)
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise TerFastError(
            f"the device {device!r} cannot be used ({str(error).splitlines()[0]}); try --device cpu"
        ) from error


@contextlib.contextmanager
def warnings_as_sentences() -> Iterator[None]:
    """Print what the package warns of as sentences, each once, without the lines of code that warned."""
    said: set[str] = set()

    def say(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if str(message) in said:
            return
        said.add(str(message))
        Console(stderr=True, soft_wrap=True).print(
            f"[bold yellow]warning:[/] {escape_markup(str(message))}",
            highlight=False,
        )

    with warnings.catch_warnings():
        warnings.showwarning = say
        yield


def dataset_of(
    specifications: Sequence[str], labels: tuple[str, ...] = (), rename: Sequence[str] | None = None
) -> Dataset:
    """Read the datasets that `--data` names, as one."""
    from ter_fast.data import load_dataset

    with warnings_as_sentences():
        return load_dataset("+".join(specifications), labels or None, rename=renamed(rename))


def datasets_of(
    specifications: Sequence[str], labels: tuple[str, ...] = (), rename: Sequence[str] | None = None
) -> list[Dataset]:
    """Read the datasets that `--data` names, each by itself."""
    from ter_fast.data import load_datasets

    with warnings_as_sentences():
        return load_datasets(specifications, labels or None, rename=renamed(rename))


def renamed(entries: Sequence[str] | None) -> dict[str, str]:
    """Read the entries of `--rename`, new name by old name.

    Raises:
        TerFastError: An entry of another form, or two for one name.
    """
    names: dict[str, str] = {}
    for entry in entries or ():
        old, equals, new = (part.strip() for part in entry.partition("="))
        if not (old and equals and new):
            raise TerFastError(f"--rename {entry!r}: expected OLD=NEW, such as joy=happiness")
        if names.setdefault(old, new) != new:
            raise TerFastError(
                f"--rename gives the label {old!r} two names, {names[old]!r} and {new!r}; give one"
            )
    return names


def note_untested(*datasets: Dataset) -> str:
    """Return a note on training data without a test split; "" where all have one."""
    names = [
        dataset.name for dataset in datasets if all(sample.split != "test" for sample in dataset)
    ]
    if not names:
        return ""
    return (
        f"[yellow]{escape_markup(', '.join(names))}: no test split, so every figure above is of clips that training "
        "or calibration has used. "
        "Measure on other people's clips, or train on --data …?protocol=5-fold-1, which keeps some.[/]"
    )


def names_in(text: str) -> tuple[str, ...]:
    """Split a list that commas part."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def options_of(context: typer.Context, names: Iterable[str]) -> dict[str, Any]:
    """Return the values of those options of the running command that have one of these names.

    So what is passed on as it is, under its own name, is named once: where the option is declared.
    """
    return {name: context.params[name] for name in names if name in context.params}


def number_or_name(text: str | None) -> Any:
    """Read an option that takes a number or a name; what it is passed to checks either."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def escape_markup(text: str) -> str:
    """Return text in which rich sees no markup, and the terminal no control characters."""
    from rich.markup import escape

    return escape(clean(text, keep=_BREAKS))
