"""What a row of a grouped comparison answers, and the file that keeps it for the next run."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparison.config import ComparisonConfig
from ter_fast.media.files import replace_file
from ter_fast.multiview.views import Array

_FORMAT = 1


@dataclass
class Answers:
    """Hold what one row with one seed says of N samples, each when it was not trained on.

    Attributes:
        probability: (N, K).
        tempered: (N, K), at the temperature that fits the fold's validation groups.
        threshold: (N,) of the fold's own confidence; infinite where nothing is to be trusted.
        confidence: By kind, (N,); "own" is that of the method.
        alone: By view, (N,) predicted classes where the other views are missing.
        seconds: Of training, over all folds.
    """

    probability: Array
    tempered: Array
    threshold: Array
    confidence: dict[str, Array] = field(default_factory=dict)
    alone: dict[str, Array] = field(default_factory=dict)
    seconds: float = 0.0


def file_of(
    comparison: ComparisonConfig, file: Path, row: str, seed: int, settings: Mapping[str, Any]
) -> str:
    """Name the file after all that the answers depend on."""
    held = file.stat() if file.exists() else None
    size = held.st_size if held else 0
    facts = [_FORMAT, file.name, size, str(comparison.protocol), seed, settings.get("method", row)]
    rest = {key: value for key, value in settings.items() if key != "method"}
    text = json.dumps([*facts, rest], sort_keys=True, default=str)
    plain = re.sub(r"[^a-z0-9]+", "-", row.lower()).strip("-")[:40]
    return f"{plain}-{seed}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"


def save(path: Path, found: Answers) -> None:
    """Write answers into a file, whole or not at all."""
    alike = ("probability", "tempered", "threshold", "seconds")
    parts: dict[str, Any] = {
        **{name: getattr(found, name) for name in alike},
        **{f"confidence {kind}": values for kind, values in found.confidence.items()},
        **{f"alone {view}": values for view, values in found.alone.items()},
    }
    replace_file(path, partial(np.savez, **parts), parents=True)


def load(path: Path, count: int) -> Answers | None:
    """Return kept answers; None where there are none, or a file that cannot be used."""
    try:
        with path.open("rb") as opened, np.load(opened) as archive:
            parts = {key: archive[key] for key in archive.files}
        named: dict[str, dict[str, Array]] = {"confidence": {}, "alone": {}}
        for key, values in parts.items():
            group, _, name = key.partition(" ")
            if name:
                named[group][name] = values
        found = Answers(
            parts["probability"], parts["tempered"], parts["threshold"],
            named["confidence"], named["alone"], float(parts["seconds"]),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return found if len(found.probability) == count else None
