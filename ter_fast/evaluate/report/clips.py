"""The clips that a reader should listen to and look at, as players and links."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from ter_fast.evaluate.report.formatting import NO_VALUE, number, path_end, shorten
from ter_fast.evaluate.report.tables import Cell, Link, Table, number_cell, table

if TYPE_CHECKING:
    from ter_fast.trust.outcomes import Outcomes

CLIPS = 10
"""Clips in each list of surprising ones."""

_LONGEST = 24
"""Letters of a name in the lists of clips."""

_SPAN = re.compile(r"(?P<file>.+)#(?P<span>t=[0-9.e+-]+,[0-9.e+-]+)")

_PLAYED = {
    "audio": ".wav .flac .mp3 .ogg .oga .opus .m4a .aac",
    "video": ".mp4 .m4v .webm .ogv .mov",
    "img": ".png .jpg .jpeg .webp .gif .bmp",
}
"""What browsers play or show; other files are links alone."""


def sure_and_wrong(answers: Outcomes, folder: Path) -> Table:
    """Return the wrong predictions with the highest confidence, with links from a folder."""
    wrong = np.flatnonzero(~answers.correct & ~np.isnan(answers.confidence))
    order = wrong[np.argsort(-answers.confidence[wrong], kind="stable")][:CLIPS]
    return _clips("sure-and-wrong", "Most confident and wrong", answers, order, folder)


def unsure_and_right(answers: Outcomes, folder: Path) -> Table:
    """Return the right predictions with the lowest confidence, with links from a folder."""
    right = np.flatnonzero(answers.correct & ~np.isnan(answers.confidence))
    order = right[np.argsort(answers.confidence[right], kind="stable")][:CLIPS]
    return _clips("unsure-and-right", "Least confident and right", answers, order, folder)


def links_of(path: str, folder: Path) -> list[Link]:
    """Return links to the files of a clip that are there, two for a pair of clips.

    Args:
        path: Of the clip, with its span as `Sample.name` writes it; a pair is joined by " + ".
        folder: From which the links lead.

    Example:
        >>> links_of("no/such/clip.wav", Path("report"))
        []
    """
    parts = [path] if " + " not in path or os.path.isfile(path) else path.split(" + ")
    return [link for part in parts if (link := _link(part, folder)) is not None]


def _link(path: str, folder: Path) -> Link | None:
    file, fragment = path, ""
    if not os.path.isfile(path) and (match := _SPAN.fullmatch(path)):
        file, fragment = match["file"], f"#{match['span']}"
    if not os.path.isfile(file):
        return None
    suffix = Path(file).suffix.lower()
    kind = next((name for name, endings in _PLAYED.items() if suffix in endings.split()), "")
    return Link(_address(Path(file), folder) + fragment, path_end(path), kind)


def _address(file: Path, folder: Path) -> str:
    try:
        relative = os.path.relpath(file.resolve(), folder.resolve())
    except ValueError:  # on another drive of Windows
        return file.resolve().as_uri()
    # Names may hold bytes that are no text, and signs that mean something in an address.
    return quote(os.fsencode(Path(relative).as_posix()))


def _clips(
    name: str, caption: str, answers: Outcomes, rows: np.typing.NDArray[np.intp], folder: Path
) -> Table:
    trusted = answers.trusted
    columns = ["Clip", "True", "Predicted", "Confidence"]
    columns += [] if trusted is None else ["Trusted"]
    columns += [] if answers.disagreement is None else ["Disagreement"]
    columns += [f"{modality.capitalize()} alone" for modality in answers.modalities]
    said = [(modality.prediction, modality.uncertainty) for modality in answers.modalities.values()]
    cells = []
    for i in rows:
        path = answers.paths[i]
        row = [
            Cell(path_end(path), _group(answers, i), hover=path, links=links_of(path, folder)),
            _label(answers, answers.target[i]),
            _label(answers, answers.prediction[i]),
            number_cell(float(answers.confidence[i])),
        ]
        row += [] if trusted is None else [Cell("yes" if trusted[i] else "no")]
        if answers.disagreement is not None:
            row.append(number_cell(float(answers.disagreement[i])))
        row += [
            Cell(NO_VALUE, "missing")
            if label[i] < 0
            else _label(answers, label[i], f"uncertainty {number(float(unsure[i]))}")
            for label, unsure in said
        ]
        cells.append(row)
    return table(name, caption, columns, cells)


def _group(answers: Outcomes, row: int) -> str:
    """Return the speaker or source; "" where each clip is its own, which the name already says."""
    group = answers.groups[row]
    return "" if len(set(answers.groups)) == len(answers) else shorten(group, _LONGEST)


def _label(answers: Outcomes, label: int, small: str = "") -> Cell:
    """Return a class, cut where it is so long that its column would push others off the page."""
    name = answers.labels[label]
    return Cell(shorten(name, _LONGEST), small, hover=name if len(name) > _LONGEST else "")
