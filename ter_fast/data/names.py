"""Corpora that say everything in the names of their files: one strict reading of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ter_fast.data.dataset import Dataset, Sample
from ter_fast.data.files import FILM, SOUND, find_media, modalities_of
from ter_fast.data.messages import counted_examples
from ter_fast.errors import DataError

MODALITIES = ("richest", "audio-visual", "audio")
"""What to keep of a performance that lies there as a film and as a sound file."""

Recording = tuple[Path, tuple[str, ...]]
"""A file, and what its name says."""


def read_names(
    folder: Path,
    parse: Callable[[Path], tuple[str, ...]],
    corpus: str,
    expected: str,
    modality: str = "richest",
) -> list[Recording]:
    """List the recordings below a folder, each performance once, with what their names say.

    Args:
        folder: Where the corpus lies; its media are found at any depth.
        parse: From a path to what it says, which identifies the performance; nothing for a name
            that is none of the corpus.
        corpus: Name of the corpus, for messages.
        expected: The form of its names with an example, for messages.
        modality: ``"richest"`` keeps the film of a performance rather than its sound alone;
            ``"audio-visual"`` and ``"audio"`` keep the files of that kind.

    Raises:
        DataError: No media, names that `parse` refuses, an unknown `modality`, or none of it.

    Example:
        >>> read_names(Path("no/such/folder"), lambda file: (), "tess", "…")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: no/such/folder is not a folder. ...
    """
    require_option(corpus, "modality", modality, MODALITIES)
    parsed = [(file, parse(file)) for file in find_media(folder)]
    unnamed = [file.name for file, fields in parsed if not fields]
    if unnamed:
        raise DataError(
            f"{counted_examples(unnamed, 'file')} below {folder} without a name of {corpus}; "
            f"expected {expected}. Move other files elsewhere, or describe them in a manifest."
        )
    if modality != "richest":
        wanted = SOUND if modality == "audio" else FILM
        parsed = [(file, fields) for file, fields in parsed if file.suffix.lower() in wanted]
    if not parsed:
        raise DataError(
            f"{folder} holds no file of {corpus} with modality={modality!r}. "
            f"Leave the option out to take what is there."
        )
    once: dict[tuple[str, ...], Path] = {}
    for file, fields in sorted(parsed, key=lambda each: each[0].suffix.lower() in SOUND):
        once.setdefault(fields, file)
    return sorted((file, fields) for fields, file in once.items())


def dataset_of_names(
    corpus: str,
    terms: str,
    folder: Path,
    parse: Callable[[Path], tuple[str, ...]],
    expected: str,
    emotions: Mapping[str, str],
    describe: Callable[[tuple[str, ...]], Mapping[str, str]],
    modality: str = "richest",
) -> Dataset:
    """Read a corpus whose names say speaker and emotion first, and publish no split.

    Args:
        corpus: Name of the corpus.
        terms: Its licence or terms of use.
        folder: Where it lies; its media are found at any depth.
        parse: As for `read_names`: the speaker, the emotion as the corpus writes it, and the rest.
        expected: The form of its names with an example, for messages.
        emotions: Class names by what the corpus writes; recordings of others are left out.
        describe: From what a name says to further attributes of the sample.
        modality: As for `read_names`.

    Raises:
        DataError: As for `read_names`.

    Example:
        >>> dataset_of_names(
        ...     "tess", "", Path("no/such/folder"), lambda file: (), "…", {}, lambda said: {}
        ... )  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: no/such/folder is not a folder. ...
    """
    samples = tuple(
        Sample(
            path=str(file),
            label=emotions[fields[1]],
            split="",
            group=f"{corpus}:{fields[0]}",
            attributes={"corpus": corpus, "speaker": fields[0], **describe(fields)},
        )
        for file, fields in read_names(folder, parse, corpus, expected, modality)
        if fields[1] in emotions
    )
    return Dataset(
        name=corpus,
        labels=tuple(sorted(emotions.values())),
        samples=samples,
        terms=terms,
        modalities=tuple(sorted({m for s in samples for m in modalities_of(s.path)})),
    )


def require_option(corpus: str, name: str, value: str, known: tuple[str, ...]) -> None:
    """Raise unless an option has one of its values.

    Raises:
        DataError: With the option, the value given and the values expected.

    Example:
        >>> require_option("cremad", "label", "intended", ("intended", "perceived"))
    """
    if value not in known:
        raise DataError(f"{corpus}: {name}={value!r}; expected one of {list(known)}.")
