"""What becomes of damaged media files: probe, read and predict 2,000 of them.

    python benchmarks/mutations.py --data FOLDER [--count 2000] [--out benchmarks/results/mutations.md]

FOLDER holds `fixtures/` and `models/`; the variable TER_FAST_DATA names it, too. Files are damaged
by `tests/mutate.py` and read in processes of their own, so that a crash or a hang is seen.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import queue
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from mutate import Mutant, Original, mutants, originals

SECONDS = 20.0
"""A step that takes longer hangs."""

MEMORY = 1 << 30
"""Bytes by which a step may grow the process."""

ADDRESSES = 4 << 30
STEPS = ("probe", "read", "predict, small model", "predict, shipped model")
GOOD = ("done", "masked", "refused")
TINY = {"widths": [4, 4, 4, 4], "dropout": 0.0}


@dataclass(frozen=True)
class Step:
    """What became of one file in one step.

    Attributes:
        outcome: done, masked (a modality is missing, and the result says why), refused (a sentence
            that names the file); or what must not be: uncaught, wrong, hang, crash, leak, memory.
        message: the sentence, the reasons or the fault.
        seconds: wall-clock.
        memory: bytes that the process grew at most.
    """

    outcome: str
    message: str = ""
    seconds: float = 0.0
    memory: int = 0


@dataclass(frozen=True)
class Result:
    """What became of one damaged file in every step."""

    kind: str
    name: str
    steps: dict[str, Step] = field(default_factory=dict)

    @property
    def faults(self) -> dict[str, Step]:
        """The steps that went as no step may."""
        return {name: step for name, step in self.steps.items() if step.outcome not in GOOD}


# -- the process that reads -----------------------------------------------------------------------


def serve(data: Path) -> None:
    """Read a path a line, answer with the steps' outcomes as a line of JSON."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    steps = _steps(data)
    for warm_up in sorted((data / "fixtures").glob("*.m*")):
        for call in steps.values():
            call(warm_up)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESSES, used + ADDRESSES))
    answers.write("ready\n")
    for line in sys.stdin:
        for name, call in steps.items():
            answers.write(json.dumps([name, asdict(_watched(call, Path(line.strip())))]) + "\n")
        answers.write("next\n")


def _steps(data: Path) -> dict[str, Callable[[Path], tuple[str, str]]]:
    import torch

    import ter_fast
    from ter_fast import decode

    torch.set_num_threads(1)
    shipped = ter_fast.Model.from_pretrained("default")
    encoders = {"audio": ("logmel_cnn", TINY), "video": ("frame_cnn", TINY)}
    whole = ter_fast.VideoInput(frames=4, size=32, faces="whole")
    small = ter_fast.Model.build(("a", "b"), encoders, video=whole, window_seconds=2.0).eval()
    faces = next((data / "models").glob("yunet*.onnx"))

    def probe(path: Path) -> tuple[str, str]:
        info = decode.probe(path)
        _require(math.isfinite(info.duration) and info.duration >= 0, f"{info}")
        _require(math.isfinite(info.start), f"{info}")
        return "done", ""

    def read(path: Path) -> tuple[str, str]:
        clip = decode.read(path)
        if clip.audio is not None:
            _require(bool((clip.audio.abs() <= 1).all()), "sound beyond 1 or NaN")
            _require(len(clip.audio) == round(16_000 * clip.duration), "another length of sound")
        if clip.times is not None:
            _require(bool(clip.times.isfinite().all()), "times that are no numbers")
            _require(bool((clip.times.diff() > 0).all()), "times that do not ascend")
        return ("done" if None not in (clip.audio, clip.frames) else "masked"), clip.note

    def predict(path: Path, model: Any, **options: Any) -> tuple[str, str]:
        found = model.predict(path, **options)
        said = "; ".join(found.reasons)
        present = [opinion for opinion in found.opinions.values() if opinion is not None]
        _require(0 <= found.start <= found.end < math.inf, f"from {found.start} to {found.end}")
        if not present:
            _require(found.label == "" and bool(said), f"a label from nothing: {found.label}")
            return "masked", said
        _require(found.label in model.config.labels, f"the label {found.label!r}")
        _require(0 <= found.confidence <= 1, f"the confidence {found.confidence}")
        return ("done" if len(present) == len(found.opinions) else "masked"), said

    return {
        "probe": probe,
        "read": read,
        "predict, small model": lambda path: predict(path, small),
        "predict, shipped model": lambda path: predict(path, shipped, face_model=faces),
    }


