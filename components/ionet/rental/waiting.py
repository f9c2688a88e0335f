"""Waiting: the clock that loops share, and how long something that was sent may still arrive."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from components.ionet.client import SENT_WITHIN_S
from components.ledger.page import Entry

SEND_WITHIN_S = 10.0  # from the intent, by the wall clock: laptops sleep
INTENTS = 4  # a laptop that sleeps between each intent and its request is not waited for
LONGEST_LAG_S = 30.0  # until io.net's list shows a new deployment: the longest that was seen
MARGIN_S = 60.0  # names are looked up and connections accepted outside of the client's limits

SETTLED_AFTER_S = SEND_WITHIN_S + SENT_WITHIN_S + LONGEST_LAG_S + MARGIN_S
"""So long after an intent nothing comes of it any more that does not show."""

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0
SAY_EVERY_S = 15.0

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Monotonic seconds, the wall clock's, and waiting; tests put their own in."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def pauses(self) -> Iterator[None]:
        """Wait a little longer at each step, for a loop that looks again and again."""
        pause_s = FIRST_PAUSE_S
        while True:
            yield
            self.sleep(pause_s)
            pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)


def unsettled_s(entry: Entry, now: datetime) -> float:
    """Return for how many seconds more a machine may come of an intent; 0 when none can."""
    if entry.state != "asked":
        return 0.0
    return max(0.0, SETTLED_AFTER_S - entry.age(now).total_seconds())


def minutes(seconds: float) -> str:
    """Return a wait as people read it."""
    whole = int(seconds + 0.999)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"
