"""The ledger of rentals as an operator needs it: its entries, held against what io.net shows.

The bucket is asked, not a stack: an entry outlives the state of the stack that made it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from components.ionet.models import DeploymentRow, Life
from components.ionet.rental.give_back import AFTER_ITS_HOURS
from components.ledger.ledger import BucketLedger, Ledger, LedgerError
from components.ledger.page import Entry, Owner, Page, State
from components.r2.cloudflare import S3Access
from runs.errors import UnreachableError
from runs.source import ledger_pages
from runs.source.bucket import ReadOnlyBucket

LOST_IS_SHOWN_FOR = timedelta(days=7)
WRITE_FOR_S = 20.0  # a person waits


@dataclass(frozen=True, kw_only=True)
class Rental:
    """One entry of the ledger and whose it is; `shown` is None when the account shows no such."""

    owner: Owner
    entry: Entry
    shown: Life | None = None
    in_state: bool | None = None

    @property
    def id(self) -> str:
        """What an operator names it by: the deployment's ID, the intent while that is unknown."""
        return self.entry.deployment_id or self.entry.intent

    @property
    def is_unseen(self) -> bool:
        """Whether a machine may live because of it that this account does not show."""
        return self.entry.is_open and self.shown is None

    def may_live(self, now: datetime) -> bool:
        """Say whether its machine may live, be it in another account: its hours are not over."""
        if not self.entry.is_open or self.shown == "ended":
            return False
        end = timedelta(hours=self.entry.hours) + AFTER_ITS_HOURS
        return self.entry.extending_at is not None or self.entry.age(now) <= end


@dataclass(frozen=True, kw_only=True)
class LedgerPages:
    """All that the ledger of a bucket says, and the bucket's time when it was read."""

    rentals: Sequence[Rental]
    now: datetime
    unreadable: Sequence[str] = ()  # why, one line a page


def read(bucket: ReadOnlyBucket) -> LedgerPages:
    """Read every page; one that cannot be read hides no other."""
    now = bucket.now()
    found = ledger_pages.read(bucket)
    entries = [Rental(owner=page.owner, entry=one) for page in found.pages for one in page.entries]
    return LedgerPages(rentals=entries, now=now, unreadable=found.unreadable)


def of_machine(row: DeploymentRow, rentals: Sequence[Rental]) -> Rental | None:
    """Return the entry of a deployment: of its ID, else the newest of its private name."""
    by_id = [rental for rental in rentals if rental.entry.deployment_id == row.id]
    by_name = [rental for rental in rentals if rental.entry.name == row.name]
    newest = sorted(by_id or by_name, key=lambda rental: rental.entry.asked_at)
    return newest[-1] if newest else None


def with_state(rental: Rental, *, in_state: bool | None) -> Rental:
    """Return the entry with whether the stack's state knows it; None when no state was asked."""
    return dataclasses.replace(rental, in_state=in_state)


def as_listed(rental: Rental, rows: Sequence[DeploymentRow]) -> Rental:
    """Return the entry with what the account's list shows of it, by ID, else by private name.

    One of another ID that has ended under that name says nothing of an ID that is not listed.
    """
    entry = rental.entry
    lives = {row.life for row in rows if row.id == entry.deployment_id} or {
        row.life
        for row in rows
        if row.name == entry.name and not (entry.deployment_id and row.life == "ended")
    }
    for life in ("alive", "ending", "ended"):
        if life in lives:
            return dataclasses.replace(rental, shown=life)
    return rental


def only_in_ledger(rentals: Sequence[Rental], *, now: datetime) -> list[Rental]:
    """Return what only the ledger knows: open entries, and those that were lost some days ago."""
    kept = [
        rental
        for rental in rentals
        if rental.is_unseen
        or (
            rental.entry.state == "lost"
            and rental.shown is None
            and rental.entry.age(now) <= LOST_IS_SHOWN_FOR
        )
    ]
    return sorted(kept, key=lambda rental: (not rental.entry.is_open, rental.entry.name))


def says(rental: Rental) -> str:
    """Say in words how an entry stands whose machine is not in the account's list."""
    if rental.entry.state == "rented":
        return "unknown to this account"
    if rental.entry.state == "asked":
        return "asked for, ID unknown"
    return "asked for, never shown"


def ledger(access: S3Access, *, bucket: ReadOnlyBucket) -> Ledger:
    """Return the ledger to write in."""
    return BucketLedger(
        [lambda: access], endpoint=bucket.endpoint, bucket=bucket.name, write_for_s=WRITE_FOR_S
    )


def close(place: Ledger, rental: Rental, *, state: State) -> None:
    """Close an entry that is still as it was read; UnreachableError when that is not sure."""

    def closed(page: Page, _now: datetime) -> Page:
        return page.edited(
            lambda e: (
                e.intent == rental.entry.intent
                and e.is_open
                and e.deployment_id == rental.entry.deployment_id
            ),
            state=state,
        )

    try:
        place.edit(rental.owner, closed)
    except LedgerError as error:
        raise UnreachableError(f"{error}\nTry the same again.") from None
