"""One at a time: a lock file between processes, released however its holder ends."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(lock: Path, *, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Keep every other holder of the lock file out while the block runs.

    `waiting` is called once if somebody holds it already. The lock is not for nesting: a second one
    on the same file waits for the first, in the same process too.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
