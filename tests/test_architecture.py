"""Importing the package stays cheap, and only the operators know the compiled extension.

Which part may import which is checked by import-linter (`lint-imports`, with the contracts of pyproject.toml).
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ter_fast

PACKAGE = Path(ter_fast.__file__).parent
ROOT = Path(__file__).parents[1]

# What `import ter_fast` may not load: each costs from tenths of a second to several, and none is
# needed before its part of the package is used.
LATE = (
    *("lightning", "pytorch_lightning", "torchmetrics", "transformers", "huggingface_hub"),
    *("pandas", "pyarrow", "matplotlib", "jinja2", "sklearn", "scipy", "numba"),
    *("cv2", "av", "nvidia.dali", "torchcodec", "torchaudio", "torchvision"),
    *("typer", "rich"),
)
IMPORT_SECONDS = 0.5


def test_only_the_operators_import_the_extension() -> None:
    wanted = re.compile(r"^\s*(from ter_fast import .*\b_C\b|import ter_fast\._C)", re.MULTILINE)
    users = [file for file in PACKAGE.rglob("*.py") if wanted.search(file.read_text("utf-8"))]
    assert users == [PACKAGE / "opinions" / "_ops" / "native.py"]


def fresh_import() -> tuple[float, list[str]]:
    """Import torch, then ter_fast, in a new interpreter; return its seconds on the processor and the new modules."""
    code = (
        "import json, sys, time, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "import torch\n"
        "before, start = set(sys.modules), time.process_time()\n"
        "import ter_fast\n"
        "seconds = time.process_time() - start\n"
        "print(json.dumps([seconds, sorted(set(sys.modules) - before)]))\n"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent, timeout=300
    )
    seconds, modules = json.loads(run.stdout.splitlines()[-1])
    return float(seconds), list(modules)


def test_import_loads_nothing_heavy() -> None:
    _, modules = fresh_import()
    assert "ter_fast" in modules
    early = {late for late in LATE for name in modules if f"{name}.".startswith(f"{late}.")}
    assert not early, f"import ter_fast loads {sorted(early)}; import them where they are used"


@pytest.mark.slow
def test_import_is_quick() -> None:
    seconds = []
    # Of the processor, and the best of three, because other work on the machine only ever adds time.
    for _ in range(3):
        seconds.append(fresh_import()[0])
        if seconds[-1] < IMPORT_SECONDS:
            return
    pytest.fail(f"import ter_fast took {min(seconds):.2f} s beyond torch, not {IMPORT_SECONDS} s")


def test_the_picture_of_the_layers_is_current() -> None:
    script = ROOT / "docs" / "draw_architecture.py"
    spec = importlib.util.spec_from_file_location("draw_architecture", script)
    assert spec is not None
    assert spec.loader is not None
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    folder = ROOT / "docs" / "architecture"
    committed = {file.name: file.read_text("utf-8") for file in folder.iterdir()}
    assert committed == drawing.pictures(), "python docs/draw_architecture.py docs/architecture"


def test_the_page_of_the_architecture_names_files_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = {
        path for path in re.findall(r"`([\w./]+\.(?:py|h|cpp|md))`", page) if "NAME" not in path
    }
    folders = ("benchmarks", "csrc", "docs", "ter_fast", "tests")
    files = [file.as_posix() for folder in folders for file in (ROOT / folder).rglob("*.*")]
    missing = {path for path in named if not any(file.endswith(f"/{path}") for file in files)}
    assert len(named) > 30
    assert not missing
