"""`ter-fast bench`: comparisons that others can repeat."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def trust(
    config: Annotated[Path, typer.Argument(help="YAML: sets, methods, settings, seeds.")],
    out: Annotated[Path, typer.Option(help="Folder for the results and the page.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder that files of sets are relative to.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Run this set alone, leaving others to another process; repeatable."),
    ] = None,
) -> None:
    """Compare classifiers of feature views on equal terms, and write one page.

    A run that was cut off goes on where it ended: results are kept as lines of JSON beside the page.
    """
    from ter_fast.comparison import Comparison, run, write_page
    from ter_fast.comparison.run import read_results

    comparison = Comparison.read(config, data)
    results = out / f"{config.stem}.jsonl"
    for found in run(comparison, results, only or ()):
        typer.echo(
            f"{found['set']}  {found['method']}  draw {found['seed']}: "
            f"{100 * found['normal']['accuracy']:.2f} % normal, "
            f"{100 * found['conflictive']['accuracy']:.2f} % conflictive, {found['seconds']} s",
        )
    page = out / f"{config.stem}.md"
    write_page(comparison, read_results(results), page, f"ter-fast bench trust {config.name}")
    typer.echo(f"{page} is written")
