"""Dependencies point one way, and importing the package stays cheap."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import ter_fast

PACKAGE = Path(ter_fast.__file__).parent

# From the bottom up: a module may import from its own layer and from those below. A package
# stands for all of its modules.
LAYERS = (
    ("errors",),
    ("_C",),
    ("fusion_rules", "confidence_kinds", "trusted"),
    ("_ops", "reference", "_arrays", "_views", "_memory", "_threads", "atomic", "progress"),
    (
        *("opinion", "fusion", "decision", "losses", "uncertainty", "thresholds", "metrics"),
        *("clip", "decode", "faces", "features", "augment", "corrupt", "encoders", "config"),
        *("functionals", "voice", "ensembles"),
        *("data", "prediction", "outcomes", "figures", "breakdown", "scaling"),
        *("conformal", "discounting", "modalities", "familiarity"),
        *("timeline", "timeline_plot", "subtitles", "shards", "pretrained_encoders"),
    ),
    (
        *("inference", "prepare", "labelled", "pretrained", "predict", "promise", "criterion"),
        "provenance",
        "card",
        *("conclude", "live", "streaming", "expert", "encoded", "joining", "sources"),
        "disagreement",
    ),
    ("model", "train", "calibrate", "evaluate", "robustness", "report", "multiview"),
    ("recipes",),
    ("present", "prediction_table", "information"),
    ("cli", "__main__", "__init__"),
)
LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}

# What `import ter_fast` may not load: each costs from tenths of a second to several, and none is
# needed before its part of the package is used.
LATE = (
    *("lightning", "pytorch_lightning", "torchmetrics", "transformers", "huggingface_hub"),
    *("pandas", "pyarrow", "matplotlib", "jinja2", "sklearn", "scipy", "numba"),
    *("cv2", "av", "nvidia.dali", "torchcodec", "torchaudio", "torchvision"),
    *("typer", "rich"),
)
IMPORT_SECONDS = 0.5

SOURCES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """Return the dotted name below `ter_fast`; the package itself is `__init__`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts if len(parts) == 1 or parts[-1] != "__init__" else parts[:-1])


NAMES = {module_name(path): path for path in SOURCES}


def is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports(node: ast.AST, lazy: bool) -> list[ast.Import | ast.ImportFrom]:
    """List the imports that run with a module, or, with `lazy`, also those inside functions."""
    found: list[ast.Import | ast.ImportFrom] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            found.append(child)
        elif is_typing_only(child):
            continue
        elif lazy or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            found += imports(child, lazy)
    return found


@cache
def dependencies(name: str, lazy: bool) -> frozenset[str]:
    """Return the modules of the package that a module imports, in dotted names below it."""
    found = set()
    for node in imports(ast.parse(NAMES[name].read_text(encoding="utf-8")), lazy):
        if isinstance(node, ast.Import):
            wanted = [(alias.name, "") for alias in node.names]
        else:
            assert node.level == 0, f"{name} line {node.lineno}: use an absolute import"
            wanted = [(node.module or "", alias.name) for alias in node.names]
        for module, member in wanted:
            if module.split(".")[0] != "ter_fast":
                continue
            below = module.removeprefix("ter_fast").removeprefix(".")
            inner = f"{below}.{member}".strip(".")
            is_module = inner in NAMES or inner == "_C"
            found.add(inner if is_module else below or "__init__")
    return frozenset(found - {name})


def level(name: str) -> int:
    return LEVEL[name.split(".", maxsplit=1)[0]]


@pytest.mark.parametrize("name", NAMES)
def test_every_module_has_a_layer(name: str) -> None:
    assert name.split(".", maxsplit=1)[0] in LEVEL, (
        f"give ter_fast.{name} a place in LAYERS of this test"
    )


@pytest.mark.parametrize("name", NAMES)
def test_imports_point_down(name: str) -> None:
    upward = {other for other in dependencies(name, lazy=True) if level(other) > level(name)}
    assert not upward, f"ter_fast.{name} imports {sorted(upward)} from a layer above its own"


def test_no_module_waits_for_itself() -> None:
    graph = {name: dependencies(name, lazy=False) for name in NAMES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' <- '.join(error.args[1])}")


def test_only_ops_imports_the_extension() -> None:
    users = {name for name in NAMES if "_C" in dependencies(name, lazy=True)}
    assert users == {"_ops.native"}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_needs_the_benchmarks(name: str) -> None:
    for node in imports(ast.parse(NAMES[name].read_text(encoding="utf-8")), lazy=True):
        wanted = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        wanted += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert "benchmarks" not in {module.split(".")[0] for module in wanted}


def test_this_test_sees_what_it_looks_for() -> None:
    """The parser must find an import that is known to be there, lazy ones apart."""
    assert "thresholds.loops" in dependencies("thresholds.counting", lazy=True)
    assert "thresholds.loops" not in dependencies("thresholds.counting", lazy=False)
    assert "errors" in dependencies("thresholds.counting", lazy=False)


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
