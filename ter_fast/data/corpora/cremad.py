"""CREMA-D: acted English speech, 91 actors, six emotions, and the votes of its raters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ter_fast.data.dataset import Dataset, Sample
from ter_fast.data.files import FILM, modalities_of
from ter_fast.data.names import read_names, require_option
from ter_fast.data.registry import register_dataset
from ter_fast.data.tables import read_table
from ter_fast.errors import DataError

REFERENCE = "Cao et al. 2014"
TERMS = f"CREMA-D: ODbL 1.0, contents DbCL 1.0 ({REFERENCE})"

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

LABELS = tuple(LETTERS.values())

_EMOTION = dict(zip(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"), LABELS, strict=True))
_INTENSITY = {"LO": "low", "MD": "medium", "HI": "high", "XX": "", "X": ""}
_SENTENCES = "IEO|TIE|IOM|IWW|TAI|MTI|IWL|ITH|DFA|ITS|TSI|WSI"
_NAME = re.compile(
    rf"(10(?:0[1-9]|[1-8]\d|9[01]))_({_SENTENCES})_({'|'.join(_EMOTION)})_(LO|MD|HI|XX|X)",
    re.ASCII,
)

Ballot = tuple[str, str, Mapping[str, float]]
Shares = Mapping[tuple[str, str], tuple[float, ...]]


@register_dataset(
    "cremad",
    title="CREMA-D",
    description="acted English speech, 91 actors, with the votes of its raters",
    modalities=("audio", "video"),
    labels=LABELS,
    terms=TERMS,
    reference=REFERENCE,
)
def load_cremad(
    path: str | Path, label: str = "intended", votes: str = "auto", modality: str = "richest"
) -> Dataset:
    """Read CREMA-D from its file names, and its raters' votes where a table of them lies there.

    Names are actor, sentence, emotion and intensity, as in ``1001_IEO_ANG_HI.wav``. The group is
    the actor; no split is published, so the split is empty (see `ter_fast.data.kfold`). Where
    ``VideoDemographics.csv`` lies there, it gives the actors' sex and age.

    Args:
        path: Folder with ``AudioWAV``, ``AudioMP3`` or ``VideoFlash``, and the tables at any depth.
        label: ``"intended"``, the emotion that was acted; or ``"perceived"``, which most raters
            chose, leaving out the clips on which they tie or that none has seen.
        votes: Whose votes are the soft target: raters who were given the ``"voice"``, the
            ``"face"`` or ``"both"``; ``"auto"`` takes those given what the file holds; ``"none"``
            takes none. The tables are, the fullest first, ``tabulatedVotes.csv``,
            ``finishedResponses.csv`` and ``summaryTable.csv``.
        modality: ``"richest"`` keeps the film of a clip rather than its sound alone;
            ``"audio-visual"`` and ``"audio"`` keep the files of that kind.

    Raises:
        DataError: No clips, names that are not CREMA-D's, an unknown option, or a table that is
            missing or unlike the published one.

    Reference:
        Cao, Cooper, Keutmann, Gur, Nenkova and Verma (2014), "CREMA-D: Crowd-sourced Emotional
        Multimodal Actors Dataset".

    Example:
        >>> load_cremad("clips", label="felt")
        Traceback (most recent call last):
        ter_fast.errors.DataError: cremad: label='felt'; expected one of ['intended', 'perceived'].
    """
    require_option("cremad", "label", label, ("intended", "perceived"))
    require_option("cremad", "votes", votes, ("auto", *CHANNELS, "none"))
    folder = Path(path)
    expected = "<actor>_<sentence>_<emotion>_<intensity>, as in 1001_IEO_ANG_HI.wav"
    recordings = read_names(folder, _parse, "CREMA-D", expected, modality)
    shares = _shares(folder, votes, needed=label == "perceived" or votes in CHANNELS)
    people = _people(folder)
    samples = [_sample(file, said, votes, shares, people) for file, said in recordings]
    if label == "perceived":
        samples = [replace(s, label=top) for s in samples if (top := s.attributes["perceived"])]
        if not samples:
            raise DataError(f"{folder}: raters agree on none of its clips; use label=intended.")
    return Dataset(
        name="cremad",
        labels=LABELS,
        samples=tuple(samples),
        terms=TERMS,
        modalities=tuple(sorted({m for s in samples for m in modalities_of(s.path)})),
    )


def _parse(file: Path) -> tuple[str, ...]:
    match = _NAME.fullmatch(file.stem)
    return match.groups() if match else ()


def _shares(folder: Path, votes: str, needed: bool) -> Shares:
    table = None if votes == "none" and not needed else _find_votes(folder)
    if table is not None:
        return read_votes(table)
    if needed:
        raise DataError(
            f"{folder} holds none of {', '.join(TABLES)}, which tell how the raters voted. Copy "
            f"one there, or use label=intended and votes=none."
        )
    return {}


def _people(folder: Path) -> dict[str, dict[str, str]]:
    tables = sorted(folder.rglob("VideoDemographics.csv"))
    if not tables:
        return {}
    rows = read_table(tables[0], ("ActorID", "Age", "Sex"))
    return {row["ActorID"]: {"sex": row["Sex"].lower(), "age": row["Age"]} for row in rows}


def _sample(
    file: Path,
    said: tuple[str, ...],
    votes: str,
    shares: Shares,
    people: Mapping[str, Mapping[str, str]],
) -> Sample:
    actor, sentence, emotion, intensity = said
    channel = votes
    if votes not in CHANNELS:
        channel = "both" if file.suffix.lower() in FILM else "voice"
    share = shares.get((_canonical(file.stem), channel))
    return Sample(
        path=str(file),
        label=_EMOTION[emotion],
        split="",
        group=f"cremad:{actor}",
        target=None if votes == "none" else share,
        attributes={
            "corpus": "cremad",
            "actor": actor,
            "sentence": sentence,
            "intended": _EMOTION[emotion],
            "perceived": _most(share),
            "intensity": _INTENSITY[intensity],
            "language": "english",
            **people.get(actor, {}),
        },
    )


def _most(share: tuple[float, ...] | None) -> str:
    if share is None or share.count(max(share)) > 1:
        return ""
    return LABELS[share.index(max(share))]


def _find_votes(folder: Path) -> Path | None:
    """Find the fullest table of votes at or below a folder."""
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
        "tabulatedVotes.csv": _read_table,
        "finishedResponses.csv": _responses,
        "summaryTable.csv": _summary,
    }[table.name]
    votes: dict[tuple[str, str], dict[str, float]] = {}
    for clip, channel, ballot in reader(table):
        counts = votes.setdefault((_canonical(clip), channel), dict.fromkeys(LETTERS, 0.0))
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


def _canonical(clip: str) -> str:
    """Spell a clip as the tables do: one file was published as ``…_X`` where they say ``…_XX``."""
    return f"{clip}X" if clip.endswith("_X") else clip


def _read_table(table: Path) -> Iterator[Ballot]:
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