def _require(condition: bool, fault: str) -> None:
    if not condition:
        raise AssertionError(fault)


def _watched(call: Callable[[Path], tuple[str, str]], path: Path) -> Step:
    from ter_fast.errors import TerFastError

    before, began = _open_things(), time.perf_counter()
    # Sets the peak that the kernel keeps back to what is in use now.
    Path("/proc/self/clear_refs").write_text("5")
    memory = _peak()
    try:
        outcome, message = call(path)
    except TerFastError as error:
        outcome, message = "refused", str(error)
        if path.name not in message:
            outcome = "wrong"
        elif "could not be read (" in message:
            # A sentence for the user, but of an error that nobody foresaw.
            outcome = "uncaught"
    except AssertionError as error:
        outcome, message = "wrong", str(error)
    except Exception as error:
        outcome, message = "uncaught", f"{type(error).__name__}: {error}"
    seconds, memory = time.perf_counter() - began, max(0, _peak() - memory)
    if outcome in GOOD and memory > MEMORY:
        outcome, message = "memory", f"grew by {memory >> 20} MiB; {message}"
    if outcome in GOOD and seconds > SECONDS:
        outcome, message = "hang", f"took {seconds:.0f} s; {message}"
    if outcome in GOOD and (left := _left_open(before)):
        outcome, message = "leak", f"left open: {left}; {message}"
    return Step(outcome, message, seconds, memory)


def _peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) << 10


def _open_things() -> Counter[str]:
    things: Counter[str] = Counter()
    for entry in os.listdir("/proc/self/fd"):
        # The handle of the listing itself is gone by now.
        if os.path.lexists(link := f"/proc/self/fd/{entry}"):
            things[os.readlink(link)] += 1
    things["threads"] = len(os.listdir("/proc/self/task"))
    return things


def _left_open(before: Counter[str]) -> str:
    for attempt in range(20):
        left = _open_things() - before
        if not left:
            return ""
        if attempt == 0:
            gc.collect()
        # A thread that has been joined leaves the table of the kernel a moment later.
        time.sleep(0.02)
    return ", ".join(f"{count} {thing}" for thing, count in left.items())


# -- the process that watches ---------------------------------------------------------------------


