"""Where the compiled extension `ter_fast._C` comes from, and why it may be missing."""

from __future__ import annotations

import hashlib
import platform
import sys
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from importlib.util import module_from_spec
from pathlib import Path

_NAME = "ter_fast._C"
_PACKAGE = Path(__file__).parents[2]
_SOURCES = ("*.h", "*.cpp", "cpu/*.h", "cpu/*.cpp", "cuda/*.cuh", "cuda/*.cu")


def provide() -> str:
    """Make `ter_fast._C` importable; return why it is not and what to do, or "" where it is.

    A checkout has no extension beside its Python files. It takes that of an installed `ter_fast`, if that
    was compiled from the same sources: another one might disagree with the Python files on its calls.
    """
    try:
        import_module(_NAME)
    except ImportError as error:
        if _files(_PACKAGE):
            return _why_not_loaded(_PACKAGE, error)
    else:
        return ""
    checkout = _PACKAGE.parent
    if not (checkout / "csrc" / "bindings.cpp").is_file():
        return "the package was installed without a compiler; install a C++ compiler and reinstall ter_fast"
    compile_it = f"compile them with: pip install -e {checkout}"
    # An entry is there already, and is None, where something forbids the import.
    spec = None if _NAME in sys.modules else _installed()
    if spec is None or spec.origin is None:
        return f"this is a checkout, and no ter_fast with kernels is installed; {compile_it}"
    if digest(checkout).encode() not in Path(spec.origin).read_bytes():
        return (
            "this is a checkout, and the kernels of the ter_fast that is installed were compiled from other "
            f"sources than its csrc/ ({spec.origin}); {compile_it}"
        )
    try:
        _load(spec)
    except ImportError as error:
        return _why_not_loaded(Path(spec.origin).parent, error)
    return ""


def digest(checkout: Path) -> str:
    """Return the SHA-256 of the C++ and CUDA sources, as CMake computes it for the extension to hold."""
    folder = checkout / "csrc"
    files = sorted(
        file.relative_to(checkout).as_posix() for each in _SOURCES for file in folder.glob(each)
    )
    hashes = (hashlib.sha256((checkout / name).read_bytes()).hexdigest() for name in files)
    lines = (f"{name} {value}\n" for name, value in zip(files, hashes, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _installed() -> ModuleSpec | None:
    """Return the first extension for this Python among the packages `ter_fast` on the path."""
    return PathFinder.find_spec(_NAME, [str(Path(each, "ter_fast")) for each in sys.path])


def _load(spec: ModuleSpec) -> None:
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[_NAME] = module
    sys.modules["ter_fast"]._C = module  # type: ignore[attr-defined]


def _files(package: Path) -> list[str]:
    """Return the names of the extensions in a package, for whichever Python they are."""
    return sorted(file.name for file in package.glob("_C.*") if file.suffix != ".pyi")


def _why_not_loaded(package: Path, error: ImportError) -> str:
    files = _files(package)
    if {f"_C{suffix}" for suffix in EXTENSION_SUFFIXES}.isdisjoint(files):
        return (
            f"the compiled extension ({', '.join(files)}) is for another Python than this "
            f"{platform.python_version()}; reinstall ter_fast with this one"
        )
    return f"the compiled extension does not load ({error}); reinstall ter_fast"
