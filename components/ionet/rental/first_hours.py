"""The hours that are bought first: within them a machine is checked, then the rest is bought, or
the machine is given back and remembered as one that does not work.

Everything here can be interrupted and called again: what was decided stands in the ledger before it
is done, and an extension is bought once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from components.ionet import cost, machine_state, properties
from components.ionet.client import Client
from components.ionet.errors import IonetError, MachineRefusedError, NoAttemptLeftError
from components.ionet.offers import Offer
from components.ionet.rental import account, close, extend, give_back, settle
from components.ionet.rental.extension import Extension
from components.ionet.rental.waiting import Clock, Say
from components.ledger.attempts import used_up
from components.ledger.bad_places import BadPlace
from components.ledger.budget import KnownRental
from components.ledger.ledger import Ledger, LedgerError
from components.ledger.page import Entry, Owner, Page

DECIDED_BEFORE_S = 20 * 60.0
"""So long before the first hours end it is decided. Ten minutes before, a run that will not end
within its hours is brought to its last save; the rest is for io.net's answer, and for the run to
hear of it."""


@dataclass(frozen=True, kw_only=True)
class FirstHours:
    """A machine whose planned hours are not all bought yet, or that has still to be checked."""

    deployment_id: str
    run: str
    owner: Owner
    entry: Entry  # its own where the ledger has none
    offer: Offer
    hours: int  # bought first
    planned_hours: int
    rented_at: datetime | None
    cap_usd: Decimal
    max_usd_per_gpu_hour: Decimal = Decimal(0)  # 0: no such cap


def of_state(deployment_id: str, props: Mapping[str, Any], *, now: datetime) -> FirstHours | None:
    """Return what is known of a machine that has to be checked; None for any other.

    An older release's machines, and those of a run that has no first hours, are not checked.
    """
    values = properties.known(props)
    offer, hours = machine_state.offer(props), values.get(machine_state.HOURS_FIRST)
    if not hours or offer is None:
        return None
    return FirstHours(
        deployment_id=deployment_id,
        run=values["run"],
        owner=machine_state.owner(props),
        entry=machine_state.entry(deployment_id, {**values, machine_state.HOURS: hours}, now=now),
        offer=offer,
        hours=hours,
        planned_hours=values.get("plannedHours") or hours,
        rented_at=machine_state.rented_at(props),
        cap_usd=machine_state.cap_usd(props),
        max_usd_per_gpu_hour=machine_state.max_usd_per_gpu_hour(props),
    )


def require_attempt(page: Page, identity: str, *, attempts: int) -> None:
    """Raise NoAttemptLeftError when as many machines as the run may try did not work."""
    refused = used_up(page, identity, attempts=attempts)
    if not refused:
        return
    listed = [f"  {one.asked_at:%Y-%m-%d %H:%M} {one.name}: {one.refused}" for one in refused]
    text = (
        f"run {page.owner.run} has tried {len(refused)} machines, and none worked. Nothing was "
        f"rented. To try another, raise trainstack:attempts, which is {attempts}; with another "
        "trainstack:gpuType or trainstack:locations it meets other machines. They were:"
    )
    raise NoAttemptLeftError("\n".join([text, *listed]))


def left_s(client: Client, wanted: FirstHours, *, now: datetime) -> float:
    """Return for how many seconds its check may still be waited for.

    By the vendor's minutes; where it does not answer, by when the machine was asked for.
    """
    try:
        left_h = account.remaining_hours(client, wanted.deployment_id, bought_hours=wanted.hours)
        return left_h * 3600 - DECIDED_BEFORE_S
    except IonetError:
        begun = (wanted.rented_at or now).astimezone(UTC)
        return wanted.hours * 3600 - (now - begun).total_seconds() - DECIDED_BEFORE_S


def refusal(ledger: Ledger, wanted: FirstHours) -> str:
    """Return why the machine was refused before, "" where it was not; raises LedgerError."""
    page = ledger.read(wanted.owner).page
    return next((one.refused for one in page.entries if _is_its(one, wanted)), "")


def buy_rest(
    client: Client,
    wanted: FirstHours,
    *,
    ledger: Ledger,
    known: Sequence[KnownRental],
    say: Say,
    clock: Clock | None = None,
) -> int:
    """Bring a machine to its planned hours; return how many it has then.

    Raises what `extend` raises; nothing was bought then, or the next call sees that it was.
    """
    if wanted.planned_hours <= wanted.hours:
        return wanted.hours
    extend.extend(
        client,
        Extension(
            deployment_id=wanted.deployment_id,
            run=wanted.run,
            offer=wanted.offer,
            old_hours=wanted.hours,
            new_hours=wanted.planned_hours,
            cap_usd=wanted.cap_usd,
            max_usd_per_gpu_hour=wanted.max_usd_per_gpu_hour,
        ),
        ledger=ledger,
        owner=wanted.owner,
        entry=wanted.entry,
        known=known,
        say=say,
        clock=clock,
    )
    return wanted.planned_hours


def buy_no_more(ledger: Ledger, wanted: FirstHours, *, say: Say) -> None:
    """Release what is set aside for the rest: the run has ended within its first hours."""
    try:
        ledger.edit(
            wanted.owner,
            lambda page, _now: page.edited(
                lambda e: _is_its(e, wanted), planned_hours=0, rest_usd=Decimal(0)
            ),
        )
    except LedgerError as error:
        say(f"{wanted.run}: {error} What was set aside for more hours stays reserved until then")


def refuse(
    client: Client,
    wanted: FirstHours,
    reason: str,
    *,
    ledger: Ledger,
    attempts: int,
    say: Say,
    clock: Clock | None = None,
) -> MachineRefusedError:
    """Give a machine back that does not work; return the error that says so, and what it cost.

    The reason is recorded first: whoever is interrupted here goes on with it. Raises what
    `give_back` raises, and LedgerError.
    """
    reason = _on_a_line(reason)
    say(f"{wanted.run}: deployment {wanted.deployment_id} does not work: {reason}. Giving it back")

    def with_reason(page: Page, _now: datetime) -> Page:
        if not any(_is_its(one, wanted) for one in page.entries):
            page = page.put(wanted.entry)
        return page.edited(
            lambda e: _is_its(e, wanted), refused=reason, deployment_id=wanted.deployment_id
        )

    reading = ledger.edit(wanted.owner, with_reason)
    _remember(ledger, wanted, reason, at=reading.now, say=say)
    give_back.give_back(client, wanted.deployment_id, name=wanted.entry.name, clock=clock)
    close.note_given_back(client, ledger, wanted.owner, entry=wanted.entry, say=say)
    charged = settle.charged_usd(client, wanted.deployment_id)
    tried = len(reading.page.refused(wanted.entry.identity))
    return MachineRefusedError(
        told(wanted, reason, charged_usd=charged, tried=tried, attempts=attempts)
    )


def told(
    wanted: FirstHours, reason: str, *, charged_usd: Decimal | None, tried: int, attempts: int
) -> str:
    """Return what a user reads of a machine that did not work."""
    paid = wanted.offer.total_usd if charged_usd is None else charged_usd
    more = (
        "Try the next offer: pulumi up"
        if tried < attempts
        else f"That were all {attempts} attempts: raise trainstack:attempts to try another"
    )
    return (
        f"run {wanted.run}: {wanted.offer.machine} does not work: {reason}. It was given back, and "
        f"cost {cost.dollars(paid)}; nothing bills. It is no verdict on the run. Machine "
        f"{tried} of {attempts}; this place is left out for a while. {more}"
    )


def _remember(ledger: Ledger, wanted: FirstHours, reason: str, *, at: datetime, say: Say) -> None:
    """Remember the place; a failure is only said, as the machine has to be given back."""
    place = BadPlace(
        hardware_id=str(wanted.offer.hardware_id),
        location=str(wanted.offer.location_ids[0]),
        reason=reason,
        at=at,
        run=wanted.owner.run,
    )
    try:
        ledger.remember_bad(place)
    except LedgerError as error:
        say(f"{wanted.run}: {error} The next rental may take the same place")


def _on_a_line(reason: str) -> str:
    return "".join(c for c in " ".join(reason.split()) if c.isprintable())[:300]


def _is_its(entry: Entry, wanted: FirstHours) -> bool:
    if entry.deployment_id:
        return entry.deployment_id == wanted.deployment_id
    return entry.is_open and entry.name == wanted.entry.name
