"""A container that runs or ran, and all that it ever said."""

from __future__ import annotations

import threading
import time
from typing import Any

LONGEST_S = 600.0  # for anything that is waited for; the machine may be busy
POLL_S = 0.05


class Started:
    """Follows the log from the start to the end, also of a container that is gone by then."""

    def __init__(self, container: Any, interrupted: threading.Event) -> None:
        self.container = container
        self.lines: list[str] = []
        self._interrupted = interrupted
        self._over = False
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def says(self, text: str, *, within_s: float = LONGEST_S) -> None:
        """Wait until a line contains the text; fail when the container ends without it."""
        deadline = time.monotonic() + within_s
        while not any(text in line for line in self.lines):
            assert not self._over and time.monotonic() < deadline, (
                f"it never said {text!r}:\n{self.log}"
            )
            assert not self._interrupted.is_set(), "interrupted"
            with self._condition:
                self._condition.wait(POLL_S)  # for another line

    def kill(self) -> None:
        """End it as a lost machine ends: SIGKILL. Returns when it is dead and its log complete."""
        self.container.kill("SIGKILL")
        self.ended()

    def ended(self) -> None:
        """Wait for the end of its log."""
        self._thread.join(60)
        assert not self._thread.is_alive(), "a container outlived its end"

    def _follow(self) -> None:
        rest = b""
        for chunk in self.container.logs(stream=True, follow=True):
            *whole, rest = (rest + chunk).split(b"\n")
            with self._condition:
                self.lines += [line.decode("utf-8", "replace") for line in whole]
                self._condition.notify_all()
        self._over = True
