"""Buys more hours of a live machine: quoted right before, recorded before, bought once."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from components.ionet import cost, market
from components.ionet.client import Client
from components.ionet.errors import (
    IonetError,
    NotRecordedError,
    RequestRefusedError,
    UnclearError,
)
from components.ionet.models import Deployment
from components.ionet.offers import Offer
from components.ionet.rental.waiting import (
    INTENTS,
    SEND_WITHIN_S,
    SETTLED_AFTER_S,
    Clock,
    Say,
    minutes,
)
from components.ledger import budget
from components.ledger.budget import Budget, KnownRental
from components.ledger.ledger import Edit, Ledger, LedgerError
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


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What is missing to the wanted hours, and what it costs now; 0 hours: bought already."""

    hours: int
    paid_usd: Decimal
    extra_usd: Decimal = Decimal(0)


def quote(client: Client, wanted: Extension, *, others: Budget, say: Say) -> Quote:
    """Return what the missing hours cost now, and say it.

    `others` is the run's budget without this machine. Raises TooDearError above it.
    """
    quoted = _quoted(client, wanted)
    if quoted.hours > 0:
        _require_within(quoted, wanted, others=others)
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
) -> Decimal:
    """Bring a deployment to the new hours; return what has been paid for it then.

    Safe to repeat: it asks what is bought already, and an extension that was sent and has not shown
    is waited for. The dollars are reserved before, in the same write that says that hours are asked
    for. `entry` is put into the ledger where the machine has none; `known` are the run's machines
    of the state. Raises TooDearError, NotRecordedError and UnclearError; nothing was bought then,
    or the next try sees that it was.
    """
    clock = clock or Clock()
    page, wanted = _with_earlier_one(client, wanted, ledger, owner=owner, say=say, clock=clock)
    others = budget.of_page(page, cap_usd=wanted.cap_usd, known=known, besides=wanted.deployment_id)
    quoted = quote(client, wanted, others=others, say=say)
    paid = quoted.paid_usd
    if quoted.hours > 0:
        mark = _Mark(wanted=wanted, entry=entry, known=known, judged=_underway(page, wanted))
        quoted = _reserved(client, mark, quoted, ledger=ledger, owner=owner, say=say, clock=clock)
        if quoted.hours > 0:
            _buy(client, wanted, quoted.hours, ledger=ledger, owner=owner, say=say, clock=clock)
        told = _paid_usd(client.deployment(wanted.deployment_id), wanted)
        paid = told if told > paid else paid + quoted.extra_usd
    _unmark(ledger, owner, wanted, say=say, hours=wanted.new_hours, usd=paid)
    return paid


def _paid_usd(deployment: Deployment, wanted: Extension) -> Decimal:
    """Return what was paid for a deployment, as the vendor tells, else as it was offered."""
    told = deployment.amount_paid_usd
    return told if told > 0 else wanted.offer.total_usd


def _quoted(client: Client, wanted: Extension) -> Quote:
    deployment = client.deployment(wanted.deployment_id)
    hours, paid = _missing_hours(deployment, wanted), _paid_usd(deployment, wanted)
    if hours <= 0:
        return Quote(hours=0, paid_usd=paid)
    extra = market.extension_usd(client, wanted.offer, hours=hours)
    return Quote(hours=hours, paid_usd=paid, extra_usd=extra)


def _require_within(quoted: Quote, wanted: Extension, *, others: Budget) -> None:
    cost.require_within_cap(
        quoted.extra_usd,
        cap_usd=wanted.cap_usd,
        what=f"{quoted.hours} h more of {wanted.offer}",
        hours=quoted.hours,
        spent_usd=others.used_usd + quoted.paid_usd,
        so_far=STILL,
    )


