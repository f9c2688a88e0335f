"""A double of all that is outside of the program, on one clock that only waiting moves.

Every call may meet the fault that a story planted for it: refused, done and not answered, on its
way for a while, or the end of the process that made it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from components.ionet.errors import RequestRefusedError
from components.ionet.rental.waiting import Clock
from components.ledger.bad_places import BadPlaces
from components.ledger.ledger import LedgerError
from components.ledger.page import Page
from container.contract.records import Verdict

Found = TypeVar("Found")
BEGIN = datetime(2026, 11, 25, tzinfo=UTC)
PRICE = Decimal("0.41")


class KilledError(BaseException):
    """The process ended here: what it was doing is done or not, and nobody hears of it."""


@dataclass(kw_only=True)
class Machine:
    """One deployment of the vendor's."""

    id: str
    name: str
    account: str
    hours: int
    paid: Decimal
    env: Mapping[str, str]
    secret_env: Mapping[str, str]
    created_at: datetime
    listed_at: datetime
    ended_at: datetime | None = None

    def lives(self, now: datetime) -> bool:
        return self.ended_at is None and now < self.created_at + timedelta(hours=self.hours)


@dataclass
class Fault:
    """What happens at the call of this number: one of FORMS."""

    at: int
    form: str
    for_s: float = 0.0
    meanwhile: Callable[[], None] | None = field(default=None, repr=False)


FORMS = (
    "refused",
    "unanswered, not done",
    "unanswered, done",
    "on its way",
    "killed before",
    "killed after",
    "killed, on its way",
    "storm",
    "meanwhile",
)


@dataclass
class World:
    """All that is outside of the program; `account` is whose key the program has."""

    chance: random.Random
    account: str = "ours"
    seconds: float = 0.0
    factor: Decimal = Decimal(1)
    next_factor: Decimal = Decimal(1)  # from the next call on that pays nothing
    lag_s: float = 0.0
    machines: list[Machine] = field(default_factory=list[Machine])
    pages: dict[str, Page] = field(default_factory=dict[str, Page])
    tokens: dict[str, str] = field(default_factory=dict[str, str])
    verdicts: dict[str, Verdict] = field(default_factory=dict[str, Verdict])
    faults: dict[int, Fault] = field(default_factory=dict[int, Fault])
    starts: list[str] = field(default_factory=list[str])  # prefixes, by start of a container
    refuses_updates: bool = False
    late_tokens: set[str] = field(default_factory=set[str])
    calls: int = 0
    storm_until: float = 0.0
    landing: bool = False
    charges: list[tuple[str, Decimal]] = field(default_factory=list[tuple[str, Decimal]])
    _underway: list[tuple[float, Callable[[], Any]]] = field(
        default_factory=list[tuple[float, Callable[[], Any]]]
    )
    bad: BadPlaces = ()
    said: list[str] = field(default_factory=list[str])

    @property
    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds)

    def clock(self) -> Clock:
        return Clock(now=lambda: self.seconds, wall=lambda: self.seconds, sleep=self.wait)

    def wait(self, seconds: float) -> None:
        """Let time pass; what is on its way arrives when it is due."""
        end = self.seconds + seconds
        due = sorted((one for one in self._underway if one[0] <= end), key=lambda one: one[0])
        self._underway = [one for one in self._underway if one[0] > end]
        for at, act in due:
            self.seconds, self.landing = at, True
            act()
            self.landing = False
        self.seconds = end

    def live(self) -> list[Machine]:
        return [one for one in self.machines if one.lives(self.now)]

    def call(
        self,
        act: Callable[[], Found],
        *,
        unclear: Callable[[], Exception],
        once: bool = False,
        pays: bool = False,
    ) -> Found:
        """Make one call; a reading, or one that is repeated, outlives anything but a storm."""
        self.wait(0.2)
        self.calls += 1
        if not pays:  # no quote can be newer than the one right before the payment
            self.factor = self.next_factor
        fault = self.faults.pop(self.calls, None)
        form = fault.form if fault else ""
        if fault and fault.meanwhile and not pays:
            fault.meanwhile()
        if form == "storm" and fault:
            self.storm_until = self.seconds + fault.for_s
        if self.seconds < self.storm_until:
            self.wait(2.0)
            raise unclear()
        if form == "killed before":
            raise KilledError
        if form in ("on its way", "killed, on its way") and fault:
            self._underway.append((self.seconds + fault.for_s, _quietly(act)))
            if form.startswith("killed"):
                raise KilledError
            self.wait(min(fault.for_s, 70.0))
            raise unclear()
        if form in ("refused", "unanswered, not done"):
            if not once:
                return act()  # repeated by its client
            raise unclear()
        done = act()
        if fault and fault.meanwhile and pays:
            fault.meanwhile()  # before the reply arrives
        if form == "killed after":
            raise KilledError
        if form == "unanswered, done" and once:
            raise unclear()
        return done


def _quietly(act: Callable[[], Any]) -> Callable[[], None]:
    def late() -> None:
        try:
            act()
        except (RequestRefusedError, LedgerError):
            return  # nobody hears it

    return late
