"""Of several runs those that can be read: one whose records are damaged hides no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from runs.errors import UnreadableError
from runs.source.stack import Target
from runs.terminal.console import say

Read = TypeVar("Read")


def readable(targets: Sequence[Target], read: Callable[[Target], Read]) -> tuple[list[Read], int]:
    """Return what was read, and of how many runs nothing could be, which is said of each.

    Raises UnreadableError when there is only one run, and that cannot be read.
    """
    found: list[Read] = []
    unreadable = 0
    for target in targets:
        try:
            found.append(read(target))
        except UnreadableError as error:
            if len(targets) == 1:
                raise
            unreadable += 1
            say(f"{target.run}: {error}", style="yellow")
    return found, unreadable
