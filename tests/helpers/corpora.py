"""Miniature trees with the layouts in which corpora are published; the files are empty."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

CREMAD_VOTE_HEADER = ["", "A", "D", "F", "H", "N", "S", "fileName", "numResponses", "emoVote"]
MELD_HEADER = [
    *("Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID"),
    *("Season", "Episode", "StartTime", "EndTime"),
]
MELD_FOLDER = {
    "train": "train_splits",
    "dev": "dev_splits_complete",
    "test": "output_repeated_splits_test",
}


def touch(root: Path, *names: str) -> Path:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root


def write_csv(table: Path, rows: Iterable[Sequence[object]]) -> Path:
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_NONNUMERIC).writerows(rows)
    return table


def cremad(root: Path) -> Path:
    """Two actors, sound and films, the demographics, and a file published with a slip."""
    write_csv(
        root / "VideoDemographics.csv",
        [
            ["ActorID", "Age", "Sex", "Race", "Ethnicity"],
            [1001, 51, "Male", "Caucasian", "Not Hispanic"],
            [1040, 35, "Female", "Asian", "Not Hispanic"],
        ],
    )
    return touch(
        root,
        "AudioWAV/1001_IEO_ANG_HI.wav",
        "AudioWAV/1001_DFA_NEU_XX.wav",
        "AudioWAV/1040_ITH_SAD_X.wav",
        "AudioMP3/1001_DFA_NEU_XX.mp3",
        "VideoFlash/1001_IEO_ANG_HI.flv",
    )


def cremad_votes(root: Path, rows: Iterable[tuple[int, str, Sequence[int]]]) -> Path:
    """Write ``tabulatedVotes.csv``: channel from 1 to 3, clip, and six counts in each row."""
    return write_csv(
        root / "processedResults" / "tabulatedVotes.csv",
        [
            CREMAD_VOTE_HEADER,
            *(
                [str(100_000 * channel + i), *map(int, counts), clip, int(sum(counts)), "?"]
                for i, (channel, clip, counts) in enumerate(rows, start=1)
            ),
        ],
    )


def iemocap_turn(turn: str, category: str, start: float = 6.2901) -> str:
    return (
        f"[{start:.4f} - {start + 2:.4f}]\t{turn}\t{category}\t[2.5000, 2.5000, 2.5000]\n"
        "C-E2:\tNeutral;\t()\nC-E3:\tNeutral; Other;\t(curious)\n"
        "A-E3:\tval 3; act 2; dom  2;\t()\n"
    )


def iemocap(root: Path, dialogues: dict[str, Sequence[tuple[str, str]]]) -> Path:
    """Write dialogues: by name, the endings of their turns (``F000``) and their categories."""
    for dialogue, turns in dialogues.items():
        session = root / f"Session{dialogue[4]}"
        table = session / "dialog" / "EmoEvaluation" / f"{dialogue}.txt"
        table.parent.mkdir(parents=True, exist_ok=True)
        blocks = [iemocap_turn(f"{dialogue}_{turn}", category) for turn, category in turns]
        header = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
        table.write_text(header + "\n".join(blocks), encoding="utf-8")
        touch(
            session,
            *(f"sentences/wav/{dialogue}/{dialogue}_{turn}.wav" for turn, _ in turns),
            f"dialog/avi/DivX/{dialogue}.avi",
            f"dialog/avi/DivX/._{dialogue}.avi",
            f"dialog/EmoEvaluation/._{dialogue}.txt",
            f"dialog/EmoEvaluation/Categorical/{dialogue}_e2_cat.txt",
        )
    return root


def meld(root: Path, parts: dict[str, Sequence[tuple[int, int, str, str]]]) -> Path:
    """Write parts: dialogue, utterance, speaker and emotion of each row, and their clips."""
    for part, rows in parts.items():
        write_csv(
            root / f"{part}_sent_emo.csv",
            [
                MELD_HEADER,
                *(
                    [i, "Oh, no", who, emotion, "neutral", d, u, 4, 7, "0:00:20,25", "0:00:21,04"]
                    for i, (d, u, who, emotion) in enumerate(rows, start=1)
                ),
            ],
        )
        touch(root, *(f"{part}/{MELD_FOLDER[part]}/dia{d}_utt{u}.mp4" for d, u, _, _ in rows))
    return root


def fer2013_csv(root: Path, rows: Iterable[tuple[int, int, str]]) -> Path:
    """Write ``fer2013.csv``: emotion, the grey of every pixel, and the part of each picture."""
    return write_csv(
        root / "fer2013.csv",
        [
            ["emotion", "pixels", "Usage"],
            *([emotion, " ".join([str(grey)] * 2304), part] for emotion, grey, part in rows),
        ],
    )


def ferplus_csv(root: Path, rows: Iterable[tuple[str, str, Sequence[int]]]) -> Path:
    """Write ``fer2013new.csv``: part, name and ten counts of each picture."""
    header = [
        *("Usage", "Image name", "neutral", "happiness", "surprise", "sadness", "anger"),
        *("disgust", "fear", "contempt", "unknown", "NF"),
    ]
    return write_csv(
        root / "fer2013new.csv", [header, *([part, name, *votes] for part, name, votes in rows)]
    )


TREES: dict[str, Callable[[Path], Path]] = {
    "cremad": cremad,
    "emodb": lambda root: touch(root, "wav/03a01Fa.wav", "wav/16b10Wb.wav", "wav/09a02La.wav"),
    "enterface": lambda root: touch(
        root, "subject 1/anger/sentence 1/s1_an_1.avi", "subject 2/fear/sentence 3/s2_fe_3.avi"
    ),
    "fer2013": lambda root: (
        fer2013_csv(root, [(0, 1, "Training"), (3, 2, "PublicTest"), (6, 3, "PrivateTest")]).parent
    ),
    "iemocap": lambda root: iemocap(
        root,
        {"Ses01F_impro01": [("F000", "neu"), ("M000", "hap")], "Ses02F_impro01": [("F000", "sad")]},
    ),
    "meld": lambda root: meld(
        root, {"train": [(0, 0, "Ross", "joy")], "test": [(0, 0, "Ross", "anger")]}
    ),
    "music_video": lambda root: touch(root, "Train/Sad/1.mp4", "Validation/Fear/1.mp4"),
    "nemo": lambda root: touch(root, "EB0_anger_1.wav", "IC0_fear_2.wav", "WR0_neutral_2.wav"),
    "ravdess": lambda root: touch(
        root, *(f"03-01-0{e}-01-01-01-{actor:02d}.wav" for e in (1, 5) for actor in range(1, 25))
    ),
    "savee": lambda root: touch(root, "AudioData/DC/a01.wav", "AudioVisualClip/JK/su15.avi"),
    "tess": lambda root: touch(root, "OAF_back_sad.wav", "YAF_dog_ps.wav"),
}
"""A small tree of each registered corpus, of two classes at least; returns the folder."""
