"""How far a long command is, on stderr: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from runs.terminal import formats
from runs.terminal.console import moves, say, talk

BYTES_EVERY_S = 10.0  # a copy takes minutes
OBJECTS_EVERY_S = 2.0

Advance = Callable[[int], None]


@contextmanager
def of_bytes(total_bytes: int) -> Generator[Advance]:
    """Show how many bytes came; yields what takes more of them."""
    columns = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(compact=True))
    whole = formats.size(total_bytes)
    with _shown(
        total_bytes,
        columns,
        words=lambda done: f"{formats.size(done)} of {whole}",
        every_s=BYTES_EVERY_S,
    ) as advance:
        yield advance


@contextmanager
def of_objects(total: int, *, done_so: str) -> Generator[Advance]:
    """Show how many objects are done, in lines that end with `done_so`, such as "deleted"."""
    columns = (MofNCompleteColumn(), TextColumn(done_so), TimeRemainingColumn(compact=True))
    with _shown(
        total,
        columns,
        words=lambda done: f"{done:,} of {formats.plural(total, 'object')} {done_so}",
        every_s=OBJECTS_EVERY_S,
    ) as advance:
        yield advance


@contextmanager
def _shown(
    total: int,
    columns: tuple[ProgressColumn, ...],
    *,
    words: Callable[[int], str],
    every_s: float,
) -> Generator[Advance]:
    if moves(talk):
        front = (TextColumn("{task.percentage:>3.0f}%"), BarColumn(bar_width=24))
        with Progress(*front, *columns, console=talk, transient=True) as progress:
            task = progress.add_task("", total=total)
            yield lambda more: progress.advance(task, more)
        return
    yield _lines(words, every_s=every_s)


def _lines(words: Callable[[int], str], *, every_s: float) -> Advance:
    done = 0
    said_s = time.monotonic()

    def advance(more: int) -> None:
        nonlocal done, said_s
        done += more  # a line may be a little behind: threads add without a lock
        if time.monotonic() - said_s >= every_s:
            said_s = time.monotonic()
            say(words(max(0, done)))

    return advance
