"""Imports and `--help` stay cheap, and only the operators know the compiled extension.

Which part may import which is checked by import-linter (`lint-imports`, with the contracts of pyproject.toml).
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ter_fast

PACKAGE = Path(ter_fast.__file__).parent
ROOT = Path(__file__).parents[1]

# What `import ter_fast.model` may not load: each costs from tenths of a second to several, and none
# is needed before its part of the package is used.
LATE = (
    *("lightning", "pytorch_lightning", "torchmetrics", "transformers", "huggingface_hub"),
    *("pandas", "pyarrow", "matplotlib", "jinja2", "sklearn", "scipy", "numba"),
    *("cv2", "av", "nvidia.dali", "torchcodec", "torchaudio", "torchvision"),
    *("typer", "rich"),
)
IMPORT_SECONDS = 0.5
HELP_SECONDS = 0.5
COMMAND_LINE = """
from ter_fast.cli import main
try:
    main()
except SystemExit:
    pass
"""


def test_only_the_operators_import_the_extension() -> None:
    wanted = re.compile(r"^\s*(from ter_fast import .*\b_C\b|import ter_fast\._C)", re.MULTILINE)
    users = [file for file in PACKAGE.rglob("*.py") if wanted.search(file.read_text("utf-8"))]
    assert users == [PACKAGE / "opinions" / "_ops" / "native.py"]


def in_new_interpreter(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter that knows of no warning filter of pytest's."""
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent, timeout=300
    )


def new_modules(before: str, code: str, *arguments: str) -> tuple[float, list[str]]:
    """Run `before`, then `code`; return the seconds that `code` took of the processor, and the new modules."""
    run = in_new_interpreter(
        f"import json, sys, time\n{before}\n"
        "before, start = set(sys.modules), time.process_time()\n"
        f"{code}\n"
        "seconds = time.process_time() - start\n"
        "print()\n"
        "print(json.dumps([seconds, sorted(set(sys.modules) - before)]))\n",
        *arguments,
    )
    seconds, modules = json.loads(run.stdout.splitlines()[-1])
    return float(seconds), list(modules)


def early(modules: list[str], late: tuple[str, ...]) -> set[str]:
    """Return the names among `late` that modules belong to."""
    return {each for each in late for name in modules if f"{name}.".startswith(f"{each}.")}


def least_seconds(before: str, code: str, *arguments: str, enough: float) -> float:
    """Return the best of up to three runs, because other work on the machine only ever adds time."""
    seconds = math.inf
    for _ in range(3):
        seconds = min(seconds, new_modules(before, code, *arguments)[0])
        if seconds < enough:
            break
    return seconds


def test_import_loads_nothing_of_others() -> None:
    _, modules = new_modules("", "import ter_fast")
    assert "ter_fast" in modules
    loaded = early(modules, ("torch", "numpy", *LATE))
    assert not loaded, f"import ter_fast loads {sorted(loaded)}"


def test_model_loads_nothing_heavy_but_torch() -> None:
    _, modules = new_modules("import torch", "import ter_fast.model")
    assert "ter_fast.experts.network" in modules
    loaded = early(modules, LATE)
    assert not loaded, f"the model loads {sorted(loaded)}; import them where they are used"


def test_model_is_quick_to_import() -> None:
    seconds = least_seconds("import torch", "import ter_fast.model", enough=IMPORT_SECONDS)
    assert seconds < IMPORT_SECONDS


def test_public_names_are_all_there_and_load_when_asked_for() -> None:
    names = [name for name in ter_fast.__all__ if name != "__version__"]
    assert set(names) == set(ter_fast._HOMES) | {"decode", "losses", "metrics", "thresholds"}
    for name, home in ter_fast._HOMES.items():
        assert getattr(ter_fast, name) is getattr(importlib.import_module(home), name)
    assert set(names) <= set(dir(ter_fast))
    with pytest.raises(AttributeError, match="'ter_fast' has no attribute 'nothing'"):
        getattr(ter_fast, "nothing")  # noqa: B009  (for type checkers, who know that)


@pytest.mark.parametrize("first", ["home", "short", "attribute"])
def test_short_names_are_of_the_same_module(first: str) -> None:
    homes = {
        "losses": "opinions.losses",
        "metrics": "trust.metrics",
        "thresholds": "trust.thresholds",
    }
    in_new_interpreter(
        "import importlib, sys, ter_fast\n"
        f"for short, home in {homes}.items():\n"
        "    ways = {\n"
        "        'home': lambda: importlib.import_module(f'ter_fast.{home}'),\n"
        "        'short': lambda: importlib.import_module(f'ter_fast.{short}'),\n"
        "        'attribute': lambda: getattr(ter_fast, short),\n"
        "    }\n"
        f"    module = ways.pop({first!r})()\n"
        "    assert all(way() is module for way in ways.values())\n"
        "    assert getattr(ter_fast, short) is module\n"
        "from ter_fast.losses import TrustedCELoss\n"
        "from ter_fast.metrics import accuracy\n"
        "from ter_fast.thresholds import sweep\n"
    )


def test_without_compiled_kernels_the_first_use_warns() -> None:
    run = in_new_interpreter(
        "import sys, warnings\n"
        "sys.modules['ter_fast._C'] = None\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    import ter_fast\n"
        "    assert not caught\n"
        "    ter_fast.fuse, ter_fast.uncertainty\n"
        "print(*(each.message for each in caught if 'ter_fast' in str(each.message)), sep='\\n')\n"
    )
    assert run.stdout.startswith("ter_fast runs on pure torch")
    assert run.stdout.count("\n") == 1


# Whoever reads what commands there are, or mistyped one, should not wait for what they would load.
@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("predict", "--help"),
        ("train", "--help"),
        ("data", "check", "--help"),
        ("predict", "--no-such-option"),
        ("no-such-command",),
    ],
    ids=" ".join,
)
def test_help_and_usage_errors_load_neither_torch_nor_numpy(arguments: tuple[str, ...]) -> None:
    _, modules = new_modules("", COMMAND_LINE, *arguments)
    assert "ter_fast.cli" in modules
    loaded = early(modules, ("torch", "numpy", *LATE[: LATE.index("typer")]))
    assert not loaded, f"ter-fast {' '.join(arguments)} loads {sorted(loaded)}"


def test_help_is_quick() -> None:
    assert least_seconds("", COMMAND_LINE, "--help", enough=HELP_SECONDS) < HELP_SECONDS


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
