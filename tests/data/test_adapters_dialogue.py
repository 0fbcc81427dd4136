"""IEMOCAP and MELD, on miniature trees."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from helpers import corpora
from helpers.corpora import touch
from ter_fast.data import check_dataset, load_dataset, load_iemocap, load_meld
from ter_fast.errors import DataError

DIALOGUES = {
    "Ses01F_impro01": [("F000", "neu"), ("M000", "hap"), ("F001", "xxx")],
    "Ses01M_script01_1": [("F000", "ang"), ("M012", "exc")],
    "Ses05M_script01_1b": [("M000", "fru"), ("FXX0", "sad")],
}


def test_iemocap_follows_either_convention(tmp_path: Path) -> None:
    corpora.iemocap(tmp_path, DIALOGUES)
    four = load_iemocap(tmp_path)
    assert four.labels == ("anger", "happiness", "neutral", "sadness")
    assert four.class_counts() == {"anger": 1, "happiness": 2, "neutral": 1, "sadness": 1}
    six = load_iemocap(tmp_path, classes="6")
    assert set(six.class_counts().values()) == {1}
    assert six.labels == ("anger", "excitement", "frustration", "happiness", "neutral", "sadness")
    assert Counter(s.group for s in six) == {
        "iemocap:Ses01F": 2,
        "iemocap:Ses01M": 2,
        "iemocap:Ses05M": 1,
        "iemocap:Ses05F": 1,
    }


def test_iemocap_keeps_what_a_turn_is(tmp_path: Path) -> None:
    first = load_iemocap(corpora.iemocap(tmp_path, DIALOGUES))[0]
    session = tmp_path / "Session1"
    assert first.path == str(session / "sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav")
    assert first.attributes == {
        "corpus": "iemocap",
        "session": "Ses01",
        "dialogue": "Ses01F_impro01",
        "kind": "improvised",
        "category": "neu",
        "sex": "female",
        "language": "english",
        "start": "6.2901",
        "end": "8.2901",
        "valence": "2.5000",
        "activation": "2.5000",
        "dominance": "2.5000",
        "film": str(session / "dialog/avi/DivX/Ses01F_impro01.avi"),
    }


def test_iemocap_leaves_one_session_out(tmp_path: Path) -> None:
    corpora.iemocap(tmp_path, DIALOGUES)
    data = load_dataset(f"iemocap:{tmp_path}?classes=6&protocol=leave-Ses01-out")
    assert data.split("test").groups() == {"iemocap:Ses01F", "iemocap:Ses01M"}
    assert data.split("train").groups() == {"iemocap:Ses05F", "iemocap:Ses05M"}
    speaker = load_dataset(f"iemocap:{tmp_path}", protocol="leave-Ses05F-out")
    assert speaker.split("test").groups() == {"iemocap:Ses05F"}


@pytest.mark.parametrize(
    "line",
    [
        "[6.29 - 8.23] Ses01F_impro01_F000 neu [2.5, 2.5, 2.5]",
        "[6.29 - 8.23]\tSes01F_impro02_F000\tneu\t[2.5, 2.5, 2.5]",
        "[6.29 - 8.23]\tSes01F_impro01_F000\tjoy\t[2.5, 2.5, 2.5]",
        "[6.29 - 8.23]\tSes01F_impro01_F000\tneu\t[2.5, 2.5]",
        "6.29\tSes01F_impro01_F000\tneu",
        "<html>",
    ],
)
def test_iemocap_parses_evaluations_strictly(tmp_path: Path, line: str) -> None:
    corpora.iemocap(tmp_path, DIALOGUES)
    table = tmp_path / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    table.write_text(table.read_text() + line + "\n")
    with pytest.raises(DataError, match=r"Ses01F_impro01\.txt, line \d+: .*as published"):
        load_iemocap(tmp_path)


def test_iemocap_remarks_in_another_encoding_do_not_matter(tmp_path: Path) -> None:
    corpora.iemocap(tmp_path, DIALOGUES)
    table = tmp_path / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    before = load_iemocap(tmp_path)
    table.write_bytes(table.read_bytes().replace(b"(curious)", b"(na\xefve \x93so\x94)"))
    assert load_iemocap(tmp_path) == before


def test_iemocap_loads_with_a_few_turns_lost_and_says_which(tmp_path: Path) -> None:
    whole = load_iemocap(corpora.iemocap(tmp_path, DIALOGUES))
    (tmp_path / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav").unlink()
    with pytest.warns(UserWarning, match=r"lacks 1 sound \(Ses01F_impro01_M000\.wav\) of 5\."):
        found = load_iemocap(tmp_path)
    assert found == whole
    missing = check_dataset(found, open_files=False).missing
    assert [Path(each).name for each in missing] == ["Ses01F_impro01_M000.wav"]
    for sample in found:
        Path(sample.path).unlink(missing_ok=True)
    with pytest.raises(DataError, match=r"lacks 5 sounds .* of 5\. .*Unpack the sentences"):
        load_iemocap(tmp_path)


def test_iemocap_takes_the_spans_of_its_films(tmp_path: Path) -> None:
    heard = load_iemocap(corpora.iemocap(tmp_path, DIALOGUES))
    (tmp_path / "Session5/dialog/avi/DivX/Ses05M_script01_1b.avi").unlink()
    with pytest.warns(UserWarning, match=r"lacks 1 film \(Ses05M_script01_1b\) of 3\."):
        seen = load_dataset(f"iemocap:{tmp_path}?modality=audio-visual")
    assert seen.modalities == ("audio", "video")
    assert [s.attributes.get("audio_path", s.path) for s in seen] == [s.path for s in heard]
    first, last = seen[0], seen[-1]
    assert first.path == str(tmp_path / "Session1/dialog/avi/DivX/Ses01F_impro01.avi")
    assert first.span == (6.2901, 8.2901)
    assert (last.path, last.span) == (heard[-1].path, None)
    with pytest.raises(DataError, match="modality='video'; expected one of"):
        load_iemocap(tmp_path, modality="video")
    for film in tmp_path.rglob("*.avi"):
        film.unlink()
    with pytest.raises(DataError, match=r"lacks 3 films .* of 3\. They are expected in"):
        load_iemocap(tmp_path, modality="audio-visual")


def test_iemocap_other_mistakes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Give the folder that holds Session1"):
        load_iemocap(tmp_path)
    corpora.iemocap(tmp_path, DIALOGUES)
    folder = tmp_path / "Session1"
    strange = touch(folder, "dialog/EmoEvaluation/Ses02F_impro01.txt")
    with pytest.raises(DataError, match=r"Ses02F_impro01.txt: expected a name as"):
        load_iemocap(tmp_path)
    (strange / "dialog/EmoEvaluation/Ses02F_impro01.txt").unlink()
    (folder / "dialog/EmoEvaluation/Ses01F_impro01.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"Ses01F_impro01\.txt, line 1: .*as published"):
        load_iemocap(tmp_path)


PARTS = {
    "train": [(0, 0, "Ross", "joy"), (0, 1, "Joey", "anger")],
    "dev": [(0, 0, "Ross", "neutral")],
    "test": [(0, 0, "Monica", "surprise"), (1, 0, "Ross", "fear")],
}


def test_meld_reads_its_split(tmp_path: Path) -> None:
    data = load_dataset(f"meld:{corpora.meld(tmp_path, PARTS)}")
    assert [(s.split, s.group, s.label, s.attributes["speaker"]) for s in data] == [
        ("train", "meld:train/dia0", "happiness", "Ross"),
        ("train", "meld:train/dia0", "anger", "Joey"),
        ("validation", "meld:dev/dia0", "neutral", "Ross"),
        ("test", "meld:test/dia0", "surprise", "Monica"),
        ("test", "meld:test/dia1", "fear", "Ross"),
    ]
    assert data.modalities == ("audio", "video")
    assert "sentiment" not in {name.lower() for s in data for name in s.attributes}
    assert [dict(s.extras) for s in data] == [{"text": "Oh, no"}] * 5
    (tmp_path / "train_sent_emo.csv").unlink()
    assert len(load_meld(tmp_path)) == 3


def test_meld_takes_the_corrected_clip_and_knows_what_is_missing(tmp_path: Path) -> None:
    corpora.meld(tmp_path, PARTS | {"dev": [(110, 6, "Ross", "joy"), (110, 7, "Ross", "joy")]})
    touch(tmp_path, "test/output_repeated_splits_test/final_videos_testdia1_utt0.mp4")
    touch(tmp_path, "test/output_repeated_splits_test/._dia1_utt0.mp4")
    (tmp_path / "dev/dev_splits_complete/dia110_utt7.mp4").unlink()
    data = load_meld(tmp_path)
    assert len(data.split("validation")) == 1
    assert Path(data[-1].path).name == "final_videos_testdia1_utt0.mp4"
    (tmp_path / "train/train_splits/dia0_utt1.mp4").unlink()
    with pytest.warns(UserWarning, match=r"train_sent_emo\.csv lacks 1 clip \(dia0_utt1\) of 2\."):
        again = load_meld(tmp_path)
    assert len(again) == len(data)
    missing = check_dataset(again, open_files=False).missing
    assert missing == (str(tmp_path / "train/train_splits/dia0_utt1.mp4"),)
    (tmp_path / "train/train_splits/dia0_utt0.mp4").unlink()
    with pytest.raises(DataError, match=r"train_sent_emo\.csv lacks 2 clips .* of 2\. .*Unpack"):
        load_meld(tmp_path)


def test_meld_mistakes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds none of train_sent_emo\.csv"):
        load_meld(tmp_path)
    corpora.meld(tmp_path, {"test": [(0, 0, "Ross", "joyful")]})
    with pytest.raises(DataError, match=r"utterance 0: unknown label 'joyful'.*'joy'"):
        load_meld(tmp_path)
    (tmp_path / "test_sent_emo.csv").write_text("Speaker,Emotion\nRoss,joy\n")
    with pytest.raises(DataError, match=r"lacks \['Dialogue_ID'"):
        load_meld(tmp_path)
