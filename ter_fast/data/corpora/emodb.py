"""EmoDB: acted German speech of ten actors, seven emotions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ter_fast.data.dataset import Dataset
from ter_fast.data.names import dataset_of_names, require_option
from ter_fast.data.registry import register_dataset

REFERENCE = "Burkhardt et al. 2005"
TERMS = f"EmoDB: free to use, cite its authors ({REFERENCE})"

_NAME = re.compile(r"(03|08|09|1[0-6])(a0[12457]|b0[1239]|b10)([WLEAFTN])([a-z]?)", re.ASCII)
_EMOTION = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "N": "neutral",
    "T": "sadness",
}
_SPEAKERS = {
    "03": ("male", "31"),
    "08": ("female", "34"),
    "09": ("female", "21"),
    "10": ("male", "32"),
    "11": ("male", "26"),
    "12": ("male", "30"),
    "13": ("female", "32"),
    "14": ("female", "35"),
    "15": ("male", "25"),
    "16": ("female", "31"),
}


@register_dataset(
    "emodb",
    title="EmoDB",
    description="acted German speech, 10 actors",
    modalities=("audio",),
    labels=_EMOTION.values(),
    terms=TERMS,
    reference=REFERENCE,
    split="none published; protocol=leave-03-out",
)
def load_emodb(path: str | Path, boredom: str = "keep") -> Dataset:
    """Read EmoDB: ten actors speaking German, seven emotions, 535 sentences.

    Files are ``wav/03a01Fa.wav``: the speaker (03, 08 … 16), the sentence (a01 … b10), the
    emotion by its German initial (Wut, Langeweile, Ekel, Angst, Freude, Trauer, Neutral) and the
    version. The group is the speaker; the corpus publishes sex and age. No split is published; the
    field leaves one speaker out (``protocol="leave-03-out"``).

    Args:
        path: Folder that holds the files.
        boredom: ``"keep"`` it as a class, or ``"drop"`` its clips, so that the classes are
            among the six basic emotions and neutral.

    Raises:
        DataError: No clips, an unknown option, or names that are not EmoDB's.

    Reference:
        Burkhardt, Paeschke, Rolfes, Sendlmeier and Weiss (2005), "A Database of German Emotional
        Speech".

    Example:
        >>> load_emodb("wav", boredom="yes")
        Traceback (most recent call last):
        ter_fast.errors.DataError: emodb: boredom='yes'; expected one of ['keep', 'drop'].
    """
    require_option("emodb", "boredom", boredom, ("keep", "drop"))

    def describe(said: tuple[str, ...]) -> Mapping[str, str]:
        sex, age = _SPEAKERS[said[0]]
        return {"sex": sex, "age": age, "language": "german", "sentence": said[2]}

    kept = {k: v for k, v in _EMOTION.items() if boredom == "keep" or v != "boredom"}
    expected = "<speaker><sentence><emotion><version>, as in 03a01Fa.wav"
    return dataset_of_names("emodb", TERMS, Path(path), _parse, expected, kept, describe, "audio")


def _parse(file: Path) -> tuple[str, ...]:
    match = _NAME.fullmatch(file.stem)
    return (match[1], match[3], match[2], match[4]) if match else ()
