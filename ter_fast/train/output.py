"""The folder that training saves its model to, and whether what lies there is its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ter_fast.experts.saving import CONFIG
from ter_fast.experts.target import check_target
from ter_fast.media.files import file_sha256, write_atomically

if TYPE_CHECKING:
    from ter_fast.experts.network import Network

MARK = "saved.sha256"
"""Beside the state of a run: what it saved last, so that the same command may replace that and nothing else."""


class Output:
    """A folder for a trained model.

    Args:
        folder: Where the model goes.
        exist_ok: Whether any model that lies there may be replaced.
        state: Folder that keeps the state of the run, from which the same command goes on; None for none.
    """

    def __init__(
        self, folder: str | Path, exist_ok: bool = True, state: str | Path | None = None
    ) -> None:
        self.folder = Path(folder)
        self.exist_ok = exist_ok
        self.mark = None if state is None else Path(state) / MARK

    def check(self) -> None:
        """Refuse a folder that cannot be written to, or that holds a model of other origin or changed since.

        Raises:
            ModelError: See `ter_fast.experts.target.check_target`.
        """
        check_target(self.folder, self.exist_ok or self._is_own())

    def save(self, model: Network) -> None:
        """Save a model, and remember that it is this run's."""
        model.save_pretrained(self.folder)
        if self.mark is not None:
            digest = file_sha256(self.folder / CONFIG)
            write_atomically(self.mark, f"{digest}\n", parents=True)

    def _is_own(self) -> bool:
        config = self.folder / CONFIG
        if self.mark is None or not self.mark.is_file() or not config.is_file():
            return False
        return self.mark.read_text(encoding="utf-8").strip() == file_sha256(config)
