"""A double of vendor, bucket and Cloudflare in memory, on one clock that only waiting moves.

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

from components.ionet import models
from components.ionet.errors import NotFoundError, RequestRefusedError, UnclearError
from components.ionet.rental.waiting import Clock
from components.ledger.ledger import Edit, LedgerError, Reading
from components.ledger.page import Owner, Page
from components.r2.cloudflare import Token
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
    late_tokens: set[str] = field(default_factory=set[str])
    calls: int = 0
    storm_until: float = 0.0
    landing: bool = False
    charges: list[tuple[str, Decimal]] = field(default_factory=list[tuple[str, Decimal]])
    _underway: list[tuple[float, Callable[[], Any]]] = field(
        default_factory=list[tuple[float, Callable[[], Any]]]
    )
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


class SimClient:
    """The client of io.net as the program calls it, of one account."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.account = f"the io.net account {world.account}"

    def deployments(self) -> list[models.DeploymentRow]:
        def act() -> list[models.DeploymentRow]:
            now = self._world.now
            return [
                models.DeploymentRow(id=one.id, name=one.name, status=self._status(one))
                for one in self._mine()
                if one.listed_at <= now
            ]

        return self._read(act)

    def deployment(self, deployment_id: str) -> models.Deployment:
        def act() -> models.Deployment:
            one = self._find(deployment_id)
            served = int(min((self._world.now - one.created_at).total_seconds() // 60, 10**6))
            lives = one.lives(self._world.now)
            if one.ended_at:
                served = int((one.ended_at - one.created_at).total_seconds() // 60)
            served = min(served, one.hours * 60)
            return models.Deployment(
                id=one.id,
                status=self._status(one),
                amount_paid_usd=one.paid,
                total_gpus=1,
                compute_minutes_served=served,
                compute_minutes_remaining=one.hours * 60 - served if lives else 0,
                created_at=one.created_at,
                finished_at=one.ended_at,
                env=dict(one.env),
            )

        return self._read(act)

    def deploy(self, request: models.DeployRequest) -> str | None:
        factor = self._world.factor  # a price that moves while a request is on its way is nobody's

        def act() -> str:
            world = self._world
            if any(one.name == request.private_name for one in world.live()):
                raise RequestRefusedError("name is already taken", status=400)
            machine = Machine(
                id=f"dep-{len(world.machines) + 1}",
                name=request.private_name,
                account=world.account,
                hours=request.duration_hours,
                paid=PRICE * factor * request.duration_hours,
                env=dict(request.env),
                secret_env=dict(request.secret_env),
                created_at=world.now,
                listed_at=world.now + timedelta(seconds=world.lag_s),
            )
            world.machines.append(machine)
            world.charges.append((machine.id, machine.paid))
            return machine.id

        answer = self._sent(act)
        return "not-an-id" if answer and self._world.chance.random() < 0.03 else answer

    def extend(self, deployment_id: str, *, hours: int) -> None:
        factor = self._world.factor

        def act() -> None:
            one = self._find(deployment_id)
            if not one.lives(self._world.now):
                raise NotFoundError("not found", status=400)
            price = PRICE * factor * hours
            one.hours, one.paid = one.hours + hours, one.paid + price
            self._world.charges.append((one.id, price))

        self._sent(act)

    def delete(self, deployment_id: str) -> None:
        def act() -> None:
            one = self._find(deployment_id)
            if not one.lives(self._world.now):
                raise NotFoundError("Resource not found", status=400)
            one.ended_at = self._world.now

        self._read(act)

    def hardware(self) -> list[models.Hardware]:
        row = models.Hardware(
            hardware_id=12,
            name="CPU",
            available=9,
            price_usd_per_hour=PRICE * self._world.factor,
            max_gpus_per_container=8,
            location=None,
        )
        return self._read(lambda: [row])

    def places(self, hardware_id: models.HardwareId, *, gpus: int) -> list[models.Place]:
        place = models.Place(location_id=2, iso2="US", available_replicas=9)
        return self._read(lambda: [place])

    def price_usd(self, *, hours: int, **_: object) -> Decimal:
        return self._read(lambda: PRICE * self._world.factor * hours)

    def _mine(self) -> list[Machine]:
        return [one for one in self._world.machines if one.account == self._world.account]

    def _find(self, deployment_id: str) -> Machine:
        if deployment_id == "not-an-id":
            raise RequestRefusedError("not a UUID", status=422)
        for one in self._mine():
            if one.id == deployment_id:
                return one
        raise NotFoundError("Deployment not found", status=404)

    def _status(self, one: Machine) -> str:
        if one.lives(self._world.now):
            return "running"
        return "destroyed" if one.ended_at else "completed"

    def _read(self, act: Callable[[], Found]) -> Found:
        return self._world.call(act, unclear=_unclear)

    def _sent(self, act: Callable[[], Found]) -> Found:
        return self._world.call(act, unclear=_unclear, once=True, pays=True)


class SimLedger:
    """The ledger of the world's one bucket."""

    def __init__(self, world: World) -> None:
        self._world = world

    def read(self, owner: Owner) -> Reading:
        def act() -> Reading:
            page = self._world.pages.get(owner.key, Page(owner=owner))
            return Reading(page=Page.from_json(page.to_json()), now=self._world.now)

        return self._world.call(act, unclear=_unusable)

    def edit(self, owner: Owner, change: Edit) -> Reading:
        page = self._world.pages.get(owner.key, Page(owner=owner))

        def act() -> Reading:
            now_there = self._world.pages.get(owner.key, page)
            if self._world.landing and now_there != page:
                raise LedgerError("somebody else wrote in between")
            changed = change(now_there, self._world.now)
            self._world.pages[owner.key] = changed
            return Reading(page=changed, now=self._world.now)

        return self._world.call(act, unclear=_unusable, once=True)

    def pages(self) -> list[Page]:
        return list(self._world.pages.values())


class SimCloudflare:
    """The account's tokens."""

    def __init__(self, world: World) -> None:
        self._world = world

    def make(self, name: str) -> str:
        calls = self._world.calls

        def act() -> str:
            token_id = f"token-{len(self._world.tokens) + 1}-{self._world.chance.randrange(10**6)}"
            self._world.tokens[token_id] = name
            if self._world.calls > calls + 1:
                # On its way when its engine ended: nobody knows of it, until `reap` lists it.
                self._world.late_tokens.add(token_id)
            return token_id

        return self._world.call(act, unclear=_unclear, once=True)

    def tokens(self, *, name_prefix: str) -> list[Token]:
        listed = [
            Token(id=id_, name=name, issued_on=None)
            for id_, name in self._world.tokens.items()
            if name.startswith(name_prefix)
        ]
        return self._world.call(lambda: listed, unclear=_unclear)

    def revoke(self, token_id: str) -> None:
        self._world.call(lambda: self._world.tokens.pop(token_id, None), unclear=_unclear)


def _unclear() -> Exception:
    return UnclearError("no answer")


def _unusable() -> Exception:
    return LedgerError("the ledger could not be used.")
