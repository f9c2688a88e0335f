"""Dollars: Decimal inside, and as people read them; never a float. Standard library only."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")


def dollars(amount: Decimal) -> str:
    """Return an amount as people read it, to the cent."""
    return f"${amount.quantize(CENT, rounding=ROUND_HALF_UP):,}"
