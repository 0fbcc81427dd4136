"""The `--benchmark` flag: run the benchmarks instead of the tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--benchmark`."""
    parser.addoption(
        "--benchmark", action="store_true", help="run the throughput benchmarks in benchmarks/"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect the benchmarks, and only them, when asked to."""
    if config.getoption("--benchmark"):
        config.addinivalue_line("python_files", "bench_*.py")
        if config.args_source is not pytest.Config.ArgsSource.ARGS:
            config.args[:] = ["benchmarks"]
    elif hasattr(config.option, "benchmark_disable"):
        config.option.benchmark_disable = True
