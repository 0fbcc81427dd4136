"""A checkout takes the installed extension that was compiled from its sources, and no other."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from helpers.needs import needs_kernels
from ter_fast.opinions._ops import extension, native

ROOT = Path(__file__).parents[2]
FILE = f"_C{EXTENSION_SUFFIXES[0]}"
PROVIDE = """
from ter_fast.opinions._ops.extension import provide
print(provide())
try:
    from ter_fast import _C
    print(_C.__file__, _C.instruction_set() != "")
except ImportError:
    print("none")
"""


class Checkout:
    """A checkout of little more than what looks for the extension, and a folder of installed packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.package = self.folder / "ter_fast"
        here = self.package / "opinions" / "_ops"
        here.mkdir(parents=True)
        shutil.copy(str(extension.__file__), here)
        for package in (self.package, here.parent, here):
            (package / "__init__.py").touch()
        shutil.copytree(ROOT / "csrc", self.folder / "csrc")
        self.installed = folder / "site" / "ter_fast"
        self.installed.mkdir(parents=True)

    def provide(self, first: str = "") -> list[str]:
        """Return what `provide` says, and the extension that there is then."""
        path = f"sys.path[:0] = [{str(self.folder)!r}, {str(self.installed.parent)!r}]\n"
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", f"import sys\n{path}{first}\n{PROVIDE}"],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout.splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def install(folder: Path) -> Path:
    """Put the extension of this environment into a package."""
    return Path(shutil.copy(str(native._C.__file__), folder / FILE))


@needs_kernels
def test_the_installed_extension_of_the_same_sources_is_taken(checkout: Checkout) -> None:
    file = install(checkout.installed)
    assert checkout.provide() == ["", f"{file} True"]


@needs_kernels
@pytest.mark.parametrize("name", ["special.h", "cuda/fuse.cuh", "cpu/dispatch.cpp"])
def test_an_extension_of_other_sources_is_not_taken(checkout: Checkout, name: str) -> None:
    file = install(checkout.installed)
    source = checkout.folder / "csrc" / name
    source.write_text(source.read_text("utf-8") + "// changed\n", encoding="utf-8")
    reason, there = checkout.provide()
    assert reason.startswith(
        "this is a checkout, and the kernels of the ter_fast that is installed"
    )
    assert "were compiled from other sources" in reason
    assert str(file) in reason
    assert reason.endswith(f"pip install -e {checkout.folder}")
    assert there == "none"


@needs_kernels
def test_a_source_more_or_less_counts_as_another(checkout: Checkout) -> None:
    install(checkout.installed)
    (checkout.folder / "csrc" / "rules.h").rename(checkout.folder / "csrc" / "laws.h")
    assert "other sources" in checkout.provide()[0]


@needs_kernels
def test_an_extension_beside_the_package_comes_first(checkout: Checkout) -> None:
    install(checkout.installed)
    file = install(checkout.package)
    assert checkout.provide() == ["", f"{file} True"]


@needs_kernels
def test_an_import_that_is_forbidden_stays_so(checkout: Checkout) -> None:
    install(checkout.installed)
    assert checkout.provide("sys.modules['ter_fast._C'] = None")[1] == "none"


def test_a_checkout_without_any_extension_says_how_to_have_one(checkout: Checkout) -> None:
    expected = "this is a checkout, and no ter_fast with kernels is installed; compile them with: pip install"
    assert checkout.provide() == [f"{expected} -e {checkout.folder}", "none"]


def test_an_installed_package_without_extension_had_no_compiler(checkout: Checkout) -> None:
    shutil.rmtree(checkout.folder / "csrc")
    expected = "the package was installed without a compiler; install a C++ compiler and reinstall ter_fast"
    assert checkout.provide() == [expected, "none"]


def test_an_extension_for_another_python_is_named(checkout: Checkout) -> None:
    (checkout.package / "_C.cpython-27-riscv.so").touch()
    version = ".".join(map(str, sys.version_info[:3]))
    assert checkout.provide() == [
        f"the compiled extension (_C.cpython-27-riscv.so) is for another Python than this {version}; "
        "reinstall ter_fast with this one",
        "none",
    ]


@pytest.mark.parametrize("place", ["package", "installed"])
def test_a_broken_extension_is_an_error_of_its_own(checkout: Checkout, place: str) -> None:
    file = getattr(checkout, place) / FILE
    file.write_text(f"no library {extension.digest(checkout.folder)}", encoding="utf-8")
    reason, there = checkout.provide()
    assert reason.startswith("the compiled extension does not load (")
    assert str(file) in reason
    assert there == "none"


@needs_kernels
def test_python_in_the_root_of_the_checkout_has_the_kernels() -> None:
    # The tests run the package that was installed from this checkout, or this one.
    done = subprocess.run(
        [sys.executable, "-c", "from ter_fast.opinions import _ops; print(_ops.backend().name)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert done.stdout == "C++ extension\n"
    assert "pure torch" not in done.stderr
