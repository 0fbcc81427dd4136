"""Threads that share the cores: how many to start, and one core for each."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar

import torch

from ter_fast.errors import DataError

_MOST = 8
_SETTING = Lock()
_Result = TypeVar("_Result")


def worker_count(workers: int | None) -> int:
    """Return how many threads to start: those asked for, or one per core, at most 8.

    Raises:
        DataError: `workers` is no whole number of at least 1.

    Example:
        >>> worker_count(3)
        3
        >>> worker_count(-1)
        Traceback (most recent call last):
        ter_fast.errors.DataError: workers is -1; expected a whole number of at least 1, or None ...
    """
    if workers is None:
        return min(_MOST, os.cpu_count() or 1)
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise DataError(
            f"workers is {workers!r}; expected a whole number of at least 1, or None for one thread "
            f"per core, at most {_MOST}"
        )
    return workers


def thread_pool(workers: int, name: str) -> ThreadPoolExecutor:
    """Return a pool whose threads each compute on one core, and on the GPU that is current here.

    Example:
        >>> with thread_pool(2, "example") as pool:
        ...     pool.submit(torch.get_num_threads).result()
        1
    """
    # A new thread begins on the first GPU, whichever was current where it was started.
    begun: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    gpu = torch.cuda.current_device() if begun else None
    return ThreadPoolExecutor(workers, name, initializer=_begin, initargs=(gpu,))


def in_order(
    work: Callable[..., _Result], *items: Iterable[Any], workers: int, name: str = "ter_fast"
) -> Generator[_Result, None, None]:
    """Call `work` on the items in threads, and yield what it returns in their order.

    At most twice as many results wait as there are threads, so memory does not grow with the items.

    Args:
        work: What to do; several iterables give it an argument each.
        *items: What to do it on, of equal length.
        workers: Threads, each on one core.
        name: Of the threads.

    Example:
        >>> list(in_order(str.upper, ["a", "b"], workers=2))
        ['A', 'B']
    """
    with thread_pool(workers, name) as pool:
        waiting: deque[Future[_Result]] = deque()
        try:
            for given in zip(*items, strict=True):
                waiting.append(pool.submit(work, *given))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _begin(gpu: int | None) -> None:
    if gpu is not None:
        torch.cuda.set_device(gpu)
    use_one_core()


def use_one_core() -> None:
    """Let torch compute on one core in the thread that calls, and leave other threads as they are.

    OpenMP gives each thread that computes a team of its own, as large as the machine. Its members wait
    for one another in busy loops after every operation, and where other threads or programs want
    the cores they wait for a member that has none: a call of 30 ms then takes ten seconds.
    """
    _compute_on(1)


@contextmanager
def leaving_cores(workers: int) -> Iterator[None]:
    """Compute on fewer cores in the calling thread while `workers` threads work beside it.

    It keeps the cores that they leave, and half of all at least: they may have to wait for it.

    Example:
        >>> before = torch.get_num_threads()
        >>> with leaving_cores(workers=8):
        ...     torch.get_num_threads() <= max(1, before - 1)
        True
        >>> torch.get_num_threads() == before
        True
    """
    own = torch.get_num_threads()
    if workers < 2 or own == 1:
        yield
        return
    _compute_on(max(own - workers, own // 2, 1))
    try:
        yield
    finally:
        _compute_on(own)


def _compute_on(cores: int) -> None:
    # torch hands what was set last to every thread that begins later. A thread that sets it back and
    # ends leaves that as it was; the lock keeps two from taking each other's for the original.
    with _SETTING, ThreadPoolExecutor(1) as fresh:
        others = fresh.submit(torch.get_num_threads).result()
        # A thread takes what was set last when it first asks, over what it has set itself.
        torch.get_num_threads()
        torch.set_num_threads(cores)
        fresh.submit(torch.set_num_threads, others).result()
