"""Fetches one file, or whatever a library fetches, with retries and time limits; 3.10's Python.

What an HTTP exchange can raise has no common class: a line that is no status, a chunked answer
that ends early, a redirect without end, a broken archive. All of it is tried again, and then said
in one line.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

T = TypeVar("T")

ATTEMPTS = 4
FIRST_PAUSE_S = 2.0  # doubled after each attempt
SILENCE_S = 60.0
WITHIN_S = 600.0  # one attempt; a line that drips never exceeds the limit above
CHUNK_BYTES = 1 << 20


class FetchError(Exception):
    """It could not be had; says what, how often it was tried and what happened last."""


def again(call: Callable[[], T], *, what: str) -> T:
    """Call until it works; raises FetchError after ATTEMPTS, whatever the call raised."""
    last = ""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except Exception as error:  # noqa: BLE001  # see the module's first lines
            last = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            print(f"attempt {attempt} of {ATTEMPTS} for {what}: {last}", flush=True)
            if attempt < ATTEMPTS:
                time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
    raise FetchError(f"{what} could not be fetched in {ATTEMPTS} attempts; the last one: {last}")


def download(url: str, target: Path, *, check: Callable[[Path], object] | None = None) -> None:
    """Fetch a file; it appears under its name only when whole. Raises FetchError.

    `check` may read it and raises when it is not what was asked for: not every answer tells its
    length, and one that is cut is else taken for a whole one.
    """
    part = target.with_name(f"{target.name}.part")

    def once() -> None:
        with urllib.request.urlopen(url, timeout=SILENCE_S) as answer:  # noqa: S310 (https, or a test's)
            with part.open("wb") as file:
                _copy(answer, file)
            _require_whole(answer, size_bytes=part.stat().st_size)
        if check is not None:
            check(part)
        part.replace(target)

    try:
        again(once, what=url)
    finally:
        part.unlink(missing_ok=True)
    print(f"Downloaded {target.name} ({target.stat().st_size:,} bytes)", flush=True)


def _copy(answer: Any, file: IO[bytes]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while chunk := answer.read1(CHUNK_BYTES):
        file.write(chunk)
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done within {WITHIN_S:.0f} s")


def _require_whole(answer: Any, *, size_bytes: int) -> None:
    expected = answer.headers.get("Content-Length")
    if expected is not None and size_bytes != int(expected):
        raise OSError(f"{size_bytes} bytes of {expected} came")
    if answer.status not in (None, 200):  # None: not HTTP
        raise OSError(f"HTTP {answer.status} instead of the file")
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise OSError(f"came as {answer.headers['Content-Encoding']}, which was not asked for")
