"""Work on the chunks of a run with a bounded number in memory.

Polars releases the interpreter while it computes, so threads use all cores; the bound keeps a
run's memory at a few chunks however large the batch is.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def map_bounded(
    work: Callable[[In], Out], items: Iterable[In], *, workers: int | None = None
) -> Iterator[Out]:
    """Yield `work(item)` in the order of the items, computed on a few at a time.

    An exception of one item is raised where its result would stand.

    Args:
        work: what is done with each.
        items: what it is done with.
        workers: how many at a time; if not told, one more than there are cores, of at most four,
            for when one waits for disk.
    """
    workers = workers or min(os.cpu_count() or 1, 4) + 1
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Out]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
