"""`python -m benchmarks`: which `ter_fast` it runs, code of your own, and errors as sentences."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ter_fast

ROOT = Path(__file__).parents[2]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=300
    )


def test_it_runs_the_package_that_is_installed_and_says_errors_in_a_sentence(
    tmp_path: Path,
) -> None:
    code = tmp_path / "own_code.py"
    code.write_text("import ter_fast\nprint(ter_fast.__file__)\n", encoding="utf-8")
    told = python("-m", "benchmarks", "--import", str(code), "votes", "--out", str(tmp_path))
    assert told.stdout == f"{ter_fast.__file__}\n"
    assert told.stderr == (
        "error: votes are needed; give --data, or --render to write the page anew\n"
    )
    assert told.returncode == 1


def test_without_scikit_learn_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None; sys.path.append(sys.path.pop(0))\n"
        "import ter_fast\n"
        "try: import benchmarks.comparison\n"
        "except ter_fast.TerFastError as error: print(error)\n"
    )
    expected = "feature views need scikit-learn: pip install 'ter_fast[multiview]'\n"
    assert python("-c", code).stdout == expected
