"""The operator's order to a run to stop: its record, and when a save is worth waiting for; pure.

nanochat saves at its regular steps only, and SIGTERM loses all since. So the order says how long
the next save may be waited for. It names the container that it is for: one that is left behind in
the prefix stops no later rental. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass

from container.contract.records import Record


@dataclass(frozen=True, kw_only=True)
class StopOrder(Record):
    """`stop.json` (`keys.STOP_KEY`): written by the operator, and taken back by deleting it."""

    holder: str  # of the lease: the container that is to stop
    within_s: float  # for which its next save may be waited for, from when it sees this; 0: not
    asked_at: str


@dataclass(frozen=True, kw_only=True)
class NextSave:
    """The next step of a stage that is saved, as far as its lines tell."""

    stage: str
    step: int
    in_s: float  # at the pace that was seen
    is_last: bool = False  # the stage ends with it


def next_saved_step(*, step: int, total_steps: int | None, every: int) -> tuple[int, bool] | None:
    """Return the next step that is saved after step number `step` was told, and if it is the last.

    Steps are told from 0 on, and a save is named by the number of steps before it. `every` is 0
    where only the end is saved; None is returned where nobody knows when that is.
    """
    regular = (step // every + 1) * every if every > 0 else None
    if total_steps is not None and (regular is None or regular >= total_steps):
        return max(total_steps, step + 1), True
    return None if regular is None else (regular, False)


def is_worth_waiting(ahead: NextSave | None, *, left_s: float) -> bool:
    """Say whether a save is due in the time that is left."""
    return ahead is not None and left_s > 0 and ahead.in_s <= left_s


def has_come(awaited: NextSave, *, stage: str, step: int | None) -> bool:
    """Say whether a save that was waited for is on disk, by what is told since.

    A step's line comes after the save before it; after the last one the stage ends.
    """
    if stage != awaited.stage:
        return True
    return not awaited.is_last and step is not None and step >= awaited.step
