"""The special functions of the kernels against mpmath, on every instruction set."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import mpmath
import numpy as np
import numpy.typing as npt
import pytest

from helpers.needs import needs_kernels

pytestmark = needs_kernels

Numbers = npt.NDArray[np.floating]

TOLERANCE = {"float32": 2e-6, "float64": 1e-13}
"""Allowed error, relative to max(1, |value|)."""

INSTRUCTION_SETS = ("baseline", "AVX2", "AVX-512")

mpmath.mp.dps = 40


def gap(x: mpmath.mpf) -> mpmath.mpf:
    return mpmath.log(x) - mpmath.digamma(x)


def rest(x: mpmath.mpf) -> mpmath.mpf:
    # Far out the terms of the definition cancel beyond any precision; its series is exact there.
    if x > 1e8:
        return 1 / (12 * x) - 1 / (360 * x**3)
    stirling = (x - 0.5) * mpmath.log(x) - x + mpmath.log(2 * mpmath.pi) / 2
    return mpmath.loggamma(x) - stirling


EXACT: dict[str, Callable[[mpmath.mpf], mpmath.mpf]] = {
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "digamma": mpmath.digamma,
    "trigamma": lambda x: mpmath.psi(1, x),
    "lgamma": mpmath.loggamma,
    "gap": lambda x: gap(x) if x < 1e8 else 1 / (2 * x) + 1 / (12 * x**2),
    "rest": rest,
}
"""By name; a function's place is the code by which the extension knows it."""

EVALUATE = """
import importlib.util, sys
import numpy as np
spec = importlib.util.spec_from_file_location("_C", sys.argv[1])
native = importlib.util.module_from_spec(spec)
spec.loader.exec_module(native)
given = np.load(sys.argv[2])
found = {"instruction_set": np.array(native.instruction_set())}
for key in given.files:
    dtype, code = key.split()
    x = np.ascontiguousarray(given[key])
    y = np.empty_like(x)
    place = (x.ctypes.data, y.ctypes.data, len(x), int(dtype == "float64"))
    native.special(int(code), *place, 2)
    found[key] = y
np.savez(sys.argv[3], **found)
"""
"""Without torch and the package, which would take the seconds to import."""


@cache
def points(name: str, dtype: str) -> Numbers:
    """Arguments over the whole range of a function, denser around zeros and at the seams."""
    kind = np.dtype(dtype).type
    limits = np.finfo(kind)
    rng = np.random.default_rng(0)
    if name in ("exp", "expm1"):
        most = np.log(float(limits.max))
        wide = rng.uniform(-1.2 * most, most, 300)
        small = rng.choice([-1, 1], 200) * 10 ** rng.uniform(-30, 0.5, 200)
        return np.concatenate([wide, small, [0, most * (1 - limits.eps)]]).astype(kind)
    least = -6 if name not in ("log", "log1p") else np.log10(float(limits.smallest_subnormal)) + 1
    wide = 10 ** rng.uniform(least, np.log10(float(limits.max)) - 0.01, 250)
    near = np.concatenate([rng.uniform(0.01, 12, 250), 1 + np.linspace(-1e-3, 1e-3, 20)])
    zeros = np.concatenate([1.4616321449683622 + np.linspace(-1e-4, 1e-4, 9), 2 + near[-20:] - 1])
    found = np.concatenate([wide, near, zeros, [1e-6, 1, 2, limits.max]])
    if name == "log1p":
        found = np.concatenate([found, -1 + 10 ** rng.uniform(-6, 0, 100), -near[:20] / 20])
    return found.astype(kind)


@cache
def exact(name: str, dtype: str) -> Numbers:
    """What mpmath says; infinity where the result is beyond the largest number."""
    largest = float(np.finfo(dtype).max)
    values = [EXACT[name](mpmath.mpf(float(x))) for x in points(name, dtype)]
    return np.array([np.inf if v > largest else float(v) for v in values])


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Numbers]]:
    """What the extension says, by instruction set, then by dtype and code."""
    from ter_fast import _C

    folder = tmp_path_factory.mktemp("special")
    arguments = {
        f"{dtype} {code}": points(name, dtype)
        for code, name in enumerate(EXACT)
        for dtype in TOLERANCE
    }
    np.savez(folder / "given.npz", **arguments)  # type: ignore[arg-type]
    found = {}
    for wish in INSTRUCTION_SETS:
        target = folder / f"{wish}.npz"
        command = [sys.executable, "-c", EVALUATE, str(Path(_C.__file__)), "given.npz", str(target)]
        environment = {**os.environ, "TER_FAST_INSTRUCTION_SET": wish}
        subprocess.run(command, check=True, cwd=folder, env=environment)
        with np.load(target) as arrays:
            results = dict(arrays)
        # A machine without one of them answers with its best.
        found[str(results.pop("instruction_set"))] = results
    assert "baseline" in found
    return found


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", EXACT)
def test_accuracy_over_the_whole_range(
    name: str, dtype: str, computed: dict[str, dict[str, Numbers]]
) -> None:
    expected = exact(name, dtype)
    key = f"{dtype} {list(EXACT).index(name)}"
    bound = TOLERANCE[dtype] * np.maximum(1, np.abs(expected))
    for instruction_set, results in computed.items():
        found = results[key].astype(np.float64)
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(found[~finite], expected[~finite], instruction_set)
        error = np.abs(found[finite] - expected[finite]) / bound[finite]
        worst = int(error.argmax())
        assert error[worst] <= 1, (
            f"{name}({points(name, dtype)[finite][worst]!r}) is {found[finite][worst]!r} on "
            f"{instruction_set}, expected {expected[finite][worst]!r}"
        )


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ["gap", "rest", "trigamma", "expm1", "log1p"])
def test_small_results_keep_their_digits(
    name: str, dtype: str, computed: dict[str, dict[str, Numbers]]
) -> None:
    """What losses multiply by large evidence has to be relatively exact, and so do small logs."""
    expected = exact(name, dtype)
    key = f"{dtype} {list(EXACT).index(name)}"
    normal = np.abs(expected) > 100 * float(np.finfo(dtype).tiny)
    far = normal & np.isfinite(expected) & (np.abs(expected) < 1e-2)
    assert far.sum() > 50
    for results in computed.values():
        error = np.abs(results[key].astype(np.float64)[far] / expected[far] - 1)
        assert error.max() <= 30 * float(np.finfo(dtype).eps)


def test_every_instruction_set_gives_the_same_bits(
    computed: dict[str, dict[str, Numbers]],
) -> None:
    for results in computed.values():
        for key, values in results.items():
            assert values.tobytes() == computed["baseline"][key].tobytes(), key


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("exp", [-np.inf, np.inf, np.nan, 1e4, -1e4], [0, np.inf, np.nan, np.inf, 0]),
        ("expm1", [-np.inf, np.inf, np.nan, 1e4, 0], [-1, np.inf, np.nan, np.inf, 0]),
        ("log", [0, -1, np.inf, np.nan, 1], [-np.inf, np.nan, np.inf, np.nan, 0]),
        ("log1p", [-1, -2, np.inf, np.nan, 0], [-np.inf, np.nan, np.inf, np.nan, 0]),
    ],
)
def test_special_values(name: str, given: list[float], expected: list[float], dtype: str) -> None:
    from ter_fast import _C

    x = np.array(given, dtype=dtype)
    y = np.empty_like(x)
    code = list(EXACT).index(name)
    _C.special(code, x.ctypes.data, y.ctypes.data, len(x), int(dtype == "float64"), 1)
    np.testing.assert_array_equal(y, np.array(expected, dtype=dtype))
