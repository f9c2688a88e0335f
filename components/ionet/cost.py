"""What a rental costs: dollars as Decimal, whole hours, the cap; pure, no I/O."""

from __future__ import annotations

import math
from collections.abc import Collection
from decimal import ROUND_HALF_UP, Decimal

from components.ionet.errors import TooDearError, UnclearError
from container.contract.dollars import CENT, dollars

MINUTES_PER_HOUR = 60
STORAGE_USD_PER_GB_MONTH = Decimal("0.015")
"""R2's standard storage; reading it back costs nothing.
https://developers.cloudflare.com/r2/pricing/"""

_BYTES_PER_GB = Decimal(1_000_000_000)


def total_usd(price_usd_per_hour: Decimal, *, hours: int) -> Decimal:
    """Return the price of whole hours, unrounded."""
    return price_usd_per_hour * hours


def storage_usd_per_month(size_bytes: int) -> Decimal:
    """Return what keeping so many bytes in R2 costs a month, unrounded."""
    return Decimal(size_bytes) / _BYTES_PER_GB * STORAGE_USD_PER_GB_MONTH


def rounded(amount: Decimal) -> float:
    """Return an amount to the cent, as a number for a stack output; for showing only."""
    return float(amount.quantize(CENT, rounding=ROUND_HALF_UP))


def require_within_cap(
    cost_usd: Decimal,
    *,
    cap_usd: Decimal,
    what: str,
    hours: int = 0,
    spent_usd: Decimal = Decimal(0),
    so_far: str = "Nothing was rented.",
) -> None:
    """Raise TooDearError when what the run cost so far and this are above the cap.

    `spent_usd` is of all its rentals, what is reserved included. Exactly the cap is allowed.
    `hours` are those that cost so much: told is how many of them fit. `so_far` says what holds
    after the refusal.
    """
    if spent_usd + cost_usd > cap_usd:
        left_usd = max(cap_usd - spent_usd, Decimal(0))
        fitting = int(left_usd * hours / cost_usd)
        room = f" At this price {fitting or 'none'} of the {hours} h fit under it." if hours else ""
        fewer = ", or ask for fewer hours" if fitting or not hours else ""
        cheaper = ", or wait for a cheaper offer" if left_usd else ""
        before = f" after {dollars(spent_usd)} that this run cost so far" if spent_usd else ""
        raise TooDearError(
            f"{what} would cost {dollars(cost_usd)}{before}, above the cap of "
            f"{dollars(Decimal(cap_usd))}. {so_far}{room} Raise trainstack:maxCostUsd to "
            f"{math.ceil(spent_usd + cost_usd)}{fewer}{cheaper}."
        )


def hours_of(minutes: int, *, total_gpus: int) -> set[float]:
    """Return the hours that a number of the vendor's minutes can mean.

    Whether io.net counts minutes once or once a GPU is not documented.
    """
    return {minutes / divisor for divisor in _divisors(total_gpus)}


def hours_left(
    *, served_minutes: int, remaining_minutes: int, total_gpus: int
) -> tuple[float, float]:
    """Return the fewest and the most hours that the remaining minutes can mean.

    Hours are sold whole: a reading that makes no whole hours of what was bought is not the right
    one, unless none does.
    """
    bought = served_minutes + remaining_minutes
    divisors = _divisors(total_gpus)
    whole = {divisor for divisor in divisors if bought and bought % divisor == 0}
    left = [remaining_minutes / divisor for divisor in whole or divisors]
    return min(left), max(left)


def adopted_hours(*, minutes: int, total_gpus: int, wanted_hours: int) -> int:
    """Return for how many hours a machine was bought by an engine that was killed.

    `minutes` are the vendor's, served plus remaining: they mean the wanted hours if they can, else
    the fewest whole hours that they can mean.
    """
    readings = hours_of(minutes, total_gpus=total_gpus)
    whole = {round(hours) for hours in readings if round(hours) and abs(hours % 1 - 0.5) > 0.45}
    return wanted_hours if wanted_hours in whole or not whole else min(whole)


def remaining_hours(*, served_minutes: int, remaining_minutes: int, bought_hours: int) -> float:
    """Return how many of the bought hours are left, whatever the vendor's minutes count."""
    minutes = served_minutes + remaining_minutes
    return bought_hours * remaining_minutes / minutes if minutes else float(bought_hours)


def bought_hours(
    *, minutes: int, total_gpus: int, recorded_hours: Collection[int], wanted_hours: int
) -> int:
    """Return how many hours are bought already, from the vendor's served plus remaining minutes.

    Extending adds up, so after an unclear answer it must be known whether it happened. Where the
    minutes can mean two numbers, the one that was recorded (in the state, in the ledger) or is
    wanted is the right one. Raises UnclearError when neither is, and when both are.
    """
    readings = {round(hours) for hours in hours_of(minutes, total_gpus=total_gpus)}
    right = readings if len(readings) == 1 else readings & {*recorded_hours, wanted_hours}
    if len(right) == 1:
        return right.pop()
    raise UnclearError(
        f"io.net counts {minutes} bought minutes where {_or(recorded_hours)} hours were recorded, "
        "so it "
        f"is not clear what an extension to {wanted_hours} hours would buy. Nothing was bought. "
        "Extend it in io.net's console and leave trainstack:durationHours as it was."
    )


def _or(numbers: Collection[int]) -> str:
    return " or ".join(str(number) for number in sorted(numbers))


def _divisors(total_gpus: int) -> set[int]:
    return {MINUTES_PER_HOUR, MINUTES_PER_HOUR * max(total_gpus, 1)}
