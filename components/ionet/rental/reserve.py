"""The one way to spend: reserve in the ledger, quote again, and only then, in time, ask for it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol, TypeVar

from components.ionet.errors import IonetError, NotRecordedError, UnclearError
from components.ionet.rental.waiting import INTENTS, SEND_WITHIN_S, Clock
from components.ledger.ledger import Edit, Ledger, LedgerError
from components.ledger.page import Owner

Priced = TypeVar("Priced")
Priced_contra = TypeVar("Priced_contra", contravariant=True)


class Purchase(Protocol[Priced_contra]):
    """Something that costs dollars of a run's budget, as it is priced at one moment."""

    @property
    def owner(self) -> Owner:
        """Whose page the dollars are reserved in."""
        ...

    @property
    def what(self) -> str:
        """What is asked for, as a verb: rent, extend."""
        ...

    @property
    def still(self) -> str:
        """What holds when it is not bought."""
        ...

    def usd(self, priced: Priced_contra) -> Decimal:
        """Return the dollars that are asked for."""
        ...

    def reserving(self, priced: Priced_contra) -> Edit:
        """Return the edit that writes the intent with its dollars, or raises."""
        ...

    def not_recorded(self, error: LedgerError) -> NotRecordedError:
        """Return why nothing was bought, where the ledger did not take it."""
        ...

    def take_back(self, ledger: Ledger) -> None:
        """Take the intent back, of which surely nothing comes; never raises."""
        ...


def reserve(
    purchase: Purchase[Priced],
    priced: Priced,
    *,
    quote: Callable[[], Priced],
    ledger: Ledger,
    clock: Clock,
) -> Priced:
    """Reserve what it costs; return within seconds of it, at the price of this moment.

    `quote` is asked after the dollars are reserved, right before they are spent, and may raise:
    what has become dearer meanwhile is reserved first. Whatever is raised, nothing stays reserved
    as far as the ledger can still be written. Raises NotRecordedError, and UnclearError where it
    was never in time.
    """
    try:
        for _ in range(INTENTS):
            started, reserved_usd = clock.wall(), purchase.usd(priced)
            ledger.edit(purchase.owner, purchase.reserving(priced))
            priced = quote()
            in_time = 0 <= clock.wall() - started <= SEND_WITHIN_S
            if in_time and purchase.usd(priced) <= reserved_usd:
                return priced
    except LedgerError as error:
        purchase.take_back(ledger)
        raise purchase.not_recorded(error) from None
    except IonetError:
        purchase.take_back(ledger)
        raise
    purchase.take_back(ledger)
    raise UnclearError(
        f"this machine was asleep or too busy to {purchase.what} within {SEND_WITHIN_S:.0f} s, or "
        f"the price rose each time. {purchase.still} Run `pulumi up` again."
    )
