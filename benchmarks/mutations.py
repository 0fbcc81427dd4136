"""What becomes of damaged media files: probe, read and predict 2,000 of them.

    python -m benchmarks.mutations --data FOLDER [--count 2000] [--out benchmarks/results/mutations.md]

FOLDER holds `fixtures/` and `models/`; the variable TER_FAST_DATA names it, too. Files are damaged
by `tests/helpers/mutate.py` and read in their own processes (`mutation_steps.py`), so that a crash or a
hang is seen. torchcodec and DALI read them too where they are installed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from benchmarks.mutation_page import page
from benchmarks.mutation_steps import PEERS, SECONDS, STEPS, Result, Step, serve
from helpers.mutate import Mutant, mutants
from helpers.originals import originals

ROOT = Path(__file__).parents[1]


class Reader:
    """A process that reads files, started again after a crash or a hang."""

    def __init__(self, command: Sequence[str], folder: Path | None = None) -> None:
        self.command, self.folder = list(command), folder
        self.process: subprocess.Popen[bytes] | None = None
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the reader)
        self.pending = b""

    def close(self) -> None:
        if self.process is not None:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.kill()
            self.process.wait()
            with contextlib.suppress(OSError):
                self.process.stdin.close()
            self.process.stdout.close()
            self.process = None
        self.pending = b""

    def read(self, path: Path, names: Sequence[str] | None = None) -> dict[str, Step]:
        """Return the outcome of each step; after one that ends the process, the others go on."""
        wanted = STEPS if names is None else names
        steps: dict[str, Step] = {}
        while left := [name for name in wanted if name not in steps]:
            self._read(path, left, steps)
        return {name: steps[name] for name in wanted}

    def _read(self, path: Path, names: list[str], steps: dict[str, Step]) -> None:
        process = self._ready()
        assert process.stdin is not None
        written = os.fstat(self.errors.fileno()).st_size
        # Where it died after its last answer, its end is found, and noted, in place of the first line.
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps([str(path), names]).encode() + b"\n")
            process.stdin.flush()
        patience = 3 * SECONDS
        while (line := self._line(patience)) is not None:
            if line == b"next":
                assert all(name in steps for name in names), "it left steps out"
                return
            name, values = json.loads(line)
            if name:
                steps[name] = Step(**values)
            else:
                patience = 3 * values
        fault = self._fault(written, patience)
        steps[next(name for name in names if name not in steps)] = fault
        self.close()

    def _fault(self, written: int, patience: float) -> Step:
        assert self.process is not None
        code = self.process.poll()
        if code is None:
            return Step("hang", f"killed after {patience:.0f} s", patience)
        what = signal.strsignal(-code) or f"{code}" if code < 0 else f"{code}"
        size = os.fstat(self.errors.fileno()).st_size - written
        said = os.pread(self.errors.fileno(), size, written).decode(errors="replace")
        # What Python's faulthandler wrote last: the innermost frame first.
        trace = said.rpartition("Fatal Python error")[2]
        found = re.search(r'File ".*?([^/"]+)", line \d+ in (\S+)', trace)
        return Step("crash", f"{what}, in {found[2]} of {found[1]}" if found else what)

    def _ready(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                cwd=self.folder, env=os.environ | {"OMP_NUM_THREADS": "1"},
            )  # fmt: skip
            if self._line(120.0) != b"ready":
                said = os.pread(self.errors.fileno(), 10_000, 0).decode(errors="replace")
                self.close()
                raise RuntimeError(f"the reading process did not start:\n{said}")
        return self.process

    def _line(self, timeout: float) -> bytes | None:
        """Return the next line, or None when the process ends or says nothing for that long."""
        assert self.process is not None
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        while b"\n" not in self.pending:
            if not select.select([pipe], [], [], timeout)[0]:
                return None
            if not (piece := os.read(pipe, 1 << 16)):
                self.process.wait()
                return None
            self.pending += piece
        line, _, self.pending = self.pending.partition(b"\n")
        return line


def run(
    data: Path, cases: Iterable[Mutant], jobs: int = 1, keep: Path | None = None
) -> Iterator[Result]:
    """Read every mutant; those that fail are kept in the folder `keep`, if any."""
    waiting = iter(cases)
    lock, found = threading.Lock(), queue.Queue[Result | BaseException | None]()
    stop = threading.Event()

    def work() -> None:
        command = [sys.executable, "-m", "benchmarks.mutations"]
        command += ["--serve", "--data", str(data.resolve())]
        # Libraries of others in their own processes: what one writes beyond its memory may end the
        # process at a later file, in another step.
        groups = [[step for step in STEPS if step not in PEERS]]
        groups += [[step] for step in STEPS if step in PEERS]
        readers = [
            (Reader([*command, "--steps", *group], ROOT), group) for group in groups if group
        ]
        try:
            with tempfile.TemporaryDirectory() as folder:
                while not stop.is_set():
                    with lock:
                        mutant = next(waiting, None)
                    if mutant is None:
                        break
                    path = Path(folder) / mutant.name
                    path.write_bytes(mutant.content)
                    steps: dict[str, Step] = {}
                    for reader, group in readers:
                        steps |= reader.read(path, group)
                    result = Result(mutant.kind, mutant.name, steps)
                    path.unlink()
                    if keep is not None and result.faults:
                        (keep / mutant.name).write_bytes(mutant.content)
                    found.put(result)
        except BaseException as error:
            found.put(error)
        finally:
            for reader, _ in readers:
                reader.close()
                reader.errors.close()
            found.put(None)

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    ended = 0
    try:
        while ended < jobs:
            result = found.get()
            if isinstance(result, BaseException):
                raise result
            if result is None:
                ended += 1
            else:
                yield result
    finally:
        # Where one of them failed, or nobody reads on, the others end with the file that they are at.
        stop.set()
        for thread in threads:
            thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("TER_FAST_DATA"))
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the files that fail")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--steps", nargs="*", default=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.data is None:
        parser.error("give --data FOLDER, or set TER_FAST_DATA")
    if options.serve:
        serve(options.data, options.steps)
        return
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    sources = originals(options.data / "fixtures")
    results = []
    for result in run(
        options.data, mutants(sources, options.count, options.seed), options.jobs, options.keep
    ):
        results.append(result)
        for name, step in result.faults.items():
            print(f"{result.name}: {name}: {step.outcome}: {step.message}", file=sys.stderr)
        if len(results) % 100 == 0:
            print(f"{len(results)} of {options.count}", file=sys.stderr)
    results.sort(key=lambda result: result.name)
    text = page(results, sources, options.seed)
    if options.out is None:
        sys.stdout.write(text)
    else:
        options.out.write_text(text, encoding="utf-8")
    sys.exit(any(result.faults for result in results))


if __name__ == "__main__":
    main()
