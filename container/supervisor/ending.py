"""Ends a training at its next save, if that is due within a bound, else at once; decides not when.

An operator's order and the end of the bought hours are ended alike: what may be awaited is one
rule, and so is what the verdict says of it.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from container.contract.clock import Clock
from container.contract.stop_order import NextSave, has_come, is_worth_waiting
from container.storage.bucket import BucketError, RunBucket
from container.system.stop import StopRequest
from container.telemetry.run_status import LiveStatus

FLUSH = "flush"


class SaveThenStop:
    """One such end of one container; `why` is its verdict's reason, with `{how}` for what came."""

    def __init__(
        self,
        *,
        stop: StopRequest,
        live_status: LiveStatus,
        say: Callable[[str], None],
        told: str,
        why: str,
    ) -> None:
        self._stop = stop
        self._live_status = live_status
        self._say = say
        self._told = told
        self._why = why
        self._awaited: NextSave | None = None

    def look(self, *, left_s: float) -> None:
        """Stop now, or wait for the next save while it can come within the seconds left."""
        stage, step = self._live_status.stage, self._live_status.step
        if self._awaited is None:
            ahead = self._live_status.next_save()
            if stage == FLUSH:  # all is trained: what is left of it is the uploads
                ahead = NextSave(stage=stage, step=0, in_s=0.0, is_last=True)
            if ahead is None or not is_worth_waiting(ahead, left_s=left_s):
                self._end("")
                return
            self._awaited = ahead
            self._tell(ahead, left_s=left_s)
        elif has_come(self._awaited, stage=stage, step=step):
            self._end(f", after the save of step {self._awaited.step}")
        elif left_s <= 0:
            self._end(f"; the save of step {self._awaited.step} did not come in time")

    def call_off(self) -> None:
        """The run goes on: nothing is waited for any more."""
        if self._awaited is not None:
            self._awaited = None
            self._live_status.say_stopping("")

    def _tell(self, ahead: NextSave, *, left_s: float) -> None:
        what = f"the save of step {ahead.step}" if ahead.step else "the last uploads"
        self._say(f"{self._told}: waits for {what}, {left_s:.0f} s at most")
        self._live_status.say_stopping(what)

    def _end(self, how: str) -> None:
        self._say(f"{self._told}: stops now")
        self._live_status.say_stopping("the uploads")
        self._stop.order(self._why.format(how=how))


class BucketWatch(ABC):
    """Looks, from a thread, at what an object of the prefix says of the end of one container.

    Asks the bucket every `ask_every_s`, its own status more often.
    """

    def __init__(
        self,
        bucket: RunBucket,
        *,
        ending: SaveThenStop,
        stop: StopRequest,
        clock: Clock,
        say: Callable[[str], None],
        ask_every_s: float,
        look_every_s: float,
    ) -> None:
        self._bucket = bucket
        self._ending = ending
        self._stop = stop
        self._clock = clock
        self._say = say
        self._ask_every_s = ask_every_s
        self._look_every_s = look_every_s
        self._asked_at: float | None = None

    @contextmanager
    def watching(self) -> Generator[None]:
        """Look from a thread meanwhile, until the training is stopped."""
        ended = threading.Event()

        def work() -> None:
            while not (ended.is_set() or self._stop.event.is_set()):
                self.look()
                ended.wait(self._look_every_s)

        threading.Thread(target=work, name="ending", daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    def look(self) -> None:
        """Look once; stops the training when that is due."""
        now = self._clock.monotonic()
        if self._asked_at is None or now - self._asked_at >= self._ask_every_s:
            self._asked_at = now
            with suppress(BucketError):  # what was known holds
                self._ask(now)
        self._decide(now)

    def _wait(self, answer: Callable[[], bool | None], *, ended: threading.Event) -> bool:
        """Ask until the bucket and `answer` say something; False once `ended` is set."""
        while not ended.wait(self._ask_every_s):
            with suppress(BucketError):
                if (found := answer()) is not None:
                    return found
        return False

    @abstractmethod
    def _ask(self, now: float) -> None:
        """Ask the bucket, and remember what it says; raises BucketError."""

    @abstractmethod
    def _decide(self, now: float) -> None:
        """Do what is due by what is remembered."""
