"""Buys more hours of a live machine: quoted right before, recorded before, bought once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from components.ionet import cost, market
from components.ionet.client import Client
from components.ionet.errors import NotRecordedError, RequestRefusedError, UnclearError
from components.ionet.offers import Offer
from components.ionet.rental.waiting import (
    SEND_WITHIN_S,
    SETTLED_AFTER_S,
    Clock,
    Say,
    minutes,
)
from components.ledger.ledger import Ledger, LedgerError
from components.ledger.page import Entry, Owner, Page

STILL = "Nothing was bought; the machine runs on until its hours are over."


@dataclass(frozen=True, kw_only=True)
class Extension:
    """What an extension of a run's machine is about."""

    deployment_id: str
    run: str
    offer: Offer  # as rented, for the hours bought so far
    old_hours: int
    new_hours: int
    cap_usd: Decimal
    recorded: tuple[int, ...] = ()  # what the ledger has of earlier extensions


def quote(client: Client, wanted: Extension, *, spent_usd: Decimal, say: Say) -> Decimal:
    """Return what the missing hours cost now, and say it; 0 when they are bought already.

    `spent_usd` is what the run's other machines cost. Raises TooDearError above the cap.
    """
    hours = _missing_hours(client, wanted)
    if hours <= 0:
        return Decimal(0)
    paid = paid_usd(client, wanted)
    extra = market.extension_usd(client, wanted.offer, hours=hours)
    cost.require_within_cap(
        extra,
        cap_usd=wanted.cap_usd,
        what=f"{hours} h more of {wanted.offer}",
        hours=hours,
        spent_usd=spent_usd + paid,
        so_far=STILL,
    )
    total = spent_usd + paid + extra
    say(
        f"{wanted.run}: {hours} h more of {wanted.offer} = {cost.dollars(extra)}, "
        f"{cost.dollars(total)} in all (cap {cost.dollars(wanted.cap_usd)})"
    )
    return extra


def extend(
    client: Client,
    wanted: Extension,
    *,
    ledger: Ledger,
    owner: Owner,
    entry: Entry,
    spent_usd: Decimal,
    say: Say,
    clock: Clock | None = None,
) -> Decimal:
    """Bring a deployment to the new hours; return what has been paid for it then.

    Safe to repeat: it asks what is bought already, and an extension that was sent and has not shown
    is waited for. `entry` is put into the ledger where the machine has none. Raises TooDearError,
    NotRecordedError and UnclearError; nothing was bought then, or the next try sees that it was.
    """
    clock = clock or Clock()
    wanted = _with_earlier_one(client, wanted, ledger=ledger, owner=owner, say=say, clock=clock)
    extra = quote(client, wanted, spent_usd=spent_usd, say=say)
    if extra > 0:
        paid = paid_usd(client, wanted)
        started = clock.wall()
        _mark(ledger, owner, entry, wanted)
        if not 0 <= clock.wall() - started <= SEND_WITHIN_S:
            _unmark(ledger, owner, wanted, say=say)
            raise UnclearError(
                f"this machine was asleep or too busy to extend within {SEND_WITHIN_S:.0f} s. "
                f"{STILL} Run `pulumi up` again."
            )
        _buy(client, wanted, ledger=ledger, owner=owner, say=say, clock=clock)
        told = paid_usd(client, wanted)
        paid = told if told > paid else paid + extra
    else:
        paid = paid_usd(client, wanted)
    _unmark(ledger, owner, wanted, say=say, hours=wanted.new_hours, usd=paid)
    return paid


def paid_usd(client: Client, wanted: Extension) -> Decimal:
    """Return what was paid for a deployment, as the vendor tells, else as it was offered."""
    told = client.deployment(wanted.deployment_id).amount_paid_usd
    return told if told > 0 else wanted.offer.total_usd


