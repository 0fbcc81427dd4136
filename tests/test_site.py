"""The built documentation site: whole, and asking no other host for anything.

`nox -s docs` builds it and runs this; without TER_FAST_SITE, the folder of a built site, it is skipped.
"""

from __future__ import annotations

import importlib
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest

import ter_fast

FOLDER = os.environ.get("TER_FAST_SITE", "")
SITE = Path(FOLDER)
PACKAGES = (
    "data", "data.shards", "evaluate", "evaluate.report", "evaluate.robustness", "experts.card",
    "experts.encoders", "media.corrupt", "media.decode", "multiview", "opinions.losses",
    "opinions.reference", "train", "train.recipes", "trust.metrics", "trust.metrics.modules",
    "trust.thresholds",
)  # fmt: skip

pytestmark = [
    pytest.mark.extra("docs"),
    pytest.mark.skipif(
        not FOLDER,
        reason="needs ter_fast[docs] and TER_FAST_SITE, the folder of a built site: nox -s docs",
    ),
]


class Page(HTMLParser):
    """What a page fetches, what it links to, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.linked: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where the element points."""
        given = {name: value or "" for name, value in attrs}
        self.anchors.add(given.get("id", ""))
        if "src" in given:
            self.fetched.append(given["src"])
        if "href" in given and tag != "link":
            self.linked.append(given["href"])
        elif given.get("rel") in {"stylesheet", "icon", "preload", "preconnect"}:
            self.fetched.append(given["href"])


@pytest.fixture(scope="module")
def pages() -> dict[Path, Page]:
    """Every page of the site."""
    return {path: Page(path) for path in SITE.rglob("*.html")}


def test_nothing_is_fetched_from_elsewhere(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert not [each for each in page.fetched if urlsplit(each).netloc], path
    for style in SITE.rglob("*.css"):
        assert not re.search(r"url\(\W?https?:|@import", style.read_text("utf-8")), style


def test_links_lead_somewhere(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for link in page.linked + page.fetched:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or not parts.path:
                continue
            target = (path.parent / unquote(parts.path)).resolve()
            assert target.exists(), f"{path}: {link}"
            if parts.fragment and target.suffix == ".html":
                assert unquote(parts.fragment) in Page(target).anchors, f"{path}: {link}"


def test_equations_are_mathml(pages: dict[Path, Page]) -> None:
    text = (SITE / "metrics.html").read_text(encoding="utf-8")
    assert text.count("<math") > 20
    for path in pages:
        assert "arithmatex" not in path.read_text(encoding="utf-8"), path


def test_everything_public_is_described(pages: dict[Path, Page]) -> None:
    described = {anchor for page in pages.values() for anchor in page.anchors}
    modules = [importlib.import_module(f"ter_fast.{name}") for name in PACKAGES]
    missing = [
        f"{module.__name__}.{name}"
        for module in (ter_fast, *modules)
        for name in module.__all__
        if name != "__version__" and not places(module, name) & described
    ]
    assert not missing


def places(module: ModuleType, name: str) -> set[str]:
    """Return the anchors that an object may have: where it is exported, and where it is defined."""
    value = getattr(module, name)
    home = getattr(value, "__module__", "")
    if name == "Criterion":  # a `Literal`, which does not know where it is defined
        home = "ter_fast.trust.thresholds.exact"
    if isinstance(value, ModuleType):
        return {value.__name__}
    exported, defined = f"{module.__name__}.{name}", f"{home}.{name}"
    if home == exported:  # the name is also that of the module, which has this anchor
        return {defined}
    return {exported, defined, f"{home.rpartition('.')[0]}.{name}"}
