"""Every snippet of the README and of the pages in docs/ runs, in order, in a folder of its own.

Blocks of `python` run as they stand. Of blocks of `bash` and `sh`, every command `ter-fast` runs in
this process; below `<!-- check: arguments -->` it is only parsed, by the command's own parser. What a
page takes as given (files, a model, arrays) is laid out here, by `laid_out` and `NAMES`.
"""

from __future__ import annotations

import doctest
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import typer.main
from nbclient import NotebookClient
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

import ter_fast
from helpers.docs_layout import NAMES, laid_out
from helpers.local_hub import local_hub
from ter_fast import Model
from ter_fast.cli import app

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
ARGUMENTS_ONLY = re.compile(r"<!-- check: arguments -->\s*\Z")
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
DEVICES = ("/dev/video0", "alsa:default")


def commands(block: str) -> Iterator[list[str]]:
    """Yield the arguments of every `ter-fast` in a block of shell."""
    for line in block.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|", line):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"\w+=.*", words[0]):
                words.pop(0)
            if words[:1] == ["ter-fast"]:
                yield words[1:]
            elif words[:1] == ["torchrun"] and "ter_fast" in words:
                yield words[words.index("ter_fast") + 1 :]


def parse(arguments: list[str]) -> None:
    """Parse a command line by the command's own parser; an unknown option or a missing one fails."""
    group = typer.main.get_command(app)
    context = group.make_context("ter-fast", list(arguments))
    while hasattr(group, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, group, rest = group.resolve_command(context, rest)
        context = group.make_context(name, rest, parent=context)


def shell(example: Example) -> None:
    """Run, or only parse, the commands `ter-fast` of a block."""
    before = example.document.text[: example.region.start]
    for arguments in commands(example.parsed):
        parse(arguments)
        if not ARGUMENTS_ONLY.search(before):
            assert not app(arguments, standalone_mode=False), arguments


SYBIL = Sybil(
    [
        PythonCodeBlockParser(doctest_optionflags=FLAGS),
        CodeBlockParser("bash", shell),
        CodeBlockParser("sh", shell),
    ]
)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages name."""
    return laid_out(tmp_path_factory.mktemp("desk"))


@pytest.fixture
def in_a_copy(desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a copy of that folder."""
    folder = shutil.copytree(desk, tmp_path / "desk")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    local_hub(monkeypatch, tmp_path)
    # For the kernels of notebooks: the package that is tested here.
    monkeypatch.setenv("PYTHONPATH", str(Path(ter_fast.__file__).parents[1]))
    live = Model.live

    def of_file(model: Model, source: str, **options: Any) -> Any:
        """Read a film where a page names a device that is not here."""
        return live(model, "clip.mp4" if source in DEVICES else source, **options)

    monkeypatch.setattr(Model, "live", of_file)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path, in_a_copy: Path) -> None:
    document = SYBIL.parse(page)
    document.namespace.update(NAMES.get(page.name, lambda _: {})(in_a_copy))
    for example in document.examples():
        example.evaluate()


def test_a_wrong_option_and_a_wrong_name_are_noticed(tmp_path: Path) -> None:
    parse(["predict", "a.mp4", "--window", "5"])
    parse(["data", "check", "clips.csv"])
    with pytest.raises(Exception, match="--windows"):
        parse(["predict", "a.mp4", "--windows", "5"])
    with pytest.raises(Exception, match=r"Missing.*out"):
        parse(["data", "prepare", "clips.csv"])
    page = tmp_path / "page.md"
    page.write_text("```bash\nls && X=1 ter-fast evaluate --ta clips.csv  # why\n```\n", "utf-8")
    with pytest.raises(Exception, match="--ta"):
        next(iter(SYBIL.parse(page).examples())).evaluate()
    page.write_text("```python\nimport ter_fast\nter_fast.fused\n```\n", "utf-8")
    with pytest.raises(AttributeError, match="fused"):
        next(iter(SYBIL.parse(page).examples())).evaluate()


def test_most_pages_have_snippets() -> None:
    pages = [page for page in PAGES if list(SYBIL.parse(page).examples())]
    assert len(pages) > len(PAGES) / 2


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_notebook(notebook: Path, in_a_copy: Path) -> None:
    beside = in_a_copy / "examples" / "notebooks"
    beside.mkdir()
    NotebookClient(
        nbformat.read(notebook, as_version=4),
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(beside)}},
    ).execute()


def test_notebooks_are_kept_without_what_they_printed() -> None:
    for notebook in NOTEBOOKS:
        for cell in nbformat.read(notebook, as_version=4).cells:
            assert not cell.get("outputs"), notebook
