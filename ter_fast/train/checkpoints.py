"""Files from which a run that was killed goes on, bit for bit as if it had not been."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ter_fast.data.shards.folder import alone
from ter_fast.errors import DataError
from ter_fast.media.files import replace_file
from ter_fast.predict.prepare import PreparedData
from ter_fast.train.settings import Settings

if TYPE_CHECKING:
    from ter_fast.experts.network import Network

LATEST = "latest.ckpt"
BEST = "best.ckpt"
_HEADER = b"ter_fast checkpoint 1 "


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a file at once: whoever reads the name finds the old content or the new, whole.

    Raises:
        DataError: The file cannot be written, with the system's reason.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    body = buffer.getbuffer()
    head = _HEADER + hashlib.sha256(body).hexdigest().encode() + b"\n"
    try:
        replace_file(path, [head, body], durable=True, parents=True)
    except OSError as error:
        raise DataError(
            f"the checkpoint {path} cannot be written ({error.strerror or error}); give another folder, "
            "or free space"
        ) from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a file that `write_checkpoint` wrote, tensors on the CPU; nothing in it is executed.

    Raises:
        DataError: The file is missing, cannot be read, is of another kind, or is damaged.
    """
    advice = f"restore it from a copy, or remove the folder {path.parent} to start again"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"the checkpoint {path} cannot be read ({error.strerror or error}); {advice}"
        ) from error
    head, _, body = content.partition(b"\n")
    if not head.startswith(_HEADER):
        what = "is empty" if not content else "is not a checkpoint of ter_fast"
        raise DataError(f"{path} {what}; {advice}")
    if hashlib.sha256(body).hexdigest().encode() != head[len(_HEADER) :]:
        raise DataError(f"the checkpoint {path} is damaged or cut (its checksum differs); {advice}")
    try:
        found = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    # Whatever torch raises at content that it does not know.
    except Exception as error:
        raise DataError(
            f"the checkpoint {path} holds more than tensors and numbers, or what this torch cannot read "
            f"({str(error).splitlines()[0]}); {advice}"
        ) from error
    if not isinstance(found, dict):
        raise DataError(f"{path} holds {type(found).__name__}, not a checkpoint; {advice}")
    return found


def run_of(
    model: Network,
    train: PreparedData,
    validation: PreparedData,
    settings: Settings,
    processes: int,
) -> dict[str, Any]:
    """Return what makes a run: settings, number of processes, and digests of the model and the data."""
    first = hashlib.sha256(model.config.to_json().encode())
    for name, value in model.state_dict().items():
        first.update(name.encode())
        first.update(_bytes(value))
    return {
        # Plain numbers, which are read without executing anything: numpy's are not.
        "settings": json.loads(json.dumps(asdict(settings), default=float)),
        "processes": processes,
        "model": first.hexdigest(),
        "training data": _digest(train),
        "validation data": _digest(validation),
    }


def _bytes(value: Tensor) -> memoryview:
    # Through bytes, because numpy has no bfloat16.
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _digest(data: PreparedData) -> str:
    digest = hashlib.sha256(json.dumps(data.groups).encode())
    digest.update(_bytes(data.targets))
    for windows in data.clips:
        for window in windows:
            for name, value in window.values.items():
                digest.update(f"{name} {None if value is None else tuple(value.shape)}".encode())
                if value is not None:
                    digest.update(_bytes(value))
    return digest.hexdigest()


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Hold a folder of checkpoints, so that two runs never write it at once.

    Raises:
        DataError: The folder is not one, cannot be made or written, or another run holds it.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"checkpoints are kept in a folder, and {folder} is a file; give a folder")
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(alone(folder))
        except OSError as error:
            raise DataError(
                f"checkpoints cannot be kept in {folder} ({error.strerror or error}); give another folder"
            ) from error
        yield


