"""FER2013 as it was published: one table of pixels, or a folder for each class."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

from ter_fast.data.dataset import Sample
from ter_fast.data.files import PICTURE, find_media
from ter_fast.data.messages import counted_examples, require_label
from ter_fast.data.tables import read_table
from ter_fast.errors import DataError

LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""Class names in the order of the numbers that stand for them."""

VOTES = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "not a face",
)
"""What FER+ raters could choose, in the order of the tables."""

TABLES = ("fer2013.csv", "icml_face_data.csv")
VOTE_TABLE = "fer2013new.csv"
SIDE = 48

_VOTE_COLUMNS = ("Usage", "Image name", *VOTES[:-1], "NF")
_SPLIT = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
_FOLDER = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprise": "surprise",
}

Face = tuple[Sample, list[int]]
"""A picture without its target, and its ten FER+ counts, or none."""


def read_pixels(table: Path) -> Iterator[Face]:
    """Read ``fer2013.csv`` (``emotion,pixels,Usage``), with ``fer2013new.csv`` beside it if there.

    Training is ``"train"``, PublicTest ``"validation"`` and PrivateTest ``"test"``, as in the
    contest. Equal pixels are one group.

    Args:
        table: The table of 48 x 48 grey pixels from 0 to 255.

    Raises:
        DataError: A table unlike the published one, or tables of unequal length.

    Example:
        >>> list(read_pixels(Path("no/such.csv")))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: no/such.csv cannot be read (...
    """
    faces = read_table(table, ("emotion", "pixels", "Usage"))
    beside = table.with_name(VOTE_TABLE)
    votes = read_table(beside, _VOTE_COLUMNS) if beside.is_file() else None
    pairs = ((face, None) for face in faces) if votes is None else zip_longest(faces, votes)
    for number, (face, vote) in enumerate(pairs):
        where = f"{table}, row {number + 1}"
        if face is None or (votes is not None and (vote is None or vote["Usage"] != face["Usage"])):
            raise DataError(
                f"{where}: {beside.name} does not go with it row by row. Both hold the "
                f"35,887 pictures in one order; download them again."
            )
        require_label(face["Usage"], _SPLIT, where)
        if face["emotion"] not in map(str, range(len(LABELS))):
            raise DataError(f"{where}: emotion {face['emotion']!r}; expected 0 to 6.")
        pixels = _pixels(face["pixels"], where)
        yield (
            Sample(
                path=f"{table}#{number}",
                label=LABELS[int(face["emotion"])],
                split=_SPLIT[face["Usage"]],
                group=_group(pixels),
                # A portable greymap is the pixels behind a header, which OpenCV reads.
                image=f"P5 {SIDE} {SIDE} 255\n".encode() + pixels,
            ),
            [] if vote is None else _counts(vote, where),
        )


def read_folders(root: Path) -> Iterator[Face]:
    """Read ``train/angry/Training_1.jpg``, ``test/angry/PrivateTest_1.jpg`` and the like.

    The split follows the name where it begins with ``PublicTest`` (validation) or
    ``PrivateTest`` (test), and the folder elsewhere. Equal files are one group.

    Args:
        root: Folder that holds ``train`` and ``test``.

    Raises:
        DataError: No pictures, pictures in other folders, or one that cannot be read.

    Example:
        >>> list(read_folders(Path("no/such/folder")))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: no/such/folder is not a folder. ...
    """
    pictures = find_media(root, PICTURE)
    misplaced = [p.relative_to(root).as_posix() for p in pictures if not _is_placed(p, root)]
    if misplaced:
        raise DataError(
            f"{counted_examples(misplaced, 'picture')} below {root} in no folder of FER2013; "
            f"expected train/<class>/<picture> or test/<class>/<picture> with the classes "
            f"{list(_FOLDER)}. Move other files elsewhere, or use folders:PATH."
        )
    for picture in pictures:
        split, emotion = (part.lower() for part in picture.relative_to(root).parts[:2])
        part = picture.name.partition("_")[0]
        try:
            content = picture.read_bytes()
        except OSError as error:
            raise DataError(
                f"{picture} cannot be read ({error.strerror}). Change its permissions."
            ) from error
        yield (
            Sample(
                path=str(picture),
                label=_FOLDER[emotion],
                split=_SPLIT.get(part, split),
                group=_group(content),
            ),
            [],
        )


def without_copies(faces: Iterable[Face]) -> list[Face]:
    """Leave out of validation and test what has a copy in training, and of validation what test has.

    Example:
        >>> same = [Sample(f"{s}.png", "fear", s, "one") for s in ("train", "validation", "test")]
        >>> [face.split for face, _ in without_copies((s, []) for s in same)]
        ['train']
    """
    found = list(faces)
    groups = {
        split: {face.group for face, _ in found if face.split == split}
        for split in ("train", "test")
    }
    taken = {
        "train": set(),
        "test": groups["train"],
        "validation": groups["train"] | groups["test"],
    }
    return [each for each in found if each[0].group not in taken[each[0].split]]


def _is_placed(picture: Path, root: Path) -> bool:
    parts = [part.lower() for part in picture.relative_to(root).parts]
    return len(parts) == 3 and parts[0] in ("train", "test") and parts[1] in _FOLDER


def _pixels(cell: str, where: str) -> bytes:
    try:
        pixels = bytes(map(int, cell.split()))
    except ValueError as error:
        raise DataError(f"{where}: pixels are not numbers from 0 to 255 ({error}).") from error
    if len(pixels) != SIDE * SIDE:
        raise DataError(f"{where}: {len(pixels)} pixels; expected {SIDE} x {SIDE}. Repair the row.")
    return pixels


def _counts(vote: dict[str, str], where: str) -> list[int]:
    # FER+ gives no name to the pictures that it removed, and their votes are none.
    if not vote["Image name"]:
        return []
    cells = [vote[name] for name in _VOTE_COLUMNS[2:]]
    if not all(cell.isascii() and cell.isdigit() for cell in cells):
        raise DataError(f"{where}: votes {cells} in {VOTE_TABLE}; expected ten whole numbers.")
    return [int(cell) for cell in cells]


def _group(content: bytes) -> str:
    return f"fer2013:{hashlib.sha256(content).hexdigest()[:16]}"
