"""MELD: utterances of dialogues of the television series Friends, with sound and pictures."""

from __future__ import annotations

import re
from pathlib import Path

from ter_fast.data.dataset import Dataset, Sample
from ter_fast.data.files import FILM, SOUND
from ter_fast.data.messages import report_missing, require_label
from ter_fast.data.registry import register_dataset
from ter_fast.data.tables import read_table
from ter_fast.errors import DataError

REFERENCE = "Poria et al. 2019"
TERMS = f"MELD: annotations GPL-3.0, clips of a television series for research ({REFERENCE})"

_LABEL = {
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "joy": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
    "surprise": "surprise",
}
_FOLDERS = {
    "train": ("train_splits", "train"),
    "dev": ("dev_splits_complete", "dev"),
    "test": ("output_repeated_splits_test", "test"),
}
_SPLIT = {"train": "train", "dev": "validation", "test": "test"}
_COLUMNS = ("Speaker", "Emotion", "Dialogue_ID", "Utterance_ID", "Season", "Episode")
_CLIP = re.compile(r"(final_videos_test)?dia(\d+)_utt(\d+)", re.ASCII)

WITHOUT_CLIP = {("train", "125", "3"), ("dev", "110", "7")}
"""Utterances of the tables whose clips were published broken or not at all."""


@register_dataset(
    "meld",
    title="MELD",
    description="utterances of the television series Friends, with their words",
    modalities=("audio", "video", "text"),
    labels=_LABEL.values(),
    terms=TERMS,
    reference=REFERENCE,
    split="as published; speakers stand in every part",
)
def load_meld(path: str | Path) -> Dataset:
    """Read MELD from its tables and clips, with its own split (dev is ``"validation"``).

    The tables are ``train_sent_emo.csv``, ``dev_sent_emo.csv`` and ``test_sent_emo.csv``; the
    clips ``dia<n>_utt<n>.mp4`` in ``train_splits``, ``dev_splits_complete`` and
    ``output_repeated_splits_test``, or in folders ``train``, ``dev`` and ``test``, at any depth.
    In the test part a clip may be named ``final_videos_testdia<n>_utt<n>.mp4``: that is its
    corrected version, which is taken. A part without a table is left out. Sentiment is ignored;
    two utterances whose clips were published broken or not at all are left out. Other clips that
    are missing are warned of, and count as files that cannot be read.

    The group is the dialogue, not the speaker: the six main characters stand in every part of
    the published split, so its figures do not say how a model does on new speakers.

    Args:
        path: Folder that holds the tables and the clips.

    Raises:
        DataError: No tables, a table unlike the published one, or a table without any clip.

    Reference:
        Poria et al. (2019), "MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in
        Conversations".

    Example:
        >>> load_meld("no/such/folder")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: no/such/folder is not a folder. ...
    """
    root = Path(path)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder. Give the folder that holds the tables of MELD.")
    samples: list[Sample] = []
    for part in _FOLDERS:
        tables = sorted(root.rglob(f"{part}_sent_emo.csv"))
        if tables:
            samples += _part(root, part, tables[0])
    if not samples:
        raise DataError(
            f"{root} holds none of train_sent_emo.csv, dev_sent_emo.csv and test_sent_emo.csv. "
            f"Copy the tables of MELD there."
        )
    labels = tuple(sorted(_LABEL.values()))
    held = {s for sample in samples for s in _modalities(sample)}
    return Dataset("meld", labels, tuple(samples), TERMS, tuple(sorted(held)))


def _part(root: Path, part: str, table: Path) -> list[Sample]:
    clips = _clips(root, part)
    folder = next(iter(clips.values())).parent if clips else root / _FOLDERS[part][0]
    samples, missing = [], []
    for row in read_table(table, _COLUMNS):
        dialogue, utterance = row["Dialogue_ID"], row["Utterance_ID"]
        where = f"{table}, dialogue {dialogue}, utterance {utterance}"
        require_label(row["Emotion"], _LABEL, where)
        if (part, dialogue, utterance) in WITHOUT_CLIP:
            continue
        clip = clips.get((dialogue, utterance))
        if clip is None:
            clip = folder / f"dia{dialogue}_utt{utterance}.mp4"
            missing.append(clip.stem)
        samples.append(_sample(clip, part, row))
    report_missing(
        missing, len(samples), "clip", f"{table}",
        f"They are expected in a folder named {' or '.join(_FOLDERS[part])}. Unpack the clips of "
        f"this part, or remove its table to leave it out; `ter-fast data check` names all. What is "
        f"missing counts as a file that cannot be read.",
    )  # fmt: skip
    return samples


def _clips(root: Path, part: str) -> dict[tuple[str, str], Path]:
    """Find the clips of a part, the corrected one where there are two, films before sound."""
    found: list[tuple[bool, bool, Path, tuple[str, str]]] = []
    for file in root.rglob("*dia*_utt*"):
        match = _CLIP.fullmatch(file.stem)
        parents = {parent.name for parent in file.relative_to(root).parents}
        suffix = file.suffix.lower()
        if match and suffix in FILM + SOUND and parents & set(_FOLDERS[part]):
            found.append((not match[1], suffix in SOUND, file, (match[2], match[3])))
    clips: dict[tuple[str, str], Path] = {}
    for _, _, file, key in sorted(found):
        clips.setdefault(key, file)
    return clips


def _sample(clip: Path, part: str, row: dict[str, str]) -> Sample:
    return Sample(
        path=str(clip),
        label=_LABEL[row["Emotion"]],
        split=_SPLIT[part],
        group=f"meld:{part}/dia{row['Dialogue_ID']}",
        attributes={
            "corpus": "meld",
            "speaker": row["Speaker"],
            "dialogue": row["Dialogue_ID"],
            "utterance": row["Utterance_ID"],
            "season": row["Season"],
            "episode": row["Episode"],
            "language": "english",
        },
        extras={"text": text} if (text := row.get("Utterance", "").strip()) else {},
    )


def _modalities(sample: Sample) -> tuple[str, ...]:
    return ("audio",) if Path(sample.path).suffix.lower() in SOUND else ("audio", "video")