def _buy(
    client: Client, wanted: Extension, *, ledger: Ledger, owner: Owner, say: Say, clock: Clock
) -> None:
    hours = _missing_hours(client, wanted)
    sent_at = clock.now()
    try:
        client.extend(wanted.deployment_id, hours=hours)
    except RequestRefusedError:
        _unmark(ledger, owner, wanted, say=say)
        raise
    except UnclearError:
        say(
            f"{wanted.run}: no clear answer to the extension; looking for it for "
            f"{minutes(SETTLED_AFTER_S)} at most"
        )
        if not _comes(client, wanted, clock=clock, until=sent_at + SETTLED_AFTER_S):
            _unmark(ledger, owner, wanted, say=say)
            raise UnclearError(
                f"io.net gave no clear answer to the extension, and showed none for "
                f"{minutes(SETTLED_AFTER_S)}. {STILL} Run `pulumi up` again."
            ) from None


def _with_earlier_one(
    client: Client, wanted: Extension, *, ledger: Ledger, owner: Owner, say: Say, clock: Clock
) -> Extension:
    """Wait for an extension that was interrupted; return what is wanted, with what it may be."""
    try:
        reading = ledger.read(owner)
    except LedgerError as error:
        raise _not_recorded(error) from None
    for entry in reading.page.entries:
        if entry.deployment_id != wanted.deployment_id:
            continue
        recorded = (entry.hours, entry.extending_to or entry.hours)
        wanted = dataclasses.replace(wanted, recorded=recorded)
        if entry.extending_at:
            age_s = (reading.now - entry.extending_at).total_seconds()
            left_s = SETTLED_AFTER_S - age_s
            if left_s > 0:
                say(
                    f"{wanted.run}: an extension was interrupted, and may show late: looking for "
                    f"it for {minutes(left_s)} at most"
                )
                sent = dataclasses.replace(wanted, new_hours=max(recorded))
                _comes(client, sent, clock=clock, until=clock.now() + left_s)
    return wanted


def _comes(client: Client, wanted: Extension, *, clock: Clock, until: float) -> bool:
    for _ in clock.pauses():
        try:
            if _missing_hours(client, wanted) <= 0:
                return True
        except UnclearError:
            pass  # asked again
        if clock.now() > until:
            return False
    raise AssertionError("pauses never end")


def _missing_hours(client: Client, wanted: Extension) -> int:
    deployment = client.deployment(wanted.deployment_id)
    bought = cost.bought_hours(
        minutes=deployment.compute_minutes_served + deployment.compute_minutes_remaining,
        total_gpus=deployment.total_gpus,
        recorded_hours={wanted.old_hours, *wanted.recorded},
        wanted_hours=wanted.new_hours,
    )
    return wanted.new_hours - bought


def _mark(ledger: Ledger, owner: Owner, entry: Entry, wanted: Extension) -> None:
    def mark(page: Page, now: datetime) -> Page:
        if not any(one.deployment_id == wanted.deployment_id for one in page.entries):
            page = page.put(entry)
        return _changed(page, wanted, extending_at=now, extending_to=wanted.new_hours)

    try:
        ledger.edit(owner, mark)
    except LedgerError as error:
        raise _not_recorded(error) from None


def _unmark(
    ledger: Ledger, owner: Owner, wanted: Extension, *, say: Say, **changes: object
) -> None:
    def unmark(page: Page, _now: datetime) -> Page:
        return _changed(page, wanted, extending_at=None, extending_to=None, **changes)

    try:
        ledger.edit(owner, unmark)
    except LedgerError as error:
        say(f"{wanted.run}: {error} The extension is in the state, not in the ledger")


def _changed(page: Page, wanted: Extension, **changes: object) -> Page:
    def is_it(entry: Entry) -> bool:
        return entry.deployment_id == wanted.deployment_id

    return page.edited(is_it, **changes)


def _not_recorded(error: LedgerError) -> NotRecordedError:
    return NotRecordedError(f"{error} {STILL} Check the network, then run `pulumi up` again.")
