"""RAVDESS, nEMO, Music_video and FER2013: on miniature trees, and on the real corpora."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers import corpora
from helpers.corpora import touch
from ter_fast.data import (
    EMOTIONS,
    holdout,
    load_dataset,
    load_fer2013,
    load_music_video,
    load_nemo,
    load_ravdess,
    shared_groups,
)
from ter_fast.data.corpora.fer2013 import soft_target
from ter_fast.errors import DataError

# RAVDESS


def test_ravdess_reads_every_field(tmp_path: Path) -> None:
    touch(tmp_path, "Actor_16/03-01-06-02-02-01-16.wav", "Actor_11/03-01-02-01-01-02-11.wav")
    strong, calm = sorted(load_ravdess(tmp_path), key=lambda s: s.label)
    assert (strong.label, strong.split, strong.group) == ("fear", "test", "ravdess:16")
    assert strong.attributes == {
        "corpus": "ravdess",
        "modality": "audio",
        "channel": "speech",
        "emotion": "fearful",
        "intensity": "strong",
        "statement": "dogs",
        "repetition": "1",
        "actor": "16",
        "sex": "female",
    }
    assert (calm.label, calm.split, calm.attributes["emotion"]) == ("neutral", "validation", "calm")
    assert calm.attributes["sex"] == "male"
    assert {s.label for s in load_ravdess(tmp_path, calm="keep")} == {"calm", "fear"}


def test_ravdess_keeps_one_recording_of_each_performance(tmp_path: Path) -> None:
    films = ("01-01-05-01-01-01-01", "02-01-05-01-01-01-01", "02-01-03-01-01-01-01")
    sounds = ("03-01-05-01-01-01-01", "01-01-05-01-01-01-01", "03-02-04-01-01-01-01")
    touch(tmp_path, *(f"v/{name}.mp4" for name in films), *(f"a/{name}.wav" for name in sounds))
    touch(tmp_path, "copy/03-01-05-01-01-01-01.wav", "a/._03-01-05-01-01-01-01.wav")
    richest = load_ravdess(tmp_path)
    names = [str(Path(s.path).relative_to(tmp_path)) for s in richest]
    assert names == ["v/01-01-05-01-01-01-01.mp4", "v/02-01-03-01-01-01-01.mp4"]
    assert richest.modalities == ("audio", "video")
    sound = load_ravdess(tmp_path, modality="audio")
    assert (len(sound), sound.modalities) == (1, ("audio",))
    assert len(load_ravdess(tmp_path, modality="video")) == 2
    assert [s.label for s in load_ravdess(tmp_path, channel="song")] == ["sadness"]
    assert len(load_ravdess(tmp_path, channel="all", modality="audio")) == 2
    with pytest.raises(DataError, match="none with channel='song' and modality='video'"):
        load_ravdess(tmp_path, channel="song", modality="video")


@pytest.mark.parametrize(
    "name",
    [
        "03-01-09-01-01-01-01",  # no ninth emotion
        "03-01-05-01-01-01-25",  # no 25th actor
        "03-01-05-01-01-01-00",
        "03-01-01-02-01-01-01",  # neutral was never acted strongly
        "03-02-07-01-01-01-01",  # nobody sang in disgust
        "04-01-05-01-01-01-01",
        "3-1-5-1-1-1-1",
        "03-01-05-01-01-01",
        "03-01-05-01-01-01-01-02",
        "holiday",
    ],
)
def test_ravdess_parses_names_strictly(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "03-01-05-01-01-01-01.wav", f"{name}.wav")
    with pytest.raises(DataError, match=rf"1 file \({name}\.wav\).*seven two-digit fields"):
        load_ravdess(tmp_path)


def test_ravdess_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no file that ends in"):
        load_ravdess(tmp_path)


def test_ravdess_real(data_dir: Path) -> None:
    data = load_dataset(f"ravdess:{data_dir / 'ravdess'}")
    assert data.labels == EMOTIONS
    assert data.modalities == ("audio",)
    # 20 actors with 4 neutral clips and 8 of each of seven other emotions, calm among them.
    each = dict.fromkeys(EMOTIONS, 8) | {"neutral": 4 + 8}
    for split, actors in (("train", 13), ("validation", 3), ("test", 4)):
        part = data.split(split)
        assert len(part.groups()) == actors
        assert part.class_counts() == {label: n * actors for label, n in each.items()}
    assert data.split("test").groups() == {f"ravdess:{a}" for a in ("05", "10", "16", "19")}
    kept = load_dataset(f"ravdess:{data_dir / 'ravdess'}?calm=keep")
    assert kept.class_counts()["calm"] == 160


# nEMO


def test_nemo_index_and_names_give_the_same(tmp_path: Path) -> None:
    touch(tmp_path, "EB0_anger_1.wav", "MP0_surprised_3.wav", "WR0_neutral_2.wav")
    by_name = load_nemo(tmp_path)
    assert [(s.label, s.split, s.group) for s in by_name] == [
        ("anger", "test", "nemo:EB0"),
        ("surprise", "validation", "nemo:MP0"),
        ("neutral", "train", "nemo:WR0"),
    ]
    assert by_name[1].attributes == {
        "corpus": "nemo",
        "emotion": "surprised",
        "speaker": "MP0",
        "sex": "male",
        "sentence": "3",
    }
    (tmp_path / "index.csv").write_text(
        "file,label,speaker,sentence\nWR0_neutral_2.wav,neutral,WR0,2\n"
        "EB0_anger_1.wav,anger,EB0,1\nMP0_surprised_3.wav,surprised,MP0,3\n"
    )
    assert load_nemo(tmp_path) == by_name


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("file,label\nEB0_anger_1.wav,anger\n", r"lacks \['speaker'\]"),
        ("file,label,speaker\n", "has no rows. Restore it, or delete it"),
        ("", r"lacks \['file', 'label', 'speaker'\]"),
        ("file,label,speaker\nEB0_anger_1.wav,angry,EB0\n", "unknown label 'angry'.*'anger'"),
        ("file,label,speaker\nEB0_anger_1.wav,anger,XX9\n", "unknown speaker 'XX9'"),
        ("file,label,speaker\nEB0_anger_9.wav,anger,EB0\n", r"lists 1 file \(EB0_anger_9.wav\)"),
    ],
)
def test_nemo_index_mistakes(tmp_path: Path, index: str, message: str) -> None:
    touch(tmp_path, "EB0_anger_1.wav")
    (tmp_path / "index.csv").write_text(index)
    with pytest.raises(DataError, match=message):
        load_nemo(tmp_path)


def test_nemo_names_are_parsed_strictly(tmp_path: Path) -> None:
    touch(tmp_path, "EB0_anger_1.wav", "EB0-anger-2.wav")
    with pytest.raises(DataError, match=r"1 file \(EB0-anger-2\.wav\).*<speaker>_<emotion>"):
        load_nemo(tmp_path)


def test_nemo_real(data_dir: Path) -> None:
    data = load_dataset(f"nemo:{data_dir / 'nemo'}")
    assert data.class_counts() == {
        "anger": 749,
        "fear": 736,
        "happiness": 749,
        "neutral": 809,
        "sadness": 769,
        "surprise": 669,
    }
    assert len(data.groups()) == 9
    for split, speakers in (("test", {"EB0", "KS0"}), ("validation", {"IC0", "MP0"})):
        part = data.split(split)
        assert part.groups() == {f"nemo:{name}" for name in speakers}
        assert {s.attributes["sex"] for s in part} == {"female", "male"}


# Music_video


def test_music_video_reads_the_official_tree(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "Train/Excited/video/1.mp4",
        "Train/Excited/audio/1.wav",
        "Train/Tension/video/LLT_TENS(7)-1-of-12.mp4",
        "Validation/Tension/video/LLT_TENS(7)-4-of-12.mp4",
        "Validation/Fear/video/1.mp4",
    )
    data = load_music_video(tmp_path)
    excited = data[0]
    assert (excited.label, excited.split) == ("excited", "train")
    assert excited.attributes["audio_path"] == str(tmp_path / "Train/Excited/audio/1.wav")
    assert "audio_path" not in data[1].attributes
    assert [s.group.partition(":")[2] for s in data] == [
        "excited/1",
        "tension/LLT_TENS(7)",
        "fear/1",
        "tension/LLT_TENS(7)",
    ]
    with pytest.warns(UserWarning, match=r"1 group.*LLT_TENS\(7\)' in test and train, as publ"):
        load_dataset(f"music_video:{tmp_path}")


def test_music_video_clean_split_leaves_validation_as_it_is(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "Train/Excited/1.mp4",
        "Train/Tension/s-1-of-2.mp4",
        "Validation/Tension/s-2-of-2.mp4",
    )
    clean = load_dataset(f"music_video:{tmp_path}?split=clean")
    assert [Path(s.path).name for s in clean] == ["1.mp4", "s-2-of-2.mp4"]


def test_music_video_takes_sources_from_the_index(tmp_path: Path) -> None:
    touch(tmp_path, "Train/Sad/a.mp4", "Train/Sad/b.mp4", "Validation/Fear/c.mp4")
    (tmp_path / "index.csv").write_text("path,source_id\nTrain/Sad/a.mp4,s\nTrain/Sad/b.mp4,s\n")
    data = load_music_video(tmp_path)
    assert data[0].group == data[1].group == "music_video:sad/s"
    assert data[2].group == "music_video:fear/c"
    (tmp_path / "index.csv").write_text("path,source_id\nTrain/Sad/x.mp4,s\n")
    with pytest.raises(DataError, match=r"lists 1 clip \(Train/Sad/x\.mp4\)"):
        load_music_video(tmp_path)
    (tmp_path / "index.csv").write_text("clip,source\nTrain/Sad/a.mp4,s\n")
    with pytest.raises(DataError, match=r"lacks \['path', 'source_id'\]"):
        load_music_video(tmp_path)


@pytest.mark.parametrize(
    ("film", "message"),
    [
        ("Train/Excitd/1.mp4", "unknown label 'excitd'.*Did you mean 'excited'"),
        ("Testing/Sad/1.mp4", "splits Train and Validation"),
        ("Sad/1.mp4", "Give the folder that holds Train and Validation"),
        ("1.mp4", "expected <split>/<Emotion>"),
    ],
)
def test_music_video_strange_folders(tmp_path: Path, film: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_music_video(touch(tmp_path, film))


def test_music_video_real(data_dir: Path) -> None:
    data = load_dataset(f"music_video:{data_dir / 'music_video'}")
    assert data.modalities == ("audio", "video")
    train = {"excited": 8, "fear": 8, "neutral": 10, "relaxation": 6, "sad": 10, "tension": 10}
    test = {"excited": 8, "fear": 9, "neutral": 2, "relaxation": 9, "sad": 10, "tension": 10}
    assert data.split("train").class_counts() == train
    assert data.split("test").class_counts() == test
    held = holdout(data, 0.2)
    held.check()
    counts = held.split("validation").class_counts()
    assert all(counts[label] == round(0.2 * n) for label, n in train.items())


# FER2013

NEUTRAL = [8, 0, 0, 0, 2, 0, 0, 0, 0, 0]
CONTEMPT = [3, 0, 0, 0, 1, 0, 0, 6, 0, 0]
UNKNOWN = [2, 0, 0, 2, 1, 0, 0, 0, 5, 0]
NO_FACE = [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]


def fer2013(path: Path, rows: list[dict[str, object]]) -> Path:
    base = {
        "image": b"png",
        "labels": 6,
        "split": 0,
        "ferplus_votes": NEUTRAL,
        "ferplus_valid": True,
        "pixel_source": 0,
        "in_train": False,
    }
    full = [base | {"dup_group": i} | row for i, row in enumerate(rows)]
    pq.write_table(pa.Table.from_pylist(full), path / "fer2013.parquet")
    return path


def test_soft_targets_follow_the_votes() -> None:
    assert soft_target(NEUTRAL) == pytest.approx((0.2, 0, 0, 0, 0.8, 0, 0))
    assert soft_target(CONTEMPT) == pytest.approx((0.25, 0, 0, 0, 0.75, 0, 0))
    assert soft_target(UNKNOWN) is None
    assert soft_target(NO_FACE) is None
    assert soft_target([5, 0, 0, 0, 0, 0, 0, 0, 5, 0]) is None
    assert soft_target([]) is None
    with pytest.raises(ValueError, match="zip"):
        soft_target([1, 2, 3])


def test_fer2013_drops_what_it_says(tmp_path: Path) -> None:
    fer2013(
        tmp_path,
        [
            {},
            {"pixel_source": 1},
            {"ferplus_votes": UNKNOWN},
            {"ferplus_votes": CONTEMPT, "labels": 0},
            {"split": 1},
            {"split": 1, "in_train": True},
            {"split": 1, "ferplus_votes": NO_FACE},
            {"split": 1, "ferplus_valid": False},
        ],
    )
    data = load_fer2013(tmp_path)
    assert [s.path.rpartition("#")[2] for s in data] == ["0", "3", "4", "6", "7"]
    assert data == load_fer2013(tmp_path / "fer2013.parquet")
    assert [s.label for s in data][:2] == ["neutral", "anger"]
    assert [s.attributes["ferplus"] for s in data] == [
        "neutral",
        "contempt",
        "neutral",
        "not a face",
        "",
    ]
    assert [s.target is None for s in data.split("test")] == [False, True, True]
    assert data[0].image == b"png"


def test_fer2013_validation_keeps_copies_together(tmp_path: Path) -> None:
    fer2013(tmp_path, [{"dup_group": i // 2} for i in range(4000)])
    data = load_fer2013(tmp_path)
    assert not shared_groups(data)
    assert len(data.split("validation")) == pytest.approx(400, abs=60)


def test_fer2013_missing_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [b""], "labels": [0]}), tmp_path / "fer2013.parquet")
    with pytest.raises(DataError, match=r"lacks the columns \['dup_group', 'ferplus_valid'"):
        load_fer2013(tmp_path)


@pytest.mark.parametrize("broken", [{"labels": 9}, {"labels": -1}, {"ferplus_votes": [1, 2]}])
def test_fer2013_names_the_row_that_is_damaged(tmp_path: Path, broken: dict[str, object]) -> None:
    fer2013(tmp_path, [{}, broken])
    with pytest.raises(DataError, match=r"fer2013\.parquet, row 1: its label, votes or picture"):
        load_fer2013(tmp_path)


@pytest.mark.slow
def test_fer2013_real(data_dir: Path) -> None:
    data = load_dataset(f"fer2013:{data_dir / 'fer2013'}")
    assert data.labels == EMOTIONS
    assert data.modalities == ("video",)
    table = pq.read_table(data_dir / "fer2013" / "fer2013.parquet").drop(["image"]).to_pandas()
    table = table[table.pixel_source == 0]
    unique_test = table[(table.split == 1) & ~table.in_train]
    assert len(data.split("test")) == len(unique_test) == 3273
    assert data.split("test").class_counts()["happiness"] == (unique_test.labels == 3).sum()
    train, validation = data.split("train"), data.split("validation")
    assert all(s.target is not None for s in (*train, *validation))
    assert len(validation) / (len(train) + len(validation)) == pytest.approx(0.1, abs=0.005)
    assert len(train) + len(validation) > 0.98 * (table.split == 0).sum()
    assert all(s.image is not None and s.image.startswith(b"\x89PNG") for s in data)
    # The votes are the raters', so they agree with the label as often as the data's notes say.
    agree = sum(s.attributes["ferplus"] == s.label for s in data) / len(data)
    assert 0.6 < agree < 0.7


@pytest.mark.slow
def test_fer2013_published_table_gives_what_the_real_one_does(
    data_dir: Path, tmp_path: Path
) -> None:
    """The real pixels and votes, written as they were published, make the same samples."""
    table = data_dir / "fer2013" / "fer2013.parquet"
    rows = pq.read_table(table).slice(0, 400).to_pylist()
    pixels = [cv2.imdecode(np.frombuffer(r["image"], np.uint8), cv2.IMREAD_GRAYSCALE) for r in rows]
    corpora.write_csv(
        tmp_path / "fer2013.csv",
        [
            ["emotion", "pixels", "Usage"],
            *(
                [row["labels"], " ".join(map(str, p.ravel())), "Training"]
                for row, p in zip(rows, pixels, strict=True)
            ),
        ],
    )
    corpora.ferplus_csv(
        tmp_path,
        [("Training", "x.png", [int(v) for v in row["ferplus_votes"]]) for row in rows],
    )
    kept = {i for i, r in enumerate(rows) if r["pixel_source"] == 0 and r["ferplus_valid"]}
    real = {int(s.path.rpartition("#")[2]): s for s in load_fer2013(table)}
    published = {int(s.path.rpartition("#")[2]): s for s in load_fer2013(tmp_path)}
    assert {i for i in real if i in kept} == {i for i in published if i in kept}
    for i in kept & set(published):
        mine, theirs = published[i], real[i]
        assert (mine.label, mine.target) == (theirs.label, theirs.target)
        assert mine.attributes == theirs.attributes
        picture = cv2.imdecode(np.frombuffer(mine.image or b"", np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(picture, pixels[i])


@pytest.mark.slow
def test_three_corpora_join(data_dir: Path) -> None:
    union = load_dataset(
        f"ravdess:{data_dir / 'ravdess'}+nemo:{data_dir / 'nemo'}+fer2013:{data_dir / 'fer2013'}"
    )
    assert union.labels == EMOTIONS
    assert union.name == "ravdess+nemo+fer2013"
    assert union.modalities == ("audio", "video")
    assert union.terms.count("CC BY-NC-SA") == 2
    assert not shared_groups(union)
