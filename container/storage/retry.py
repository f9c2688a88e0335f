"""Asks again while the bucket is busy, for callers that need many answers in a row.

With half of all requests refused, thirty calls that must all succeed would else never get through.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from container.storage.bucket import BucketUnavailableError

T = TypeVar("T")

PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.6)  # an outage is said after about three seconds


def patiently(call: Callable[[], T], *, give_up: Callable[[], bool] = lambda: False) -> T:
    """Call, and call again some times; raises the last BucketUnavailableError, any other at once.

    `call` may be made again after an unclear answer.
    """
    for pause_s in PAUSES_S:
        try:
            return call()
        except BucketUnavailableError:
            if give_up():
                raise
            time.sleep(pause_s * random.uniform(0.75, 1.25))  # noqa: S311
    return call()
