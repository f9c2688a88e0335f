"""The life of one rented machine: rent or adopt, extend, look, wait for a heartbeat, give back.

Holds no state. What it promises is in docs/architecture.md: never a second machine, nothing
forgotten that bills, nothing taken for gone that only did not answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

import requests

from components.ionet import cost, market
from components.ionet.client import Client
from components.ionet.codec import Rental
from components.ionet.errors import (
    IonetError,
    KeyRefusedError,
    NotFoundError,
    NotGoneError,
    NotReadyError,
    RequestRefusedError,
    RunEndedError,
    UnclearError,
)
from components.ionet.models import DeploymentRow
from components.ionet.offers import Offer
from container.records import Verdict

LOOK_FOR_S = 60.0  # a rental may show up in the list with a delay
GONE_WITHIN_S = 900.0
POLL_S = 3.0
HEARTBEAT_TIMEOUT_S = (5.0, 20.0)
PROGRESS_EVERY_S = 15.0

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Monotonic seconds, and waiting; tests put their own in."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, kw_only=True)
class Rented:
    """A machine that is ours, and what it was rented for."""

    id: str
    offer: Offer
    adopted: bool


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
    `before_post` may raise to stop the rental at the last moment.
    """
    clock = clock or Clock()
    rows = _rows_of(client, wanted)
    adopted = _adoptable(rows, wanted)
    if adopted:
        say(f"{wanted.run}: adopted deployment {adopted.id}, which this run had rented before")
        return Rented(id=adopted.id, offer=wanted.offer, adopted=True)
    ended = verdict()
    if ended and ended.outcome != "stopped":
        raise RunEndedError(
            f"run {wanted.run} has ended already ({ended.outcome}) and is not paid for again. Raise "
            "trainstack:rerun to train it from the start, or give the new training another name in "
            "trainstack:runs."
        )
    for row in rows:
        if row.life == "alive":
            say(f"{wanted.run}: giving back {row.id}, rented by this run with other inputs")
            give_back(client, row.id, say=say, clock=clock)
    offer = market.confirm(client, wanted.offer, wanted.wish, cap_usd=wanted.max_cost_usd)
    if ended:
        say(f"{wanted.run}: was stopped; goes on from its newest checkpoint")
        set_aside(ended)
    name = _free_name(rows, wanted)
    before_post()
    found = _post(client, wanted, offer=offer, name=name, say=say, clock=clock)
    return Rented(id=found, offer=offer, adopted=False)


def extend(client: Client, deployment_id: str, *, old_hours: int, new_hours: int, say: Say) -> None:
    """Bring a deployment to `new_hours` in all; safe to repeat, as it asks what is bought already."""
    for attempt in (1, 2):
        found = client.deployment(deployment_id)
        bought = cost.bought_hours(
            minutes=found.compute_minutes_served + found.compute_minutes_remaining,
            total_gpus=found.total_gpus,
            recorded_hours=old_hours,
            wanted_hours=new_hours,
        )
        if bought >= new_hours:
            return
        try:
            client.extend(deployment_id, hours=new_hours - bought)
            return
        except UnclearError:
            if attempt == 2:
                raise
            say("the extension got no clear answer; asking what was bought")


def give_back(client: Client, deployment_id: str, *, say: Say, clock: Clock | None = None) -> None:
    """Destroy a deployment and return when the vendor says that it is gone.

    Raises NotGoneError when it is still there after the time allowed. A network failure or a bad
    key is never taken for absence.
    """
    clock = clock or Clock()
    deadline = clock.now() + GONE_WITHIN_S
    try:
        client.delete(deployment_id)
    except NotFoundError:
        if client.confirm_gone(deployment_id):
            return
    while True:
        try:
            found = client.deployment(deployment_id)
            if found.life == "ended":
                return
            if found.life == "alive" and clock.now() > deadline - GONE_WITHIN_S / 2:
                client.delete(deployment_id)
        except NotFoundError:
            if client.confirm_gone(deployment_id):
                return
        if clock.now() > deadline:
            raise NotGoneError(
                f"deployment {deployment_id} is not gone after {GONE_WITHIN_S / 60:.0f} minutes and may "
                "still bill. It stays in the state: run `pulumi destroy` again, and look at io.net's "
                "console."
            )
        clock.sleep(POLL_S)


def is_alive(client: Client, deployment_id: str) -> bool:
    """Tell whether a deployment exists and has not ended; "not found" is confirmed first."""
    try:
        return client.deployment(deployment_id).life != "ended"
    except NotFoundError:
        return not client.confirm_gone(deployment_id)


