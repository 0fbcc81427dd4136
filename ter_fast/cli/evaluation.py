"""The commands that tell: `evaluate` and `info`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console

from ter_fast.cli.common import (
    dataset_of,
    datasets_of,
    escape_markup,
    load,
    names_in,
    warnings_as_sentences,
)
from ter_fast.cli.options import (
    DataOption,
    DeviceOption,
    FaceModelOption,
    ModelOption,
    QuietOption,
    RenameOption,
)
from ter_fast.errors import TerFastError

if TYPE_CHECKING:
    from ter_fast.evaluate.evaluation import Evaluation
    from ter_fast.evaluate.robustness import Robustness
    from ter_fast.model import Model

Measured = TypeVar("Measured", "Evaluation", "Robustness")


def evaluate(
    data: DataOption,
    model: ModelOption = "default",
    split: Annotated[str, typer.Option(help="Split to measure on.")] = "test",
    modalities: Annotated[
        str, typer.Option(help="Use only these, such as audio or audio,video.")
    ] = "",
    by: Annotated[
        str, typer.Option(help="Attributes of the clips to break trust down by, such as sex,age.")
    ] = "",
    against: Annotated[
        str | None, typer.Option(help="A second model: the differences on the same clips.")
    ] = None,
    corrupt: Annotated[
        str,
        typer.Option(
            help="Measure under corruptions instead: suite, or names with commas between, of "
            "{corruptions}."
        ),
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of resampling, pairing and corruptions.")] = 0,
    name: Annotated[
        str, typer.Option(help="What reports and cards call the data; else what it calls itself.")
    ] = "",
    rename: RenameOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for the report, in which an older report is replaced; or a .json for the figures alone.",
        ),
    ] = None,
    device: DeviceOption = "cpu",
    face_model: FaceModelOption = None,
    quiet: QuietOption = False,
) -> None:
    """Measure accuracy and trust on labelled data, with 95 % intervals resampled by group.

    Give --data twice, one dataset per modality, to measure a joined model on pairs of equal label.
    """
    if corrupt:
        if by or against:
            raise TerFastError(
                "--corrupt measures one model as a whole; leave --by and --against out"
            )
        _evaluate_corrupted(
            data,
            model,
            split,
            modalities,
            corrupt,
            seed,
            name,
            rename,
            out,
            device,
            face_model,
            quiet,
        )
        return
    from ter_fast.cli.console import comparison_table, evaluation_table
    from ter_fast.evaluate.report import check_report

    if out is not None:
        check_report(out)
    first, *others = (load(each, device) for each in (model, against) if each is not None)

    def measure(loaded: Model) -> Evaluation:
        found = loaded.evaluate(
            *(each.split(split) for each in datasets_of(data, loaded.config.labels, rename)),
            modalities=names_in(modalities) or None,
            by=names_in(by) or None,
            seed=seed,
            face_model=face_model,
            progress=not quiet,
        )
        return _named(found, name, data, split)

    with warnings_as_sentences():
        figures = measure(first)
        Console().print(evaluation_table(figures))
        for other in others:
            Console().print(comparison_table(figures.compare(measure(other)), model, str(against)))
    if out is None:
        return
    if out.suffix == ".json":
        figures.to_json(out)
    else:
        Console().print(escape_markup(f"report: {figures.save(out)}"))


def _evaluate_corrupted(
    data: list[str],
    model: str,
    split: str,
    modalities: str,
    corruptions: str,
    seed: int,
    name: str,
    rename: list[str] | None,
    out: Path | None,
    device: str,
    face_model: Path | None,
    quiet: bool,
) -> None:
    from ter_fast.cli.robustness_table import robustness_table
    from ter_fast.evaluate.report import check_report

    if out is not None:
        check_report(out, "robustness.html")
    loaded = load(model, device)
    found = loaded.evaluate_corrupted(
        dataset_of(data, loaded.config.labels, rename).split(split),
        corruptions,
        seed=seed,
        modalities=names_in(modalities) or None,
        face_model=face_model,
        progress=not quiet,
    )
    found = _named(found, name, data, split)
    Console().print(robustness_table(found))
    if out is None:
        return
    if out.suffix == ".json":
        found.to_json(out)
    else:
        Console().print(escape_markup(f"report: {found.save(out)}"))


def _named(found: Measured, name: str, data: list[str], split: str) -> Measured:
    """Return figures under the name that was asked for, with the data as they were given."""
    given = f"{' and '.join(data)}, split {split}"
    return replace(found, name=name or found.name, origin={**found.origin, "data": given})


def info(
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Also describe this model.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show versions, and which backends are active and why."""
    from ter_fast.cli.information import info_table, model_table
    from ter_fast.experts.installation import information

    described = None if model is None else load(model)
    if as_json:
        entries = information()
        if described is not None:
            entries["model"] = json.loads(described.config.to_json())
        sys.stdout.write(json.dumps(entries, indent=2) + "\n")
        return
    Console().print(info_table(information()))
    if described is not None:
        Console().print(model_table(described))
