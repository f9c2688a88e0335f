"""Looks for the operator's order to stop, lets the next save come if it is due, then stops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from container.contract.clock import Clock
from container.contract.keys import STOP_KEY
from container.contract.records import RecordError
from container.contract.stop_order import NextSave, StopOrder, has_come, is_worth_waiting
from container.storage.bucket import BucketError, RunBucket
from container.system.stop import StopRequest
from container.telemetry.run_status import LiveStatus

FLUSH = "flush"


class OrderWatch:
    """Watches for one container; asks the bucket every `ask_every_s`, its own status more often."""

    def __init__(
        self,
        bucket: RunBucket,
        *,
        holder: str,
        stop: StopRequest,
        live_status: LiveStatus,
        clock: Clock,
        say: Callable[[str], None],
        ask_every_s: float,
        look_every_s: float,
    ) -> None:
        self._bucket = bucket
        self._holder = holder
        self._stop = stop
        self._live_status = live_status
        self._clock = clock
        self._say = say
        self._ask_every_s = ask_every_s
        self._look_every_s = look_every_s
        self._asked_at: float | None = None
        self._order: StopOrder | None = None
        self._seen_at = 0.0
        self._awaited: NextSave | None = None

    @contextmanager
    def watching(self) -> Generator[None]:
        """Look from a thread meanwhile."""
        ended = threading.Event()

        def work() -> None:
            while not (ended.is_set() or self._stop.event.is_set()):
                self.look()
                ended.wait(self._look_every_s)

        thread = threading.Thread(target=work, name="orders", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()

    def stands(self) -> bool:
        """Say whether this container was told to stop; raises BucketError when that is unknown."""
        return self._read() is not None

    def look(self) -> None:
        """Look once; stops the training when that is due."""
        now = self._clock.monotonic()
        if self._asked_at is None or now - self._asked_at >= self._ask_every_s:
            self._asked_at = now
            self._ask(now)
        if self._order is not None:
            self._decide(self._order.within_s - (now - self._seen_at))

    def _ask(self, now: float) -> None:
        try:
            order = self._read()
        except BucketError:
            return  # what was known holds
        if order == self._order:
            return
        if order is None:
            self._say("the order to stop was taken back: the run goes on")
            self._live_status.say_stopping("")
        self._order, self._seen_at, self._awaited = order, now, None

    def _read(self) -> StopOrder | None:
        raw = self._bucket.get(STOP_KEY)
        try:
            order = StopOrder.from_json(raw) if raw is not None else None
        except RecordError:
            return None
        return order if order is not None and order.holder == self._holder else None

    def _decide(self, left_s: float) -> None:
        stage, step = self._live_status.stage, self._live_status.step
        if self._awaited is None:
            ahead = self._live_status.next_save()
            if stage == FLUSH:  # all is trained: what is left of it is the uploads
                ahead = NextSave(stage=stage, step=0, in_s=0.0, is_last=True)
            if ahead is None or not is_worth_waiting(ahead, left_s=left_s):
                self._end("runs stop")
                return
            self._awaited = ahead
            self._tell(ahead, left_s=left_s)
        elif has_come(self._awaited, stage=stage, step=step):
            self._end(f"runs stop, after the save of step {self._awaited.step}")
        elif left_s <= 0:
            self._end(f"runs stop; the save of step {self._awaited.step} did not come in time")

    def _tell(self, ahead: NextSave, *, left_s: float) -> None:
        what = f"the save of step {ahead.step}" if ahead.step else "the last uploads"
        self._say(f"told to stop: waits for {what}, {left_s:.0f} s at most")
        self._live_status.say_stopping(what)

    def _end(self, why: str) -> None:
        self._say("told to stop: stops now")
        self._live_status.say_stopping("the uploads")
        self._stop.order(why)
