"""The one entry point for checks: `nox -s tests extras lint docs sanitize kernels bench`."""

from __future__ import annotations

import re
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

LINTERS = ("ruff", "mypy", "pandas-stubs", "clang-format", "import-linter")
CONSTRAINTS = ("-c", "constraints.txt")
KERNEL_TESTS = (
    "tests/opinions/test_ops.py",
    "tests/opinions/test_special.py",
    "tests/opinions/test_loss_kernel.py",
    "tests/opinions/test_uncertainty_kernel.py",
    "tests/opinions/test_decision.py",
)
SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined"
# In the order in which ptxas reports on a kernel.
KERNEL_NAME = re.compile(r"Compiling entry function '(\w+)'")
KERNEL_NEEDS = re.compile(
    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\n"
    r".*?Used (\d+) registers"
)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests with branch coverage."""
    session.install(*CONSTRAINTS, ".[test]")
    session.run("pytest", "--cov", "--cov-report=term-missing", *session.posargs)


@nox.session
def extras(session: nox.Session) -> None:
    """Run the tests that need an extra of ter_fast, or the data that TER_FAST_DATA names."""
    session.install(*CONSTRAINTS, ".[test,shards,dali-cuda13,torchcodec]")
    session.run("pytest", "-m", "extra or data", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, lint, types and layers of Python, and the format of C++."""
    session.install(*CONSTRAINTS, ".[test]", *LINTERS)
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run("lint-imports")
    patterns = ("*.h", "*.cpp", "*.cuh", "*.cu")
    sources = session.run("git", "ls-files", *patterns, external=True, silent=True).split()
    session.run("clang-format", "--dry-run", "--Werror", *sources)


def sanitizer_runtimes(session: nox.Session) -> str:
    """Return the libraries that an interpreter without sanitizers has to load first."""
    return " ".join(
        session.run("gcc", f"-print-file-name={name}", external=True, silent=True).strip()
        for name in ("libasan.so", "libubsan.so")
    )


@nox.session
def sanitize(session: nox.Session) -> None:
    """Run the kernels' tests under GCC's address and undefined-behaviour sanitizers."""
    session.install(*CONSTRAINTS, "--config-settings=cmake.define.TER_FAST_CUDA=OFF", ".[test]")
    # After the rest, which would put a plain build in its place.
    session.install(
        *CONSTRAINTS,
        "--config-settings=cmake.define.TER_FAST_CUDA=OFF",
        f"--config-settings=cmake.define.CMAKE_CXX_FLAGS={SANITIZERS} -g1",
        "--force-reinstall",
        "--no-deps",
        ".",
    )
    session.run(
        "pytest",
        *KERNEL_TESTS,
        # These start compilers or interpreters of their own, which the preloaded runtime would watch.
        *("-k", "not compile and not instruction_set and not forked and not without"),
        *session.posargs,
        env={"LD_PRELOAD": sanitizer_runtimes(session), "ASAN_OPTIONS": "detect_leaks=0"},
    )


@nox.session
def kernels(session: nox.Session) -> None:
    """Print what the CUDA kernels need of a GPU (of sm_90, or the one given); run them on the host.

    A warning of the compiler fails, and so does a forward kernel that spills registers to memory.
    """
    architecture = session.posargs[0] if session.posargs else "sm_90"
    warnings = ("-Werror", "all-warnings", "-Xcompiler=-Wall,-Wextra,-Wno-unknown-pragmas")
    build = ("-std=c++17", f"-arch={architecture}", *warnings, "-Xptxas=-v", "-c")
    spilled = []
    print(f"{'kernel, on ' + architecture:64} registers  stack  spilled")
    for source in sorted(Path("csrc/cuda").glob("*.cu")):
        target = f"{session.create_tmp()}/{source.stem}.o"
        said = session.run("nvcc", *build, str(source), "-o", target, external=True, silent=True)
        names = session.run("c++filt", *KERNEL_NAME.findall(said), external=True, silent=True)
        found = zip(names.splitlines(), KERNEL_NEEDS.findall(said), strict=True)
        for name, (stack, stores, loads, registers) in found:
            spill = int(stores) + int(loads)
            short = re.sub(r"ter::(cuda::)?|\(anonymous namespace\)::|^void |\([^()]*\)$", "", name)
            print(f"{short:64} {registers:>9} {stack:>6} {spill:>8}")
            if spill and "ackward" not in short:
                spilled.append(short)
    if spilled:
        session.error(
            f"registers are spilled in {', '.join(spilled)}: give the kernel more of them"
        )

    session.install(*CONSTRAINTS, "--config-settings=cmake.define.TER_FAST_CUDA=OFF", ".[test]")
    session.run(
        # A sanitizer reports past what pytest would catch, and ends the process.
        *("pytest", "--capture=sys", "tests/opinions/test_cuda_on_host.py", "-k", "not 1000"),
        env={
            "TER_FAST_CUDA_ON_HOST_FLAGS": SANITIZERS,
            "LD_PRELOAD": sanitizer_runtimes(session),
            "ASAN_OPTIONS": "detect_leaks=0",
        },
    )


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site into site/, warnings being errors, and look at what it asks for."""
    session.install(*CONSTRAINTS, ".[test,docs]")
    session.run(
        *("mkdocs", "build", "--strict", "--site-dir", "site"), env={"NO_MKDOCS_2_WARNING": "1"}
    )
    session.run("pytest", "tests/test_site.py", *session.posargs, env={"TER_FAST_SITE": "site"})


@nox.session
def bench(session: nox.Session) -> None:
    """Time everything against its peers, and write page, plots and figures (about ten minutes)."""
    session.install(*CONSTRAINTS, ".[test]")
    folder = session.create_tmp()
    figures, sweeps = f"{folder}/bench.json", f"{folder}/scaling.json"
    session.run("pytest", "--benchmark", f"--benchmark-json={figures}", *session.posargs)
    if not session.posargs:  # a part of the rows makes no page
        session.run("python", "-m", "benchmarks.scaling", sweeps)
        session.run("python", "-m", "benchmarks.render", figures, sweeps, "benchmarks/results")
        session.run(
            "python", "-m", "benchmarks.guarantee", "--out", "benchmarks/results/guarantee.md"
        )
