"""The life of a rented machine: rent or adopt, extend, look, give back; readiness.py waits.

Holds no state. What it promises: never a second machine for one run, nothing forgotten that bills,
nothing taken for gone that only did not answer.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from components.ionet import cost, market
from components.ionet.client import Client
from components.ionet.errors import (
    KeyRefusedError,
    NotFoundError,
    NotGoneError,
    RequestRefusedError,
    RunEndedError,
    UnclearError,
)
from components.ionet.models import DeploymentRow
from components.ionet.offers import Offer
from components.ionet.properties import Rental
from container.contract.records import Verdict

LOOK_FOR_S = 60.0  # a rental may show up in the list with a delay
GONE_WITHIN_S = 900.0
ASK_AGAIN_S = 60.0
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Monotonic seconds, and waiting; tests put their own in."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def pauses(self) -> Iterator[None]:
        """Wait a little longer at each step, for a loop that looks again and again."""
        pause_s = FIRST_PAUSE_S
        while True:
            yield
            self.sleep(pause_s)
            pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)


@dataclass(frozen=True, kw_only=True)
class Rented:
    """A machine that is ours, and what it was rented for."""

    id: str
    offer: Offer
    hours: int  # bought


def rent(
    client: Client,
    wanted: Rental,
    *,
    verdict: Callable[[], Verdict | None],
    set_aside: Callable[[Verdict], None],
    before_post: Callable[[], None],
    say: Say,
    clock: Clock | None = None,
) -> Rented:
    """Return the machine of this run, renting it unless it exists already.

    The private name is looked up first, and again after any reply that is not a clear yes or no.
    `before_post` may raise to stop the rental at the last moment. A run that this program itself
    stopped, by replacing its machine, goes on: its verdict is set aside.
    """
    clock = clock or Clock()
    rows = [row for row in client.deployments() if row.name.startswith(wanted.name_prefix)]
    for row in rows:
        if row.life == "alive" and _is_name(row.name, wanted):
            say(f"{wanted.run}: adopted deployment {row.id}, which this run had rented before")
            return _adopted(client, row.id, wanted)
    ended = verdict()
    if ended and ended.outcome != "stopped":
        raise RunEndedError(
            f"run {wanted.run} has ended already ({ended.outcome}) and is not paid for again. "
            "Raise trainstack:rerun to train it from the start, or give the new training another "
            "name in "
            "trainstack:runs."
        )
    for row in rows:
        if row.life == "alive":
            say(f"{wanted.run}: giving back {row.id}, rented by this run with other inputs")
            give_back(client, row.id, clock=clock)
    offer = market.confirm(client, wanted.offer, wanted.wish, cap_usd=wanted.max_cost_usd)
    if ended:
        say(f"{wanted.run}: was stopped; goes on from its newest checkpoint")
        set_aside(ended)
    name = _free_name(rows, wanted)
    before_post()
    deployment_id = _post(client, wanted, offer=offer, name=name, say=say, clock=clock)
    return Rented(id=deployment_id, offer=offer, hours=wanted.wish.hours)


def extend(client: Client, deployment_id: str, *, old_hours: int, new_hours: int) -> None:
    """Bring a deployment to `new_hours` in all; safe to repeat: it asks what is bought already."""
    hours = _missing_hours(client, deployment_id, old_hours=old_hours, new_hours=new_hours)
    if hours <= 0:
        return
    try:
        client.extend(deployment_id, hours=hours)
    except UnclearError:
        if _missing_hours(client, deployment_id, old_hours=old_hours, new_hours=new_hours) > 0:
            raise


def remaining_hours(client: Client, deployment_id: str, *, bought_hours: int) -> float:
    """Return how many of the bought hours of a deployment are left."""
    deployment = client.deployment(deployment_id)
    return cost.remaining_hours(
        served_minutes=deployment.compute_minutes_served,
        remaining_minutes=deployment.compute_minutes_remaining,
        bought_hours=bought_hours,
    )


def give_back(client: Client, deployment_id: str, *, clock: Clock | None = None) -> None:
    """Destroy a deployment and return when the vendor says that it is gone.

    Raises NotGoneError when it is still there after the time allowed. A network failure or a bad
    key is never taken for absence.
    """
    clock = clock or Clock()
    started = clock.now()
    asked_at: float | None = None
    for _ in clock.pauses():
        try:
            if asked_at is None or clock.now() - asked_at > ASK_AGAIN_S:
                asked_at = clock.now()
                client.delete(deployment_id)
            if client.deployment(deployment_id).life == "ended":
                return
        except NotFoundError:
            if client.confirm_gone(deployment_id):
                return
        if clock.now() - started > GONE_WITHIN_S:
            raise NotGoneError(
                f"deployment {deployment_id} is not gone after {GONE_WITHIN_S / 60:.0f} minutes "
                "and may still bill. It stays in the state: run `pulumi destroy` again, and look "
                "at io.net's console."
            )


def give_back_all(
    client: Client, name_prefix: str, *, say: Say, clock: Clock | None = None
) -> None:
    """Destroy every living deployment whose private name begins so; see `give_back`."""
    for row in client.deployments():
        if row.name.startswith(name_prefix) and row.life != "ended":
            say(f"giving back deployment {row.id} ({row.name}), which no state knows")
            give_back(client, row.id, clock=clock)


def is_alive(client: Client, deployment_id: str) -> bool:
    """Tell whether a deployment exists and has not ended; "not found" is confirmed first."""
    try:
        return client.deployment(deployment_id).life != "ended"
    except NotFoundError:
        return not client.confirm_gone(deployment_id)


def _post(
    client: Client, wanted: Rental, *, offer: Offer, name: str, say: Say, clock: Clock
) -> str:
    request = dataclasses.replace(wanted, offer=offer).request(private_name=name)
    refusal: RequestRefusedError | None = None
    try:
        deployment_id = client.deploy(request)
        if deployment_id:
            return deployment_id
    except KeyRefusedError:
        raise
    except UnclearError:
        pass
    except RequestRefusedError as error:
        # The name may be taken by the rental of a process that a killed engine left behind.
        refusal = error
    if not refusal:
        say(f"{wanted.run}: no clear answer to the rental; looking for {name}")
    started = clock.now()
    for _ in clock.pauses():
        for row in client.deployments():
            if row.name == name and row.life == "alive":
                return row.id
        if refusal:
            raise refusal
        if clock.now() - started > LOOK_FOR_S:
            raise UnclearError(
                f"io.net gave no clear answer when {name} was to be rented, and shows no "
                f"deployment of that name {LOOK_FOR_S:.0f} s later. Run `pulumi up` again: it "
                "looks for the "
                "name before it rents."
            )
    raise AssertionError("pauses never end")


def _missing_hours(client: Client, deployment_id: str, *, old_hours: int, new_hours: int) -> int:
    deployment = client.deployment(deployment_id)
    bought = cost.bought_hours(
        minutes=deployment.compute_minutes_served + deployment.compute_minutes_remaining,
        total_gpus=deployment.total_gpus,
        recorded_hours=old_hours,
        wanted_hours=new_hours,
    )
    return new_hours - bought


def _adopted(client: Client, deployment_id: str, wanted: Rental) -> Rented:
    deployment = client.deployment(deployment_id)
    paid, offer = deployment.amount_paid_usd, wanted.offer
    hours = cost.adopted_hours(
        minutes=deployment.compute_minutes_served + deployment.compute_minutes_remaining,
        total_gpus=deployment.total_gpus,
        wanted_hours=wanted.wish.hours,
    )
    if paid > 0:
        offer = dataclasses.replace(offer, total_usd=paid)
    return Rented(id=deployment_id, offer=offer, hours=hours)


def _is_name(name: str, wanted: Rental) -> bool:
    rest = name.removeprefix(wanted.private_name)
    return name.startswith(wanted.private_name) and (not rest or rest[1:].isdigit())


def _free_name(rows: list[DeploymentRow], wanted: Rental) -> str:
    # Whether the name of an ended deployment is free again is not documented.
    used = sum(1 for row in rows if _is_name(row.name, wanted))
    return wanted.private_name if not used else f"{wanted.private_name}-{used + 1}"
