"""Decodes a dataset once and writes it as shards: in parallel, and to be resumed after a kill."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ter_fast.data.shards.extras import keep_files
from ter_fast.data.shards.folder import alone, check_same, is_done
from ter_fast.data.shards.manifest import ShardReport, close_folder
from ter_fast.data.shards.plan import Shard, ShardPlan, make_plan
from ter_fast.data.shards.reader import holds
from ter_fast.data.shards.settings import FORMAT, ShardSettings, dump_json, read_json
from ter_fast.data.shards.source import encode_windows
from ter_fast.data.shards.tars import TarWriter
from ter_fast.errors import DataError, MediaError, TerFastError
from ter_fast.media.files import PARTIAL, file_sha256, replace_file
from ter_fast.media.progress import progress_bar
from ter_fast.media.threads import thread_pool, worker_count

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.media.faces.cropper import FaceCropper

_FEW = 10


def prepare_shards(
    dataset: Dataset,
    out: str | Path,
    settings: ShardSettings | None = None,
    *,
    face_model: str | Path | None = None,
    workers: int | None = None,
    failed_limit: float = 0.1,
    progress: bool = False,
) -> ShardReport:
    """Decode a dataset once, crop it, and write WebDataset tars that DALI and `webdataset` read.

    A shard appears under its name only when it is whole. After a kill, the same call goes on where
    it was; the same input gives the same bytes. Extras come along: register their modalities first, so
    that it is known which are files.

    Args:
        dataset: Labelled clips.
        out: Folder for the shards; made where it is missing.
        settings: Crop, size, window and so on.
        face_model: YuNet ONNX file for OpenCV, for the crop ``"face"``; None for the built-in detector.
        workers: Threads, each of which writes a shard on a core; by default one per core, at most 8.
        failed_limit: Share of clips that may be unusable, or ten of them, before the run stops.
        progress: Show a progress bar where standard error is a terminal.

    Raises:
        DataError: The dataset is shards already, the folder holds other shards or is being written,
            it cannot be written, too many clips are unusable, or `workers` is no whole number of at
            least 1.

    Example:
        >>> from ter_fast.data import Dataset
        >>> prepare_shards(Dataset("mine", ("fear",), (), "CC0", ("audio",)), "shards")
        Traceback (most recent call last):
        ter_fast.errors.DataError: mine has no samples; there is nothing to prepare.
    """
    settings = settings or ShardSettings()
    workers = worker_count(workers)
    if not 0 <= failed_limit <= 1:
        raise DataError(f"failed_limit is {failed_limit}; give a share from 0 to 1, such as 0.1.")
    if not len(dataset):
        raise DataError(f"{dataset.name} has no samples; there is nothing to prepare.")
    if stored := next((each.path for each in dataset if holds(each.path)), None):
        raise DataError(
            f"{dataset.name} is prepared shards already ({stored}). Train from them as they are, or "
            "prepare the films that they were made from."
        )
    finder, checksum = _finder(dataset, settings, face_model)
    plan = make_plan(dataset, settings, checksum)
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder):
            check_same(folder, plan)
            keep_files(dataset, plan.facts, folder)
            done = {shard.name for shard in plan.shards if is_done(folder, shard)}
            job = _Job(dataset, folder, settings, finder, plan, failed_limit)
            with progress_bar(f"preparing {dataset.name}", len(dataset), progress) as advance:
                job.run([s for s in plan.shards if s.name not in done], done, workers, advance)
            return close_folder(dataset, settings, plan, folder, len(done))
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written ({error.strerror or error}); what is finished stays. Make room "
            "or give another folder, then run it again."
        ) from error


class _Job:
    """One run: writes shards in threads and counts what fails."""

    def __init__(
        self,
        dataset: Dataset,
        folder: Path,
        settings: ShardSettings,
        finder: FaceCropper | None,
        plan: ShardPlan,
        failed_limit: float,
    ) -> None:
        self.dataset, self.folder, self.settings = dataset, folder, settings
        self.finder, self.plan = finder, plan
        self.most_failed = max(_FEW, failed_limit * len(dataset))
        self.failed: list[str] = []
        self.stop = threading.Event()

    def run(
        self,
        shards: list[Shard],
        done: set[str],
        workers: int,
        advance: Callable[[int], None],
    ) -> None:
        for name in done:
            index = read_json(self.folder / f"{name}.json")
            self.failed += [reason for _, reason in index["failed"]]
            advance(len(index["clips"]) + len(index["failed"]))
        with thread_pool(workers, "ter_fast_shards") as pool:
            futures = [pool.submit(self._write, shard, advance) for shard in shards]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
                # The first thing that went wrong, and not a thread that stopped because of it.
                errors = [f.exception() for f in futures if f.done() and not f.cancelled()]
                for error in sorted(filter(None, errors), key=lambda e: isinstance(e, _Stopped)):
                    raise error
            finally:
                self.stop.set()
                for future in futures:
                    future.cancel()

    def _write(self, shard: Shard, advance: Callable[[int], None]) -> None:
        tar_file = self.folder / f"{shard.name}.tar"
        partial = tar_file.with_name(tar_file.name + PARTIAL)
        clips: list[dict[str, Any]] = []
        failed: list[tuple[str, str]] = []
        with TarWriter(partial) as tar:
            for position in shard.clips:
                if self.stop.is_set():
                    raise _Stopped
                facts = self.plan.facts[position]
                try:
                    windows = self._encode(position, facts)
                except TerFastError as error:
                    failed.append((facts["source"], str(error)))
                    self._count(str(error))
                    windows = []
                entries = []
                for entry, parts in windows:
                    places = tar.add(f"{position:08d}-{entry['window']:04d}", parts)
                    entries.append({**entry, "parts": places})
                if entries:
                    clips.append({"key": f"{position:08d}", **facts, "windows": entries})
                advance(1)
        index = {
            "format": FORMAT,
            "plan": self.plan.digest,
            "bytes": tar.size,
            "sha256": tar.sha256,
            "clips": clips,
            "failed": failed,
        }
        partial.replace(tar_file)
        replace_file(self.folder / f"{shard.name}.idx", tar.index(), durable=True)
        # Last, for it is what says that the shard is whole.
        replace_file(self.folder / f"{shard.name}.json", dump_json(index), durable=True)

    def _encode(
        self, position: int, facts: dict[str, Any]
    ) -> list[tuple[dict[str, Any], dict[str, bytes]]]:
        sample = self.dataset[position]
        try:
            return encode_windows(
                sample, self.settings, self.dataset.modalities, self.finder, facts
            )
        except (TerFastError, MemoryError):
            raise
        except Exception as error:  # a decoder's own complaint about one file must not end the run
            raise MediaError(
                f"{sample.path} could not be read ({type(error).__name__}: {error}); convert it "
                "with ffmpeg"
            ) from error

    def _count(self, reason: str) -> None:
        self.failed.append(reason)
        if len(self.failed) > self.most_failed:
            named = "\n".join(self.failed)
            raise DataError(
                f"{len(self.failed)} of the {len(self.dataset)} clips of {self.dataset.name} could "
                f"not be used; the run stops. Repair or remove them, or raise the limit:\n{named}"
            )


class _Stopped(Exception):  # noqa: N818 (no error: another thread failed first)
    """The run ends because of what happened elsewhere."""


def _finder(
    dataset: Dataset, settings: ShardSettings, face_model: str | Path | None
) -> tuple[FaceCropper | None, str]:
    """Return the face detector, where one is needed, and its checksum."""
    seeks = settings.crop == "face" and "video" in dataset.modalities
    if not seeks or all(s.attributes.get("crop") == "face" for s in dataset):
        return None, ""
    from ter_fast.media.faces.cropper import FaceCropper, default_face_model
    from ter_fast.media.faces.yunet import WEIGHTS

    model = face_model or default_face_model()
    finder = FaceCropper(model, size=settings.size, margin=settings.margin)
    return finder, file_sha256(model or WEIGHTS)
