"""MkDocs hooks: pages of the repository that lie outside docs/, tables of registries, equations as MathML.

Pages link to each other as they lie in the repository, so that the links hold there as well. Here,
every file that a page links to becomes a part of the site, under its path in the repository; a notebook
also as a page, which links to it.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from registry_tables import filled

LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")
EQUATION = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
ALERT = re.compile(r"^> \[!(\w+)\]\n((?:>.*\n?)+)", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every file of the repository that the menu names or a page of the site links to."""
    root = Path(config.docs_dir).parent
    wanted = list(menu(config.nav))
    waiting = [file for file in files if file.is_documentation_page()]
    while waiting or wanted:
        if waiting:
            page = waiting.pop()
            links = LINK.findall(page.content_string)
            wanted += [in_site(target, page.src_uri) for _, target, _ in links]
        for path in wanted:
            if files.get_file_from_path(path) is None and (root / path).is_file():
                for added in linked_files(root / path, path, config):
                    files.append(added)
                    waiting += [added] if added.is_documentation_page() else []
        wanted.clear()
    return files


def menu(nav: Any) -> Iterator[str]:
    """Yield the paths in the navigation."""
    if isinstance(nav, str):
        yield nav
    elif nav:
        for each in nav.values() if isinstance(nav, dict) else nav:
            yield from menu(each)


def linked_files(source: Path, path: str, config: MkDocsConfig) -> Iterator[File]:
    """Yield a file of the repository as files of the site; a page for Markdown and of a notebook."""
    if source.suffix == ".md":
        yield File.generated(config, path, content=source.read_text(encoding="utf-8"))
        return
    yield File.generated(config, path, abs_src_path=str(source))
    if source.suffix == ".ipynb":
        yield File.generated(config, page_of(path), content=notebook_page(source))


def page_of(path: str) -> str:
    """Return the path of the page that shows a notebook; other paths as they are."""
    return path.removesuffix(".ipynb") + ".md" if path.endswith(".ipynb") else path


def notebook_page(source: Path) -> str:
    """Return a notebook's cells as Markdown, under a link to the notebook."""
    title, *cells = nbformat.read(source, as_version=4).cells
    link = f'[{source.name}]({source.name}){{: download="{source.name}" }}'
    head = f"{link}, to run it yourself; our tests run it as it stands."
    shown = (
        f"```python\n{cell.source}\n```" if cell.cell_type == "code" else cell.source
        for cell in cells
    )
    return "\n\n".join([title.source, head, *shown]) + "\n"


def in_repository(src_uri: str) -> str:
    """Return where a page of the site lies in the repository."""
    outside = src_uri.split("/", maxsplit=1)[0] in {"benchmarks", "examples", "ter_fast"}
    return (
        src_uri if outside or src_uri in {"CHANGELOG.md", "CONTRIBUTING.md"} else f"docs/{src_uri}"
    )


def in_site(target: str, page: str) -> str:
    """Return the path in the site of what a page links to as it lies in the repository."""
    folder = posixpath.dirname(in_repository(page))
    path = posixpath.normpath(posixpath.join(folder, target))
    return path.removeprefix("docs/")


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Fill in tables, point links at the site's own paths, and turn GitHub's alerts into admonitions."""

    def relink(match: re.Match[str]) -> str:
        path = in_site(match[2], page.file.src_uri)
        if path != posixpath.normpath(page.file.src_uri).removesuffix(".md") + ".ipynb":
            path = page_of(path)
        if files.get_file_from_path(path) is None:
            return match[0]  # left as it is, so that the strict build names it
        return (
            match[1]
            + posixpath.relpath(path, posixpath.dirname(page.file.src_uri) or ".")
            + match[3]
        )

    return ALERT.sub(admonition, LINK.sub(relink, filled(markdown)))


def admonition(match: re.Match[str]) -> str:
    """Return GitHub's alert as an admonition."""
    lines = (line.removeprefix(">").strip() for line in match[2].splitlines())
    return f"!!! {match[1].lower()}\n\n" + "".join(f"    {line}\n" for line in lines)


def on_page_content(content: str, **_: Any) -> str:
    """Replace equations in LaTeX by MathML, which browsers show without a script."""

    def mathml(match: re.Match[str]) -> str:
        display = "block" if match[2] == "[" else "inline"
        return convert(html.unescape(match[3]).strip(), display=display)

    return EQUATION.sub(mathml, content)
