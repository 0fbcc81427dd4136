"""What every run of pytest has: `--benchmark`, a worker for each core, and skips that fail.

`--benchmark` runs the benchmarks in place of the tests. Where TER_FAST_MAY_SKIP is set, as in CI, a
test may be skipped for a reason that this regular expression finds, and fails for any other.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

# Benchmarks are importable by tests. Last, so that the installed package, which has the compiled kernels, is
# found before its source.
sys.path.append(str(Path(__file__).parent))

MOST_WORKERS = 4
"""Each worker loads torch: more of them would ask a laptop for more memory than it has."""


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


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes run the tests: one for each core, or none but this one.

    Benchmarks are timed alone, and to run a few files by name is quicker without starting workers.
    """
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    few = named and all(Path(each.partition("::")[0]).is_file() for each in config.args)
    if config.getoption("--benchmark") or few or cores() == 1:
        return 0
    return min(cores(), MOST_WORKERS)


def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Share the cores among the workers, which inherit this environment.

    OpenMP and MKL would start a thread for each core in each worker, and these would wait for one
    another.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // len(specs))))


def must_run(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip for a reason that TER_FAST_MAY_SKIP does not allow into a failure."""
    allowed = os.environ.get("TER_FAST_MAY_SKIP")
    if allowed is None or not report.skipped or hasattr(report, "wasxfail"):
        return
    assert isinstance(report.longrepr, tuple)
    path, line, reason = report.longrepr
    if not re.search(allowed, reason):
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: {reason}\nand TER_FAST_MAY_SKIP allows only: {allowed}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let no test be skipped that has to run."""
    report = yield
    must_run(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let no file be skipped that has to run."""
    report = yield
    must_run(report)
    return report
