"""`python -m benchmarks`: comparisons that others can repeat."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ter_fast.cli.imports import import_modules
from ter_fast.errors import DataError

if TYPE_CHECKING:
    from benchmarks.comparison import ComparisonConfig

app = typer.Typer(
    help="Compare `ter_fast` with other methods, and write a page of what came out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.callback()(import_modules)

Render = Annotated[
    bool,
    typer.Option(
        "--render", help="Only write the page anew, from the figures beside it; no data are needed."
    ),
]


@app.command()
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
    render: Render = False,
) -> None:
    """Compare classifiers of feature views on equal terms, and write one page.

    A run that was cut off goes on where it ended: results are kept beside the page, as lines of JSON,
    or, where groups are put into folds, in a folder of answers that you may remove afterwards.
    """
    from benchmarks.comparison import ComparisonConfig, run, write_folds_page, write_page
    from benchmarks.comparison.run import check_settings, read_results

    _check_render_options(render, data=data, only=only)
    comparison = ComparisonConfig.read(config, data)
    page, command = out / f"{config.stem}.md", f"python -m benchmarks trust {config.name}"
    if comparison.protocol is not None:
        if not render and not _in_folds(comparison, page, only or []):
            typer.echo("the page is written by a run without --only, once all sets have run")
            return
        write_folds_page(comparison, page, command)
    else:
        results = page.with_suffix(".jsonl")
        if render:
            check_settings(comparison, results)
        for found in () if render else run(comparison, results, only or ()):
            typer.echo(
                f"{found['set']}  {found['method']}  draw {found['seed']}: "
                f"{100 * found['normal']['accuracy']:.2f} % normal, "
                f"{100 * found['conflictive']['accuracy']:.2f} % conflictive, {found['seconds']} s",
            )
        write_page(comparison, read_results(results), page, command)
    typer.echo(f"{page} is written")


def _in_folds(comparison: ComparisonConfig, page: Path, only: list[str]) -> bool:
    """Run what has not been run, and keep its figures; say whether they are of all sets."""
    from benchmarks.comparison import Answers, run_folds, write_folds_figures

    answers: dict[str, dict[str, list[Answers]]] = {}
    for name, row, seed, found in run_folds(comparison, page.with_suffix(".answers"), only):
        answers.setdefault(name, {}).setdefault(row, []).append(found)
        typer.echo(f"{name}  {row}  seed {seed}: {found.seconds:.1f} s of training")
    if set(answers) != set(comparison.sets):
        return False
    write_folds_figures(comparison, answers, page.with_suffix(".json"))
    return True


def _check_render_options(render: bool, **others: object) -> None:
    """Refuse options of a run where nothing is run."""
    if render and (given := [name for name, value in others.items() if value]):
        raise DataError(
            f"--render writes the page from its figures and runs nothing; leave out --{given[0]}, or "
            "--render"
        )


@app.command()
def media(
    config: Annotated[Path, typer.Argument(help="YAML: experiments, rows, seeds.")],
    out: Annotated[Path, typer.Option(help="Folder for the figures and the page.")],
    data: Annotated[Path | None, typer.Option(help="Folder that data are relative to.")] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for models and answers, outside of any repository."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="EXPERIMENT, EXPERIMENT/ROW or EXPERIMENT/ROW/FOLD, leaving others to another process; "
            "repeatable."
        ),
    ] = None,
    render: Render = False,
) -> None:
    """Train on clips end to end, fold by fold, measure accuracy and trust, and write one page.

    A run that was cut off goes on where it ended. Figures are of all that the work folder holds so far.
    """
    from benchmarks.experiments import Plan, run, summarize, write_page
    from benchmarks.experiments.page import read_lines, write_lines

    _check_render_options(render, data=data, work=work, only=only)
    plan = Plan.read(config)
    figures = out / f"{config.stem}.jsonl"
    if not render:
        if work is None:
            raise DataError(
                "a run keeps models and answers; give a folder for them by --work, or --render to write "
                "the page from the figures that there are"
            )
        for line in run(plan, data or Path(), work, only or ()):
            typer.echo(line)
        write_lines(summarize(plan, work), figures)
    page = out / f"{config.stem}.md"
    write_page(plan, read_lines(figures), page, f"python -m benchmarks media {config.name}")
    typer.echo(f"{page} is written")


@app.command()
def votes(
    out: Annotated[Path, typer.Option(help="Folder for the page and its figures.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Archive of CREMA-D's votes per channel (.npz), or the folder it lies in."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How often actors are halved.")] = 5,
    render: Render = False,
) -> None:
    """Fuse votes of raters who heard with those of raters who saw, and compare with those who did both.

    The archive holds counts (N, 3, K) of voice, face and both, intended (N,), actor (N,), classes (K,).
    """
    from benchmarks.comparison.recorded import write_figures
    from benchmarks.comparison.votes import read_vote_counts
    from benchmarks.comparison.votes_figures import figures_of_votes, fuse_votes
    from benchmarks.comparison.votes_page import write_votes_page

    _check_render_options(render, data=data)
    page = out / "cremad_votes.md"
    if not render:
        if data is None:
            raise DataError("votes are needed; give --data, or --render to write the page anew")
        read = read_vote_counts(data)
        found = fuse_votes(read, seeds, say=typer.echo)
        write_figures(page.with_suffix(".json"), figures_of_votes(read, found))
    write_votes_page(page, "python -m benchmarks votes --data $TER_FAST_DATA/cremad_votes")
    typer.echo(f"{page} is written")