def find_run(folder: Path, run: dict[str, Any], resume: bool) -> dict[str, Any] | None:
    """Return the latest checkpoint of a folder, or None where there is none.

    Raises:
        DataError: The folder holds a run that `resume` does not ask for, or a run of other settings, data,
            processes or first weights; or its files are damaged.
    """
    path = folder / LATEST
    if not path.exists():
        return None
    if not resume:
        raise DataError(
            f"{folder} holds the checkpoints of a run; give resume=True to go on with it, or another folder"
        )
    checkpoint = read_checkpoint(path)
    if not isinstance(checkpoint.get("ter_fast"), dict):
        raise DataError(f"{path} is not the latest checkpoint of a run; give another folder")
    if differences := _differences(checkpoint["ter_fast"]["run"], run):
        raise DataError(
            f"{folder} holds a run with other {'; '.join(differences)}; train as it was trained to go on with it, "
            "or give another folder"
        )
    return checkpoint


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    settings = [
        f"{name} ({old['settings'].get(name)!r}, now {value!r})"
        for name, value in new["settings"].items()
        if old["settings"].get(name) != value
    ]
    differences = [f"settings: {', '.join(settings)}"] if settings else []
    if old["processes"] != new["processes"]:
        differences.append(f"number of processes ({old['processes']}, now {new['processes']})")
    names = {"model": "model or first weights"}
    for name in ("model", "training data", "validation data"):
        if old[name] != new[name]:
            differences.append(names.get(name, name))
    return differences


class Best:
    """The weights of the best validated epoch, in memory and, with a folder, in its best.ckpt.

    Args:
        monitor: Name of the score.
        larger: Whether larger scores are better; of equal ones the first is kept.
        run: What makes the run; see `run_of`.

    Attributes:
        folder: Where to write, None for nowhere.
        epoch: Of these weights, counted from 1; 0 for none yet.
        scores: Of these weights on the validation clips.
    """

    def __init__(self, monitor: str, larger: bool, run: dict[str, Any]) -> None:
        self.monitor, self.larger, self.run = monitor, larger, run
        self.folder: Path | None = None
        self.epoch, self.score = 0, 0.0
        self.scores: dict[str, float] = {}
        self.state: dict[str, Tensor] = {}

    def offer(self, scores: dict[str, float], task: torch.nn.Module, epoch: int) -> None:
        """Keep the task's weights if their score is the best so far.

        Args:
            scores: By name, of the validation clips.
            task: Whose weights they are of.
            epoch: Counted from 1.
        """
        # Rounded as early stopping sees it.
        score = float(np.float32(scores[self.monitor]))
        if np.isnan(score):
            score = -np.inf if self.larger else np.inf
        if self.state and not (score > self.score if self.larger else score < self.score):
            return
        state = {
            name: value.detach().to("cpu", copy=True) for name, value in task.state_dict().items()
        }
        self.epoch, self.score, self.scores, self.state = epoch, score, scores, state
        if self.folder is not None:
            content = {
                "run": self.run, "epoch": epoch, "score": score, "scores": scores, "state_dict": state
            }  # fmt: skip
            write_checkpoint(self.folder / BEST, content)

    def load(self, folder: Path) -> None:
        """Go on from the best.ckpt of a folder.

        Raises:
            DataError: It is damaged, or of another run.
        """
        path = folder / BEST
        best = read_checkpoint(path)
        if best.get("run") != self.run or not {"epoch", "score", "scores"} <= set(best):
            raise DataError(
                f"{path} is not the best checkpoint of a run like this; restore it from a copy, or remove "
                f"the folder {folder} to start again"
            )
        self.epoch, self.score, self.scores = best["epoch"], best["score"], best["scores"]
        self.state = best["state_dict"]


def generator_states() -> dict[str, Any]:
    """Return the states of torch's, numpy's and Python's global generators, as numbers and tensors."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": (kind, np.asarray(keys).tolist(), position, has_gauss, gauss),
        "python": random.getstate(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_generator_states(states: dict[str, Any]) -> None:
    """Put the global generators into states that `generator_states` returned."""
    torch.set_rng_state(states["torch"])
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, np.array(keys, np.uint32), *rest))
    random.setstate(states["python"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
