"""Manifests: what they give, and the one sentence for each thing that can be wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ter_fast.data import load_manifest
from ter_fast.errors import DataError

Write = Callable[..., Path]


@pytest.fixture
def table(tmp_path: Path) -> Write:
    """Write a CSV beside four empty clips, a.wav … d.wav."""
    for name in "abcd":
        (tmp_path / f"{name}.wav").touch()

    def write(text: str, encoding: str = "utf-8") -> Path:
        file = tmp_path / "clips.csv"
        file.write_bytes(text.encode(encoding))
        return file

    return write


def test_reads_paths_relative_to_the_table_and_extra_columns(table: Write, tmp_path: Path) -> None:
    data = load_manifest(
        table(
            "path,label,split,group,age\n"
            "a.wav,anger,train,anna,31\n"
            f"{tmp_path / 'b.wav'},fear,test,ben,\n"
        )
    )
    assert [s.path for s in data] == [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
    assert [(s.label, s.split, s.group) for s in data] == [
        ("anger", "train", "anna"),
        ("fear", "test", "ben"),
    ]
    assert [dict(s.attributes) for s in data] == [{"age": "31"}, {}]
    assert (data.name, data.labels, data.modalities) == ("clips", ("anger", "fear"), ("audio",))


def test_without_split_and_group_each_file_stands_alone(table: Write) -> None:
    data = load_manifest(table("path,label\na.wav,anger\nb.wav,fear\n"))
    assert {s.split for s in data} == {""}
    assert len(data.groups()) == 2


def test_reads_what_spreadsheets_write(table: Write) -> None:
    data = load_manifest(table("path,label\r\na.wav, anger \r\n\r\nb.wav,fear\r\n", "utf-8-sig"))
    assert [s.label for s in data] == ["anger", "fear"]


def test_endings_tell_the_modalities(table: Write, tmp_path: Path) -> None:
    (tmp_path / "e.png").touch()
    (tmp_path / "f.MP4").touch()
    pictures = load_manifest(table("path,label\ne.png,anger\na.wav,fear\n"))
    assert pictures.modalities == ("audio", "video")
    assert load_manifest(table("path,label\nf.MP4,anger\na.wav,fear\n")).modalities == (
        "audio",
        "video",
    )


def test_parquet_reads_like_csv(table: Write, tmp_path: Path) -> None:
    csv_file = table("path,label,split,group\na.wav,1,train,g\nb.wav,2,test,h\n")
    parquet_file = tmp_path / "clips.parquet"
    columns = {
        "path": ["a.wav", "b.wav"],
        "label": [1, 2],
        "split": ["train", "test"],
        "group": ["g", "h"],
    }
    pq.write_table(pa.table(columns), parquet_file)
    assert load_manifest(parquet_file) == load_manifest(csv_file)


def test_a_null_in_parquet_is_an_empty_cell(table: Write, tmp_path: Path) -> None:
    table("")
    parquet_file = tmp_path / "clips.parquet"
    pq.write_table(pa.table({"path": ["a.wav", "b.wav"], "label": ["x", None]}), parquet_file)
    with pytest.raises(DataError, match=r"empty label in 1 row \(2\)"):
        load_manifest(parquet_file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"has the columns \[\] and lacks path and label"),
        ("path,label\n", "has no rows"),
        ("file,label\na.wav,x\n", r"columns \['file', 'label'\] and lacks path; expected path,lab"),
        ("path|label\na.wav|x\n", "separated by commas"),
        ("path,label,label\na.wav,x,y\n", r"more than one column named \['label'\]"),
        ("path,label\na.wav,x\nb.wav\n", "row 3: expected 2 cells as in the header, got fewer"),
        ("path,label\na.wav,x,y\n", "row 2: expected 2 cells as in the header, got more"),
        ("path,label\na.wav,\nb.wav,x\nc.wav, \n", r"empty label in 2 rows \(2, 4\)"),
        ("path,label\n,x\nb.wav,y\n", r"empty path in 1 row \(2\)"),
        (
            "path,label,split\na.wav,x,train\nb.wav,y,validatoin\n",
            "row 3: unknown split 'validatoin'; expected train, validation or test.*"
            "Did you mean 'validation'",
        ),
        ("path,label,split\na.wav,x,train\nb.wav,y,\n", r"no split in 1 row \(3\)"),
        (
            "path,label\na.wav,x\n1.wav,y\n2.wav,y\n3.wav,y\n4.wav,y\n",
            r"names 4 files \(row 3: 1\.wav, row 4: 2\.wav, row 5: 3\.wav, …\) that cannot be",
        ),
        ("path,label\na.wav,x\nb.wav,x\n", "one class only .*'x'"),
        ("path,label\na.wav,x\na.wav,y\n", "more than once"),
        (
            "path,label,split,group\na.wav,x,train,g\nb.wav,y,test,g\n",
            "'g' in test and train",
        ),
        ('path,label\n"a.wav,x\n', "not a CSV file"),
    ],
)
def test_each_mistake_gets_one_sentence(table: Write, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_manifest(table(text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "advice"),
    [
        ("Path,Label", r"Rename 'Path' to 'path' and 'Label' to 'label'\."),
        ("file,emotion", r"Rename 'file' to 'path' and 'emotion' to 'label'\."),
        ("path,x", r"lacks label; .*Add or rename the columns\."),
    ],
)
def test_columns_of_other_names_are_told_how_to_be_renamed(
    table: Write, header: str, advice: str
) -> None:
    with pytest.raises(DataError, match=advice):
        load_manifest(table(f"{header}\na.wav,x\n"))


def test_a_label_outside_the_given_ones_is_named_with_its_row(table: Write) -> None:
    file = table("path,label\na.wav,anger\nb.wav,hapiness\n")
    with pytest.raises(
        DataError, match=r"row 3: unknown label 'hapiness'.*Did you mean 'happiness'"
    ):
        load_manifest(file, labels=("anger", "happiness"))
    with pytest.raises(DataError, match=r"unknown label 'hapiness'.*Correct it"):
        load_manifest(file, labels=("anger", "zzz"))


def test_binary_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_bytes(b"\xff\xfe\x00\x80")
    (tmp_path / "clips.parquet").write_text("path,label\n")
    with pytest.raises(DataError, match="not a CSV file in UTF-8"):
        load_manifest(tmp_path / "clips.csv")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        load_manifest(tmp_path / "clips.parquet")
    with pytest.raises(DataError, match="is not there"):
        load_manifest(tmp_path / "absent.csv")


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clips.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'ter_fast\[train\]'"):
        load_manifest(tmp_path / "clips.parquet")


def test_a_damaged_parquet_manifest_is_a_sentence(tmp_path: Path) -> None:
    table = tmp_path / "t.parquet"
    columns = {"path": ["a.wav", "b.wav"] * 20, "label": ["x", "y"] * 20}
    pq.write_table(pa.table(columns), table)
    whole = table.read_bytes()
    messages = []
    for place in range(4, len(whole), 3):
        table.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            load_manifest(table, check=False)
        except DataError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert [
        message for message in messages if not message.startswith(str(table)) or "\n" in message
    ] == []


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_separators_line_ends_and_marks_of_spreadsheets(
    table: Write, separator: str, ending: str, encoding: str
) -> None:
    lines = ['"path"; label ;note', 'a.wav;anger;"x, y"', "b.wav;fear;é"]
    text = "".join(line.replace(";", separator) + ending for line in lines)
    data = load_manifest(table(text, encoding))
    assert [sample.label for sample in data] == ["anger", "fear"]
    assert data[0].attributes == {"note": "x, y"}


def test_cells_of_any_length_are_read(table: Write) -> None:
    text = "z" * 200_000
    data = load_manifest(table(f'path,label,text\na.wav,x,"{text}"\nb.wav,y,k\n'))
    assert [sample.attributes["text"] for sample in data] == [text, "k"]


def test_the_index_of_a_data_frame_is_left_out(table: Write) -> None:
    data = load_manifest(table(",path,label\n0,a.wav,x\n1,b.wav,y\n"))
    assert [dict(sample.attributes) for sample in data] == [{}, {}]


@pytest.mark.parametrize("label", ["", " ", "nan", "NaN", "<NA>", "NaT"])
def test_a_missing_label_is_no_class(table: Write, label: str) -> None:
    with pytest.raises(DataError, match=r"empty label in 1 row \(3\)"):
        load_manifest(table(f"path,label\na.wav,x\nb.wav,{label}\nc.wav,y\n"))


@pytest.mark.parametrize("labels", [[0.0, 1.0, float("nan")], ["x", "y", None], ["x", "y", "nan"]])
def test_a_missing_label_in_parquet_is_no_class(
    table: Write, tmp_path: Path, labels: list[object]
) -> None:
    table("")
    rows = pa.table({"path": ["a.wav", "b.wav", "c.wav"], "label": labels})
    pq.write_table(rows, tmp_path / "n.parquet")
    with pytest.raises(DataError, match=r"empty label in 1 row \(3\)"):
        load_manifest(tmp_path / "n.parquet")


def test_parquet_cells_of_every_type(table: Write, tmp_path: Path) -> None:
    table("")
    rows = {
        "path": pa.array([b"a.wav", b"b.wav"]),
        "label": pa.array([True, False]),
        "group": pa.array([1.5, None]),
        "embedding": pa.array([[0.5, 1.0], None]),
        "age": pa.array([31, None], pa.int8()),
    }
    pq.write_table(pa.table(rows), tmp_path / "n.parquet")
    data = load_manifest(tmp_path / "n.parquet")
    assert [(s.label, s.group) for s in data] == [("True", "1.5"), ("False", data[1].path)]
    assert [dict(s.attributes) for s in data] == [{"embedding": "[0.5, 1.0]", "age": "31"}, {}]
    rows["label"] = pa.array([["x"], ["y"]])
    pq.write_table(pa.table(rows), tmp_path / "n.parquet")
    with pytest.raises(DataError, match="row 1: the label is a list; expected text or a number"):
        load_manifest(tmp_path / "n.parquet")


def test_parquet_columns_of_one_name_are_refused(table: Write, tmp_path: Path) -> None:
    table("")
    columns = [pa.array(["a.wav", "b.wav"]), pa.array(["x", "y"]), pa.array(["y", "x"])]
    rows = pa.Table.from_arrays(columns, names=["path", "label", "label"])
    pq.write_table(rows, tmp_path / "n.parquet")
    with pytest.raises(DataError, match=r"more than one column named \['label'\]"):
        load_manifest(tmp_path / "n.parquet")


def test_rows_are_counted_as_spreadsheets_do(table: Write) -> None:
    with pytest.raises(DataError, match="row 4: unknown split 'best'"):
        load_manifest(table("path,label,split\na.wav,x,train\n\nb.wav,y,best\n"))
