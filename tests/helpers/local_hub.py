"""The Hugging Face hub as a folder: what is pushed lies there, and loads from there."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import HfApi
from huggingface_hub.utils import filter_repo_objects, validate_repo_id


def local_hub(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Let pushing and loading use a folder in place of the hub, and return where repositories lie."""
    root = folder / "hub"

    def create_repo(_: Any, name: str, *, private: bool | None, exist_ok: bool) -> None:
        validate_repo_id(name)
        (root / name / "main").mkdir(parents=True, exist_ok=exist_ok)
        (root / name / "private").write_text(str(private))

    def create_branch(_: Any, name: str, *, branch: str, exist_ok: bool) -> None:
        (root / name / branch).mkdir(exist_ok=exist_ok)

    def upload_folder(
        api: Any, *, repo_id: str, folder_path: Path, revision: str | None, commit_message: str
    ) -> Any:
        target = root / repo_id / (revision or "main")
        shutil.copytree(folder_path, target, dirs_exist_ok=True)
        (root / repo_id / "log").write_text(f"{api.token}: {commit_message}")
        return SimpleNamespace(commit_url=f"hub://{repo_id}/{target.name}")

    def snapshot_download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        source = root / name / (revision or "main")
        if not source.is_dir():
            raise huggingface_hub.errors.LocalEntryNotFoundError(f"404: no {name}")
        given = folder / "cache" / name
        given.mkdir(parents=True, exist_ok=True)
        names = [each.name for each in source.iterdir()]
        for each in filter_repo_objects(names, allow_patterns=allow_patterns):
            shutil.copyfile(source / each, given / each)
        return str(given)

    for each in (create_repo, create_branch, upload_folder):
        # The real one's parameters, so that a call that it would refuse fails here, too.
        known = set(inspect.signature(getattr(HfApi, each.__name__)).parameters)
        asked = set(inspect.signature(each).parameters) - {"_", "api", "name"}
        assert asked <= known
        monkeypatch.setattr(HfApi, each.__name__, each)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return root
