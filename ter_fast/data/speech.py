"""SAVEE, EmoDB and TESS: acted speech of few speakers, described by the names of its files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from ter_fast.data.dataset import Dataset, Sample
from ter_fast.data.files import modalities_of
from ter_fast.data.names import read_names, require_option

SAVEE_TERMS = "SAVEE: research use, on registration (Haq & Jackson 2010)"
EMODB_TERMS = "EmoDB: free to use, cite its authors (Burkhardt et al. 2005)"
TESS_TERMS = "TESS: CC BY-NC-ND 4.0 (Pichora-Fuller & Dupuis 2020), non-commercial use only"

_SAVEE = re.compile(r"(?:(DC|JE|JK|KL)_)?(a|d|f|h|n|sa|su)(\d\d?)", re.ASCII)
_SAVEE_SPEAKERS = ("DC", "JE", "JK", "KL")
_SAVEE_EMOTION = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}

_EMODB = re.compile(r"(03|08|09|1[0-6])(a0[12457]|b0[1239]|b10)([WLEAFTN])([a-z]?)", re.ASCII)
_EMODB_EMOTION = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "N": "neutral",
    "T": "sadness",
}
_EMODB_SPEAKERS = {
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

_TESS = re.compile(r"(OAF|YAF|OA)_([a-z]+)_(angry|disgust|fear|happy|neutral|ps|sad)", re.ASCII)
_TESS_EMOTION = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "ps": "surprise",
    "sad": "sadness",
}
_TESS_AGE = {"OAF": "64", "YAF": "26"}


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
    return _read(
        "savee", SAVEE_TERMS, Path(path), _savee, expected, _SAVEE_EMOTION, describe, modality
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
        sex, age = _EMODB_SPEAKERS[said[0]]
        return {"sex": sex, "age": age, "language": "german", "sentence": said[2]}

    kept = {k: v for k, v in _EMODB_EMOTION.items() if boredom == "keep" or v != "boredom"}
    expected = "<speaker><sentence><emotion><version>, as in 03a01Fa.wav"
    return _read("emodb", EMODB_TERMS, Path(path), _emodb, expected, kept, describe, "audio")


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
        return {"sex": "female", "age": _TESS_AGE[said[0]], "language": "english", "word": said[2]}

    expected = "<speaker>_<word>_<emotion>, as in OAF_back_angry.wav"
    return _read("tess", TESS_TERMS, Path(path), _tess, expected, _TESS_EMOTION, describe, "audio")


def _savee(file: Path) -> tuple[str, ...]:
    match = _SAVEE.fullmatch(file.stem)
    speaker = (match[1] or file.parent.name) if match else ""
    if match is None or speaker not in _SAVEE_SPEAKERS:
        return ()
    last = 30 if match[2] == "n" else 15
    # Films were published as a1.avi, and their sound as a01.wav.
    return (speaker, match[2], match[3].zfill(2)) if 1 <= int(match[3]) <= last else ()


def _emodb(file: Path) -> tuple[str, ...]:
    match = _EMODB.fullmatch(file.stem)
    return (match[1], match[3], match[2], match[4]) if match else ()


def _tess(file: Path) -> tuple[str, ...]:
    match = _TESS.fullmatch(file.stem)
    if match is None or (match[1] == "OA" and file.stem != "OA_bite_neutral"):
        return ()
    return ("YAF" if match[1] == "YAF" else "OAF", match[3], match[2])


def _read(
    corpus: str,
    terms: str,
    folder: Path,
    parse: Callable[[Path], tuple[str, ...]],
    expected: str,
    emotions: Mapping[str, str],
    describe: Callable[[tuple[str, ...]], Mapping[str, str]],
    modality: str,
) -> Dataset:
    """Read a corpus whose names say speaker and emotion first; only the given emotions."""
    samples = tuple(
        Sample(
            path=str(file),
            label=emotions[said[1]],
            split="",
            group=f"{corpus}:{said[0]}",
            attributes={"corpus": corpus, "speaker": said[0], **describe(said)},
        )
        for file, said in read_names(folder, parse, corpus, expected, modality)
        if said[1] in emotions
    )
    return Dataset(
        name=corpus,
        labels=tuple(sorted(emotions.values())),
        samples=samples,
        terms=terms,
        modalities=tuple(sorted({m for s in samples for m in modalities_of(s.path)})),
    )
