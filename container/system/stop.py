"""The request to stop, and how the seconds that the platform still leaves are spent."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Self

from container.contract.clock import Clock

TRIED_GRACE_S = 5.0  # Nomad's, which io.net is said to use; stops are rehearsed with it


@dataclass(frozen=True, kw_only=True)
class StopBudget:
    """The parts of a grace period, in the order in which they are spent; what is left is uploads'.

    Each is the longest that a part may take: a stage that ends at once leaves its time to the
    uploads. A process that takes all of its parts costs the verdict some of its own.
    """

    grace_s: float
    next_step_s: float  # for the running step to end: a checkpoint may be due with it
    terminate_s: float  # for SIGTERM, which no trainer catches
    drain_s: float  # for the last lines in the pipe of a stage that was stopped
    verdict_s: float  # kept back for manifest and verdict

    @classmethod
    def of(cls, grace_s: float) -> Self:
        """Divide a grace period.

        Of what is more than the five seconds, 30 % goes to the running step, 5 % each to SIGTERM
        and to the last lines, which never need more than 3 and 2 s, and 10 % to the verdict, up to
        10 s. The rest, half or more, is for uploads. A shorter period is divided like one of five
        seconds: less was never tried.
        """
        more_s = max(grace_s - TRIED_GRACE_S, 0.0)
        return cls(
            grace_s=grace_s,
            next_step_s=1.5 + 0.3 * more_s,
            terminate_s=min(1.0 + 0.05 * more_s, 3.0),
            drain_s=min(0.3 + 0.05 * more_s, 2.0),
            verdict_s=min(3.0 + 0.1 * more_s, 10.0),
        )


class StopRequest:
    """Set once, by SIGTERM or by the operator's order.

    After SIGTERM the platform's grace period is counted down, and the process is to end. An order
    leaves the uploads all the time that they need, and the process stays: one that ended would be
    started again, and go on.
    """

    def __init__(self, *, budget: StopBudget, clock: Clock) -> None:
        self.event = threading.Event()
        self.terminated = threading.Event()
        self.why = "stopped on request (SIGTERM)"
        self._budget = budget
        self._clock = clock
        self._at: float | None = None

    def make(self) -> None:
        """Ask for an orderly end of the process, as SIGTERM does; returns at once."""
        if self._at is None:
            self._at = self._clock.monotonic()
        self.event.set()
        self.terminated.set()

    def order(self, why: str) -> None:
        """Ask for an orderly end of the training alone; returns at once."""
        if not self.event.is_set():
            self.why = why
        self.event.set()

    def too_late(self) -> bool:
        """Whether the grace period is over; never before SIGTERM."""
        return self._passed(self._budget.grace_s)

    def verdict_is_due(self) -> bool:
        """Whether only the verdict's part is left; never before SIGTERM."""
        return self._passed(self._budget.grace_s - self._budget.verdict_s)

    def _passed(self, seconds: float) -> bool:
        return self._at is not None and self._clock.monotonic() - self._at >= seconds


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
