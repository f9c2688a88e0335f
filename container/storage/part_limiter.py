"""How many parts are on their way to the bucket at once, and whose part goes next.

All connections share one line. On a slow one, ten parts at once take so long that time limits cut
them before any has arrived, and what is sent again fills the line for good.
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading

PART_S = 20.0  # how long a part may take while others are on their way too
MEMORY = 0.8  # of what is known of the line, when one more part has arrived

Order = tuple[int, int]  # the smallest goes first


def at_once(bytes_per_s: float, *, part_bytes: int, most: int) -> int:
    """Return how many parts a line carries within PART_S; at least one."""
    return max(1, min(most, math.ceil(bytes_per_s * PART_S / part_bytes)))


class PartLimiter:
    """Lets parts go in their order, as many at once as the line carries; for several threads."""

    def __init__(self, *, most: int, part_bytes: int) -> None:
        self._most = most
        self._part_bytes = part_bytes
        self._condition = threading.Condition()
        self._numbers = itertools.count()
        self._waiting: list[tuple[Order, int]] = []
        self._taken = 0
        self._limit = 1  # nothing is known of the line yet
        self._bytes = self._line_s = 0.0

    @property
    def limit(self) -> int:
        """How many may be on their way now."""
        with self._condition:
            return self._limit

    def acquire(self, order: Order) -> None:
        """Wait until one more part may go; of those that wait, the smallest order goes first."""
        with self._condition:
            ticket = (order, next(self._numbers))
            heapq.heappush(self._waiting, ticket)
            self._condition.wait_for(
                lambda: self._waiting[0] == ticket and self._taken < self._limit
            )
            heapq.heappop(self._waiting)
            self._taken += 1
            self._condition.notify_all()

    def release(self) -> None:
        """A part is no longer on its way."""
        with self._condition:
            self._taken -= 1
            self._condition.notify_all()

    def arrived(self, size_bytes: int, *, took_s: float) -> None:
        """A part arrived: the line is as fast as all that were on their way together."""
        with self._condition:
            self._bytes = MEMORY * self._bytes + size_bytes
            self._line_s = MEMORY * self._line_s + took_s / max(self._taken, 1)
            bytes_per_s = self._bytes / max(self._line_s, 1e-6)
            target = at_once(bytes_per_s, part_bytes=self._part_bytes, most=self._most)
            self._limit = min(self._limit + 1, target)
            self._condition.notify_all()

    def failed(self) -> None:
        """A part did not arrive: half as many from now on, until parts arrive again."""
        with self._condition:
            self._limit = max(1, self._limit // 2)
