"""A run's whole output, put together from the log objects in its prefix; follows a live one."""

from __future__ import annotations

import collections
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from container.contract.keys import LOGS_PREFIX, LogSegment
from runs.errors import RunsError
from runs.source.bucket import ReadOnlyBucket, StoredObject
from runs.view.follower import Follower
from runs.view.standing import ENDED

FOLLOW_EVERY_S = 4.0
# Colours may pass; what else a remote log could tell a terminal to do may not.
_CONTROL = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # title, clipboard, links
    r"|\x1b\[(?![0-9;:]*m)[0-?]*[ -/]*[@-~]"  # cursor, screen, keyboard; `m` is the colours
    r"|\x1b(?!\[[0-9;:]*m)"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f\x80-\x9f]"
)
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")


@dataclass(frozen=True, kw_only=True)
class Part:
    """One log object: some lines of one stage of one attempt."""

    key: str
    attempt: int
    stage: str
    seq: int


Choose = Callable[[Iterable[StoredObject]], list[Part]]


def parts_in_order(
    objects: Iterable[StoredObject], *, stage: str = "", attempt: int | None = None
) -> list[Part]:
    """Return the log objects asked for: by attempt, stages as they began, then sequence."""
    found: list[tuple[Part, StoredObject]] = []
    for stored in objects:
        part = _part(stored.key)
        if part is None or (stage and part.stage != stage):
            continue
        if attempt is None or part.attempt == attempt:
            found.append((part, stored))
    began: dict[tuple[int, str], tuple[datetime, int]] = {}
    for part, stored in found:
        key = (part.attempt, part.stage)
        at = (stored.modified_at, part.seq)
        began[key] = min(began.get(key, at), at)
    found.sort(key=lambda f: (f[0].attempt, began[f[0].attempt, f[0].stage], f[0].stage, f[0].seq))
    return [part for part, _ in found]


def read(bucket: ReadOnlyBucket, parts: list[Part]) -> Iterator[tuple[Part, bytes]]:
    """Yield each part with its bytes."""
    for part, (_, raw) in zip(parts, bucket.read_many([p.key for p in parts]), strict=True):
        yield part, raw or b""


def follow(
    follower: Follower,
    *,
    choose: Choose,
    tell: Callable[[str], None],
) -> Iterator[tuple[Part, bytes]]:
    """Yield the parts of the one run that is followed as they arrive, until it has ended.

    All output before the verdict, or of a machine that vanished, is yielded. An outage is told and
    waited out, and raised only after as long as a machine may be silent.
    """
    clock, bucket = follower.clock, follower.bucket
    (watched,) = follower.watched
    seen: set[str] = set()
    listed_s: float | None = None
    told = ""
    while True:
        (view,) = follower.look()  # before the listing, which then holds all that the run wrote
        trouble = view.trouble
        try:
            parts = choose(bucket.objects(f"{watched.target.prefix}/{LOGS_PREFIX}"))
            for part, raw in read(bucket, [part for part in parts if part.key not in seen]):
                seen.add(part.key)
                yield part, raw
            listed_s = clock.monotonic()
        except RunsError as error:
            silent_s = 0.0 if listed_s is None else clock.monotonic() - listed_s
            if listed_s is None or silent_s >= follower.limits.gone_after_s:
                raise
            trouble = str(error).splitlines()[0]
        else:
            if view.standing in ENDED:
                return
        if trouble and trouble != told:
            tell(f"{trouble} Waiting for an answer; no run was touched.")
        told = trouble
        clock.sleep(FOLLOW_EVERY_S)


def lines(pieces: Iterable[tuple[Part, bytes]]) -> Iterator[tuple[Part, str]]:
    """Yield whole lines, each with the part that it began in; a line may span two objects."""
    rest: dict[tuple[int, str], tuple[Part, bytes]] = {}
    last: tuple[int, str] | None = None
    for part, raw in pieces:
        now = (part.attempt, part.stage)
        if last is not None and last != now and last in rest:
            yield _decoded(*rest.pop(last))
        last = now
        first, held = rest.pop(now, (part, b""))
        *whole, open_end = (held + raw).split(b"\n")
        for n, line in enumerate(whole):
            yield _decoded(first if n == 0 else part, line)
        if open_end:
            rest[now] = (part if whole else first, open_end)
    for held_part, open_end in rest.values():
        yield _decoded(held_part, open_end)


def last(output: Iterable[tuple[Part, str]], count: int) -> Iterator[tuple[Part, str]]:
    """Yield the last lines only."""
    yield from collections.deque(output, maxlen=count)


def tamed(line: str, *, colours: bool = True) -> str:
    """Return a line that is safe on a terminal: of a progress bar the last state stays."""
    shown = next((piece for piece in reversed(line.split("\r")) if piece), "")
    shown = _CONTROL.sub("", shown)
    return shown if colours else _COLOUR.sub("", shown)


def _decoded(part: Part, line: bytes) -> tuple[Part, str]:
    return part, line.decode("utf-8", errors="replace")


def _part(key: str) -> Part | None:
    segment = LogSegment.parse(key)
    if segment is None:
        return None
    return Part(key=key, attempt=segment.attempt, stage=segment.stage, seq=segment.sequence)
