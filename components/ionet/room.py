"""Whether the hours left on a rented machine are enough for what it shall train; pure, no I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from components.config.hours import whole


@dataclass(frozen=True, kw_only=True)
class Room:
    """What becomes of the machine, and what it costs; `rental_usd` where it was asked for.

    enough: it starts again, for nothing. extend: after `more_hours` are bought, for `extra_usd`.
    replace: another machine is cheaper than those.
    """

    way: Literal["enough", "extend", "replace"]
    left_hours: float
    needed_hours: float  # 0: not known, or what is trained goes on
    more_hours: int = 0
    extra_usd: Decimal = Decimal(0)
    rental_usd: Decimal | None = None


def missing_hours(*, left_hours: float, needed_hours: float) -> int:
    """Return the whole hours that have to be bought on top, 0 where none.

    Without the margin of a rental: its image is there, and a run can be given more hours later.
    """
    return max(whole(needed_hours - left_hours), 0)


def decide(
    *,
    left_hours: float,
    needed_hours: float,
    extension_usd: Callable[[int], Decimal],
    rental_usd: Callable[[], Decimal | None],
) -> Room:
    """Compare; the prices are asked for only where hours are missing.

    A new rental of which the price is not known, or as dear as the missing hours, replaces nothing.
    """
    more = missing_hours(left_hours=left_hours, needed_hours=needed_hours)
    if not more:
        return Room(way="enough", left_hours=left_hours, needed_hours=needed_hours)
    extra, rental = extension_usd(more), rental_usd()
    cheaper = rental is not None and rental < extra
    return Room(
        way="replace" if cheaper else "extend",
        left_hours=left_hours,
        needed_hours=needed_hours,
        more_hours=more,
        extra_usd=extra,
        rental_usd=rental,
    )
