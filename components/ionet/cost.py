"""What a rental costs: dollars as Decimal, whole hours, the cap; pure, no I/O."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from components.ionet.errors import TooDearError, UnclearError

CENT = Decimal("0.01")
MINUTES_PER_HOUR = 60


def total_usd(price_usd_per_hour: Decimal, *, hours: int) -> Decimal:
    """Return the price of whole hours, unrounded."""
    return price_usd_per_hour * hours


def dollars(amount: Decimal) -> str:
    """Return an amount as people read it, to the cent."""
    return f"${amount.quantize(CENT, rounding=ROUND_HALF_UP):,}"


def rounded(amount: Decimal) -> float:
    """Return an amount to the cent, as a number for a stack output; for showing only."""
    return float(amount.quantize(CENT, rounding=ROUND_HALF_UP))


def require_within_cap(cost_usd: Decimal, *, cap_usd: int, what: str) -> None:
    """Raise TooDearError when the cost is above the cap; exactly the cap is allowed."""
    if cost_usd > cap_usd:
        raise TooDearError(
            f"{what} would cost {dollars(cost_usd)}, above the cap of {dollars(Decimal(cap_usd))}. "
            "Nothing was rented. Raise trainstack:maxCostUsd, ask for fewer hours, or wait for a "
            "cheaper offer."
        )


def adopted_hours(*, minutes: int, total_gpus: int, wanted_hours: int) -> int:
    """Return for how many hours a machine was bought by an engine that was killed.

    `minutes` are the vendor's, served plus remaining, counted once or once a GPU: they mean the
    wanted hours if they can, else the fewest whole hours that they can mean.
    """
    readings = {minutes / (MINUTES_PER_HOUR * gpus) for gpus in (1, max(total_gpus, 1))}
    whole = {round(hours) for hours in readings if round(hours) and abs(hours % 1 - 0.5) > 0.45}
    return wanted_hours if wanted_hours in whole or not whole else min(whole)


def remaining_hours(*, served_minutes: int, remaining_minutes: int, bought_hours: int) -> float:
    """Return how many of the bought hours are left, whatever the vendor's minutes count."""
    minutes = served_minutes + remaining_minutes
    return bought_hours * remaining_minutes / minutes if minutes else float(bought_hours)


def bought_hours(*, minutes: int, total_gpus: int, recorded_hours: int, wanted_hours: int) -> int:
    """Return how many hours are bought already, from the vendor's served plus remaining minutes.

    Extending adds up, so after an unclear answer it must be known whether it happened. Whether the
    minutes count once or once a GPU is not documented: the reading that gives the recorded or the
    wanted hours is the right one. Raises UnclearError when neither does, and when each gives
    another of the two.
    """
    readings = {round(minutes / (MINUTES_PER_HOUR * gpus)) for gpus in (1, max(total_gpus, 1))}
    right = readings & {recorded_hours, wanted_hours}
    if len(right) == 1:
        return right.pop()
    raise UnclearError(
        f"io.net counts {minutes} bought minutes where {recorded_hours} hours were recorded, so it "
        f"is not clear what an extension to {wanted_hours} hours would buy. Nothing was bought. "
        "Extend it in io.net's console and leave trainstack:durationHours as it was."
    )
