"""Every registered corpus keeps the same contract, and is named wherever corpora are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ter_fast
import ter_fast.data
from helpers.corpora import TREES
from ter_fast.cli import app
from ter_fast.data import CORPORA, Dataset, Sample, load_dataset, register_dataset, with_protocol
from ter_fast.data.protocols import protocol_forms
from ter_fast.errors import DataError

ROOT = Path(__file__).parents[2]
FIELDS = {"title": "Mine", "modalities": ["audio"], "labels": ["a", "b"], "terms": "CC0"}


@pytest.fixture(params=CORPORA)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tree(name: str, tmp_path: Path) -> Path:
    assert name in TREES, f"give {name} a tree in TREES of tests/helpers/corpora.py"
    return TREES[name](tmp_path)


def test_a_tree_is_read_as_it_is_registered(name: str, tree: Path) -> None:
    corpus = CORPORA[name]
    data = load_dataset(f"{name}:{tree}")
    assert (data.name, data.labels, data.terms) == (name, corpus.labels, corpus.terms)
    assert data.modalities
    assert set(data.modalities) <= set(corpus.modalities)
    assert {s.split for s in data} in ({""}, {"train", "test"}, {"train", "validation", "test"})
    for sample in data:
        assert sample.label in corpus.labels
        assert sample.group.startswith(f"{name}:")
        assert len(sample.group) > len(name) + 1
        assert sample.attributes["corpus"] == name
        assert set(sample.extras) <= set(corpus.modalities)
        assert sample.image is not None or Path(sample.path).is_file()
    assert load_dataset(f"{name}:{tree}") == data


def test_options_are_checked(name: str, tree: Path) -> None:
    for option in CORPORA[name].options:
        with pytest.raises(DataError, match=rf"{option}='nonsense'; expected one of \["):
            load_dataset(f"{name}:{tree}?{option}=nonsense")
    known = ", ".join(f"{option}=…" for option in (*CORPORA[name].options, "protocol"))
    with pytest.raises(DataError, match=f"unknown option 'nonsense=1'; expected {known}"):
        load_dataset(f"{name}:{tree}?nonsense=1")


def test_a_folder_that_does_not_hold_it_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "missing"):
        with pytest.raises(DataError, match=f"{folder}.*(Give|Copy)"):
            load_dataset(f"{name}:{tmp_path / folder}")


def test_published_protocols_split_by_group(name: str, tree: Path) -> None:
    data = load_dataset(f"{name}:{tree}")
    for protocol, split in CORPORA[name].protocols.items():
        found = with_protocol(data, protocol)
        assert {s.group: s.split for s in found} == {
            group: split.get(group, "train") for group in data.groups()
        }
        assert len({s.split for s in found}) > 1


def test_it_is_described(name: str) -> None:
    corpus = CORPORA[name]
    assert corpus.load.__name__ == f"load_{name}"
    assert getattr(ter_fast.data, f"load_{name}") is corpus.load
    assert f"load_{name}" in dir(ter_fast.data)
    for text in (corpus.title, corpus.description, corpus.terms, corpus.reference, corpus.split):
        assert text
    assert corpus.terms.startswith(f"{corpus.title}: ")
    for section in ("Args:", "Raises:", "Reference:", "Example:"):
        assert section in (corpus.load.__doc__ or "")


def test_help_and_messages_name_it(name: str) -> None:
    for command in (["data", "check"], ["train"]):
        shown = " ".join(CliRunner().invoke(app, [*command, "--help"]).output.split())
        assert re.search(rf"CORPUS:PATH with [\w, ]*\b{name}\b", shown)
    with pytest.raises(DataError, match=rf"{name}:PATH.*Did you mean '{name}'"):
        load_dataset(f"{name}x:clips")
    for protocol in CORPORA[name].protocols:
        assert f"{protocol} ({CORPORA[name].title})" in protocol_forms()


def test_the_page_has_a_row_for_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from registry_tables import filled

    page = filled((ROOT / "docs" / "dataset.md").read_text(encoding="utf-8"))
    rows = [line for line in page.splitlines() if line.startswith(f"| `{name}:PATH` |")]
    assert len(rows) == 1
    assert rows[0].count("|") == 8
    assert CORPORA[name].title in rows[0]


def test_pages_name_no_corpus_that_is_not_there() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for found in re.findall(r"`([a-z_0-9]+):PATH", page.read_text(encoding="utf-8")):
            assert found in {*CORPORA, "folders", "shards"}, f"{page.name}: {found}"


def test_trees_are_of_registered_corpora() -> None:
    assert set(TREES) == set(CORPORA)
    assert list(CORPORA) == sorted(CORPORA)


def pair(path: str, kind: str = "all") -> Dataset:
    clips = (Sample(f"{path}/1.wav", "a", "", "x"), Sample(f"{path}/2.wav", "b", "", "y"))
    return Dataset("mine", ("a", "b"), clips, "CC0", ("audio",))


def test_a_corpus_of_ones_own() -> None:
    register_dataset("mine", **FIELDS, protocols={"ours": {"y": "test"}})(pair)
    assert CORPORA["mine"].options == ("kind",)
    assert [s.split for s in load_dataset("mine:clips?kind=all&protocol=ours")] == ["train", "test"]
    register_dataset("mine", **FIELDS)(pair)
    with pytest.raises(ValueError, match=r"'mine' is taken by .*\.pair"):
        register_dataset("mine", **FIELDS)(load_dataset)
    with pytest.raises(DataError, match="the protocol chumachenko is one of ravdess, not of mine"):
        load_dataset("mine:clips?protocol=chumachenko")


@pytest.mark.parametrize(
    ("own", "options", "message"),
    [
        ("x", {}, "corpus name 'x'; expected letters"),
        ("my corpus", {}, "corpus name 'my corpus'"),
        ("folders", {}, "that of a layout"),
        ("mine", {"protocols": {"ours": {"y": "dev"}}}, r"unknown splits \['dev'\]"),
    ],
)
def test_registrations_that_are_refused(own: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        register_dataset(own, **FIELDS, **options)  # type: ignore[arg-type]
    assert own not in CORPORA


def test_the_command_line_takes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own_corpus_code.py").write_text(
        "from ter_fast.data import Dataset, Sample, register_dataset\n\n\n"
        '@register_dataset("own", title="Own", modalities=["audio"], labels=["a", "b"], terms="CC0")\n'
        "def load_own(path):\n"
        '    clips = (Sample(f"{path}/1.wav", "a", "", "x"), Sample(f"{path}/2.wav", "b", "", "y"))\n'
        '    return Dataset("own", ("a", "b"), clips, "CC0", ("audio",))\n'
    )
    for clip in ("1.wav", "2.wav"):
        (tmp_path / clip).touch()
    code = str(tmp_path / "own_corpus_code.py")
    app(["--import", code, "data", "check", f"own:{tmp_path}", "--quick"], standalone_mode=False)
    assert "own: audio" in capsys.readouterr().out


def test_names_of_corpora_are_known_without_torch_and_numpy() -> None:
    """What a command line offers should not take as long as what it does."""
    code = (
        "import sys\n"
        "from ter_fast.data import CORPORA\n"
        "print(*CORPORA, 'torch' in sys.modules, 'numpy' in sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.split() == [*CORPORA, "False", "False"]
