"""Says what a command waits for: at once on a terminal, elsewhere when it takes its time."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from runs.terminal.console import say, talk

SAY_AFTER_S = 2.0


@contextmanager
def waiting(for_what: str) -> Generator[None]:
    """Say within two seconds that the command waits for this, as long as it does."""
    if talk.is_terminal:
        with talk.status(f"waiting for {for_what} …"):
            yield
        return
    timer = threading.Timer(SAY_AFTER_S, say, [f"waiting for {for_what} …"])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
