"""Rents the machine of a run, or adopts the one that it has; the way from a look to an ID."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime

from components.ionet import market
from components.ionet.client import Client
from components.ionet.errors import RunEndedError
from components.ionet.models import DeploymentRow
from components.ionet.offers import Offer
from components.ionet.properties import Rental
from components.ionet.rental import adopt, first_hours, intent, others, send, settle
from components.ionet.rental.adopt import Candidate, Rented
from components.ionet.rental.give_back import give_back
from components.ionet.rental.waiting import SAY_EVERY_S, Clock, Say, minutes, unsettled_s
from components.ledger import budget
from components.ledger.budget import KnownRental
from components.ledger.ledger import Ledger, LedgerError, Reading
from components.ledger.page import Entry, Page
from container.contract.records import Verdict


def rent(
    client: Client,
    wanted: Rental,
    *,
    ledger: Ledger,
    verdict: Callable[[], Verdict | None],
    set_aside: Callable[[Verdict], None],
    before_post: Callable[[], None],
    known: Sequence[KnownRental],
    live_tokens: Callable[[], Collection[str]],
    say: Say,
    clock: Clock | None = None,
) -> Rented:
    """Return the machine of this run, renting it unless it exists already.

    Looked for by the private name and in the ledger, and after any reply that is not a clear yes or
    no, until none can come of it any more. `known` are the machines of this run that the stack's
    own state tells of. `live_tokens` returns the IDs of the run's tokens that still
    live. `before_post` may raise to stop the rental at the last moment. A run that this program
    itself stopped, by replacing its machine, goes on: its verdict is set aside.
    """
    clock = clock or Clock()
    with _as_not_recorded(wanted):
        reading = ledger.read(wanted.owner)
        intent.require_not_deleted(reading.page, wanted)
        judged = {entry.intent for entry in reading.page.entries}
        rows, reading = _shown(client, wanted, ledger, reading, say=say, clock=clock)
        ours = adopt.candidates(client, rows, reading.page, wanted)
        kept = next(
            (one for one in ours if adopt.is_wanted(one, wanted, live_tokens=live_tokens)), None
        )
        if kept:
            rented = adopt.as_rented(kept, wanted)
            say(
                f"{wanted.run}: adopted deployment {kept.id}, which this run had rented before. "
                "Where Pulumi says that it was interrupted while creating: "
                "pulumi refresh --yes --clear-pending-creates"
            )
            _record(ledger, wanted, rented, say=say)
            return rented
        ended = verdict()
        if ended and ended.outcome != "stopped":
            raise RunEndedError(
                f"run {wanted.run} has ended already ({ended.outcome}) and is not paid for again. "
                "Raise trainstack:rerun to train it from the start, or give the new training "
                "another name in trainstack:runs."
            )
        first_hours.require_attempt(reading.page, wanted.identity, attempts=wanted.attempts)
        others.require_none(
            client,
            rows,
            reading,
            identity=wanted.identity,
            bucket=wanted.place.bucket,
            known={one.deployment_id for one in known},
        )
        for one in ours:
            say(f"{wanted.run}: giving back {one.id}, rented by this run with other inputs")
            give_back(client, one.id, clock=clock)
            reading = _given_back(client, ledger, wanted, one)
        reading = settle.settle(client, ledger, reading, rows=rows)
    so_far = budget.of_page(reading.page, cap_usd=wanted.max_cost_usd, known=known)

    def quote() -> Offer:
        planned = market.confirm(
            client,
            wanted.offer,
            wanted.wish,
            cap_usd=so_far.cap_usd,
            spent_usd=so_far.used_usd,
        )
        first, hours = wanted.bought_hours, wanted.wish.hours
        return market.bought_first(client, planned, hours=first, planned_hours=hours)

    offer = quote()
    if ended:
        say(f"{wanted.run}: was stopped; goes on from its newest checkpoint")
        set_aside(ended)
    return send.send(
        client,
        wanted,
        offer=offer,
        quote=quote,
        name=_free_name(rows, reading.page, wanted),
        ledger=ledger,
        judged=judged,
        known=known,
        before_post=before_post,
        say=say,
        clock=clock,
    )


def _shown(
    client: Client, wanted: Rental, ledger: Ledger, reading: Reading, *, say: Say, clock: Clock
) -> tuple[list[DeploymentRow], Reading]:
    """Wait until each intent of this run has shown its machine, or cannot any more."""
    started, said_at = clock.now(), -SAY_EVERY_S
    for _ in clock.pauses():
        rows = client.deployments()
        passed = clock.now() - started
        names = {row.name for row in rows}
        waiting = [
            (left - passed, entry)
            for entry in reading.page.open_entries()
            if (left := unsettled_s(entry, reading.now)) > passed and entry.name not in names
        ]
        if not waiting:
            return rows, _with_lost(ledger, wanted, reading, names, passed_s=passed)
        left_s, entry = max(waiting, key=lambda one: one[0])
        if passed - said_at >= SAY_EVERY_S:
            said_at = passed
            say(
                f"{wanted.run}: a rental of this run was interrupted, and io.net may show "
                f"{entry.name} late: looking for it for {minutes(left_s)} at most"
            )
    raise AssertionError("pauses never end")


def _with_lost(
    ledger: Ledger, wanted: Rental, reading: Reading, names: set[str], *, passed_s: float
) -> Reading:
    gone = {
        entry.intent
        for entry in reading.page.open_entries()
        if entry.state == "asked"
        and entry.name not in names
        and unsettled_s(entry, reading.now) <= passed_s
    }
    if not gone:
        return reading

    def lose(page: Page, _now: datetime) -> Page:
        return page.edited(lambda e: e.intent in gone and e.state == "asked", state="lost")

    return ledger.edit(wanted.owner, lose)


@contextmanager
def _as_not_recorded(wanted: Rental) -> Generator[None]:
    """Say of a ledger that does not answer that nothing was rented, and how to go on."""
    try:
        yield
    except LedgerError as error:
        raise intent.not_recorded(error, wanted) from None


def _record(ledger: Ledger, wanted: Rental, rented: Rented, *, say: Say) -> None:
    """Note an adopted machine under its entry, or under one of its own."""

    def as_rented(page: Page, now: datetime) -> Page:
        known = [one for one in page.entries if rented.id == one.deployment_id] or [
            one for one in page.open_entries() if one.name == rented.name and not one.deployment_id
        ]
        if not known:
            return page.put(send.entry_of(wanted, rented, asked_at=rented.rented_at or now))
        return page.edited(
            lambda e: e.intent == known[0].intent and e.state != "given back",
            state="rented",
            deployment_id=rented.id,
            usd=rented.offer.total_usd,
            charged=rented.charged,
        )

    send.note(ledger, wanted, rented, as_rented, say=say)


def _given_back(client: Client, ledger: Ledger, wanted: Rental, one: Candidate) -> Reading:
    """Note that a machine has ended, and what it cost, which counts against the budget."""
    told = settle.charged_usd(client, one.id) or one.deployment.amount_paid_usd or None

    def is_its(entry: Entry) -> bool:
        return entry.is_open and (entry.deployment_id or entry.name) in (one.id, one.name)

    def close(page: Page, _now: datetime) -> Page:
        return page.mapped(is_its, lambda e: settle.ended(e, deployment_id=one.id, usd=told))

    return ledger.edit(wanted.owner, close)


def _free_name(rows: list[DeploymentRow], page: Page, wanted: Rental) -> str:
    # Whether the name of an ended deployment is free again is not documented.
    def is_ours(name: str) -> bool:
        rest = name.removeprefix(wanted.private_name)
        return name.startswith(wanted.private_name) and (not rest or rest[1:].isdigit())

    used = {row.name for row in rows} | {entry.name for entry in page.entries}
    taken = sum(1 for name in used if is_ours(name))
    return wanted.private_name if not taken else f"{wanted.private_name}-{taken + 1}"
