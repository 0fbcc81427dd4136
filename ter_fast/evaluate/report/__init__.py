"""The report of an evaluation: a page to read, and the pictures and tables behind it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ter_fast.errors import TerFastError
from ter_fast.evaluate.evaluation import Evaluation
from ter_fast.evaluate.report.target import check_report, require_libraries
from ter_fast.evaluate.robustness import Robustness

if TYPE_CHECKING:
    from ter_fast.evaluate.report.sections import Section

__all__ = ["check_report", "write_report", "write_robustness"]


def write_report(evaluation: Evaluation, folder: str | Path) -> Path:
    """Write the report of an evaluation; equal evaluations make equal files.

    Everything is made beside its place first and moved there last, the page after all it stands on,
    so that a run that fails leaves no half page. Files of the same names are replaced and no others
    are touched, so one folder serves one evaluation.

    Args:
        evaluation: What was measured.
        folder: Made if it is not there. It gets `index.html`, which needs no other file but the clips
            that it links to, `figures/` (PNG and SVG), `tables/` (CSV) and `evaluation.json`.

    Returns:
        The page.

    Raises:
        TerFastError: Matplotlib or Jinja2 is missing, `folder` is a file, or it cannot be written to.

    Example:
        >>> import tempfile
        >>> from ter_fast.evaluate.evaluate import measure
        >>> from ter_fast.trust.outcomes import Outcomes
        >>> answers = Outcomes.from_arrays([[0.8, 0.2], [0.4, 0.6]], [0, 0], threshold=0.7)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_report(measure(answers), folder).name
        'index.html'
    """
    return _publish(folder, "index.html", partial(_fill, evaluation, Path(folder)))


def write_robustness(robustness: Robustness, folder: str | Path) -> Path:
    """Write the page of a model under corruptions; it may share a folder with an evaluation's report.

    Args:
        robustness: What was measured.
        folder: Made if it is not there. It gets `robustness.html`, which needs no other file,
            `figures/` (PNG and SVG), `tables/` (CSV) and `robustness.json`.

    Returns:
        The page.

    Raises:
        TerFastError: Matplotlib or Jinja2 is missing, `folder` is a file, or it cannot be written to.
    """
    return _publish(folder, "robustness.html", partial(_fill_robustness, robustness))


def _publish(folder: str | Path, page: str, fill: Callable[[Path], None]) -> Path:
    require_libraries()
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise TerFastError(f"{target} is a file; give a folder for the report")
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=target) as made:
            fill(Path(made))
            _move(Path(made), target, page)
    except OSError as error:
        raise TerFastError(
            f"cannot write the report to {target}: {error.strerror or error}; make room there or "
            "choose another folder"
        ) from error
    return target / page


def _fill(evaluation: Evaluation, target: Path, folder: Path) -> None:
    from ter_fast.evaluate.report.files import write_tables
    from ter_fast.evaluate.report.page import page_of
    from ter_fast.evaluate.report.sections import sections_of

    sections = sections_of(evaluation, target)
    _write_figures(sections, folder)
    write_tables(evaluation, folder / "tables")
    evaluation.to_json(folder / "evaluation.json")
    (folder / "index.html").write_text(page_of(evaluation, sections), encoding="utf-8")


def _fill_robustness(robustness: Robustness, folder: Path) -> None:
    from ter_fast.evaluate.report.page import render
    from ter_fast.evaluate.report.robustness import (
        robustness_facts,
        robustness_sections,
        write_robustness_tables,
    )

    sections = robustness_sections(robustness)
    _write_figures(sections, folder)
    write_robustness_tables(robustness, folder / "tables")
    robustness.to_json(folder / "robustness.json")
    facts = robustness_facts(robustness)
    page = render("Robustness report", robustness.name, facts, sections, "robustness.json")
    (folder / "robustness.html").write_text(page, encoding="utf-8")


def _write_figures(sections: Sequence[Section], folder: Path) -> None:
    for name in ("figures", "tables"):
        (folder / name).mkdir()
    for section in sections:
        for plot in section.plots:
            (folder / "figures" / f"{plot.name}.png").write_bytes(plot.png)
            (folder / "figures" / f"{plot.name}.svg").write_text(plot.svg, encoding="utf-8")


def _move(made: Path, target: Path, page: str) -> None:
    """Move files to their places, the page last."""
    files = sorted(each for each in made.rglob("*") if each.is_file())
    for file in sorted(files, key=lambda each: each.name == page):
        place = target / file.relative_to(made)
        place.parent.mkdir(exist_ok=True)
        file.replace(place)


Evaluation._write, Robustness._write = write_report, write_robustness
