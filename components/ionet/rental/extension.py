"""What an extension of a live machine is, and how the ledger has it before it is asked for."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from components.ionet import cost
from components.ionet.errors import NotRecordedError, UnclearError
from components.ionet.offers import Offer
from components.ionet.rental.waiting import Say
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


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What is written before hours are asked for; `judged` is the one that was waited for."""

    wanted: Extension
    owner: Owner
    entry: Entry
    known: Sequence[KnownRental]
    judged: str | None
    say: Say
    intent: str = field(default_factory=lambda: secrets.token_hex(8))

    what = "extend"
    still = STILL

    def usd(self, priced: Quote) -> Decimal:
        """Return the dollars that are asked for."""
        return priced.extra_usd

    def reserving(self, priced: Quote) -> Edit:
        """Return the edit that reserves what the hours cost, if the budget has it."""

        def mark(page: Page, now: datetime) -> Page:
            wanted = self.wanted
            page = with_entry(page, self.entry)
            if underway(page, wanted) not in (None, self.judged, self.intent):
                raise UnclearError(
                    f"another `pulumi up` buys hours for run {wanted.run} at this moment. Nothing "
                    "was bought by this one. When the other one is done: pulumi up"
                )
            others = budget.of_page(
                page, cap_usd=wanted.cap_usd, known=self.known, besides=wanted.deployment_id
            )
            require_within(priced, wanted, others=others)
            return _changed(
                page,
                wanted,
                extending_at=now,
                extending_to=wanted.new_hours,
                extending_usd=priced.extra_usd,
                extending_by=self.intent,
            )

        return mark

    def not_recorded(self, error: LedgerError) -> NotRecordedError:
        """Return why nothing was bought."""
        return not_recorded(error)

    def take_back(self, ledger: Ledger) -> None:
        """Note that these hours are not asked for; another one's intent stays."""
        unmark(ledger, self.owner, self.wanted, say=self.say, by=self.intent)


def require_within(quoted: Quote, wanted: Extension, *, others: Budget) -> None:
    """Raise TooDearError when the hours go beyond what the budget has besides this machine."""
    cost.require_within_cap(
        quoted.extra_usd,
        cap_usd=wanted.cap_usd,
        what=f"{quoted.hours} h more of {wanted.offer}",
        hours=quoted.hours,
        spent_usd=others.used_usd + quoted.paid_usd,
        so_far=STILL,
    )


def underway(page: Page, wanted: Extension) -> str | None:
    """Return whose extension is underway, "" for an older release's; None when none is."""
    for entry in page.entries:
        if entry.deployment_id == wanted.deployment_id and entry.extending_at:
            return entry.extending_by
    return None


def unmark(
    ledger: Ledger, owner: Owner, wanted: Extension, *, say: Say, by: str = "", **changes: object
) -> None:
    """Note that hours are not asked for any more; `by` only what that intent asked for."""

    def without(page: Page, _now: datetime) -> Page:
        if by and underway(page, wanted) != by:
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
        ledger.edit(owner, without)
    except LedgerError as error:
        say(f"{wanted.run}: {error} The extension is in the state, not in the ledger")


def not_recorded(error: LedgerError) -> NotRecordedError:
    """Return why nothing was bought, where the ledger does not tell or take it."""
    return NotRecordedError(f"{error} {STILL} Check the network, then run `pulumi up` again.")


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


def _changed(page: Page, wanted: Extension, **changes: object) -> Page:
    def is_it(entry: Entry) -> bool:
        return entry.deployment_id == wanted.deployment_id

    return page.edited(is_it, **changes)
