"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import benchmarks
import ter_fast

MODULES = sorted(
    module.name
    for package in (ter_fast, benchmarks)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith(("._C", ".__main__", ".conftest"))
)
EXTRAS = {
    "ter_fast.media.decode.torchcodec": "torchcodec",
    "ter_fast.media.decode.dali_media": "dali-cuda13",
}
"""Modules that load with an extra alone, and which."""

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def with_its_extra(name: str) -> object:
    """Mark a module that needs an extra."""
    return pytest.param(name, marks=pytest.mark.extra(EXTRAS[name]) if name in EXTRAS else ())


@pytest.mark.parametrize("name", [with_its_extra(name) for name in MODULES])
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=FLAGS, verbose=False)
    assert result.failed == 0


def test_there_are_examples() -> None:
    examples = sum(
        len(test.examples)
        for name in set(MODULES) - set(EXTRAS)
        for test in doctest.DocTestFinder().find(importlib.import_module(name))
    )
    assert examples > 100
