"""How CREMA-D's raters voted, from whichever of its published tables lies there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ter_fast.data.tables import read_table
from ter_fast.errors import DataError

CHANNELS = ("voice", "face", "both")
"""What the raters were given: the sound alone, the pictures alone, or both."""

LETTERS = {
    "A": "anger",
    "D": "disgust",
    "F": "fear",
    "H": "happiness",
    "N": "neutral",
    "S": "sadness",
}
"""What the raters could choose, sorted, as the tables abbreviate it."""

TABLES = ("tabulatedVotes.csv", "finishedResponses.csv", "summaryTable.csv")
"""The tables, the fullest first; the last holds only which choice had most votes."""

_SUMMARY = {"voice": "VoiceVote", "face": "FaceVote", "both": "MultiModalVote"}

Ballot = tuple[str, str, Mapping[str, float]]


def find_votes(folder: Path) -> Path | None:
    """Find the fullest table of votes at or below a folder.

    Example:
        >>> find_votes(Path("no/such/folder")) is None
        True
    """
    if not folder.is_dir():
        return None
    for name in TABLES:
        found = sorted(folder.rglob(name))
        if found:
            return found[0]
    return None


def read_votes(table: Path) -> dict[tuple[str, str], tuple[float, ...]]:
    r"""Read the votes for each clip and channel as shares over the six emotions.

    With counts, the share of emotion $k$ is $n_k / \sum_j n_j$. ``summaryTable.csv`` names only
    what had most votes: these share one equally.

    Args:
        table: A file named as one of `TABLES`.

    Returns:
        Shares (6,), in the order of `LETTERS`, by clip (file name without its ending) and
        channel; clips without votes in a channel are left out.

    Raises:
        DataError: The file is no such table, or names a clip, a channel or an emotion that is
            none of CREMA-D's.

    Reference:
        Cao et al. (2014), "CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset".

    Example:
        >>> read_votes(Path("no/such/summaryTable.csv"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: no/such/summaryTable.csv cannot be read ...
    """
    reader = {
        "tabulatedVotes.csv": _tabulated,
        "finishedResponses.csv": _responses,
        "summaryTable.csv": _summary,
    }[table.name]
    votes: dict[tuple[str, str], dict[str, float]] = {}
    for clip, channel, ballot in reader(table):
        counts = votes.setdefault((canonical(clip), channel), dict.fromkeys(LETTERS, 0.0))
        for letter, count in ballot.items():
            if letter not in counts:
                raise DataError(
                    f"{table}, clip {clip}: unknown emotion {letter!r}; expected one of "
                    f"{list(LETTERS)}. Download the table again."
                )
            counts[letter] += count
    totals = {key: sum(counts.values()) for key, counts in votes.items()}
    return {
        key: tuple(count / totals[key] for count in counts.values())
        for key, counts in votes.items()
        if totals[key] > 0
    }


def canonical(clip: str) -> str:
    """Spell a clip as the tables do: one file was published as ``…_X`` where they say ``…_XX``.

    Example:
        >>> canonical("1040_ITH_SAD_X")
        '1040_ITH_SAD_XX'
    """
    return f"{clip}X" if clip.endswith("_X") else clip


def _tabulated(table: Path) -> Iterator[Ballot]:
    # The unnamed first column numbers the rows of voice from 100001, of face from 200001, and of
    # both from 300001; nothing else tells the channels apart.
    for row in read_table(table, ("", *LETTERS, "fileName")):
        number = _number(row[""], table)
        yield (
            row["fileName"],
            _channel(number // 100_000, table),
            {letter: _number(row[letter], table) for letter in LETTERS},
        )


def _responses(table: Path) -> Iterator[Ballot]:
    for row in read_table(table, ("queryType", "clipName", "respEmo")):
        channel = _channel(_number(row["queryType"], table), table)
        yield row["clipName"], channel, {row["respEmo"]: 1}


def _summary(table: Path) -> Iterator[Ballot]:
    for row in read_table(table, ("FileName", *_SUMMARY.values())):
        for channel, column in _SUMMARY.items():
            yield row["FileName"], channel, dict.fromkeys(filter(None, row[column].split(":")), 1)


def _channel(number: int, table: Path) -> str:
    if not 1 <= number <= len(CHANNELS):
        raise DataError(
            f"{table}: channel {number}; expected 1 (voice), 2 (face) or 3 (both). "
            f"Download the table again."
        )
    return CHANNELS[number - 1]


def _number(cell: str, table: Path) -> int:
    if not (cell.isascii() and cell.isdigit()):
        raise DataError(f"{table}: {cell!r} where a whole number stands. Download it again.")
    return int(cell)