class Reader:
    """A process that reads files, begun anew after a crash or a hang."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self.process: subprocess.Popen[bytes] | None = None
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the reader)
        self.pending = b""

    def close(self) -> None:
        if self.process is not None:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None
        self.pending = b""

    def read(self, path: Path) -> dict[str, Step]:
        """Return the outcome of every step that was reached."""
        process = self._ready()
        assert process.stdin is not None
        written = os.fstat(self.errors.fileno()).st_size
        process.stdin.write(f"{path}\n".encode())
        process.stdin.flush()
        steps: dict[str, Step] = {}
        while (line := self._line(3 * SECONDS)) not in (b"next", None):
            name, values = json.loads(line or b"")
            steps[name] = Step(**values)
        if line is None:
            code = process.poll()
            if code is None:
                step = Step("hang", f"killed after {3 * SECONDS:.0f} s", 3 * SECONDS)
            else:
                step = Step(
                    "crash", signal.strsignal(-code) or f"{code}" if code < 0 else f"{code}"
                )
            steps[STEPS[len(steps)]] = step
            self.close()
        elif os.fstat(self.errors.fileno()).st_size > written:
            noise = os.pread(self.errors.fileno(), 300, written).decode(errors="replace")
            last = list(steps)[-1]
            if steps[last].outcome in GOOD:
                steps[last] = Step("wrong", f"wrote to the terminal: {noise}")
        return steps

    def _ready(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
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

    def work() -> None:
        reader = Reader([sys.executable, __file__, "--serve", "--data", str(data)])
        try:
            with tempfile.TemporaryDirectory() as folder:
                while True:
                    with lock:
                        mutant = next(waiting, None)
                    if mutant is None:
                        break
                    path = Path(folder) / mutant.name
                    path.write_bytes(mutant.content)
                    result = Result(mutant.kind, mutant.name, reader.read(path))
                    path.unlink()
                    if keep is not None and result.faults:
                        (keep / mutant.name).write_bytes(mutant.content)
                    found.put(result)
        except BaseException as error:
            found.put(error)
        finally:
            reader.close()
            reader.errors.close()
            found.put(None)

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    ended = 0
    while ended < jobs:
        result = found.get()
        if isinstance(result, BaseException):
            raise result
        if result is None:
            ended += 1
        else:
            yield result
    for thread in threads:
        thread.join()


# -- the page -------------------------------------------------------------------------------------


def page(results: list[Result], sources: list[Original], seed: int) -> str:
    """Return the counts, the maxima and the sentences as Markdown."""
    outcomes = [
        "done",
        "masked",
        "refused",
        *("uncaught", "wrong", "crash", "hang", "leak", "memory"),
    ]
    lines = [
        "# Damaged media files",
        "",
        f"{len(results):,} damaged copies of {len(sources)} files (seed {seed}): the fixtures, and their "
        "sound, pictures and streams in other formats. *Done*: pictures and sound were used, or the file "
        "was described. *Masked*: one of them, or both, could not be used, and the result says why. "
        f"*Refused*: one sentence that names the file. All others must be 0: an error nobody foresaw, a "
        f"result that cannot be, a crash, more than {SECONDS:.0f} s, an open file or thread left behind, "
        f"or more than {MEMORY >> 20} MiB.",
        "",
        f"| step | {' | '.join(outcomes)} | seconds: median | most | MiB: most |",
        f"|---|{'---:|' * (len(outcomes) + 3)}",
    ]
    for name in STEPS:
        steps = [result.steps[name] for result in results if name in result.steps]
        counts = Counter(step.outcome for step in steps)
        seconds = sorted(step.seconds for step in steps)
        memory = max(step.memory for step in steps) / (1 << 20)
        row = " | ".join(f"{counts[outcome]:,}" for outcome in outcomes)
        middle = seconds[len(seconds) // 2]
        lines.append(f"| {name} | {row} | {middle:.3f} | {seconds[-1]:.2f} | {memory:.0f} |")
    last = STEPS[-1]
    lines += ["", f"By damage, in the last step ({last}):", ""]
    lines += [
        "| damage | files | done | masked | refused | faults |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for kind in dict.fromkeys(result.kind for result in results):
        of_kind = [result for result in results if result.kind == kind]
        counts = Counter(r.steps[last].outcome for r in of_kind if last in r.steps)
        faults = sum(bool(result.faults) for result in of_kind)
        row = " | ".join(f"{counts[outcome]}" for outcome in GOOD)
        lines.append(f"| {kind} | {len(of_kind)} | {row} | {faults} |")
    lines += ["", "What a user reads, by how often:", "", "| files | sentence |", "|---:|---|"]
    said = Counter(
        _pattern(result)
        for result in results
        if last in result.steps and result.steps[last].message
    )
    lines += [f"| {count} | {text} |" for text, count in said.most_common(25)]
    if faults := [result for result in results if result.faults]:
        lines += ["", "Faults:", ""]
        lines += [
            f"- {r.name}: {name}: {step.outcome}: {step.message}"
            for r in faults
            for name, step in r.faults.items()
        ]
    return "\n".join(lines) + "\n"


def _pattern(result: Result) -> str:
    """Return the sentence about a file without what differs from file to file."""
    text = re.sub(rf"\S*{re.escape(result.name)}", "FILE", result.steps[STEPS[-1]].message)
    text = text.split("; video:")[0] if text.startswith("no modality") else text
    return re.sub(r"\d+(\.\d+)?", "N", text).replace("|", "/")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("TER_FAST_DATA"))
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the files that fail")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.data is None:
        parser.error("give --data FOLDER, or set TER_FAST_DATA")
    if options.serve:
        serve(options.data)
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
