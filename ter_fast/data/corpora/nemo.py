"""nEMO: acted emotional speech in Polish, nine actors, six emotions."""

from __future__ import annotations

import re
from pathlib import Path

from ter_fast.data.dataset import Dataset, Sample
from ter_fast.data.files import SOUND, find_media
from ter_fast.data.messages import counted_examples, require_label
from ter_fast.data.registry import register_dataset
from ter_fast.data.tables import read_table
from ter_fast.errors import DataError

REFERENCE = "Christop 2024"
TERMS = f"nEMO: CC BY-NC-SA 4.0 ({REFERENCE}), non-commercial use only"

SPEAKERS = {
    "EB0": "female",
    "IC0": "female",
    "KD0": "female",
    "KS0": "male",
    "MK0": "female",
    "MP0": "male",
    "SM0": "male",
    "TP0": "male",
    "WR0": "male",
}
"""The nine actors and their sex, alphabetically: the order that the split follows."""

_WOMEN = [name for name, sex in SPEAKERS.items() if sex == "female"]
_MEN = [name for name, sex in SPEAKERS.items() if sex == "male"]
TEST_SPEAKERS = frozenset({_WOMEN[0], _MEN[0]})
VALIDATION_SPEAKERS = frozenset({_WOMEN[1], _MEN[1]})

_LABEL = {
    "anger": "anger",
    "fear": "fear",
    "happiness": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
    "surprised": "surprise",
}
_NAME = re.compile(r"([A-Z]{2}\d)_([a-z]+)_(\d+)", re.ASCII)


@register_dataset(
    "nemo",
    title="nEMO",
    description="acted speech in Polish, 9 actors",
    modalities=("audio",),
    labels=_LABEL.values(),
    terms=TERMS,
    reference=REFERENCE,
    split="by actor, in alphabetical order",
)
def load_nemo(path: str | Path) -> Dataset:
    """Read nEMO from its ``index.csv``, or from its file names where there is none.

    All actors say the same sentences, so the split is by actor. So that it is not tuned, it
    takes the actors of each sex in alphabetical order: the first woman and the first man (EB0,
    KS0) are the test part, the second ones (IC0, MP0) the validation part, the other five the
    training part. There is no disgust in this corpus.

    Args:
        path: Folder with ``index.csv`` (columns ``file, label, speaker``, and any others, which
            become attributes), or with files named ``<speaker>_<emotion>_<sentence>``.

    Raises:
        DataError: No clips, a missing column or file, or an emotion or speaker outside nEMO.

    Reference:
        Christop (2024), "nEMO: Dataset of Emotional Speech in Polish", arXiv 2404.06292.

    Example:
        >>> sorted(TEST_SPEAKERS), sorted(VALIDATION_SPEAKERS)
        (['EB0', 'KS0'], ['IC0', 'MP0'])
    """
    folder = Path(path)
    index = folder / "index.csv"
    rows = _from_index(index) if index.is_file() else _from_names(folder)
    missing = [row["file"] for row in rows if not (folder / row["file"]).is_file()]
    if missing:
        raise DataError(
            f"{index} lists {counted_examples(missing, 'file')} that {folder} does not hold. "
            f"Copy the missing files, or remove their rows."
        )
    return Dataset(
        name="nemo",
        labels=tuple(sorted(_LABEL.values())),
        samples=tuple(_sample(folder, row) for row in sorted(rows, key=lambda r: r["file"])),
        terms=TERMS,
        modalities=("audio",),
    )


def _from_index(index: Path) -> list[dict[str, str]]:
    remedy = "Restore it, or delete it to read the file names instead."
    return list(read_table(index, ("file", "label", "speaker"), remedy))


def _from_names(folder: Path) -> list[dict[str, str]]:
    files = find_media(folder, SOUND)
    matches = [(file, _NAME.fullmatch(file.stem)) for file in files]
    unnamed = [file.name for file, match in matches if match is None]
    if unnamed:
        raise DataError(
            f"{counted_examples(unnamed, 'file')} below {folder} without a nEMO name; expected "
            f"<speaker>_<emotion>_<sentence>, as in EB0_anger_1.wav. Move other files elsewhere, "
            f"or describe them in a manifest."
        )
    return [
        {
            "file": str(file.relative_to(folder)),
            "speaker": match[1],
            "label": match[2],
            "sentence": match[3],
        }
        for file, match in matches
        if match
    ]


def _sample(folder: Path, row: dict[str, str]) -> Sample:
    where = f"nemo, {row['file']}"
    speaker = row["speaker"]
    require_label(row["label"], _LABEL, where)
    if speaker not in SPEAKERS:
        raise DataError(
            f"{where}: unknown speaker {speaker!r}; expected one of {list(SPEAKERS)}. "
            f"Describe recordings of other speakers in a manifest."
        )
    if speaker in TEST_SPEAKERS:
        split = "test"
    else:
        split = "validation" if speaker in VALIDATION_SPEAKERS else "train"
    known = {k: v for k, v in row.items() if k in ("age", "sentence") and v}
    return Sample(
        path=str(folder / row["file"]),
        label=_LABEL[row["label"]],
        split=split,
        group=f"nemo:{speaker}",
        attributes={
            "corpus": "nemo",
            "emotion": row["label"],
            "speaker": speaker,
            "sex": SPEAKERS[speaker],
            **known,
        },
    )
