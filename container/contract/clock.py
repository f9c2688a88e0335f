"""Time: aware UTC for records, monotonic for durations, and how a written time is read."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """The real clock; tests hand in their own.

    `ahead_s` is by how much this machine's is known to be ahead; what is told is corrected by it.
    """

    ahead_s = 0.0

    def now(self) -> datetime:
        """Return the time of day, aware, UTC."""
        return datetime.now(UTC) - timedelta(seconds=self.ahead_s)

    def stamp(self) -> str:
        """Return the time of day as ISO 8601 with seconds."""
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def monotonic(self) -> float:
        """Return seconds that only grow; not comparable between processes."""
        return time.monotonic()


def moment(text: str) -> datetime | None:
    """Read an ISO 8601 time, as records and vendors write it, as aware UTC; None when it is none.

    One that names no zone is UTC.
    """
    try:
        read = datetime.fromisoformat(text)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):  # a zone may lead out of the years that there are
        return None
