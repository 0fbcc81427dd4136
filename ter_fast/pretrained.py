"""Models on disk and on the hub: one `config.json` and one `model.safetensors`, nothing that runs code."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ter_fast.config import ModelConfig
from ter_fast.errors import ModelError, TerFastError
from ter_fast.prediction import write_atomically

if TYPE_CHECKING:
    from ter_fast.model import Model

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def save(model: Model, folder: str | Path) -> None:
    """Write a model's two files into a folder, each all of it or nothing.

    Raises:
        TerFastError: the folder cannot be written to.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TerFastError(
            f"cannot write {target}: {error.strerror}; choose another folder"
        ) from error
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}

    # The configuration is put in place between writing and moving the weights: if either cannot be
    # written, the model that lay there before stays whole.
    def write(weights: Path) -> None:
        try:
            save_file(state, weights, {"format": "pt"})
        except SafetensorError as error:
            raise TerFastError(
                f"cannot write {target / WEIGHTS}: {error}; make room or choose another folder"
            ) from error
        text = model.config.to_json(weights_sha256=_sha256(weights))
        write_atomically(target / CONFIG, lambda path: path.write_text(text, encoding="utf-8"))

    write_atomically(target / WEIGHTS, write)


def load(kind: type[Model], name: str | Path, revision: str | None = None) -> Model:
    """Load a model by bundled name, folder or hub id.

    Raises:
        ModelError: nothing of that name, a file is missing or altered, or the configuration is wrong.
    """
    folder = _find(str(name), revision)
    for each in (CONFIG, WEIGHTS):
        if not (folder / each).is_file():
            raise ModelError(
                f"the model folder {folder} has no {each}; copy the whole folder again"
            )
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        checksum = values["weights_sha256"]
        config = ModelConfig.from_dict(values)
    except KeyError as error:
        raise ModelError(
            f"{folder / CONFIG} has no entry {error}; copy the model's folder again"
        ) from error
    except (ValueError, TypeError, ModelError) as error:
        raise ModelError(
            f"{folder / CONFIG} is not the configuration of a ter_fast model: {error}; copy the folder again"
        ) from error
    if _sha256(folder / WEIGHTS) != checksum:
        raise ModelError(
            f"{folder / WEIGHTS} is not the file that {CONFIG} describes; copy both again"
        )
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    model = kind(config)
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"the weights in {folder} do not fit their configuration "
            f"({str(error).splitlines()[0]}); copy both again"
        ) from error
    return model.eval()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _find(name: str, revision: str | None) -> Path:
    bundled = Path(str(resources.files("ter_fast"))) / "models"
    if (bundled / name).is_dir() and name.isidentifier():
        return bundled / name
    folder = Path(name)
    if folder.is_dir():
        return folder
    owner, _, rest = name.partition("/")
    if not owner or not rest or "/" in rest or name.startswith("."):
        shipped = (
            sorted(each.name for each in bundled.iterdir() if each.is_dir())
            if bundled.is_dir()
            else []
        )
        raise ModelError(
            f"no model {name!r}: expected a folder, a hub id such as owner/name, or one of {', '.join(shipped)}"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=[CONFIG, WEIGHTS]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"no folder {name!r} here, and the hub did not give it ({str(error).splitlines()[0]}); "
            "check the name and the network"
        ) from error
