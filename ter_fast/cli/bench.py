"""`ter-fast bench`: comparisons that others can repeat."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ter_fast.comparison import Comparison


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

    A run that was cut off goes on where it ended: results are kept beside the page, as lines of JSON,
    or, where groups are put into folds, in a folder of answers that you may remove afterwards.
    """
    from ter_fast.comparison import Comparison, run, write_page
    from ter_fast.comparison.run import read_results

    comparison = Comparison.read(config, data)
    if comparison.protocol is not None:
        _trust_in_folds(comparison, config, out, only or [])
        return
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


def _trust_in_folds(comparison: Comparison, config: Path, out: Path, only: list[str]) -> None:
    from ter_fast.comparison.answers import run_folds
    from ter_fast.comparison.folds_page import write_folds_page
    from ter_fast.comparison.kept_answers import Answers

    answers: dict[str, dict[str, list[Answers]]] = {}
    for name, row, seed, found in run_folds(comparison, out / f"{config.stem}.answers", only):
        answers.setdefault(name, {}).setdefault(row, []).append(found)
        typer.echo(f"{name}  {row}  seed {seed}: {found.seconds:.1f} s of training")
    page = out / f"{config.stem}.md"
    write_folds_page(comparison, answers, page, f"ter-fast bench trust {config.name}")
    typer.echo(f"{page} is written")


def clips(
    config: Annotated[Path, typer.Argument(help="YAML: experiments, rows, seeds.")],
    out: Annotated[Path, typer.Option(help="Folder for the figures and the page.")],
    data: Annotated[Path | None, typer.Option(help="Folder that data are relative to.")] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            help="Folder for models and answers; without it the page is written from figures alone."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="EXPERIMENT, EXPERIMENT/ROW or EXPERIMENT/ROW/FOLD, leaving others to another process; "
            "repeatable."
        ),
    ] = None,
) -> None:
    """Train on clips end to end, fold by fold, measure accuracy and trust, and write one page.

    A run that was cut off goes on where it ended. Figures are of all that the work folder holds so far.
    """
    from ter_fast.experiments import Plan, run, summarize, write_page
    from ter_fast.experiments.page import read_lines, write_lines

    plan = Plan.read(config)
    figures = out / f"{config.stem}.jsonl"
    if work is None:
        lines = read_lines(figures)
    else:
        for line in run(plan, data or Path(), work, only or ()):
            typer.echo(line)
        lines = write_lines(summarize(plan, work), figures)
    page = out / f"{config.stem}.md"
    write_page(plan, lines, page, f"ter-fast bench media {config.name}")
    typer.echo(f"{page} is written")


def votes(
    data: Annotated[
        Path,
        typer.Option(
            help="Archive of CREMA-D's votes per channel (.npz), or the folder it lies in."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the page and its figures.")],
    seeds: Annotated[int, typer.Option(min=1, help="How often actors are halved.")] = 5,
) -> None:
    """Fuse votes of raters who heard with those of raters who saw, and compare with those who did both.

    The archive holds counts (N, 3, K) of voice, face and both, intended (N,), actor (N,), classes (K,).
    """
    from ter_fast.comparison.votes import read_vote_counts
    from ter_fast.comparison.votes_page import fuse_votes, write_votes_page

    read = read_vote_counts(data)
    found = fuse_votes(read, seeds, say=typer.echo)
    page = out / "cremad_votes.md"
    write_votes_page(read, found, page, "ter-fast bench votes --data $TER_FAST_DATA/cremad_votes")
    typer.echo(f"{page} is written")
