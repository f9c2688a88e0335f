"""Knows when the bought hours end, says whether the run will end in time, and ends it if not.

The end is told by an object in the run's prefix, of whoever rents or extends. Without one nothing
is known, said or ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime

from container.contract.bought_time import (
    HOURS_OVER,
    SETTLE_S,
    BoughtTime,
    forecast,
    in_words,
)
from container.contract.clock import Clock
from container.contract.keys import BOUGHT_KEY
from container.contract.records import RecordError
from container.storage.bucket import BucketError, RunBucket
from container.supervisor.ending import FLUSH, SaveThenStop, looking
from container.system.stop import StopRequest
from container.telemetry.run_status import LiveStatus

AFTER_ALL = frozenset({FLUSH, "verdict"})
MORE_HOURS = "To buy more hours: raise this run's durationHours and run `pulumi up` before that."


@dataclass(frozen=True, kw_only=True)
class Hours:
    """How long before the end something is done; tests buy seconds.

    A checkpoint of 20 GB is uploaded in the last minutes at some 200 MB/s, which is what a rented
    machine's line is expected to carry.
    """

    warn_s: float = 3600.0
    last_s: float = 600.0  # a run that will not end in time is brought to its next save
    settle_s: float = SETTLE_S


class HoursWatch:
    """Watches for one container, by the bucket's time as far as its clock was corrected by it."""

    def __init__(
        self,
        bucket: RunBucket,
        *,
        rental: str,
        hours: Hours,
        stop: StopRequest,
        live_status: LiveStatus,
        clock: Clock,
        say: Callable[[str], None],
        tell: Callable[[str], None],
        ask_every_s: float,
        look_every_s: float,
    ) -> None:
        self._bucket = bucket
        self._rental = rental
        self._hours = hours
        self._stop = stop
        self._live_status = live_status
        self._clock = clock
        self._say = say
        self._tell = tell
        self._ask_every_s = ask_every_s
        self._look_every_s = look_every_s
        self._asked_at: float | None = None
        self._end: datetime | None = None
        self._told_of: datetime | None = None
        self._ending = SaveThenStop(
            stop=stop,
            live_status=live_status,
            say=say,
            told=HOURS_OVER,
            why=f"{HOURS_OVER}{{how}}",
        )

    def watching(self) -> AbstractContextManager[None]:
        """Look from a thread meanwhile."""
        return looking(self.look, every_s=self._look_every_s, stopped=self._stop.event)

    def are_over(self) -> bool:
        """Say whether this machine's hours are over, or about to be; raises BucketError."""
        self._ask()
        left_s = self._left_s()
        return left_s is not None and left_s <= self._hours.last_s

    def wait_for_more(self, *, ended: threading.Event) -> bool:
        """Wait until more hours were bought; False when `ended` was set first."""
        while not ended.wait(self._ask_every_s):
            try:
                if not self.are_over():
                    return True
            except BucketError:
                continue
        return False

    def look(self) -> None:
        """Look once; stops the training when that is due."""
        now = self._clock.monotonic()
        if self._asked_at is None or now - self._asked_at >= self._ask_every_s:
            self._asked_at = now
            with suppress(BucketError):  # what was known holds
                self._ask()
        left_s = self._left_s()
        if left_s is not None:
            self._decide(left_s)

    def _ask(self) -> None:
        raw = self._bucket.get(BOUGHT_KEY) if self._rental else None
        try:
            bought = BoughtTime.from_json(raw) if raw is not None else None
        except RecordError:
            return
        end = bought.end if bought is not None and bought.rental == self._rental else None
        if end is not None and end != self._end:
            self._end = end
            self._say(f"the bought time ends at {end:%Y-%m-%d %H:%M:%S} UTC")

    def _left_s(self) -> float | None:
        return (self._end - self._clock.now()).total_seconds() if self._end else None

    def _decide(self, left_s: float) -> None:
        live = self._live_status
        if left_s > self._hours.warn_s or live.outcome is not None:
            live.bought(left_s=left_s)
            self._ending.call_off()
            return
        needs = live.stage_needs()
        work_left_s = left_s - self._hours.settle_s
        in_time = forecast(left_s=work_left_s, needs=needs, is_last=self._is_last_stage())
        live.bought(left_s=left_s, in_time=in_time, needs_s=needs.likely_s if needs else None)
        if live.stage in AFTER_ALL:
            return  # all is trained: only waiting can make it a success
        if in_time == "no":
            self._tell_once(left_s, needs_s=needs.likely_s if needs else None)
        if in_time == "no" and left_s <= self._hours.last_s:
            self._ending.look(left_s=work_left_s)
        elif in_time == "yes" or left_s > self._hours.last_s:
            self._ending.call_off()

    def _is_last_stage(self) -> bool:
        now = self._live_status.snapshot()
        open_ = {one.name for one in now.stages if one.state in ("waiting", "running")}
        return open_ - {now.stage} <= AFTER_ALL

    def _tell_once(self, left_s: float, *, needs_s: float | None) -> None:
        if self._told_of == self._end:
            return
        self._told_of = self._end
        words = in_words("no", ends_in_s=left_s, needs_s=needs_s)
        self._say(words)
        self._tell(f"{words}. It is stopped in time at its last save. {MORE_HOURS}")
