"""Which CUDA kernels a build has, decided by csrc/cuda/toolkit.cmake, with programs that only claim to be NVIDIA's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLKIT = ROOT / "csrc" / "cuda" / "toolkit.cmake"
DECIDE = f"""
cmake_minimum_required(VERSION 3.25)
include("{TOOLKIT.as_posix()}")
set(TER_GPU_FILES "$ENV{{GPU_FILES}}")
ter_decide_cuda("$ENV{{WISH}}" works reason)
message("${{works}}|${{reason}}|${{CMAKE_CUDA_ARCHITECTURES}}")
"""

NVCC = """
case "$*" in
  --list-gpu-arch) printf 'compute_75\\ncompute_86\\ncompute_90\\ncompute_110\\ncompute_103\\n' ;;
  *native*) {native} ;;
  *) {compiles} ;;
esac
"""
NO_GPU = (
    "echo \"nvcc warning : Cannot find valid GPU for '-arch=native', default arch is used\" >&2;"
    " echo '#$ -D__CUDA_ARCH_LIST__=750'"
)
NO_SMI = "echo 'NVIDIA-SMI has failed because it could not communicate with the driver.'; exit 9"
NO_COMPUTE_CAP = """case "$1" in
  -L) echo "GPU 0: Tesla T4 (UUID: GPU-1)" ;;
  *) echo "Field \\"compute_cap\\" is not a valid field to query."; exit 2 ;;
esac"""

pytestmark = [
    pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake: pip install cmake"),
    pytest.mark.skipif(
        sys.platform == "win32", reason="needs a POSIX shell: run on Linux or macOS"
    ),
]


class Machine:
    """A folder of programs, and what CMake decides where these are the ones on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.nvcc()

    def program(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def nvcc(self, native: str = NO_GPU, compiles: str = "exit 0") -> None:
        self.program("nvcc", NVCC.format(native=native, compiles=compiles))

    def decide(
        self, wish: str = "AUTO", *options: str, **environment: str
    ) -> tuple[bool, str, str]:
        """Return whether CUDA is built, why not, and the architectures."""
        script = self.folder / "decide.cmake"
        script.write_text(DECIDE, encoding="utf-8")
        # CUDACXX names it because of nvcc in /usr/local/cuda, which CMake would find otherwise.
        done = subprocess.run(
            [str(shutil.which("cmake")), *options, "-P", str(script)],
            env={
                "PATH": str(self.bin),
                "CUDACXX": str(self.bin / "nvcc"),
                "GPU_FILES": str(self.folder / "nvidia[0-9]"),
                "WISH": wish,
                **environment,
            },
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        works, reason, architectures = done.stderr.strip().splitlines()[-1].split("|")
        return works == "TRUE", reason, architectures


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with nvcc, whose nvidia-smi finds no driver."""
    machine = Machine(tmp_path)
    machine.program("nvidia-smi", NO_SMI)
    return machine


def test_without_a_gpu_auto_builds_nothing(machine: Machine) -> None:
    assert machine.decide() == (False, "no NVIDIA GPU was found", "")


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("9.0", "90-real"),
        ("8.6\\n9.0\\n8.6", "86-real;90-real"),
        ("9.0\\r\\n7.5\\r", "90-real;75-real"),
        # A newer GPU than this nvcc knows, and one between two that it knows: their driver compiles.
        ("12.0", "110-virtual"),
        ("8.9", "86-virtual"),
        ("10.3", "103-real"),
        # One of two is too old.
        ("6.1\\n8.6", "86-real"),
        ("WARNING: infoROM is corrupted at gpu 0000:00:04.0\\n9.0", "90-real"),
    ],
)
def test_auto_builds_for_the_gpus_that_nvidia_smi_lists(
    machine: Machine, printed: str, expected: str
) -> None:
    machine.program("nvidia-smi", f"printf '{printed}\\n'")
    assert machine.decide() == (True, "", expected)


def test_a_gpu_too_old_for_nvcc_is_named(machine: Machine) -> None:
    machine.program("nvidia-smi", "echo 6.1")
    expected = "nvcc does not compile for a GPU of compute capability 6.1"
    assert machine.decide() == (False, expected, "")


@pytest.mark.parametrize("smi", [NO_SMI, NO_COMPUTE_CAP, "exit 0", "echo No devices were found"])
def test_where_nvidia_smi_does_not_tell_nvcc_asks_the_driver(machine: Machine, smi: str) -> None:
    machine.program("nvidia-smi", smi)
    machine.nvcc(native="echo '#$ cudafe++ -D__CUDA_ARCH_LIST__=860,1030 --orig' >&2")
    assert machine.decide() == (True, "", "86-real;103-real")


EVERY = "86-real;90"


def test_a_gpu_that_does_not_tell_its_capability_gets_all(machine: Machine) -> None:
    machine.program("nvidia-smi", NO_COMPUTE_CAP)
    assert machine.decide() == (True, "", EVERY)


@pytest.mark.parametrize("smi", [True, False])
def test_a_container_with_the_device_alone_gets_all(machine: Machine, smi: bool) -> None:
    if not smi:
        (machine.bin / "nvidia-smi").unlink()
    machine.nvcc(native="echo 'nvcc fatal : Unsupported gpu architecture' >&2; exit 1")
    assert machine.decide()[:2] == (False, "no NVIDIA GPU was found")
    (machine.folder / "nvidia0").touch()
    assert machine.decide() == (True, "", EVERY)


def test_a_gpu_without_nvcc(machine: Machine) -> None:
    machine.program("nvidia-smi", "echo 9.0")
    machine.program("nvcc", "exit 1")
    assert machine.decide()[:2] == (
        False,
        "nvcc does not compile for a GPU of compute capability 9.0",
    )
    machine.nvcc(compiles="echo unsupported GNU version; exit 1")
    assert machine.decide()[:2] == (False, "nvcc did not compile a test program")


def test_on_builds_for_every_generation_without_a_gpu(machine: Machine) -> None:
    assert machine.decide("ON") == (True, "", EVERY)


def test_off_builds_nothing_where_a_gpu_is(machine: Machine) -> None:
    machine.program("nvidia-smi", "echo 9.0")
    assert machine.decide("OFF") == (False, "TER_FAST_CUDA was OFF", "")


@pytest.mark.parametrize("wish", ["AUTO", "ON"])
def test_named_architectures_are_built_whatever_is_here(machine: Machine, wish: str) -> None:
    machine.program("nvidia-smi", "echo 8.6")
    named = machine.decide(wish, "-DCMAKE_CUDA_ARCHITECTURES=90-real;100")
    assert named == (True, "", "90-real;100")
    assert machine.decide(wish, CUDAARCHS="80") == (True, "", "80")
