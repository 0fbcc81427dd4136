"""SAVEE: acted English speech of four men, seven emotions, sound and films."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ter_fast.data.dataset import Dataset
from ter_fast.data.names import dataset_of_names
from ter_fast.data.registry import register_dataset

REFERENCE = "Haq & Jackson 2010"
TERMS = f"SAVEE: research use, on registration ({REFERENCE})"

_NAME = re.compile(r"(?:(DC|JE|JK|KL)_)?(a|d|f|h|n|sa|su)(\d\d?)", re.ASCII)
_SPEAKERS = ("DC", "JE", "JK", "KL")
_EMOTION = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}


@register_dataset(
    "savee",
    title="SAVEE",
    description="acted English speech of 4 men",
    modalities=("audio", "video"),
    labels=_EMOTION.values(),
    terms=TERMS,
    reference=REFERENCE,
    split="none published; protocol=leave-DC-out",
)
def load_savee(path: str | Path, modality: str = "richest") -> Dataset:
    """Read SAVEE: four men speaking English, seven emotions, 480 sentences.

    Files are ``AudioData/DC/a01.wav`` and ``AudioVisualClip/DC/a1.avi``, or ``DC_a01.wav``: the
    speaker (DC, JE, JK, KL), the emotion (a, d, f, h, n, sa, su) and the number of the sentence.
    The group is the speaker. No split is published; the field leaves one speaker out
    (``protocol="leave-DC-out"``).

    Args:
        path: Folder that holds the speakers' folders, or the files.
        modality: ``"richest"``, ``"audio-visual"`` or ``"audio"``, as `read_names` says.

    Raises:
        DataError: No clips, an unknown option, or names that are not SAVEE's.

    Reference:
        Haq and Jackson (2010), "Multimodal Emotion Recognition", in "Machine Audition".

    Example:
        >>> load_savee("no/such/folder")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: no/such/folder is not a folder. ...
    """

    def describe(said: tuple[str, ...]) -> Mapping[str, str]:
        return {"sex": "male", "language": "english", "sentence": said[2]}

    expected = "<speaker>/<emotion><number> or <speaker>_<emotion><number>, as in DC/sa03.wav"
    return dataset_of_names(
        "savee", TERMS, Path(path), _parse, expected, _EMOTION, describe, modality
    )


def _parse(file: Path) -> tuple[str, ...]:
    match = _NAME.fullmatch(file.stem)
    speaker = (match[1] or file.parent.name) if match else ""
    if match is None or speaker not in _SPEAKERS:
        return ()
    last = 30 if match[2] == "n" else 15
    # Films were published as a1.avi, and their sound as a01.wav.
    return (speaker, match[2], match[3].zfill(2)) if 1 <= int(match[3]) <= last else ()
