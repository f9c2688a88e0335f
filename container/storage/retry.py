"""Asks the bucket again while it does not answer: how often, after which pauses, until when.

Two ways. `retry_briefly` is for callers that need many answers in a row: with half of all requests
refused, thirty calls that must all succeed would else never get through; an outage is said after
about three seconds. `retry_until` is for what must happen however long the bucket is away.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from container.storage.bucket import BucketError, BucketUnavailableError

T = TypeVar("T")

QUICK_PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.6)
LONGEST_PAUSE_S = 30.0
STEADY_PAUSE_S = 2.0
LOOK_S = 0.1


class EndedError(Exception):
    """Nobody waits for the answer any more."""


def retry_briefly(call: Callable[[], T], *, give_up: Callable[[], bool] = lambda: False) -> T:
    """Call, and call again some times; raises the last BucketUnavailableError, any other at once.

    `call` may be made again after an unclear answer. `give_up` is asked after each failure.
    """
    for pause_s in jittered(QUICK_PAUSES_S):
        try:
            return call()
        except BucketUnavailableError:
            if give_up():
                raise
            time.sleep(pause_s)
    return call()


def retry_until(
    call: Callable[[], T],
    *,
    ended: Callable[[], bool],
    wait: Callable[[float], object],
    pauses: Iterable[float],
    say: Callable[[BucketError], None],
) -> T:
    """Call until the bucket answers; raises EndedError once `ended`, any but a BucketError at once.

    `ended` is asked before each call. Each failure is said, then the next of the `pauses`, which
    must not run out, is waited for: with the `wait` of an event that cuts it short, or `pause`.
    """
    following = iter(pauses)
    while not ended():
        try:
            return call()
        except BucketError as error:
            say(error)
        wait(next(following))
    raise EndedError


def retry_stream(open_at: Callable[[int], Iterator[bytes]], *, size_bytes: int) -> Iterator[bytes]:
    """Yield a content; goes on where it was cut: 20 GB are not fetched twice.

    Raises BucketUnavailableError after as many cuts in a row as `retry_briefly`; each byte that
    came in between begins the count again.
    """
    done, pauses = 0, iter(QUICK_PAUSES_S)
    while done < size_bytes:
        begun = done
        try:
            for chunk in open_at(done):
                done += len(chunk)
                yield chunk
            return
        except BucketUnavailableError:
            if done > begun:
                pauses = iter(QUICK_PAUSES_S)
            pause_s = next(pauses, None)
            if pause_s is None:
                raise
            time.sleep(pause_s)


def steady(pause_s: float = STEADY_PAUSE_S) -> Iterator[float]:
    """Return the same pause again and again, for small questions whose answer opens the run."""
    return itertools.repeat(pause_s)


def doubling(first_s: float = 1.0) -> Iterator[float]:
    """Yield pauses that double, up to LONGEST_PAUSE_S."""
    pause_s = first_s
    while True:
        yield pause_s
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


def jittered(pauses: Iterable[float]) -> Iterator[float]:
    """Yield each pause a quarter shorter to a quarter longer: threads that failed together part."""
    for pause_s in pauses:
        yield pause_s * random.uniform(0.75, 1.25)  # noqa: S311


def pause(seconds: float, *, ended: Callable[[], bool]) -> None:
    """Wait, but not much longer than until `ended`: for an end that no event tells."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not ended():
        time.sleep(LOOK_S)