def _reserved(
    client: Client,
    mark: _Mark,
    quoted: Quote,
    *,
    ledger: Ledger,
    owner: Owner,
    say: Say,
    clock: Clock,
) -> Quote:
    """Reserve what the hours cost, and return within seconds of it, quoted once more.

    What has become dearer meanwhile is reserved first.
    """
    for _ in range(INTENTS):
        started, reserved_usd = clock.wall(), quoted.extra_usd
        try:
            ledger.edit(owner, mark.reserving(quoted))
            quoted = _quoted(client, mark.wanted)
        except LedgerError as error:
            _unmark(ledger, owner, mark.wanted, say=say, by=mark.intent)
            raise _not_recorded(error) from None
        except IonetError:
            _unmark(ledger, owner, mark.wanted, say=say, by=mark.intent)
            raise
        if 0 <= clock.wall() - started <= SEND_WITHIN_S and quoted.extra_usd <= reserved_usd:
            return quoted
    _unmark(ledger, owner, mark.wanted, say=say, by=mark.intent)
    raise UnclearError(
        f"this machine was asleep or too busy to extend within {SEND_WITHIN_S:.0f} s, or the price "
        f"rose each time. {STILL} Run `pulumi up` again."
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
    client: Client, wanted: Extension, ledger: Ledger, *, owner: Owner, say: Say, clock: Clock
) -> tuple[Page, Extension]:
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
    return reading.page, wanted


def _comes(client: Client, wanted: Extension, *, clock: Clock, until: float) -> bool:
    for _ in clock.pauses():
        try:
            if _missing_hours(client.deployment(wanted.deployment_id), wanted) <= 0:
                return True
        except UnclearError:
            pass  # asked again
        if clock.now() > until:
            return False
    raise AssertionError("pauses never end")


def _missing_hours(deployment: Deployment, wanted: Extension) -> int:
    bought = cost.bought_hours(
        minutes=deployment.compute_minutes_served + deployment.compute_minutes_remaining,
        total_gpus=deployment.total_gpus,
        recorded_hours={wanted.old_hours, *wanted.recorded},
        wanted_hours=wanted.new_hours,
    )
    return wanted.new_hours - bought


@dataclass(frozen=True, kw_only=True)
class _Mark:
    """What is written before hours are asked for; `judged` is the one that was waited for."""

    wanted: Extension
    entry: Entry
    known: Sequence[KnownRental]
    judged: str | None
    intent: str = field(default_factory=lambda: secrets.token_hex(8))

    def reserving(self, quoted: Quote) -> Edit:
        """Return the edit that reserves what the hours cost, if the budget has it."""

        def mark(page: Page, now: datetime) -> Page:
            wanted = self.wanted
            page = with_entry(page, self.entry)
            if _underway(page, wanted) not in (None, self.judged, self.intent):
                raise UnclearError(
                    f"another `pulumi up` buys hours for run {wanted.run} at this moment. Nothing "
                    "was bought by this one. When the other one is done: pulumi up"
                )
            others = budget.of_page(
                page, cap_usd=wanted.cap_usd, known=self.known, besides=wanted.deployment_id
            )
            _require_within(quoted, wanted, others=others)
            return _changed(
                page,
                wanted,
                extending_at=now,
                extending_to=wanted.new_hours,
                extending_usd=quoted.extra_usd,
                extending_by=self.intent,
            )

        return mark


def with_entry(page: Page, entry: Entry) -> Page:
    """Return the page with the machine's entry: its own, or the intent whose ID was not noted."""
    if any(one.deployment_id == entry.deployment_id for one in page.entries):
        return page
    nameless = [e for e in page.open_entries() if e.name == entry.name and not e.deployment_id]
    if not nameless:
        return page.put(entry)
    return page.edited(
        lambda e: e in nameless, state="rented", deployment_id=entry.deployment_id, usd=entry.usd
    )


def _underway(page: Page, wanted: Extension) -> str | None:
    """Return whose extension is underway, "" for an older release's; None when none is."""
    for entry in page.entries:
        if entry.deployment_id == wanted.deployment_id and entry.extending_at:
            return entry.extending_by
    return None


def _unmark(
    ledger: Ledger, owner: Owner, wanted: Extension, *, say: Say, by: str = "", **changes: object
) -> None:
    """Note that hours are not asked for any more; `by` only what that intent asked for."""

    def unmark(page: Page, _now: datetime) -> Page:
        if by and _underway(page, wanted) != by:
            return page
        return _changed(
            page,
            wanted,
            extending_at=None,
            extending_to=None,
            extending_usd=None,
            extending_by="",
            **changes,
        )

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
