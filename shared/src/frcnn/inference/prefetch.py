"""Prepares images in threads while the detector is busy."""

import collections
import itertools
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")

# More threads do not make it faster.
_THREADS = 4
BATCHES_AHEAD = 2


def prefetched(
    prepare: Callable[[Item], Prepared], items: Iterable[Item], ahead: int
) -> Generator[Callable[[], Prepared], None, None]:
    """Prepares items in threads, at most `ahead` items in advance.

    Args:
        prepare: Function that prepares an item.
        items: Items; taken from the iterable as needed.
        ahead: Maximum number of items in advance.

    Yields:
        For each item, a function that returns it prepared, or raises the error of `prepare`.
    """
    remaining = iter(items)
    # Without `with`, whose end joins the threads: an abandoned generator may be collected in one of them.
    pool = ThreadPoolExecutor(_THREADS, "frcnn-images")
    started: collections.deque[Future[Prepared]] = collections.deque()
    try:
        while True:
            for item in itertools.islice(remaining, ahead - len(started)):
                started.append(pool.submit(prepare, item))
            if not started:
                return
            yield started.popleft().result
    finally:
        # On an error or an early end, cancel the preparation of the rest.
        pool.shutdown(wait=False, cancel_futures=True)
