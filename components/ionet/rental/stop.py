"""Asks a run to stop before its machine is given back: after its next save if that is due.

The order is an object in the run's prefix, which the container sees within seconds. Nothing here
is needed for a machine to be given back: whatever cannot be asked or awaited is said, and is over
when the bound is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from components.ionet.rental.waiting import Clock, minutes
from components.r2.run_objects import RunObjects, RunObjectsError
from container.contract.keys import LEASE_KEY, STATUS_KEY, STOP_KEY, VERDICT_KEY
from container.contract.records import Lease, RecordError, RunStatus, Verdict
from container.contract.stop_order import StopOrder

WITHIN_S = 900.0
FLUSH_WITHIN_S = 300.0  # more, for the uploads of a run that was seen to stop
SILENT_S = 90.0  # it beats every 10 to 15 s, and the bucket may have a hiccup

Show = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """What came of it: the run's verdict, or why there is none."""

    verdict: Verdict | None = None
    why_none: str = ""


@dataclass(kw_only=True)
class Asking:
    """One run that is asked; `ask` may be called again after whatever interrupted it."""

    objects: RunObjects
    within_s: float
    show: Show
    clock: Clock
    _began: float = 0.0
    _told: str = ""  # the container that has the order
    _beat: str = ""
    _beat_at: float = 0.0

    def ask(self) -> Stopped:
        """Give the order, and return when the run has its verdict or need not be waited for."""
        self._began = self._beat_at = self.clock.now()
        for _ in self.clock.pauses():
            status: RunStatus | None = None
            try:
                verdict, status = self._read()
                if verdict is not None:
                    return Stopped(verdict=verdict)
                if not self._tell():
                    return Stopped(why_none="no container trains it: there is nothing to wait for")
                words = in_words(status)
            except RunObjectsError as error:
                words = f"the bucket does not answer ({error})"
            left_s = self._left_s(status)
            if left_s <= 0:
                return Stopped(why_none=f"no verdict within {minutes(self._waited_s())}: {words}")
            if status is not None and self._is_silent(status):
                silence = minutes(self.clock.now() - self._beat_at)
                return Stopped(why_none=f"its container gave no sign of life for {silence}")
            self.show(f"{words}; {minutes(left_s)} at most")
        raise AssertionError("unreachable")

    def take_back(self) -> None:
        """Let the run go on, if it has not seen the order yet or still waits for its save."""
        if self._told:
            self.objects.delete(STOP_KEY)

    def _read(self) -> tuple[Verdict | None, RunStatus | None]:
        raw = self.objects.read(VERDICT_KEY)
        try:
            if raw is not None:
                return Verdict.from_json(raw), None
            raw = self.objects.read(STATUS_KEY)
            return None, RunStatus.from_json(raw) if raw is not None else None
        except RecordError as error:
            raise RunObjectsError(f"a record of it cannot be read: {error}") from None

    def _tell(self) -> bool:
        """Give the order to the container that trains; False when there is none.

        Again to another one: the vendor may start it anew meanwhile.
        """
        raw = self.objects.read(LEASE_KEY)
        try:
            holder = Lease.from_json(raw).holder if raw is not None else ""
        except RecordError:
            holder = ""
        if holder and holder != self._told:
            asked_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            order = StopOrder(holder=holder, within_s=self.within_s, asked_at=asked_at)
            self.objects.write(STOP_KEY, order.to_json())
            self._told = holder
        return bool(holder)

    def _waited_s(self) -> float:
        return self.clock.now() - self._began

    def _left_s(self, status: RunStatus | None) -> float:
        more_s = FLUSH_WITHIN_S if status is not None and status.stopping else 0.0
        return self.within_s + more_s - self._waited_s()

    def _is_silent(self, status: RunStatus) -> bool:
        now = self.clock.now()
        if status.beat_at != self._beat:
            self._beat, self._beat_at = status.beat_at, now
        return now - self._beat_at > SILENT_S


def in_words(status: RunStatus | None) -> str:
    """Say what a run that was told to stop waits for: `next save at step 2000 in 3 min 10 s`."""
    if status is None:
        return "it has written nothing yet"
    parts: list[str] = []
    if status.next_save_step is not None and status.next_save_s is not None:
        parts.append(f"next save at step {status.next_save_step} in {minutes(status.next_save_s)}")
    elif status.stopping:
        parts.append(f"waits for {status.stopping}")
    else:
        parts.append(f"{status.stage}: no save is known to be due")
    if status.checkpoint_files:
        up, files = status.checkpoint_files_up, status.checkpoint_files
        parts.append(f"{up} of {files} {'file' if files == 1 else 'files'} up")
    if not status.stopping:
        parts.append("told to stop, not seen yet")
    return "; ".join(parts)
