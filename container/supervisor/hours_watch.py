"""Knows when the bought hours end, says whether the run will end in time, and ends it if not.

The end is told by an object in the run's prefix, of whoever rents or extends. Without one nothing
is known, said or ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
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
from container.storage.bucket import RunBucket
from container.supervisor.ending import FLUSH, BucketWatch, SaveThenStop
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


class HoursWatch(BucketWatch):
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
        ending = SaveThenStop(
            stop=stop,
            live_status=live_status,
            say=say,
            told=HOURS_OVER,
            why=f"{HOURS_OVER}{{how}}",
        )
        super().__init__(
            bucket,
            ending=ending,
            stop=stop,
            clock=clock,
            say=say,
            ask_every_s=ask_every_s,
            look_every_s=look_every_s,
        )
        self._rental = rental
        self._hours = hours
        self._live_status = live_status
        self._tell = tell
        self._end: datetime | None = None
        self._told_of: datetime | None = None

    def are_over(self) -> bool:
        """Say whether this machine's hours are over, or about to be; raises BucketError."""
        self._ask(self._clock.monotonic())
        left_s = self._left_s()
        return left_s is not None and left_s <= self._hours.last_s

    def wait_for_more(self, *, ended: threading.Event) -> bool:
        """Wait until more hours were bought; False when `ended` was set first."""
        return self._wait(lambda: None if self.are_over() else True, ended=ended)

    def _ask(self, now: float) -> None:
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

    def _decide(self, now: float) -> None:
        left_s = self._left_s()
        if left_s is None:
            return
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
