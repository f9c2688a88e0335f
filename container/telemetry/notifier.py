"""Tells people, and a service that watches, what becomes of the run; from threads of its own.

A nicety: training neither waits for it nor ends by it. Notices go out in order and are tried a few
times. A ping a minute lets a service such as healthchecks.io ring when the machine itself is dead:
each says "started", which begins that service's grace time anew, and the verdict says "success" or
"fail"; after those it waits for nothing (https://healthchecks.io/docs/http_api/).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from container.contract.environment import RunEnvironment
from container.contract.records import Verdict
from container.transport.notice import Event, Notice, ping, send

PING_EVERY_S = 60.0
PAUSES_S = (1.0, 5.0, 30.0)
MOST_WAITING = 100
STILL_RENTED = (
    "Its machine is rented until its hours are over, unless `pulumi destroy` gives it back."
)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often is pinged and after which pauses is tried again; tests have less time."""

    ping_every_s: float = PING_EVERY_S
    pauses_s: tuple[float, ...] = PAUSES_S


class Notifier:
    """What one container tells; does nothing where no address was given."""

    def __init__(
        self, environment: RunEnvironment, *, say: Callable[[str], None], pace: Pace | None = None
    ) -> None:
        self._environment = environment
        self._say = say
        self._pace = pace or Pace()
        self._waiting: queue.Queue[Callable[[], str]] = queue.Queue(MOST_WAITING)
        self._begun = False
        self._ended = threading.Event()
        self._closed = threading.Event()
        self._said: set[str] = set()

    def begin(self) -> None:
        """Start to send, and to ping; once."""
        if self._begun:
            return
        self._begun = True
        if self._environment.notify_url or self._environment.ping_url:
            threading.Thread(target=self._send_all, name="notices", daemon=True).start()
        if self._environment.ping_url:
            threading.Thread(target=self._ping, name="pings", daemon=True).start()

    def tell(self, event: Event, text: str, *, outcome: str = "") -> None:
        """Tell it when it can be told; returns at once."""
        url = self._environment.notify_url
        if not url:
            return
        run, prefix = self._environment.run, self._environment.prefix
        notice = Notice(event=event, run=run, prefix=prefix, outcome=outcome, text=text)
        self._later(lambda: send(url, notice))

    def tell_verdict(self, verdict: Verdict) -> None:
        """Tell how the run ended, and that its machine goes on costing."""
        self._ended.set()
        text = f"{verdict.run} {verdict.outcome}: {verdict.reason}."
        if verdict.outcome != "stopped":
            text += f" {STILL_RENTED}"
        self.tell("verdict", text, outcome=verdict.outcome)
        if verdict.outcome != "stopped":
            self._ping_last("" if verdict.outcome == "succeeded" else "fail", verdict.reason)

    def tell_no_verdict(self, reason: str) -> None:
        """Tell that the run has ended here, and that nobody could write that down."""
        self.begin()
        self._ended.set()
        text = f"{self._environment.run} has ended without a verdict: {reason}. {STILL_RENTED}"
        self.tell("ended without a verdict", text)
        self._ping_last("fail", reason)

    def close(self, *, within_s: float) -> None:
        """Wait for what is still to be told, so long and no longer."""
        self._ended.set()
        last = threading.Event()

        def mark() -> str:
            last.set()
            return ""

        if (self._environment.notify_url or self._environment.ping_url) and self._later(mark):
            last.wait(within_s)
        self._closed.set()

    def _ping_last(self, signal: str, reason: str) -> None:
        url = self._environment.ping_url
        if url:
            self._later(lambda: ping(url, signal, text=reason))

    def _later(self, send_it: Callable[[], str]) -> bool:
        with suppress(queue.Full):
            self._waiting.put_nowait(send_it)
            return True
        return False

    def _send_all(self) -> None:
        while not self._closed.is_set():
            with suppress(queue.Empty):
                self._try(self._waiting.get(timeout=1.0))

    def _try(self, send_it: Callable[[], str]) -> None:
        for pause_s in (*self._pace.pauses_s, 0.0):
            wrong = send_it()
            if not wrong:
                return
            self._tell_once(wrong)
            if self._closed.wait(pause_s):
                return

    def _ping(self) -> None:
        while True:
            wrong = ping(self._environment.ping_url, "start")
            if wrong:
                self._tell_once(wrong)
            if self._ended.wait(self._pace.ping_every_s):
                return

    def _tell_once(self, wrong: str) -> None:
        """Say it in the log the first time: a service that is away for hours fills no log."""
        if wrong not in self._said:
            self._said.add(wrong)
            self._say(f"not told: {wrong}; the run goes on")
