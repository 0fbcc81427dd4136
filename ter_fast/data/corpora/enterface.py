"""eNTERFACE'05: people of many countries reacting in English, six emotions, sound and pictures."""

from __future__ import annotations

import re
from pathlib import Path

from ter_fast.data.dataset import Dataset, Sample
from ter_fast.data.files import FILM, find_media
from ter_fast.data.messages import counted_examples
from ter_fast.data.registry import register_dataset
from ter_fast.errors import DataError

REFERENCE = "Martin et al. 2006"
TERMS = f"eNTERFACE'05: MIT licence as its site states ({REFERENCE})"

LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")

_SUBJECT = re.compile(r"subject[ _-]?([1-9]\d?)", re.ASCII)
_SENTENCE = re.compile(r"sentence[ _-]?([1-5])", re.ASCII)
_UNCUT = "6"


@register_dataset(
    "enterface",
    title="eNTERFACE'05",
    description="reactions acted in English, people of many countries",
    modalities=("audio", "video"),
    labels=LABELS,
    terms=TERMS,
    reference=REFERENCE,
)
def load_enterface(path: str | Path) -> Dataset:
    """Read eNTERFACE'05 from ``subject 1/anger/sentence 1/s1_an_1.avi``.

    Subject, emotion and sentence are read from the folders, for some file names have slips of
    the pen and those of subject 11 say 12. The group is the subject; the corpus publishes
    neither sex nor age of any. Subject 6 was never cut into sentences and is left out, as the
    published figures do. No split is published (see `ter_fast.data.kfold`). Each emotion has
    sentences of its own, so words alone give it away: figures from sound compare with no corpus
    whose emotions share their sentences.

    Args:
        path: Folder that holds ``subject 1`` …, at any depth.

    Raises:
        DataError: No films, or films in other folders.

    Reference:
        Martin, Kotsia, Macq and Pitas (2006), "The eNTERFACE'05 Audio-Visual Emotion Database".

    Example:
        >>> load_enterface("no/such/folder")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: no/such/folder is not a folder. ...
    """
    folder = Path(path)
    parsed = [(film, _parse(film.relative_to(folder))) for film in find_media(folder, FILM)]
    misplaced = [film.relative_to(folder).as_posix() for film, fields in parsed if fields is None]
    if misplaced:
        raise DataError(
            f"{counted_examples(misplaced, 'film')} below {folder} in no folder of eNTERFACE'05; "
            f"expected subject <n>/<emotion>/sentence <n>/<film>. Move other files elsewhere, or "
            f"describe them in a manifest."
        )
    samples = tuple(
        _sample(film, fields) for film, fields in parsed if fields and fields[0] != _UNCUT
    )
    return Dataset("enterface", LABELS, samples, TERMS, ("audio", "video"))


def _parse(film: Path) -> tuple[str, str, str] | None:
    parts = [part.lower() for part in film.parts[:-1]]
    subject = next((m[1] for part in parts if (m := _SUBJECT.fullmatch(part))), "")
    emotion = next((part for part in parts if part in LABELS), "")
    sentence = next((m[1] for part in parts if (m := _SENTENCE.fullmatch(part))), "")
    if not subject or not emotion or not (sentence or subject == _UNCUT):
        return None
    return subject, emotion, sentence


def _sample(film: Path, said: tuple[str, str, str]) -> Sample:
    subject, emotion, sentence = said
    return Sample(
        path=str(film),
        label=emotion,
        split="",
        group=f"enterface:{subject}",
        attributes={
            "corpus": "enterface",
            "subject": subject,
            "sentence": sentence,
            "language": "english",
        },
    )
