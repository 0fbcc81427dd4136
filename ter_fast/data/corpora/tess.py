"""TESS: acted English speech of two women, 200 words in seven emotions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ter_fast.data.dataset import Dataset
from ter_fast.data.names import dataset_of_names
from ter_fast.data.registry import register_dataset

REFERENCE = "Pichora-Fuller & Dupuis 2020"
TERMS = f"TESS: CC BY-NC-ND 4.0 ({REFERENCE}), non-commercial use only"

_NAME = re.compile(r"(OAF|YAF|OA)_([a-z]+)_(angry|disgust|fear|happy|neutral|ps|sad)", re.ASCII)
_EMOTION = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "ps": "surprise",
    "sad": "sadness",
}
_AGE = {"OAF": "64", "YAF": "26"}


@register_dataset(
    "tess",
    title="TESS",
    description="acted English words of 2 women",
    modalities=("audio",),
    labels=_EMOTION.values(),
    terms=TERMS,
    reference=REFERENCE,
    split="none published; protocol=leave-YAF-out",
)
def load_tess(path: str | Path) -> Dataset:
    """Read TESS: two women speaking English, 200 words in seven emotions, 2,800 clips.

    Files are ``OAF_back_angry.wav``: the speaker (OAF, aged 64; YAF, aged 26), the word and the
    emotion, ps being pleasant surprise. One was published as ``OA_bite_neutral.wav``: it is
    OAF's. Copies of a clip count once, for some archives hold the whole twice. The group is the
    speaker, so a split has one speaker on each side (``protocol="leave-YAF-out"``).

    Args:
        path: Folder that holds the files, at any depth.

    Raises:
        DataError: No clips, or names that are not TESS's.

    Reference:
        Pichora-Fuller and Dupuis (2020), "Toronto emotional speech set (TESS)".

    Example:
        >>> load_tess("no/such/folder")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: no/such/folder is not a folder. ...
    """

    def describe(said: tuple[str, ...]) -> Mapping[str, str]:
        return {"sex": "female", "age": _AGE[said[0]], "language": "english", "word": said[2]}

    expected = "<speaker>_<word>_<emotion>, as in OAF_back_angry.wav"
    return dataset_of_names(
        "tess", TERMS, Path(path), _parse, expected, _EMOTION, describe, "audio"
    )


def _parse(file: Path) -> tuple[str, ...]:
    match = _NAME.fullmatch(file.stem)
    if match is None or (match[1] == "OA" and file.stem != "OA_bite_neutral"):
        return ()
    return ("YAF" if match[1] == "YAF" else "OAF", match[3], match[2])
