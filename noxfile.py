"""The one entry point for checks: `nox -s tests lint bench`."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

LINTERS = ("ruff", "mypy", "pandas-stubs", "clang-format")
CONSTRAINTS = ("-c", "constraints.txt")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests with branch coverage."""
    session.install(*CONSTRAINTS, ".[test]")
    session.run("pytest", "--cov", "--cov-report=term-missing", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, lint and types of Python and C++."""
    session.install(*CONSTRAINTS, ".[test]", *LINTERS)
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    sources = session.run("git", "ls-files", "csrc", external=True, silent=True).split()
    session.run("clang-format", "--dry-run", "--Werror", *sources)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks and write their figures as JSON."""
    session.install(*CONSTRAINTS, ".[test]")
    session.run("pytest", "--benchmark", "--benchmark-json=benchmark.json", *session.posargs)
