"""Asks a run to stop before its machine is given back: after its next save if that is due.

The order is an object in the run's prefix, which the container sees within seconds. Nothing here
is needed for a machine to be given back: whatever cannot be asked or awaited is said, and is over
when the bound is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from components.ionet.errors import StopTimeError
from components.ionet.rental.waiting import Clock, minutes
from components.r2.run_objects import RunObjects, RunObjectsError
from container.contract.keys import LEASE_KEY, STATUS_KEY, STOP_KEY, VERDICT_KEY
from container.contract.records import Lease, RecordError, RunStatus, Verdict
from container.contract.stop_order import StopOrder

WITHIN_S = 900.0
FLUSH_WITHIN_S = 300.0  # more, for the uploads of a run that was seen to stop
SILENT_S = 90.0  # it beats every 10 to 15 s, sees an order as soon; the bucket may have a hiccup
SHOW_EVERY_S = 15.0
VARIABLE = "TRAINSTACK_STOP_WITHIN"

Show = Callable[[str], None]

_A_TIME = re.compile(r"(\d{1,4})(s|m|h)?")
_UNITS_S = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """What came of it: the run's verdict, or why there is none."""

    verdict: Verdict | None = None
    why_none: str = ""


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """The run's status, as it was read."""

    status: RunStatus
    age_s: float | None
    knows_orders: bool


@dataclass(kw_only=True)
class Asking:
    """One run that is asked; `ask` may be called again after whatever interrupted it.

    `open` finds a way into the bucket, and raises RunObjectsError while there is none;
    `still_wanted` raises when nobody waits any more.
    """

    open: Callable[[], RunObjects]
    within_s: float
    show: Show
    clock: Clock
    still_wanted: Callable[[], None] = lambda: None
    _objects: RunObjects | None = None
    _began: float = 0.0
    _told: str = ""  # the container that has the order
    _is_seen: bool = False  # by that container
    _beat: str = ""
    _beat_at: float = 0.0

    def ask(self) -> Stopped:
        """Give the order, and return when the run has its verdict or need not be waited for."""
        self._began = self._beat_at = self.clock.now()
        for _ in self.clock.pauses():
            self.still_wanted()
            seen: _Seen | None = None
            try:
                verdict, seen = self._read()
                if verdict is not None:
                    return Stopped(verdict=verdict)
                if not self._tell():
                    return Stopped(why_none="no container trains it: there is nothing to wait for")
                words = in_words(seen.status if seen else None)
            except RunObjectsError as error:
                words = f"the bucket does not answer ({error})"
            if over := self._why_over(seen, words):
                return Stopped(why_none=over)
            self.show(f"{words}; {minutes(self._left_s())} at most")
        raise AssertionError("unreachable")

    def take_back(self) -> None:
        """Let the run go on: one that has stopped already does so by itself."""
        if self._objects is not None:
            self._objects.delete(STOP_KEY)

    def _bucket(self) -> RunObjects:
        if self._objects is None:
            self._objects = self.open()
        return self._objects

    def _read(self) -> tuple[Verdict | None, _Seen | None]:
        raw = self._bucket().read(VERDICT_KEY)
        try:
            if raw is not None:
                return Verdict.from_json(raw), None
            found = self._bucket().find(STATUS_KEY)
            if found is None:
                return None, None
            status = RunStatus.from_json(found.body)
        except RecordError as error:
            raise RunObjectsError(f"a record of it cannot be read: {error}") from None
        self._is_seen = self._is_seen or bool(status.stopping)
        knows_orders = "stopping" in json.loads(found.body)
        return None, _Seen(status=status, age_s=found.age_s, knows_orders=knows_orders)

    def _tell(self) -> bool:
        """Give the order to the container that trains; False when there is none.

        Again to another one: the vendor may start it anew meanwhile. One that stands already is
        not given again, and the time since then counts.
        """
        raw = self._bucket().read(LEASE_KEY)
        try:
            holder = Lease.from_json(raw).holder if raw is not None else ""
        except RecordError:
            holder = ""
        if holder and holder != self._told:
            if not self._joins(holder):
                asked_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                order = StopOrder(holder=holder, within_s=self.within_s, asked_at=asked_at)
                self._bucket().write(STOP_KEY, order.to_json())
            self._told = holder
        return bool(holder)

    def _joins(self, holder: str) -> bool:
        """Whether that container was told before, by a command that ended before it had stopped."""
        found = self._bucket().find(STOP_KEY)
        try:
            order = StopOrder.from_json(found.body) if found else None
        except RecordError:
            order = None
        if found is None or order is None or order.holder != holder:
            return False
        self.within_s = min(self.within_s, order.within_s - (found.age_s or 0.0))
        return True

    def _waited_s(self) -> float:
        return self.clock.now() - self._began

    def _left_s(self) -> float:
        return self.within_s + (FLUSH_WITHIN_S if self._is_seen else 0.0) - self._waited_s()

    def _why_over(self, seen: _Seen | None, words: str) -> str:
        """Return why nothing more is waited for; "" while there is something."""
        if seen is not None and not seen.knows_orders:
            return "its container is of an older release, which does not know that it is asked"
        if seen is not None and (silent_s := self._silent_s(seen)) > SILENT_S:
            return f"its container gave no sign of life for {minutes(silent_s)}"
        if self._left_s() <= 0:
            return f"no verdict within {minutes(self._waited_s())}: {words}"
        if not self._is_seen and self._waited_s() > SILENT_S:
            return f"nobody saw within {minutes(self._waited_s())} that it is asked: {words}"
        return ""

    def _silent_s(self, seen: _Seen) -> float:
        now = self.clock.now()
        if seen.status.beat_at != self._beat:
            self._beat, self._beat_at = seen.status.beat_at, now
        return max(now - self._beat_at, seen.age_s or 0.0)


def now_and_then(say: Show, *, clock: Clock) -> Show:
    """Return what says a wait where lines stay: at once what is new, and its figures at times."""
    last: list[tuple[str, float]] = []

    def tell(words: str) -> None:
        kind, at = re.sub(r"[\d ]+|min|s;", "", words.rsplit(";", 1)[0]), clock.now()
        if not last or kind != last[-1][0] or at - last[-1][1] >= SHOW_EVERY_S:
            last[:] = [(kind, at)]
            say(words)

    return tell


def seconds_of(said: str) -> float | None:
    """Return a time as people write it (15m, 90s, 1h; a bare number is minutes); None for none."""
    match = _A_TIME.fullmatch(said.strip())
    return None if match is None else float(int(match[1]) * _UNITS_S[match[2] or "m"])


def within_s(env: Mapping[str, str]) -> float:
    """Return for how long `pulumi` waits for a run's next save; raises StopTimeError."""
    said = env.get(VARIABLE, "").strip()
    seconds = seconds_of(said) if said else WITHIN_S
    if seconds is None:
        raise StopTimeError(
            f"{VARIABLE} is {said!r}: a number with s, m or h behind it, such as 15m; 0 asks the "
            "run nothing. Nothing was given back: set it, or unset it, and run the same again."
        )
    return seconds


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
