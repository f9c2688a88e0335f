"""A double of io.net, the ledger and Cloudflare, as the program calls them, in a `World`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from components.ionet import models
from components.ionet.errors import NotFoundError, RequestRefusedError, UnclearError
from components.ledger import bad_places
from components.ledger.bad_places import BadPlace, BadPlaces
from components.ledger.ledger import Edit, LedgerError, Reading
from components.ledger.page import Owner, Page
from components.r2.cloudflare import Token
from tests.provider.sim_world import PRICE, Machine, World

Found = TypeVar("Found")


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
            world.starts.append(machine.env.get("RUN_PREFIX", ""))
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

    def update(self, deployment_id: str, request: models.DeployRequest) -> None:
        def act() -> None:
            one = self._find(deployment_id)
            if not one.lives(self._world.now):
                raise NotFoundError("not found", status=400)
            if self._world.refuses_updates:
                raise RequestRefusedError("not supported", status=400)
            one.env, one.secret_env = dict(request.env), dict(request.secret_env)
            self._world.starts.append(one.env.get("RUN_PREFIX", ""))

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

    def bill(self, *, hours: int, **_: object) -> models.Bill:
        return models.Bill(total_usd=self._read(lambda: PRICE * self._world.factor * hours))

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
    """The ledger of the world's one bucket, through any access or that of one token."""

    def __init__(self, world: World, *, token_id: str = "") -> None:
        self._world = world
        self._token_id = token_id

    def _enter(self) -> None:
        if self._token_id and self._token_id not in self._world.tokens:
            raise LedgerError("the ledger could not be used (AccessDenied).")

    def read(self, owner: Owner) -> Reading:
        def act() -> Reading:
            page = self._world.pages.get(owner.key, Page(owner=owner))
            return Reading(page=Page.from_json(page.to_json()), now=self._world.now)

        return self._world.call(act, unclear=_unusable)

    def edit(self, owner: Owner, change: Edit) -> Reading:
        page = self._world.pages.get(owner.key, Page(owner=owner))

        def act() -> Reading:
            self._enter()
            now_there = self._world.pages.get(owner.key, page)
            if self._world.landing and now_there != page:
                raise LedgerError("somebody else wrote in between")
            changed = Page.from_json(change(now_there, self._world.now).to_json())
            self._world.pages[owner.key] = changed
            return Reading(page=changed, now=self._world.now)

        return self._world.call(act, unclear=_unusable, once=True)

    def pages(self) -> list[Page]:
        return list(self._world.pages.values())

    def bad_places(self) -> BadPlaces:
        return bad_places.standing(self._world.bad, now=self._world.now)

    def remember_bad(self, place: BadPlace) -> None:
        self._world.bad = bad_places.with_place(self._world.bad, place)


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