def await_heartbeat(
    client: Client,
    deployment_id: str,
    *,
    run: str,
    timeout_s: float,
    say: Say,
    clock: Clock | None = None,
) -> str:
    """Return the address of the run's status page once it answers with the run's own status.

    Raises NotReadyError when the deployment ends first or the time is over; it stays rented.
    """
    clock = clock or Clock()
    started = clock.now()
    said_at, said = started, ""
    while True:
        now = clock.now()
        step, address = _progress(client, deployment_id, run=run)
        if address:
            say(f"{run}: first heartbeat after {now - started:.0f} s at {address}")
            return address
        if step != said or now - said_at >= PROGRESS_EVERY_S:
            say(f"{run}: {step} ({now - started:.0f} s)")
            said_at, said = now, step
        if now - started > timeout_s:
            raise NotReadyError(
                f"deployment {deployment_id} of run {run} gave no heartbeat in {timeout_s / 60:.0f} "
                f"minutes (last seen: {step}). It is still rented and stays in the state: `pulumi up` "
                "waits again, `python -m runs logs` shows its output, `pulumi destroy` gives it back. "
                "trainstack:readyTimeoutMinutes sets the time."
            )
        clock.sleep(POLL_S / 3)


def _post(
    client: Client, wanted: Rental, *, offer: Offer, name: str, say: Say, clock: Clock
) -> str:
    request = _with_offer(wanted, offer).request(private_name=name)
    try:
        found = client.deploy(request)
        if found:
            return found
        refusal: IonetError | None = None
    except KeyRefusedError:
        raise
    except UnclearError:
        refusal = None
    except RequestRefusedError as error:
        # The name may be taken by the rental of a process that a killed engine left behind.
        refusal = error
    say(f"{wanted.run}: no clear answer to the rental; looking for {name}")
    started = clock.now()
    while True:
        for row in client.deployments():
            if row.name == name and row.life == "alive":
                return row.id
        if refusal:
            raise refusal
        if clock.now() - started > LOOK_FOR_S:
            raise UnclearError(
                f"io.net gave no clear answer when {name} was to be rented, and shows no deployment of "
                f"that name {LOOK_FOR_S:.0f} s later. Run `pulumi up` again: it looks for the name "
                "before it rents."
            )
        clock.sleep(POLL_S)


def _with_offer(wanted: Rental, offer: Offer) -> Rental:
    import dataclasses

    return dataclasses.replace(wanted, offer=offer)


def _rows_of(client: Client, wanted: Rental) -> list[DeploymentRow]:
    return [row for row in client.deployments() if row.name.startswith(wanted.name_prefix)]


def _adoptable(rows: list[DeploymentRow], wanted: Rental) -> DeploymentRow | None:
    for row in rows:
        if row.life == "alive" and _is_name(row.name, wanted):
            return row
    return None


def _is_name(name: str, wanted: Rental) -> bool:
    rest = name.removeprefix(wanted.private_name)
    return name.startswith(wanted.private_name) and (rest == "" or rest[1:].isdigit())


def _free_name(rows: list[DeploymentRow], wanted: Rental) -> str:
    # Whether the name of an ended deployment is free again is not documented.
    used = sum(1 for row in rows if _is_name(row.name, wanted))
    return wanted.private_name if not used else f"{wanted.private_name}-{used + 1}"


def _progress(client: Client, deployment_id: str, *, run: str) -> tuple[str, str]:
    try:
        found = client.deployment(deployment_id)
        if found.life != "alive":
            raise NotReadyError(
                f"deployment {deployment_id} of run {run} is {found.status.lower()} before its first "
                "heartbeat. `python -m runs logs` shows what it wrote; `pulumi refresh` and `pulumi up` "
                "rent it again."
            )
        workers = client.workers(deployment_id)
    except UnclearError:
        return "io.net does not answer", ""
    except NotFoundError:
        if client.confirm_gone(deployment_id):
            raise NotReadyError(
                f"deployment {deployment_id} of run {run} is gone before its first heartbeat. `pulumi "
                "refresh` and `pulumi up` rent it again."
            ) from None
        return "io.net does not know it yet", ""
    worker = next((worker for worker in workers if worker.public_url), None)
    if worker is None:
        events = [event for found in workers for event in found.events]
        return f"{found.status.lower()}{f', {events[-1]}' if events else ''}", ""
    if not _beats(worker.public_url, run=run):
        return "container started, no heartbeat yet", ""
    return "alive", worker.public_url


def _beats(address: str, *, run: str) -> bool:
    try:
        # No key of ours goes to this address.
        answer = requests.get(f"{address}/status.json", timeout=HEARTBEAT_TIMEOUT_S)
        found: Any = answer.json() if answer.ok else None
    except (requests.RequestException, json.JSONDecodeError):
        return False
    return isinstance(found, dict) and cast("dict[str, Any]", found).get("run") == run


def estimated_cost_usd(offer: Offer, *, hours: int, wished_hours: int) -> Decimal:
    """Return the estimate for `hours` of an offer that was quoted for `wished_hours`."""
    return offer.total_usd * hours / wished_hours
