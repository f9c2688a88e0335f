"""What one run has cost and may still cost: all its rentals, whatever identity; pure, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from components.ledger.page import Entry, Page
from container.contract.dollars import dollars


@dataclass(frozen=True, kw_only=True)
class KnownRental:
    """A machine of the run that a stack's state tells of, and what it cost as the state knows."""

    deployment_id: str
    name: str
    usd: Decimal

    def is_of(self, entry: Entry) -> bool:
        """Whether the entry is its own; one whose ID was not noted is known by its name."""
        if entry.deployment_id:
            return entry.deployment_id == self.deployment_id
        return entry.state != "lost" and bool(self.name) and entry.name == self.name


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The most that a run may ever cost, with what of it is spent and reserved.

    Reserved is what was asked for and not answered clearly, and what a machine costs once it is
    checked: it is spent, or comes back.
    """

    cap_usd: Decimal
    spent_usd: Decimal = Decimal(0)
    reserved_usd: Decimal = Decimal(0)

    @property
    def used_usd(self) -> Decimal:
        """What cannot be spent any more."""
        return self.spent_usd + self.reserved_usd

    @property
    def left_usd(self) -> Decimal:
        """What can still be spent; never below 0, as a cap may be lowered."""
        return max(self.cap_usd - self.used_usd, Decimal(0))

    def __str__(self) -> str:
        return (
            f"budget {dollars(self.cap_usd)}: {_short(self.spent_usd)} spent, "
            f"{_short(self.reserved_usd)} reserved, {_short(self.left_usd)} left"
        )


def of_page(
    page: Page, *, cap_usd: Decimal, known: Sequence[KnownRental] = (), besides: str = ""
) -> Budget:
    """Return a run's budget, without deployment `besides`.

    `known` are the machines of the stack's state: what an older release rented is in no page, and
    what became of a request may not have been noted.
    """
    left, spent, reserved = list(known), Decimal(0), Decimal(0)
    for entry in page.entries:
        of_state = next((one for one in left if one.is_of(entry)), None)
        left = [one for one in left if one is not of_state]
        if not besides or besides not in (
            entry.deployment_id,
            of_state and of_state.deployment_id,
        ):
            paid, asked = _of_entry(entry, of_state)
            spent, reserved = spent + paid, reserved + asked
    spent += sum((one.usd for one in left if one.deployment_id != besides), Decimal(0))
    return Budget(cap_usd=cap_usd, spent_usd=spent, reserved_usd=reserved)


def _of_entry(entry: Entry, of_state: KnownRental | None) -> tuple[Decimal, Decimal]:
    """Return what is spent and what is reserved of an entry, and of the state's word on it."""
    if of_state is None or not entry.is_open:
        return entry.spent_usd, entry.reserved_usd + entry.awaited_usd
    if entry.state == "asked":
        return of_state.usd, entry.awaited_usd
    spent = max(entry.spent_usd, of_state.usd)
    reserved = max(entry.spent_usd + entry.reserved_usd - spent, Decimal(0))
    return spent, reserved + entry.awaited_usd


def _short(amount: Decimal) -> str:
    return dollars(amount) if amount else "$0"
