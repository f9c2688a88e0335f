"""What a command waits for at this moment, and for how long at most; terminal/waiting.py tells it.

Whoever asks somebody else says so here, and prints nothing: it may be one of many threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, eq=False)
class Wait:
    """One answer that is waited for; `at_most_s` is what the one who asks gives it."""

    for_what: str
    at_most_s: float
    since_s: float = field(default_factory=time.monotonic)


_current: list[Wait] = []
_lock = threading.Lock()


@contextmanager
def waiting(for_what: str, *, at_most_s: float) -> Generator[None]:
    """Say what is waited for within, in words that fit behind "waiting for"."""
    wait = Wait(for_what=for_what, at_most_s=at_most_s)
    with _lock:
        _current.append(wait)
    try:
        yield
    finally:
        with _lock:
            _current.remove(wait)


def longer_than(seconds: float) -> list[Wait]:
    """Return what is waited for longer than that, the longest first."""
    now_s = time.monotonic()
    with _lock:
        return [wait for wait in _current if now_s - wait.since_s >= seconds]
