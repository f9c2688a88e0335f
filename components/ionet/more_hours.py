"""How many hours a run needs beyond those bought, and how many of them may be bought; pure.

What is bought automatically (`autoExtend`): decided alike in `pulumi up` and in `runs watch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from components.config.hours import whole, with_margin
from container.contract.bought_time import SETTLE_S, InTime

LAST_CALL_S: Final = 900.0
"""Where nobody knows whether a run ends in time, one hour is bought so long before the end: a run
that is stopped needs another machine, which costs an hour at least."""

FRESH_S: Final = 120.0
"""A run that was silent for longer may be gone: nothing is bought for it."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a run says of its end, in time; `left_s` is what it knows of the hours bought."""

    in_time: InTime
    left_s: float
    needs_s: float | None = None


def missing(told: Told, *, left_s: float) -> int:
    """Return the hours that a run needs beyond the `left_s` that the vendor counts.

    Those may be more than the run knows of. Enough are returned for what the running stage needs,
    with the margin of a rental; 0 where it ends in time, and before it says anything.
    """
    if told.in_time in ("", "yes"):
        return 0
    if told.in_time == "no" and told.needs_s is not None:
        if told.needs_s + SETTLE_S <= left_s:
            return 0
        return max(whole(with_margin(told.needs_s / 3600) - max(left_s, 0) / 3600), 1)
    return 1 if left_s <= LAST_CALL_S else 0


def allowed(hours: int, *, most: int, automatic: int) -> int:
    """Return how many of these hours may be bought: the run gets `most` altogether."""
    return max(min(hours, most - automatic), 0)


def affordable(hours: int, *, cost_usd: Decimal, left_usd: Decimal) -> int:
    """Return how many of these hours, which cost so much, what is left of the budget pays."""
    if cost_usd <= left_usd:
        return hours
    return int(left_usd * hours / cost_usd)
