"""Closes a run's identity: marks it in the ledger, and gives back whatever came of its rentals."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Literal

from components.ionet.client import Client
from components.ionet.errors import IonetError, UnknownDeploymentError
from components.ionet.models import DeploymentRow
from components.ionet.rental import settle
from components.ionet.rental.give_back import give_back, give_back_all
from components.ionet.rental.waiting import (
    SAY_EVERY_S,
    SETTLED_AFTER_S,
    Clock,
    Say,
    minutes,
    unsettled_s,
)
from components.ledger.ledger import Ledger, LedgerError, Reading
from components.ledger.page import Entry, Owner, Page


def close(
    client: Client,
    identity: str,
    *,
    name_prefix: str,
    owner: Owner,
    ledger: Ledger,
    started: float,
    say: Say,
    clock: Clock | None = None,
) -> None:
    """Return when nothing that bears the identity lives, and nothing can come any more.

    `started` is the command's start by the clock's `now`: where the ledger cannot be read, the wait
    is from then on, as nobody rents for an identity that is being deleted. Raises what `give_back`
    raises; the identity stays in the state then.
    """
    clock = clock or Clock()
    said_at = clock.now() - SAY_EVERY_S
    for _ in clock.pauses():
        given_back = give_back_all(client, name_prefix, say=say, clock=clock)
        try:
            reading = ledger.edit(owner, lambda page, _now: page.with_closing(identity))
            reading = _with_ended(client, reading, identity, given_back, ledger=ledger, say=say)
            left_s = _left_s(reading, identity)
            why = "a rental of this run was interrupted, and io.net may show its machine late"
        except LedgerError as error:
            reading = None
            left_s = SETTLED_AFTER_S - (clock.now() - started)
            why = f"{error} A machine may come of an interrupted rental"
            if left_s <= 0:
                say(
                    f"{owner.run}: {error} No machine of {owner} showed for "
                    f"{minutes(SETTLED_AFTER_S)}. Once the bucket answers, look what bills: "
                    f"python -m runs reap --stack {owner.stack}"
                )
                return
        if left_s <= 0 and not given_back:
            _settle(client, ledger, reading, say=say)
            return
        if left_s > 0 and clock.now() - said_at >= SAY_EVERY_S:
            said_at = clock.now()
            say(f"{owner.run}: {why}: looking for it for {minutes(left_s)} at most")


def note_given_back(
    client: Client,
    ledger: Ledger,
    owner: Owner,
    *,
    entry: Entry,
    say: Say,
) -> None:
    """Note in the ledger that a machine has ended, and what it cost.

    `entry` is its own where the ledger has none. It has ended, so a failure is only said.
    """
    told = settle.charged_usd(client, entry.deployment_id)

    def is_it(e: Entry) -> bool:
        return e.deployment_id == entry.deployment_id or (e.name == entry.name and e.is_open)

    def note(page: Page, _now: datetime) -> Page:
        if not any(is_it(one) for one in page.entries):
            page = page.put(entry)
        return page.mapped(
            is_it, lambda e: settle.ended(e, deployment_id=entry.deployment_id, usd=told)
        )

    try:
        ledger.edit(owner, note)
    except LedgerError as error:
        say(f"{owner.run}: {error} It goes on naming {entry.deployment_id}, which has ended")


def ended_identities(ledger: Ledger, owner: Owner) -> frozenset[str]:
    """Return the run's identities of which no machine may live; none where that is not known."""
    try:
        return ledger.read(owner).page.ended_identities()
    except LedgerError:
        return frozenset()


def _settle(client: Client, ledger: Ledger, reading: Reading | None, *, say: Say) -> None:
    """Note what was charged for what has ended; nothing hangs on it, so a failure is only said."""
    if reading is None:
        return
    try:
        settle.settle(client, ledger, reading, rows=client.deployments())
    except (LedgerError, IonetError) as error:
        say(f"{reading.page.owner.run}: {error} What was charged is noted by the next rental")


def _left_s(reading: Reading, identity: str) -> float:
    waits = [
        unsettled_s(entry, reading.now)
        for entry in reading.page.open_entries()
        if entry.identity == identity
    ]
    return max(waits, default=0.0)


def _with_ended(
    client: Client,
    reading: Reading,
    identity: str,
    given_back: list[str],
    *,
    ledger: Ledger,
    say: Say,
) -> Reading:
    """Write down what has ended, and what never came."""
    rows = client.deployments()
    ended: dict[str, Entry] = {}
    for entry in reading.page.open_entries():
        if entry.identity != identity:
            continue
        state = _end_of(client, entry, reading.now, given_back, rows)
        if state == "given back":
            ended[entry.intent] = settle.ended(entry, deployment_id="", usd=None)
        elif state == "lost":
            ended[entry.intent] = dataclasses.replace(entry, state="lost")
            say(f"{entry.name}: asked for, and never shown by io.net: noted as lost")
    if not ended:
        return reading

    def note(page: Page, _now: datetime) -> Page:
        return page.mapped(lambda e: e.intent in ended, lambda e: ended[e.intent])

    return ledger.edit(reading.page.owner, note)


def _end_of(
    client: Client,
    entry: Entry,
    now: datetime,
    given_back: list[str],
    rows: list[DeploymentRow],
) -> Literal["given back", "lost", ""]:
    """Return the state that an entry has come to, "" while it stays open."""
    if entry.deployment_id:
        if entry.deployment_id not in given_back:
            try:
                give_back(client, entry.deployment_id, name=entry.name)
            except UnknownDeploymentError:
                return ""  # `reap` goes on knowing it: another account may show it
        return "given back"
    lives = [row.life for row in rows if row.name == entry.name]
    if lives:
        return "given back" if all(life == "ended" for life in lives) else ""
    return "lost" if unsettled_s(entry, now) <= 0 else ""
