"""CREMA-D with its votes, SAVEE, EmoDB, TESS and eNTERFACE'05, on miniature trees."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import corpora
from helpers.corpora import touch
from ter_fast.data import (
    load_cremad,
    load_dataset,
    load_emodb,
    load_enterface,
    load_savee,
    load_tess,
)
from ter_fast.data.corpora.cremad import CHANNELS, LABELS, read_votes
from ter_fast.errors import DataError

# CREMA-D


def test_cremad_reads_names_and_people(tmp_path: Path) -> None:
    data = load_cremad(corpora.cremad(tmp_path))
    assert data.labels == ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
    assert [Path(s.path).name for s in data] == [
        "1001_DFA_NEU_XX.mp3",
        "1040_ITH_SAD_X.wav",
        "1001_IEO_ANG_HI.flv",
    ]
    anger = data[2]
    assert (anger.label, anger.group, anger.split, anger.target) == (
        "anger",
        "cremad:1001",
        "",
        None,
    )
    assert anger.attributes == {
        "corpus": "cremad",
        "actor": "1001",
        "sentence": "IEO",
        "intended": "anger",
        "perceived": "",
        "intensity": "high",
        "language": "english",
        "sex": "male",
        "age": "51",
    }
    sound = load_cremad(tmp_path, modality="audio")
    assert (len(sound), sound.modalities) == (3, ("audio",))
    assert len(load_cremad(tmp_path, modality="audio-visual")) == 1


def test_cremad_takes_the_votes_on_what_the_file_holds(tmp_path: Path) -> None:
    corpora.cremad(tmp_path)
    film, sad = "1001_IEO_ANG_HI", "1040_ITH_SAD_XX"
    corpora.cremad_votes(
        tmp_path,
        [
            (1, film, [1, 0, 0, 0, 3, 0]),
            (2, film, [2, 2, 0, 0, 0, 0]),
            (3, film, [4, 0, 0, 0, 0, 1]),
            (1, sad, [0, 0, 0, 0, 1, 1]),
        ],
    )
    by_group = {s.attributes["sentence"]: s for s in load_cremad(tmp_path)}
    assert by_group["IEO"].target == pytest.approx((0.8, 0, 0, 0, 0, 0.2))
    # The table spells the file with two letters X that was published with one.
    assert by_group["ITH"].target == pytest.approx((0, 0, 0, 0, 0.5, 0.5))
    assert by_group["DFA"].target is None
    voice = load_cremad(tmp_path, modality="audio", votes="voice", label="perceived")
    # The sad clip ties and the neutral one has no votes: the clip in anger sounds neutral.
    assert [(s.label, s.attributes["intended"]) for s in voice] == [("neutral", "anger")]
    with pytest.raises(DataError, match="raters agree on none"):
        load_cremad(tmp_path, votes="face", label="perceived")
    assert all(s.target is None for s in load_cremad(tmp_path, votes="none"))


def test_cremad_tables_agree(tmp_path: Path) -> None:
    counts = {
        ("1001_IEO_ANG_HI", 1): [3, 0, 0, 0, 1, 0],
        ("1001_IEO_ANG_HI", 3): [2, 2, 0, 0, 0, 0],
        ("1040_ITH_SAD_XX", 2): [0, 0, 0, 0, 0, 5],
    }
    full = corpora.cremad_votes(tmp_path, [(c, clip, n) for (clip, c), n in counts.items()])
    responses = corpora.write_csv(
        tmp_path / "finishedResponses.csv",
        [
            [
                *("", "localid", "pos", "ans", "ttr", "queryType", "numTries", "clipNum"),
                *("questNum", "subType", "clipName", "sessionNums", "respEmo", "respLevel"),
                *("dispEmo", "dispVal", "dispLevel"),
            ],
            *(
                ["1", "r", 1, "A_80", 900, c, 0, 1, 1, 4, clip, 1, letter, 80, "A", "Hi", 80]
                for (clip, c), n in counts.items()
                for letter, votes in zip("ADFHNS", n, strict=True)
                for _ in range(votes)
            ),
        ],
    )
    assert read_votes(responses) == read_votes(full)
    summary = corpora.write_csv(
        tmp_path / "summaryTable.csv",
        [
            [
                *("", "FileName", "VoiceVote", "VoiceLevel", "FaceVote", "FaceLevel"),
                *("MultiModalVote", "MultiModalLevel"),
            ],
            ["1", "1001_IEO_ANG_HI", "A", "69", "", "", "A:D", "57:60"],
            ["2", "1040_ITH_SAD_X", "", "", "S", "57", "", ""],
        ],
    )
    assert read_votes(summary) == {
        ("1001_IEO_ANG_HI", "voice"): (1, 0, 0, 0, 0, 0),
        ("1001_IEO_ANG_HI", "both"): (0.5, 0.5, 0, 0, 0, 0),
        ("1040_ITH_SAD_XX", "face"): (0, 0, 0, 0, 0, 1),
    }


@given(st.lists(st.lists(st.integers(0, 12), min_size=6, max_size=6), min_size=1, max_size=8))
def test_cremad_shares_are_the_counts_over_their_sum(
    tmp_path_factory: pytest.TempPathFactory, votes: list[list[int]]
) -> None:
    root = tmp_path_factory.mktemp("votes")
    rows = [(1 + i % 3, f"clip{i}", counts) for i, counts in enumerate(votes)]
    shares = read_votes(corpora.cremad_votes(root, rows))
    for channel, clip, counts in rows:
        share = shares.get((clip, CHANNELS[channel - 1]))
        if sum(counts) == 0:
            assert share is None
        else:
            assert share == pytest.approx([n / sum(counts) for n in counts])


@pytest.mark.slow
def test_cremad_votes_real(data_dir: Path, tmp_path: Path) -> None:
    """The real votes, in the published layout, give the real files' names their soft targets."""
    with np.load(data_dir / "cremad_votes" / "cremad_votes_voice_face_av.npz") as real:
        clips, counts, intended = real["clip"], real["counts"], real["intended"]
    rows = [(c + 1, str(clips[i]), counts[i, c]) for c in range(3) for i in range(len(clips))]
    shares = read_votes(corpora.cremad_votes(tmp_path, rows))
    for c, channel in enumerate(CHANNELS):
        seen = [i for i in range(len(clips)) if counts[i, c].sum()]
        mine = np.array([shares[str(clips[i]), channel] for i in seen])
        total = counts[seen, c].sum(axis=1, keepdims=True)
        np.testing.assert_allclose(mine, counts[seen, c] / total, atol=1e-12)
    touch(tmp_path, *(f"AudioWAV/{name}.wav" for name in clips[:300]))
    (tmp_path / "VideoDemographics.csv").write_bytes(
        (data_dir / "cremad_votes" / "VideoDemographics.csv").read_bytes()
    )
    data = load_dataset(f"cremad:{tmp_path}")
    by_name = {Path(s.path).stem: s for s in data}
    assert [by_name[n].label for n in clips[:300]] == [LABELS[k] for k in intended[:300]]
    assert all(s.target is not None and s.attributes["sex"] for s in data)
    agree = np.mean([s.label == s.attributes["perceived"] for s in data])
    chosen = counts[:300, 0]
    unique = (chosen == chosen.max(axis=1, keepdims=True)).sum(axis=1) == 1
    assert agree == pytest.approx(np.mean(unique & (chosen.argmax(axis=1) == intended[:300])))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "felt"}, "label='felt'"),
        ({"votes": "mine"}, "votes='mine'"),
        ({"modality": "video"}, "modality='video'"),
        ({"label": "perceived"}, "holds none of tabulatedVotes.csv"),
        ({"votes": "voice"}, "holds none of tabulatedVotes.csv"),
    ],
)
def test_cremad_options(tmp_path: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_cremad(corpora.cremad(tmp_path), **options)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tabulatedVotes.csv", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("tabulatedVotes.csv", ",A,D,F,H,N,S,fileName\n", "has no rows"),
        ("tabulatedVotes.csv", ",A,D,F,H,N,S,fileName\n1,2\n", "line 2: 2 cells, expected 8"),
        ("tabulatedVotes.csv", ",A,D,F,H,N,S,fileName\n100001,x,0,0,0,0,0,c\n", "'x' where a who"),
        ("tabulatedVotes.csv", ",A,D,F,H,N,S,fileName\n7,1,0,0,0,0,0,c\n", "channel 0; expected"),
        ("finishedResponses.csv", "queryType,clipName,respEmo\n1,c,Q\n", "unknown emotion 'Q'"),
        ("summaryTable.csv", b"\xff\xfe\x00", "not a CSV file in UTF-8"),
        ("summaryTable.csv", "", r"has the columns \[\]"),
    ],
)
def test_cremad_tables_unlike_the_published(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    table = corpora.cremad(tmp_path) / name
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        load_cremad(tmp_path)


# SAVEE, EmoDB, TESS


def test_savee_reads_both_layouts(tmp_path: Path) -> None:
    touch(tmp_path / "tree", "AudioData/DC/a01.wav", "AudioData/KL/n30.wav", "AudioData/Info.txt")
    touch(tmp_path / "tree", "AudioVisualClip/DC/a1.avi", "AudioVisualClip/JK/su15.avi")
    data = load_savee(tmp_path / "tree")
    said = {(s.group, s.label, Path(s.path).suffix) for s in data}
    assert said == {
        ("savee:DC", "anger", ".avi"),
        ("savee:KL", "neutral", ".wav"),
        ("savee:JK", "surprise", ".avi"),
    }
    assert data[0].attributes["sex"] == "male"
    flat = load_savee(touch(tmp_path / "flat", "ALL/DC_sa03.wav", "ALL/JE_d02.wav"))
    assert [(s.group, s.label) for s in flat] == [("savee:DC", "sadness"), ("savee:JE", "disgust")]
    assert len(load_savee(tmp_path / "tree", modality="audio")) == 2


@pytest.mark.parametrize("name", ["XX/a01", "DC/a16", "DC/n31", "DC/a00", "DC/x01", "a01", "DC/a"])
def test_savee_parses_names_strictly(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "DC/a01.wav", f"{name}.wav")
    with pytest.raises(DataError, match=r"1 file \(.*DC/sa03.wav"):
        load_savee(tmp_path)


def test_emodb_reads_names_sex_and_age(tmp_path: Path) -> None:
    touch(tmp_path, "wav/03a01Fa.wav", "wav/16b10Wb.wav", "wav/09a02La.wav")
    data = load_emodb(tmp_path)
    assert [(s.group, s.label) for s in data] == [
        ("emodb:03", "happiness"),
        ("emodb:09", "boredom"),
        ("emodb:16", "anger"),
    ]
    assert [(s.attributes["sex"], s.attributes["age"]) for s in data] == [
        ("male", "31"),
        ("female", "21"),
        ("female", "31"),
    ]
    fewer = load_emodb(tmp_path, boredom="drop")
    assert len(fewer) == 2
    assert "boredom" not in fewer.labels


@pytest.mark.parametrize("name", ["04a01Fa", "03a03Fa", "03a01Xa", "03b10F1", "03a01"])
def test_emodb_parses_names_strictly(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=rf"1 file \({name}\.wav\).*03a01Fa"):
        load_emodb(touch(tmp_path, "03a01Fa.wav", f"{name}.wav"))


def test_tess_knows_its_one_slip_and_counts_copies_once(tmp_path: Path) -> None:
    names = ["OAF_neutral/OA_bite_neutral.wav", "YAF_pleasant_surprised/YAF_dog_ps.wav"]
    touch(tmp_path, *names, *(f"copy/{name}" for name in names), "OAF_Sad/OAF_back_sad.wav")
    data = load_tess(tmp_path)
    assert Counter((s.group, s.label) for s in data) == {
        ("tess:OAF", "neutral"): 1,
        ("tess:OAF", "sadness"): 1,
        ("tess:YAF", "surprise"): 1,
    }
    assert {s.attributes["age"] for s in data} == {"64", "26"}


@pytest.mark.parametrize("name", ["OA_back_neutral", "OAF_back_calm", "XAF_back_sad", "OAF_sad"])
def test_tess_parses_names_strictly(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=rf"1 file \({name}\.wav\).*OAF_back_angry"):
        load_tess(touch(tmp_path, "OAF_back_sad.wav", f"{name}.wav"))


# eNTERFACE'05


def test_enterface_trusts_folders_not_names(tmp_path: Path) -> None:
    root = tmp_path / "enterface database"
    touch(
        root,
        "subject 11/anger/sentence 1/s12_an_1.avi",
        "subject 12/anger/sentence 1/s12_an_1.avi",
        "subject 3/happiness/sentence 1/s_3_ha_1.avi",
        "subject 6/fear/s6_fe.avi",
        "subject 3/Thumbs.db",
    )
    data = load_enterface(tmp_path)
    assert Counter((s.group, s.label) for s in data) == {
        ("enterface:11", "anger"): 1,
        ("enterface:12", "anger"): 1,
        ("enterface:3", "happiness"): 1,
    }
    assert data.modalities == ("audio", "video")


@pytest.mark.parametrize(
    "film",
    [
        "anger/sentence 1/s1_an_1.avi",
        "subject 1/s1_an_1.avi",
        "subject 1/anger/s1_an_1.avi",
        "subject 1/angry/sentence 1/s1_an_1.avi",
        "subject 1/anger/sentence 9/s1_an_9.avi",
    ],
)
def test_enterface_films_elsewhere(tmp_path: Path, film: str) -> None:
    with pytest.raises(DataError, match=r"1 film .*subject <n>/<emotion>/sentence"):
        load_enterface(touch(tmp_path, film))
