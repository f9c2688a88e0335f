"""Looks for the operator's order to stop, lets the next save come if it is due, then stops."""

from __future__ import annotations

import threading
from collections.abc import Callable

from container.contract.clock import Clock
from container.contract.keys import STOP_KEY, VERDICT_KEY
from container.contract.records import RecordError
from container.contract.stop_order import StopOrder
from container.storage.bucket import RunBucket
from container.supervisor.ending import BucketWatch, SaveThenStop
from container.system.stop import StopRequest
from container.telemetry.run_status import LiveStatus


class OrderWatch(BucketWatch):
    """Watches for one container, the `holder` of the lease."""

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
        ending = SaveThenStop(
            stop=stop,
            live_status=live_status,
            say=say,
            told="told to stop",
            why="stopped on request (the operator's order{how})",
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
        self._holder = holder
        self._order: StopOrder | None = None
        self._seen_at = 0.0

    def stands(self) -> bool:
        """Say whether this container was told to stop; raises BucketError when that is unknown."""
        return self._read() is not None

    def wait_until_taken_back(self, *, ended: threading.Event) -> bool:
        """Wait while the order stands, or that is unknown; False when `ended` was set first.

        Also where the verdict went with it: then somebody deletes the run.
        """

        def taken_back() -> bool | None:
            return None if self.stands() else self._bucket.get(VERDICT_KEY) is not None

        return self._wait(taken_back, ended=ended)

    def _ask(self, now: float) -> None:
        order = self._read()
        if order == self._order:
            return
        if order is None:
            self._say("the order to stop was taken back: the run goes on")
        self._ending.call_off()
        self._order, self._seen_at = order, now

    def _decide(self, now: float) -> None:
        if self._order is not None:
            self._ending.look(left_s=self._order.within_s - (now - self._seen_at))

    def _read(self) -> StopOrder | None:
        raw = self._bucket.get(STOP_KEY)
        try:
            order = StopOrder.from_json(raw) if raw is not None else None
        except RecordError:
            return None
        return order if order is not None and order.holder == self._holder else None
