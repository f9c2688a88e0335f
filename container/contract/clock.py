"""Time as the supervisor sees it: aware UTC for records, monotonic for durations."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """The real clock; tests hand in their own."""

    def now(self) -> datetime:
        """Return the time of day, aware, UTC."""
        return datetime.now(UTC)

    def stamp(self) -> str:
        """Return the time of day as ISO 8601 with seconds."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def monotonic(self) -> float:
        """Return seconds that only grow; not comparable between processes."""
        return time.monotonic()
