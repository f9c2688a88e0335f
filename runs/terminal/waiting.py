"""Tells what a command waits for, once it takes its time; on stderr, a line for each thing."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from runs import waits
from runs.terminal import formats
from runs.terminal.console import say

SAY_AFTER_S = 2.0
LOOK_EVERY_S = 0.2


@contextmanager
def telling() -> Generator[None]:
    """Tell within what is waited for: each thing once, and for how long at most."""
    ended = threading.Event()
    teller = threading.Thread(target=_tell, args=(ended,), daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _tell(ended: threading.Event) -> None:
    told: set[str] = set()
    while not ended.wait(LOOK_EVERY_S):
        for wait in waits.longer_than(SAY_AFTER_S):
            if wait.for_what not in told:
                told.add(wait.for_what)
                most = formats.duration(wait.at_most_s)
                say(f"waiting for {wait.for_what}, {most} at most …")
