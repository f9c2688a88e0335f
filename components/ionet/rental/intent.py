"""What the ledger has of a machine before it is asked for: whose, its name, for how much."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal

from components.ionet import cost
from components.ionet.errors import AnotherMachineError, IdentityDeletedError, NotRecordedError
from components.ionet.offers import Offer
from components.ionet.properties import Rental
from components.ledger import budget
from components.ledger.budget import KnownRental
from components.ledger.ledger import Edit, Ledger, LedgerError
from components.ledger.page import Entry, Owner, Page


def require_not_deleted(page: Page, wanted: Rental) -> None:
    """Raise IdentityDeletedError when a `pulumi destroy` deletes the identity, or has begun to."""
    if wanted.identity in page.closing:
        raise IdentityDeletedError(
            f"run {wanted.run} is being deleted by a `pulumi destroy`, or one was interrupted. "
            "Nothing was rented. Finish it, then start anew: pulumi destroy"
        )


def not_recorded(error: LedgerError, wanted: Rental) -> NotRecordedError:
    """Return why nothing was rented; the ledger is written with the run's own access."""
    return NotRecordedError(
        f"{error} Nothing was rented, as a machine that is not recorded could be lost. Check the "
        "network and run `pulumi up` again. If the run's token was deleted at Cloudflare, raise "
        f"trainstack:renew: pulumi config set trainstack:renew {wanted.renew + 1}"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Intent:
    """What is written before the vendor is asked; again, with a fresh time, until it is in time."""

    wanted: Rental
    name: str
    judged: Collection[str]
    known: Sequence[KnownRental]
    intent: str = dataclasses.field(default_factory=lambda: secrets.token_hex(8))

    what = "rent"
    still = "Nothing was rented."

    @property
    def owner(self) -> Owner:
        """Whose page it stands in."""
        return self.wanted.owner

    def usd(self, priced: Offer) -> Decimal:
        """Return the dollars that are asked for."""
        return priced.total_usd

    def reserving(self, priced: Offer) -> Edit:
        """Return the edit that writes it, with the dollars of an offer, if the budget has them."""

        def add(page: Page, now: datetime) -> Page:
            wanted = self.wanted
            require_not_deleted(page, wanted)
            strange = [
                e for e in page.open_entries() if e.intent not in {self.intent, *self.judged}
            ]
            if strange:
                raise AnotherMachineError(
                    f"another `pulumi up` rents a machine for run {wanted.run} at this moment "
                    f"({strange[0].name}). Nothing was rented by this one. When the other one is "
                    "done: pulumi up"
                )
            others = budget.of_page(
                page.without(self.intent), cap_usd=wanted.max_cost_usd, known=self.known
            )
            cost.require_within_cap(
                priced.total_usd + priced.rest_usd,
                cap_usd=others.cap_usd,
                what=f"{priced} x {wanted.wish.hours} h",
                hours=wanted.wish.hours,
                spent_usd=others.used_usd,
            )
            return page.put(self._entry(priced, now))

        return add

    def not_recorded(self, error: LedgerError) -> NotRecordedError:
        """Return why nothing was rented."""
        return not_recorded(error, self.wanted)

    def take_back(self, ledger: Ledger, *, lost: bool = False) -> None:
        """Take it back, as surely nothing comes of it; one that stays is only waited for."""

        def edit(page: Page, _now: datetime) -> Page:
            if lost:
                return page.edited(lambda e: e.intent == self.intent, state="lost")
            return page.without(self.intent)

        with suppress(LedgerError):
            ledger.edit(self.owner, edit)

    def _entry(self, offer: Offer, now: datetime) -> Entry:
        return Entry(
            intent=self.intent,
            identity=self.wanted.identity,
            name=self.name,
            hours=self.wanted.bought_hours,
            usd=offer.total_usd,
            planned_hours=self.wanted.wish.hours if self.wanted.first_hours else 0,
            rest_usd=offer.rest_usd,
            asked_at=now,
            token_id=self.wanted.access.access_key_id,
            renew=self.wanted.renew,
        )
