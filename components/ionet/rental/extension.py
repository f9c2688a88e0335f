"""What an extension of a live machine is, and how the ledger has it before it is asked for."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from components.ionet import cost
from components.ionet.errors import (
    AlreadyBoughtError,
    NotRecordedError,
    TooDearError,
    UnclearError,
)
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
    noted: int = 0  # what the ledger says that was bought: the vendor may show it late
    max_usd_per_gpu_hour: Decimal = Decimal(0)  # 0: no such cap
    automatic_most: int = 0  # of the run's hours that nobody asked for; 0: somebody asks for these

    def as_recorded(self, page: Page) -> Extension:
        """Return it with what the ledger has of this machine."""
        entry = page.entry_of(self.deployment_id)
        if entry is None:
            return self
        recorded = (entry.hours, entry.extending_to or entry.hours)
        return replace(self, recorded=recorded, noted=entry.hours)


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What is missing to the wanted hours, and what it costs now; 0 hours: bought already."""

    hours: int
    paid_usd: Decimal
    bought: int = 0  # hours in all so far
    extra_usd: Decimal = Decimal(0)
    usd_per_hour: Decimal = Decimal(0)  # of them, without fees


@dataclass(frozen=True, kw_only=True)
class Bought:
    """The hours that a machine has in all, and what has been paid for it."""

    hours: int
    paid_usd: Decimal


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
            self._require_still_missing(page)
            page = page.mapped(self._is_it, lambda e: e.with_extension_over(bought=priced.bought))
            if wanted.automatic_most:
                _require_allowed(page.automatic_hours, priced, wanted)
            return page.edited(
                self._is_it,
                extending_at=now,
                extending_to=wanted.new_hours,
                extending_usd=priced.extra_usd,
                extending_by=self.intent,
                extending_automatic=priced.hours if wanted.automatic_most else 0,
            )

        return mark

    def not_recorded(self, error: LedgerError) -> NotRecordedError:
        """Return why nothing was bought."""
        return not_recorded(error)

    def take_back(self, ledger: Ledger) -> None:
        """Note that these hours are not asked for; another one's intent stays."""
        unmark(ledger, self.owner, self.wanted, say=self.say, by=self.intent)

    def _is_it(self, entry: Entry) -> bool:
        return entry.deployment_id == self.wanted.deployment_id

    def _require_still_missing(self, page: Page) -> None:
        entry = page.entry_of(self.wanted.deployment_id)
        if entry is not None and self.wanted.noted < self.wanted.new_hours <= entry.hours:
            raise AlreadyBoughtError(f"run {self.wanted.run} has these hours already.")


def require_within(quoted: Quote, wanted: Extension, *, others: Budget) -> None:
    """Raise TooDearError when the hours are above a cap; `others` is the budget besides this."""
    most, per_gpu = wanted.max_usd_per_gpu_hour, quoted.usd_per_hour / max(wanted.offer.gpus, 1)
    if most and per_gpu > most:
        raise TooDearError(
            f"{quoted.hours} h more of {wanted.offer} would cost {cost.dollars(per_gpu)} an hour a "
            f"GPU. {STILL} Raise trainstack:maxUsdPerGpuHour, which is {cost.dollars(most)}, or "
            "wait for a cheaper offer."
        )
    cost.require_within_cap(
        quoted.extra_usd,
        cap_usd=wanted.cap_usd,
        what=f"{quoted.hours} h more of {wanted.offer}",
        hours=quoted.hours,
        spent_usd=others.used_usd + quoted.paid_usd,
        so_far=STILL,
    )


def _require_allowed(automatic: int, quoted: Quote, wanted: Extension) -> None:
    if automatic + quoted.hours > wanted.automatic_most:
        raise AlreadyBoughtError(
            f"run {wanted.run} has {automatic} of the {wanted.automatic_most} h that "
            f"trainstack:autoExtend allows. {STILL}"
        )


def underway(page: Page, wanted: Extension) -> str | None:
    """Return whose extension is underway, "" for an older release's; None when none is."""
    entry = page.entry_of(wanted.deployment_id)
    return entry.extending_by if entry is not None and entry.extending_at else None


def unmark(ledger: Ledger, owner: Owner, wanted: Extension, *, say: Say, by: str = "") -> None:
    """Note that hours are not asked for any more; `by` only what that intent asked for."""

    def without(page: Page, _now: datetime) -> Page:
        if by and underway(page, wanted) != by:
            return page
        return _mapped(page, wanted, lambda e: e.with_extension_over(bought=0))

    _note(ledger, owner, wanted, without, say=say)


def note_bought(
    ledger: Ledger, owner: Owner, wanted: Extension, bought: Bought, *, say: Say
) -> None:
    """Note that a machine has these hours, and what has been paid for it."""

    def with_hours(page: Page, _now: datetime) -> Page:
        return _mapped(
            page,
            wanted,
            lambda e: replace(
                e.with_extension_over(bought=bought.hours), hours=bought.hours, usd=bought.paid_usd
            ),
        )

    _note(ledger, owner, wanted, with_hours, say=say)


def not_recorded(error: LedgerError) -> NotRecordedError:
    """Return why nothing was bought, where the ledger does not tell or take it."""
    return NotRecordedError(f"{error} {STILL} Check the network, then run `pulumi up` again.")


def with_entry(page: Page, entry: Entry) -> Page:
    """Return the page with the machine's entry: its own, or the intent whose ID was not noted."""
    if page.entry_of(entry.deployment_id) is not None:
        return page
    nameless = [e for e in page.open_entries() if e.name == entry.name and not e.deployment_id]
    if not nameless:
        return page.put(entry)
    return page.edited(
        lambda e: e in nameless, state="rented", deployment_id=entry.deployment_id, usd=entry.usd
    )


def _mapped(page: Page, wanted: Extension, become: Callable[[Entry], Entry]) -> Page:
    return page.mapped(lambda entry: entry.deployment_id == wanted.deployment_id, become)


def _note(ledger: Ledger, owner: Owner, wanted: Extension, edit: Edit, *, say: Say) -> None:
    try:
        ledger.edit(owner, edit)
    except LedgerError as error:
        say(f"{wanted.run}: {error} The extension is in the state, not in the ledger")
