"""The tables of fusion rules and kinds of confidence: one of the package, one of the kernels, the same."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from ter_fast.cli import app
from ter_fast.evaluate.report.formatting import confidence_of
from ter_fast.opinions._ops import native
from ter_fast.opinions.confidence_kinds import CONFIDENCE_KINDS
from ter_fast.opinions.fusion_rules import FUSION_RULES
from ter_fast.opinions.opinion import Opinion


@pytest.mark.skipif(not native.COMPILED, reason="compares with the compiled extension")
def test_the_kernels_have_the_same_names_in_the_same_order() -> None:
    assert tuple(FUSION_RULES) == native._C.RULES
    assert tuple(CONFIDENCE_KINDS) == native._C.CONFIDENCE_KINDS


@pytest.mark.parametrize("compiled", [("a",), ("b", "a"), ("a", "b", "c"), None])
def test_other_names_in_the_extension_are_an_error(
    monkeypatch: pytest.MonkeyPatch, compiled: tuple[str, ...] | None
) -> None:
    monkeypatch.setattr(native, "COMPILED", True)
    found = SimpleNamespace() if compiled is None else SimpleNamespace(RULES=compiled)
    monkeypatch.setattr(native, "_C", found, raising=False)
    with pytest.raises(ImportError, match="reinstall ter_fast; or csrc lacks what was added"):
        native.codes(("a", "b"), "RULES")


def test_codes_count_from_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "COMPILED", False)
    assert native.codes(("a", "b"), "RULES") == {"a": 0, "b": 1}


@pytest.mark.parametrize("table", [FUSION_RULES, CONFIDENCE_KINDS])
def test_every_row_says_what_it_is(table: dict[str, object]) -> None:
    for name, row in table.items():
        assert vars(row)["name"] == name
        assert all(value != "" for value in vars(row).values())


def test_names_are_known_without_torch() -> None:
    """So that `--help` can list them: the modules are run apart from the package, which loads torch."""
    code = (
        "import runpy, sys\n"
        "for path in sys.argv[1:]: runpy.run_path(path)\n"
        "assert 'torch' not in sys.modules"
    )
    paths = [sys.modules[each.__module__].__file__ or "" for each in (
        type(FUSION_RULES["dempster"]), type(CONFIDENCE_KINDS["margin"]),
    )]  # fmt: skip
    subprocess.run([sys.executable, "-c", code, *paths], check=True)


@pytest.mark.parametrize(
    ("command", "table"), [("join", FUSION_RULES), ("calibrate", CONFIDENCE_KINDS)]
)
def test_help_lists_them(command: str, table: dict[str, object]) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "400"}).output
    assert all(name in shown for name in table)


@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
def test_a_report_has_words_for_each_kind(kind: str) -> None:
    assert confidence_of(kind) == CONFIDENCE_KINDS[kind].title


@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
def test_an_opinion_and_inference_mean_the_same_confidence(kind: str) -> None:
    opinion = Opinion(torch.rand(50, 5, dtype=torch.float64) * 9)
    row = CONFIDENCE_KINDS[kind]
    torch.testing.assert_close(row.function(opinion), (row.unrounded or row.function)(opinion))
