"""A folder for each class: the layout of many collections without a table."""

from __future__ import annotations

from pathlib import Path

from ter_fast.data.aliases import SPLIT_NAMES, split_name
from ter_fast.data.dataset import Dataset, Sample
from ter_fast.data.files import FILM, PICTURE, SOUND, find_media, modalities_of
from ter_fast.data.messages import counted_examples
from ter_fast.errors import DataError

TERMS = "not stated: data of the user's own folders"


def load_folders(path: str | Path) -> Dataset:
    """Read ``<class>/<file>``, or ``<split>/<class>/<file>`` where the first folders are splits.

    A folder between, as in ``<class>/<group>/<file>``, is the group: the speaker or source. Where
    there is none each file is its own group, and nothing can tell whether a speaker stands on
    both sides of a split. Splits may go by any of `ter_fast.data.aliases.SPLIT_NAMES`, such as
    training, val, dev or testing; without them the split is empty (see `ter_fast.data.holdout`). Class names
    are the folders' own.

    Args:
        path: Folder that holds the folders of the classes, or of the splits.

    Raises:
        DataError: No media, a file outside a class's folder, or splits beside classes.

    Example:
        >>> load_folders("no/such/folder")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: no/such/folder is not a folder. ...
    """
    root = Path(path)
    files = find_media(root, FILM + SOUND + PICTURE)
    places = [file.relative_to(root).parts[:-1] for file in files]
    first = {place[0] for place in places if place}
    splits = {name for name in first if name.lower() in SPLIT_NAMES}
    if splits and splits != first:
        raise DataError(
            f"{root} holds the splits {sorted(splits)} beside {sorted(first - splits)[:3]}. "
            f"Put every class below a split, or none."
        )
    depth = 2 if splits else 1
    form = "<split>/<class>/<file>" if splits else "<class>/<file>"
    stray = [
        str(file.relative_to(root))
        for file, place in zip(files, places, strict=True)
        if not depth <= len(place) <= depth + 1
    ]
    if stray:
        raise DataError(
            f"{counted_examples(stray, 'file')} below {root} not in {form} or with one folder of "
            f"a group before the file. Move other files elsewhere, or describe them in a manifest."
        )
    samples = tuple(
        _sample(file, place, depth, root.name) for file, place in zip(files, places, strict=True)
    )
    return Dataset(
        name=root.resolve().name,
        labels=tuple(sorted({s.label for s in samples})),
        samples=samples,
        terms=TERMS,
        modalities=tuple(sorted({m for s in samples for m in modalities_of(s.path)})),
    )


def _sample(file: Path, place: tuple[str, ...], depth: int, name: str) -> Sample:
    return Sample(
        path=str(file),
        label=place[depth - 1],
        split=split_name(place[0]) if depth == 2 else "",
        group=f"{name}:{place[depth]}" if len(place) > depth else str(file),
        attributes={"corpus": "folders"},
    )
