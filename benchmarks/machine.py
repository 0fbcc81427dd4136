"""Describe the machine that figures were taken on, without naming it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy
import torch

from benchmarks.cases import DEVICES
from ter_fast.opinions import _ops


def describe() -> dict[str, Any]:
    """Return processor, caches, GPU and versions as plain values."""
    return {
        "cpu": _processor(),
        "cores": _cores(),
        "caches": _caches(),
        "kernels": "; ".join(str(_ops.backend(device)) for device in DEVICES),
        "gpu": torch.cuda.get_device_name() if "cuda" in DEVICES else None,
        "compiler": _compiler(),
        "torch": torch.__version__,
        "torch_instruction_set": torch.backends.cpu.get_cpu_capability(),
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def slug(description: dict[str, Any]) -> str:
    """Return a file name for results of a machine: `amd-epyc-2-cores`."""
    name = f"{description['cpu']} {description['cores']} cores {description['gpu'] or ''}"
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)", "", name.lower())).strip("-")


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(
            r"^model name\s*:\s*(.+)$", cpuinfo.read_text(encoding="utf-8"), re.MULTILINE
        )
        if found:
            return found.group(1).strip()
    return platform.processor() or platform.machine()


def _caches() -> dict[str, str]:
    """Return sizes by name, as the first core sees them: `{"L1d": "32K", "L3": "32768K"}`."""
    caches = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind = (folder / "type").read_text().strip()
        level = (folder / "level").read_text().strip()
        suffix = {"Data": "d", "Instruction": "i"}.get(kind, "")
        caches[f"L{level}{suffix}"] = (folder / "size").read_text().strip()
    return caches


def _compiler() -> str | None:
    """Return the first line of what the C++ compiler says of itself; it compiles torch's peers."""
    command = os.environ.get("CXX", "c++").split()
    try:
        answer = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.splitlines()[0].strip()
