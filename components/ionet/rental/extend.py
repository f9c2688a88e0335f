"""Buys more hours of a live machine: quoted right before, recorded before, bought once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from decimal import Decimal

from components.ionet import cost, market
from components.ionet.client import Client
from components.ionet.errors import AlreadyBoughtError, RequestRefusedError, UnclearError
from components.ionet.models import Deployment
from components.ionet.rental import extension
from components.ionet.rental.extension import Bought, Extension, Mark, Quote
from components.ionet.rental.reserve import reserve
from components.ionet.rental.waiting import SETTLED_AFTER_S, Clock, Say, minutes
from components.ledger import budget
from components.ledger.budget import Budget, KnownRental
from components.ledger.ledger import Ledger, LedgerError
from components.ledger.page import Entry, Owner, Page


def quote(client: Client, wanted: Extension, *, others: Budget, say: Say) -> Quote:
    """Return what the missing hours cost now, and say it.

    `others` is the run's budget without this machine. Raises TooDearError above it.
    """
    quoted = _quoted(client, wanted)
    if quoted.hours > 0:
        extension.require_within(quoted, wanted, others=others)
        total = others.used_usd + quoted.paid_usd + quoted.extra_usd
        say(
            f"{wanted.run}: {quoted.hours} h more of {wanted.offer} = "
            f"{cost.dollars(quoted.extra_usd)}, {cost.dollars(total)} in all "
            f"(cap {cost.dollars(wanted.cap_usd)})"
        )
    return quoted


def extend(
    client: Client,
    wanted: Extension,
    *,
    ledger: Ledger,
    owner: Owner,
    entry: Entry,
    known: Sequence[KnownRental],
    say: Say,
    clock: Clock | None = None,
) -> Bought:
    """Bring a deployment to the new hours; return those that it has then, more included.

    Safe to repeat, from anywhere: it asks what is bought already, and an extension that was sent
    and has not shown is waited for. The dollars are reserved before, in the same write that says
    that hours are asked for. `entry` is put into the ledger where the machine has none; `known` are
    the run's machines of the state. Raises TooDearError, NotRecordedError and UnclearError; nothing
    was bought then, or the next try sees that it was.
    """
    clock = clock or Clock()
    page, wanted = _with_earlier_one(client, wanted, ledger, owner=owner, say=say, clock=clock)
    others = budget.of_page(page, cap_usd=wanted.cap_usd, known=known, besides=wanted.deployment_id)
    quoted = quote(client, wanted, others=others, say=say)
    paid = quoted.paid_usd
    if quoted.hours > 0:
        mark = Mark(
            wanted=wanted,
            owner=owner,
            entry=entry,
            known=known,
            judged=extension.underway(page, wanted),
            say=say,
        )
        try:
            quoted = reserve(
                mark, quoted, quote=lambda: _quoted(client, wanted), ledger=ledger, clock=clock
            )
        except AlreadyBoughtError as error:
            say(f"{wanted.run}: {error}")
            return Bought(hours=_noted(ledger, wanted, owner=owner), paid_usd=paid)
        if quoted.hours > 0:
            _buy(client, wanted, quoted.hours, ledger=ledger, owner=owner, say=say, clock=clock)
        told = _paid_usd(client.deployment(wanted.deployment_id), wanted)
        paid = told if told > paid else paid + quoted.extra_usd
    bought = Bought(hours=max(wanted.new_hours, quoted.bought), paid_usd=paid)
    extension.note_bought(ledger, owner, wanted, bought, say=say)
    return bought


def bought_hours(deployment: Deployment, wanted: Extension) -> int:
    """Return the hours that a deployment has in all; raises UnclearError where that is unclear.

    What the ledger notes as bought is, also where the vendor does not show it yet.
    """
    shown = cost.bought_hours(
        minutes=deployment.compute_minutes_served + deployment.compute_minutes_remaining,
        total_gpus=deployment.total_gpus,
        recorded_hours={wanted.old_hours, *wanted.recorded},
        wanted_hours=wanted.new_hours,
    )
    return max(shown, wanted.noted)


def _noted(ledger: Ledger, wanted: Extension, *, owner: Owner) -> int:
    try:
        entry = ledger.read(owner).page.entry_of(wanted.deployment_id)
    except LedgerError:
        entry = None
    return max(entry.hours if entry else 0, wanted.old_hours)


def _paid_usd(deployment: Deployment, wanted: Extension) -> Decimal:
    """Return what was paid for a deployment, as the vendor tells, else as it was offered."""
    told = deployment.amount_paid_usd
    return told if told > 0 else wanted.offer.total_usd


def _quoted(client: Client, wanted: Extension) -> Quote:
    deployment = client.deployment(wanted.deployment_id)
    bought, paid = bought_hours(deployment, wanted), _paid_usd(deployment, wanted)
    hours = wanted.new_hours - bought
    if hours <= 0:
        return Quote(hours=0, bought=bought, paid_usd=paid)
    bill = market.extension_bill(client, wanted.offer, hours=hours)
    return Quote(
        hours=hours,
        bought=bought,
        paid_usd=paid,
        extra_usd=bill.total_usd,
        usd_per_hour=(bill.total_usd - (bill.fees_usd or Decimal(0))) / hours,
    )


def _buy(
    client: Client,
    wanted: Extension,
    hours: int,
    *,
    ledger: Ledger,
    owner: Owner,
    say: Say,
    clock: Clock,
) -> None:
    sent_at = clock.now()
    try:
        client.extend(wanted.deployment_id, hours=hours)
    except RequestRefusedError:
        extension.unmark(ledger, owner, wanted, say=say)
        raise
    except UnclearError:
        say(
            f"{wanted.run}: no clear answer to the extension; looking for it for "
            f"{minutes(SETTLED_AFTER_S)} at most"
        )
        if not _comes(client, wanted, clock=clock, until=sent_at + SETTLED_AFTER_S):
            extension.unmark(ledger, owner, wanted, say=say)
            raise UnclearError(
                f"io.net gave no clear answer to the extension, and showed none for "
                f"{minutes(SETTLED_AFTER_S)}. {extension.STILL} Run `pulumi up` again."
            ) from None


def _with_earlier_one(
    client: Client, wanted: Extension, ledger: Ledger, *, owner: Owner, say: Say, clock: Clock
) -> tuple[Page, Extension]:
    """Wait for an extension that was interrupted; return what is wanted, with what it may be."""
    try:
        reading = ledger.read(owner)
    except LedgerError as error:
        raise extension.not_recorded(error) from None
    wanted = wanted.as_recorded(reading.page)
    entry = reading.page.entry_of(wanted.deployment_id)
    if entry is not None and entry.extending_at:
        left_s = SETTLED_AFTER_S - (reading.now - entry.extending_at).total_seconds()
        if left_s > 0:
            say(
                f"{wanted.run}: an extension was interrupted, and may show late: looking for "
                f"it for {minutes(left_s)} at most"
            )
            sent = dataclasses.replace(wanted, new_hours=max(wanted.recorded))
            _comes(client, sent, clock=clock, until=clock.now() + left_s)
    return reading.page, wanted


def _comes(client: Client, wanted: Extension, *, clock: Clock, until: float) -> bool:
    for _ in clock.pauses():
        try:
            if bought_hours(client.deployment(wanted.deployment_id), wanted) >= wanted.new_hours:
                return True
        except UnclearError:
            pass  # asked again
        if clock.now() > until:
            return False
    raise AssertionError("pauses never end")
