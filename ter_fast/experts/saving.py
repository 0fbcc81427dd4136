"""Models on disk and on the hub: `config.json`, `model.safetensors` and a card, nothing that runs code."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor, nn

from ter_fast.errors import DataError, ModelError, TerFastError
from ter_fast.experts.card import MARK, CardFacts, Given, card_text, parameters_in
from ter_fast.experts.config import ModelConfig
from ter_fast.experts.legacy import weight_names
from ter_fast.media.files import file_sha256, write_atomically
from ter_fast.opinions.default_device import on_cpu_by_default

if TYPE_CHECKING:
    from ter_fast.data import Dataset

_Network = TypeVar("_Network", bound=nn.Module)

CONFIG, WEIGHTS = "config.json", "model.safetensors"
CARD, FACTS = "README.md", "card.json"


def save(config: ModelConfig, state: Mapping[str, Tensor], folder: str | Path) -> None:
    """Write a model's two files and its card into a folder, each all of it or nothing.

    A card that someone else wrote (`README.md` without this package's mark) is left alone. Figures in
    `card.json` that are about another model than the one now saved are removed.

    Raises:
        TerFastError: The folder cannot be written to.
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
    weights_by_name = {name: value.detach().cpu().contiguous() for name, value in state.items()}

    # The configuration is put in place between writing and moving the weights: if either cannot be
    # written, the model that lay there before stays whole.
    def write(weights: Path) -> None:
        try:
            save_file(weights_by_name, weights, {"format": "pt"})
        except SafetensorError as error:
            raise TerFastError(
                f"cannot write {target / WEIGHTS}: {error}; make room or choose another folder"
            ) from error
        text = config.to_json(weights_sha256=file_sha256(weights))
        write_atomically(target / CONFIG, text)

    write_atomically(target / WEIGHTS, write)
    saved, model_sum = _config_in(target)
    try:
        facts = CardFacts.read(target / FACTS, model_sum)
        if facts == CardFacts():
            (target / FACTS).unlink(missing_ok=True)
    except DataError:
        # Damaged figures are no reason not to save; whoever writes the card next is told.
        facts = CardFacts()
    if not holds_own_card(target):
        card = _card(target, saved, facts)
        write_atomically(target / CARD, _encode(card))


def write_card(
    folder: str | Path,
    evaluations: Iterable[Given] | None = None,
    robustness: Iterable[Given] | None = None,
    datasets: Iterable[Dataset] | None = None,
    *,
    title: str | None = None,
    notes: str | None = None,
) -> Path:
    """Write the card of the model in a folder, `README.md`, from what the folder holds and what is given.

    What is given is kept in `card.json`, so that it need not be given again while the model stays as it
    is. After another training or calibration nothing of it holds any more, and the card says that the
    model was not measured.

    Args:
        folder: Of the model, as `Model.save_pretrained` wrote it. A README.md there is replaced.
        evaluations: On data that the model has not seen: from `Model.evaluate`, or files that
            `ter-fast evaluate --out x.json` wrote; None for those given before.
        robustness: Likewise from `Model.evaluate_corrupted` or `ter-fast evaluate --corrupt`.
        datasets: That the model was trained, calibrated and measured on, with their splits.
        title: Heading; "" for one made of the modalities.
        notes: Further limits, in Markdown.

    Returns:
        The card.

    Raises:
        ModelError: The folder holds no model, or damaged weights.
        DataError: A file is damaged or holds no figures; nothing is written then.
        TerFastError: The folder cannot be written to.

    Example:
        >>> from ter_fast import Model
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Model.build(["calm", "tense"], modalities=("audio",)).save_pretrained(folder)
        ...     card = write_card(folder, title="Calm or tense").read_text(encoding="utf-8")
        >>> "# Calm or tense" in card
        True
    """
    target = Path(folder)
    config, model_sum = _config_in(target)
    before = CardFacts.read(target / FACTS, model_sum)
    facts = before.update(evaluations, robustness, datasets, title, notes)
    text = facts.to_json(model_sum)
    card = _card(target, config, facts)
    write_atomically(target / FACTS, _encode(text))
    write_atomically(target / CARD, _encode(card))
    return target / CARD


def read_facts(folder: str | Path) -> tuple[ModelConfig, CardFacts]:
    """Return what is known of the model in a folder: its configuration, and the facts of its card.

    Raises:
        ModelError: The folder holds no model.
        DataError: card.json is damaged.

    Example:
        >>> from ter_fast import Model
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Model.build(["calm", "tense"], modalities=("audio",)).save_pretrained(folder)
        ...     config, facts = read_facts(folder)
        >>> config.modalities, facts.evaluations
        (('audio',), ())
    """
    target = Path(folder)
    config, model_sum = _config_in(target)
    return config, CardFacts.read(target / FACTS, model_sum)


def holds_own_card(folder: str | Path) -> bool:
    """Return whether a folder has a `README.md` that this package did not write, or that cannot be read."""
    card = Path(folder) / CARD
    try:
        return card.is_file() and MARK not in card.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True


def _card(folder: Path, config: ModelConfig, facts: CardFacts) -> str:
    return card_text(config, facts, parameters_in(folder / WEIGHTS))


def _encode(text: str) -> bytes:
    # A file name need not be text; its stray bytes are written as escapes.
    return text.encode("utf-8", "backslashreplace")


def push(
    config: ModelConfig,
    state: Mapping[str, Tensor],
    name: str,
    *,
    folder: str | Path | None = None,
    private: bool | None = None,
    revision: str | None = None,
    token: str | None = None,
    message: str = "Upload a ter_fast model",
) -> str:
    """Upload a model and its card to the Hugging Face hub; see `Model.push_to_hub`.

    Raises:
        ModelError: `folder` holds another model than this one, the name is none, or the hub refused.
    """
    from huggingface_hub import HfApi

    with tempfile.TemporaryDirectory(prefix="ter_fast-") as temporary:
        staged = Path(temporary)
        save(config, state, staged)
        if folder is not None:
            own = Path(folder)
            if _config_in(own)[1] != _config_in(staged)[1]:
                raise ModelError(
                    f"{own} holds another model than the one to be uploaded, or another state of it; "
                    "save the model there, or leave the folder out"
                )
            for each in (CARD, FACTS):
                if (own / each).is_file():
                    copyfile(own / each, staged / each)
        api = HfApi(token=token)
        try:
            api.create_repo(name, private=private, exist_ok=True)
            if revision is not None:
                api.create_branch(name, branch=revision, exist_ok=True)
            done = api.upload_folder(
                repo_id=name, folder_path=staged, revision=revision, commit_message=message
            )
        # Which HTTP library's errors come through changes with the version of huggingface_hub.
        except Exception as error:
            raise ModelError(
                f"the hub did not take {name!r} ({_first_line(error)}); check the name, the network and "
                "that `hf auth login` was run with a token that may write"
            ) from error
    return str(done.commit_url)


@on_cpu_by_default
def load(
    build: Callable[[ModelConfig], _Network], name: str | Path, revision: str | None = None
) -> _Network:
    """Load a model by bundled name, folder or hub id; `build` makes one from its configuration.

    Raises:
        ModelError: Nothing of that name, a file is missing or altered, or the configuration is wrong.
    """
    folder = _find(str(name), revision)
    _require_files(folder)
    values = _values_in(folder)
    config = _parse(folder, values)
    if file_sha256(folder / WEIGHTS) != values["weights_sha256"]:
        raise ModelError(
            f"{folder / WEIGHTS} is not the file that {CONFIG} describes; copy both again"
        )
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    model = build(config)
    try:
        model.load_state_dict(weight_names(load_file(folder / WEIGHTS)))
    except (RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"the weights in {folder} do not fit their configuration "
            f"({str(error).splitlines()[0]}); copy both again"
        ) from error
    return model.eval()


def _require_files(folder: Path) -> None:
    for each in (CONFIG, WEIGHTS):
        if not (folder / each).is_file():
            raise ModelError(
                f"the model folder {folder} has no {each}; copy the whole folder again"
            )


def _config_in(folder: Path) -> tuple[ModelConfig, str]:
    """Return a folder's configuration and its checksum, which stands for the weights, too."""
    _require_files(folder)
    return _parse(folder, _values_in(folder)), file_sha256(folder / CONFIG)


def _values_in(folder: Path) -> Any:
    try:
        return json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"{folder / CONFIG} cannot be read ({error.strerror}); change its permissions"
        ) from error
    except ValueError as error:
        raise _no_configuration(folder, error) from error


def _parse(folder: Path, values: Any) -> ModelConfig:
    try:
        values["weights_sha256"]
        return ModelConfig.from_dict(values)
    except KeyError as error:
        raise ModelError(
            f"{folder / CONFIG} has no entry {error}; copy the model's folder again"
        ) from error
    except (ValueError, TypeError, ModelError) as error:
        raise _no_configuration(folder, error) from error


def _no_configuration(folder: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{folder / CONFIG} is not the configuration of a ter_fast model: {error}; copy the folder again"
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


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
            f"no folder {name!r} here, and the hub did not give it ({_first_line(error)}); "
            "check the name and the network"
        ) from error
