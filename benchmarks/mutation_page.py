"""The page of a run of `mutations.py`: counts, maxima, sentences and faults."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from benchmarks.mutation_steps import GOOD, MEMORY, PACE, PEERS, SECONDS, SHIPPED, Result, Step
from helpers.originals import Original

OUTCOMES = (*GOOD, "uncaught", "wrong", "crash", "hang", "leak", "memory")


def page(results: list[Result], sources: list[Original], seed: int) -> str:
    """Return the counts, the maxima and the sentences as Markdown."""
    lines = [
        "# Damaged media files",
        "",
        f"{len(results):,} damaged copies of {len(sources)} files (seed {seed}): the fixtures, and their "
        "sound, pictures and streams in other formats. *Done*: pictures and sound were used, or the file "
        "was described. *Masked*: one of them, or both, could not be used, and the result says why. "
        f"*Refused*: one sentence that names the file. All others must be 0: an error nobody foresaw, a "
        f"result that cannot be, a crash, more than {SECONDS:.0f} s (or, where damage has stretched the "
        f"timestamps, a {PACE:.0f}th of the length that the file states), an open file or thread left behind, "
        f"or more than {MEMORY >> 20} MiB.",
        *("", *_steps(results)),
        *("", f"By damage, in the step *{SHIPPED}*, and faults in any step:"),
        *("", *_kinds(results)),
        *("", "What a user reads, by how often:", "", "| files | sentence |", "|---:|---|"),
    ]
    said = Counter(
        _pattern(result, SHIPPED)
        for result in results
        if SHIPPED in result.steps and result.steps[SHIPPED].message
    )
    lines += [f"| {count} | {text} |" for text, count in said.most_common(25)]
    lines += [*_noise(results), *_faults(results)]
    return "\n".join(lines) + "\n"


def _steps(results: list[Result]) -> Iterator[str]:
    yield f"| step | {' | '.join(OUTCOMES)} | seconds: median | most | MiB: most |"
    yield f"|---|{'---:|' * (len(OUTCOMES) + 3)}"
    for name in dict.fromkeys(name for result in results for name in result.steps):
        steps = [result.steps[name] for result in results if name in result.steps]
        counts = Counter(step.outcome for step in steps)
        seconds = sorted(step.seconds for step in steps)
        memory = max(step.memory for step in steps) / (1 << 20)
        row = " | ".join(f"{counts[outcome]:,}" for outcome in OUTCOMES)
        middle = seconds[len(seconds) // 2]
        yield f"| {name} | {row} | {middle:.3f} | {seconds[-1]:.2f} | {memory:.0f} |"


def _kinds(results: list[Result]) -> Iterator[str]:
    yield "| damage | files | done | masked | refused | faults |"
    yield "|---|---:|---:|---:|---:|---:|"
    for kind in dict.fromkeys(result.kind for result in results):
        of_kind = [result for result in results if result.kind == kind]
        counts = Counter(r.steps[SHIPPED].outcome for r in of_kind if SHIPPED in r.steps)
        faults = sum(bool(result.faults) for result in of_kind)
        row = " | ".join(f"{counts[outcome]}" for outcome in GOOD)
        yield f"| {kind} | {len(of_kind)} | {row} | {faults} |"


def _noise(results: list[Result]) -> Iterator[str]:
    for name in PEERS:
        count = sum(bool(r.steps[name].noise) for r in results if name in r.steps)
        if count:
            yield ""
            yield (
                f"In the step *{name}*, the library's own FFmpeg wrote complaints to the terminal for "
                f"{count:,} files."
            )


def _faults(results: list[Result]) -> Iterator[str]:
    found = [(r, name, step) for r in results for name, step in r.faults.items()]
    theirs = [each for each in found if each[1] in PEERS]
    ours = [each for each in found if each[1] not in PEERS]
    for title, faults in (("Faults:", ours), ("Faults while torchcodec or DALI read:", theirs)):
        if faults:
            yield from ("", title, "")
        for result, name, step in faults:
            yield f"- {result.name}: {name}: {step.outcome}: {_nameless(result, step)}"


def _nameless(result: Result, step: Step) -> str:
    """Return the message without the folder that the file lay in."""
    return re.sub(rf"\S*{re.escape(result.name)}", "FILE", step.message).replace("\n", " ")


def _pattern(result: Result, name: str) -> str:
    """Return the sentence about a file without what differs from file to file."""
    text = _nameless(result, result.steps[name])
    text = text.split("; video:")[0] if text.startswith("no modality") else text
    return re.sub(r"\d+(\.\d+)?", "N", text).replace("|", "/")
