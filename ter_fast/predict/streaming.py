"""Reads and prepares clips in threads, in order, in memory that their length does not change."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence, Sized
from contextlib import closing
from queue import SimpleQueue
from threading import Semaphore

from ter_fast.errors import MediaError, TerFastError
from ter_fast.media.clip import Clip
from ter_fast.media.threads import thread_pool, worker_count
from ter_fast.predict.preprocessor import Preprocessor
from ter_fast.predict.source import Source, Window

Item = Window | TerFastError | None
"""What a source yields: its windows, and last its error, or None where it was read to its end."""


def stream_windows(
    sources: Iterable[Source], preprocessor: Preprocessor, workers: int | None = None
) -> Generator[tuple[int, Item], None, None]:
    """Read and prepare clips in threads; yield their windows one by one, clip after clip.

    Each clip ends with its error, or with None. Of each clip at most eight windows wait in memory, and
    at most two clips per worker are begun, so memory does not grow with the length of a file. FFmpeg and
    OpenCV release the interpreter lock, so threads use every core without copying pictures between
    processes; torch computes on one core in each.

    Raises:
        DataError: `workers` is no whole number of at least 1.
    """
    workers = worker_count(workers)
    alone = isinstance(sources, Sized) and len(sources) < 2
    preprocessor.side_by_side = workers > 1 and not alone
    with thread_pool(workers, "ter_fast") as pool:
        begun: deque[tuple[int, _WindowQueue]] = deque()
        try:
            for index, source in enumerate(sources):
                begun.append((index, queue := _WindowQueue()))
                pool.submit(_read, source, preprocessor, queue)
                if len(begun) > 2 * workers:
                    yield from _drain(begun)
            while begun:
                yield from _drain(begun)
        finally:
            for _, queue in begun:
                queue.close()


class _WindowQueue:
    """A queue with room for a few windows, which its reader may close to stop the writer thread."""

    def __init__(self, room: int = 8) -> None:
        self._items: SimpleQueue[Item] = SimpleQueue()
        self._room = Semaphore(room)
        self.closed = False

    def put(self, item: Item) -> bool:
        """Add an item once there is room; False says that nobody reads any more."""
        self._room.acquire()
        # It may have been closed while this thread waited.
        if not self.closed:
            self._items.put(item)
        return not self.closed

    def get(self) -> Item:
        item = self._items.get()
        self._room.release()
        return item

    def close(self) -> None:
        self.closed = True
        # A writer that waits for room would wait for ever: nobody takes anything out any more.
        self._room.release()


def _drain(begun: deque[tuple[int, _WindowQueue]]) -> Iterator[tuple[int, Item]]:
    index, queue = begun[0]
    while isinstance(item := queue.get(), Window):
        yield index, item
    begun.popleft()
    yield index, item


def _read(source: Source, preprocessor: Preprocessor, queue: _WindowQueue) -> None:
    """Put the windows of one source on its queue, and how it ended."""
    if queue.closed:
        return
    any_window = False
    error: TerFastError | None = None
    try:
        source = preprocessor.with_extras(source)
        # A reader that goes away early must not leave the file open until the garbage is collected.
        with closing(_as_generator(source.windows())) as clips:
            for clip in clips:
                any_window = True
                if not queue.put(preprocessor(source, clip)):
                    return
        if not any_window:
            error = MediaError(f"{source.name} holds neither pictures nor sound; check the file")
    except TerFastError as failure:
        error = failure
    except BaseException as failure:  # whatever it is, who reads this queue waits for its end
        error = MediaError(
            f"{source.name} could not be read ({type(failure).__name__}: {failure}); convert it with ffmpeg"
        )
    queue.put(error)


def _as_generator(clips: Iterator[Clip]) -> Generator[Clip, None, None]:
    yield from clips


def prepare_clips(
    sources: Sequence[Source], preprocessor: Preprocessor, workers: int | None = None
) -> Iterator[tuple[int, list[Window] | TerFastError]]:
    """Read and prepare clips in threads; yield each clip's windows, or its error, in order."""
    windows: list[Window] = []
    # Closed with this generator, so that the threads end with it.
    with closing(stream_windows(sources, preprocessor, workers)) as items:
        for index, item in items:
            if isinstance(item, Window):
                windows.append(item)
                continue
            yield index, windows if item is None else item
            windows = []
