"""The request to stop, and how long the platform still leaves."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from container.contract.clock import Clock


class StopRequest:
    """Set once, by SIGTERM; counts down the platform's grace period from then on."""

    def __init__(self, *, grace_s: float, clock: Clock) -> None:
        self.event = threading.Event()
        self._grace_s = grace_s
        self._clock = clock
        self._at: float | None = None

    def make(self) -> None:
        """Ask for an orderly end; returns at once."""
        if self._at is None:
            self._at = self._clock.monotonic()
        self.event.set()

    def too_late(self, *, reserve_s: float = 0.0) -> bool:
        """Whether less than `reserve_s` is left; never before a stop was asked for."""
        if self._at is None:
            return False
        return self._clock.monotonic() - self._at >= self._grace_s - reserve_s


def with_signals(run: Callable[[], int], *, on_signal: Callable[[], None]) -> int:
    """Run in a thread, call `on_signal` at SIGTERM and SIGINT; return the thread's exit code.

    A handler may not take the lock of an Event that its own thread may hold: the signals arrive as
    bytes in a pipe instead. Call from the main thread.
    """
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)
    signal.set_wakeup_fd(mouth)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _heard)
    codes = [1]

    def work() -> None:
        try:
            codes[0] = run()
        finally:
            os.write(mouth, b"\0")

    threading.Thread(target=work, name="supervisor", daemon=True).start()
    while os.read(ear, 1) != b"\0":
        on_signal()
    return codes[0]


def _heard(number: int, frame: FrameType | None) -> None:
    """Do nothing: the wake-up pipe has told."""
