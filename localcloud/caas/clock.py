"""The billing clock: when something happened, and how much paid time has passed since."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


class BillingClock:
    """Wall time for timestamps; paid time runs `speed` times as fast."""

    def __init__(self, speed: float = 1.0, *, now: Callable[[], datetime] = _utc_now) -> None:
        if speed <= 0:
            raise ValueError(f"the clock's speed must be above 0, not {speed}")
        self.speed = speed
        self.now = now

    def billed_s(self, since: datetime, *, until: datetime | None = None) -> float:
        """Return the paid seconds between two moments (until now when no end is given)."""
        return max(0.0, ((until or self.now()) - since).total_seconds()) * self.speed

    def age_s(self, since: datetime) -> float:
        """Return the real seconds since a moment."""
        return (self.now() - since).total_seconds()
