"""The process that reads damaged media: what it does with a file, and what became of that."""

from __future__ import annotations

import faulthandler
import gc
import importlib.util
import json
import math
import os
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

SECONDS = 20.0
"""A step that takes longer hangs, unless the file is long: damage can stretch seconds to hours."""

PACE = 25.0
"""Seconds of a file that a step must at least get through in a second."""

MEMORY = 1 << 30
"""Bytes by which a step may grow the process."""

ADDRESSES = 4 << 30
SHIPPED = "predict, shipped model"
PEERS = {"read, torchcodec": "torchcodec", "read, DALI": "nvidia.dali"}
"""Steps that read through libraries of others, and the package that each needs."""

GOOD = ("done", "masked", "refused")
TINY = {"widths": [4, 4, 4, 4], "dropout": 0.0}

Call = Callable[[Path], tuple[str, str]]


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


STEPS = (
    *("probe", "read", "predict, small model", SHIPPED),
    *(step for step, package in PEERS.items() if _installed(package)),
)
"""What is done with every file here."""


@dataclass(frozen=True)
class Step:
    """What became of one file in one step.

    Attributes:
        outcome: Done, masked (a modality is missing, and the result says why), refused (a sentence
            that names the file); or what must not be: uncaught, wrong, hang, crash, leak, memory.
        message: The sentence, the reasons or the fault.
        seconds: Wall-clock.
        memory: Bytes that the process grew at most.
        noise: What a library of others wrote to the terminal.
    """

    outcome: str
    message: str = ""
    seconds: float = 0.0
    memory: int = 0
    noise: str = ""


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


def serve(data: Path, names: Sequence[str] = STEPS) -> None:
    """Read a path and names of steps a line, answer with the outcomes as lines of JSON.

    Standard error must be a file that can be read.

    Args:
        data: Folder with `fixtures/` and `models/`.
        names: The steps that will be asked for; what others need is not loaded.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    faulthandler.enable()
    steps = _steps(data)
    for warm_up in sorted((data / "fixtures").glob("*.m*")):
        for name in names:
            watched(steps[name], warm_up)
    used = (
        int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
        * resource.getpagesize()
    )
    resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESSES, used + ADDRESSES))
    answers.write("ready\n")
    for line in sys.stdin:
        path, names = json.loads(line)
        allowed = patience(Path(path))
        answers.write(json.dumps(["", allowed]) + "\n")
        for name in names:
            written = os.fstat(2).st_size
            step = watched(steps[name], Path(path), allowed)
            noise = os.pread(2, 300, written).decode(errors="replace")
            answers.write(json.dumps([name, asdict(with_noise(name, step, noise))]) + "\n")
        answers.write("next\n")


def _steps(data: Path) -> dict[str, Call]:
    import torch

    import ter_fast
    from ter_fast.media import decode

    torch.set_num_threads(1)
    shipped = ter_fast.Model.from_pretrained("default")
    encoders = {"audio": ("logmel_cnn", TINY), "video": ("frame_cnn", TINY)}
    whole = ter_fast.VideoInput(frames=4, size=32, faces="whole")
    small = ter_fast.Model.build(("a", "b"), encoders, video=whole, window_seconds=2.0).eval()

    def probe(path: Path) -> tuple[str, str]:
        info = decode.probe(path)
        require(math.isfinite(info.duration) and info.duration >= 0, f"{info}")
        require(math.isfinite(info.start), f"{info}")
        return "done", ""

    def predict(path: Path, model: Any, **options: Any) -> tuple[str, str]:
        found = model.predict(path, **options)
        said = "; ".join(found.reasons)
        present = [opinion for opinion in found.opinions.values() if opinion is not None]
        require(0 <= found.start <= found.end < math.inf, f"from {found.start} to {found.end}")
        if not present:
            require(found.label == "" and bool(said), f"a label from nothing: {found.label}")
            return "masked", said
        require(found.label in model.config.labels, f"the label {found.label!r}")
        require(0 <= found.confidence <= 1, f"the confidence {found.confidence}")
        return ("done" if len(present) == len(found.opinions) else "masked"), said

    calls: dict[str, Call] = {
        "probe": probe,
        "read": _read,
        "predict, small model": lambda path: predict(path, small),
        SHIPPED: lambda path: predict(path, shipped),
        "read, torchcodec": lambda path: _read(path, "torchcodec"),
        "read, DALI": _read_dali,
    }
    return {step: calls[step] for step in STEPS}


def _read(path: Path, backend: str | None = None) -> tuple[str, str]:
    from ter_fast.media import decode

    clip = decode.read(path, backend=backend)
    if clip.audio is not None:
        _require_sound(clip.audio)
        require(len(clip.audio) == round(16_000 * clip.duration), "another length of sound")
    if clip.times is not None:
        _require_ascending(clip.times.tolist())
    return ("done" if None not in (clip.audio, clip.frames) else "masked"), clip.note


def _read_dali(path: Path) -> tuple[str, str]:
    from ter_fast.errors import MediaError
    from ter_fast.media.decode.dali import DaliSettings
    from ter_fast.media.decode.dali_films import FilmLoader

    settings = DaliSettings(batch_size=1, threads=1, prefetch=1)
    (found,) = FilmLoader([path], settings=settings)
    (record,) = found.records
    if record["error"]:
        raise MediaError(record["error"])
    values, lengths = found.batch.inputs, found.batch.lengths
    sound, pictures = (int(lengths[name][0]) for name in ("audio", "video"))
    _require_sound(values["audio"])
    require(len(record["times"]) == pictures, "another number of times than of pictures")
    _require_ascending(record["times"])
    return ("done" if sound and pictures else "masked"), record.get("note", "")


def _require_ascending(times: list[float]) -> None:
    require(all(map(math.isfinite, times)), "times that are no numbers")
    require(all(one < two for one, two in pairwise(times)), "times that do not ascend")


def _require_sound(sound: Any) -> None:
    if len(sound):
        # Without a copy, which would count as the step's memory; NaN fails the comparison.
        low, high = sound.aminmax()
        require(bool(low >= -1) and bool(high <= 1), "sound beyond 1 or NaN")


def require(condition: bool, fault: str) -> None:
    """Count the step as wrong unless the condition holds."""
    if not condition:
        raise AssertionError(fault)


def patience(path: Path) -> float:
    """Return the seconds that a step may take with a file."""
    from ter_fast.errors import MediaError
    from ter_fast.media import decode

    try:
        return max(SECONDS, decode.probe(path).duration / PACE)
    except MediaError:
        return SECONDS


def watched(
    call: Callable[[Path], tuple[str, str]], path: Path, allowed: float | None = None
) -> Step:
    """Make one step, and return what became of the file and what it took."""
    from ter_fast.errors import TerFastError

    before, began = _open_things(), time.perf_counter()
    # Sets the peak that the kernel keeps back to what is in use now.
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
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
    if outcome in GOOD and seconds > (SECONDS if allowed is None else allowed):
        outcome, message = "hang", f"took {seconds:.0f} s; {message}"
    if outcome in GOOD and (left := _left_open(before)):
        outcome, message = "leak", f"left open: {left}; {message}"
    return Step(outcome, message, seconds, memory)


def with_noise(name: str, step: Step, noise: str) -> Step:
    """Note what was written to the terminal: a fault, unless a library of others wrote it."""
    if not noise or step.outcome not in GOOD:
        return step
    if name in PEERS:
        return replace(step, noise=noise)
    return Step("wrong", f"wrote to the terminal: {noise}")


def _peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
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
