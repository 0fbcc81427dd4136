"""How much memory an hour of film takes: the command, the shipped model, windows of 10 s.

    python -m benchmarks.long_memory --data FOLDER [--hours 1] [--out benchmarks/results/long.md]

FOLDER holds `decode/*.mp4` and `models/`; the variable TER_FAST_DATA names it, too. The film is one of them, its
packets copied again and again, in a folder that is removed; a tenth of it is measured beside it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from benchmarks import machine
from helpers.looped import loop_media

LIMIT = 1 << 30
SHARE = 10

COMMAND = """
import json, re, sys
from ter_fast.cli import app
try:
    app(sys.argv[2:])
except SystemExit as ended:
    code = ended.code
# Not ru_maxrss, which begins with what the process that started this one had.
status = open("/proc/self/status").read()
peak, kept = (int(re.search(name + r":\\s*(\\d+)", status)[1]) for name in ("VmHWM", "VmRSS"))
open(sys.argv[1], "w").write(json.dumps([code, peak, kept]))
"""


@dataclass(frozen=True)
class Measured:
    """What one run of the command took.

    Attributes:
        seconds: Length of the film.
        windows: Rows that the command wrote.
        peak: Most bytes that its process had in memory.
        kept: Bytes that it still had when all was written.
        took: Wall-clock seconds, the start of Python included.
    """

    seconds: float
    windows: int
    peak: int
    kept: int
    took: float


def measure(film: Path, seconds: float, folder: Path) -> Measured:
    """Run `ter-fast predict FILM --window 10 --per-window` in its own process."""
    looped = loop_media(film, folder / f"{round(seconds)}.mp4", seconds)
    table, figures = folder / "windows.csv", folder / "figures.json"
    given = ["predict", str(looped), "--window", "10", "--per-window", "--out", str(table)]
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", COMMAND, str(figures), *given],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,  # `-c` puts it first on the path, where the checkout would hide the installed package
    )
    took = time.perf_counter() - began
    code, peak, kept = json.loads(figures.read_text())
    if code not in (0, None):
        raise RuntimeError(f"predict ended with {code}")
    rows = len(table.read_text(encoding="utf-8").splitlines()) - 1
    looped.unlink()
    return Measured(seconds, rows, peak << 10, kept << 10, took)


def page(film: str, runs: list[Measured]) -> str:
    """Return the figures as Markdown."""
    info = machine.describe()
    whole = runs[-1]
    verdict = "met" if whole.peak < LIMIT else "**missed**"
    lines = [
        "# Memory of a long film",
        "",
        f"`ter-fast predict FILM --window 10 --per-window` with the shipped model and face detector, on {info['cpu']}, "
        f"{info['cores']} cores, torch {info['torch']}, PyAV {importlib.metadata.version('av')}. The film "
        f"is `{film}`, its packets copied again and again. Peak of the process itself (VmHWM); other "
        "work ran beside it, so that only the memory counts.",
        "",
        "| film | windows | peak, MiB | at the end, MiB | seconds | times real time |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {run.seconds / 60:.0f} min | {run.windows} | {run.peak / (1 << 20):.0f} | "
            f"{run.kept / (1 << 20):.0f} | {run.took:.0f} | {run.seconds / run.took:.0f} |"
            for run in runs
        ),
        "",
        f"Target: less than {LIMIT >> 20} MiB for an hour: {verdict}.",
        "",
        "What is in memory between two batches does not depend on the length, but for FFmpeg's index of the "
        "file, of tens of bytes a packet, and the windows' predictions: holes that batches of unlike sizes "
        "leave in the heap of the C library are given back (`malloc_trim`). The peak is that of a batch "
        "in the model with what is decoded meanwhile, and the highest of ten times as many.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("TER_FAST_DATA"))
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.data is None:
        parser.error("give --data FOLDER, or set TER_FAST_DATA")
    films = sorted((Path(options.data) / "decode").glob("*.mp4"))
    if not films:
        parser.error(f"{options.data}/decode holds no .mp4")
    seconds = 3600 * options.hours
    with tempfile.TemporaryDirectory() as folder:
        runs = [measure(films[0], each, Path(folder)) for each in (seconds / SHARE, seconds)]
    text = page(f"{films[0].parent.name}/{films[0].name}", runs)
    if options.out is None:
        sys.stdout.write(text)
    else:
        options.out.write_text(text, encoding="utf-8")
    sys.exit(runs[-1].peak >= LIMIT)


if __name__ == "__main__":
    main()
