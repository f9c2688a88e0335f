"""Whether a machine is worth its further hours, from what its container says of it; pure.

The container's own check (GPUs and their form, P2P, all-reduce, disk) refuses what is not as it was
ordered. The first steps of training show whether it is as fast as its recipe is timed for.
Standard library only.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

MachineState = Literal["", "checking", "passed", "refused"]
"""What a status says: not looked at yet (or an older image), as ordered and its speed not known
yet, as fast as it should be or of no known speed, or refused."""

Kind = Literal["wait", "good", "ended", "refused"]

SLOWEST: Final = 2.0
"""So many times as long as timed is too slow: the recipes' figures hold within a fifth, and the
slowest form of a GPU takes 1.6 times as long as its fastest."""

STEPS_TO_TELL: Final = 10
"""Steps between which a median is taken, after those that compile."""

COMPILING_STEPS: Final = 5


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What to do, and why, in words."""

    kind: Kind
    why: str


def judged(status: Mapping[str, Any] | None, *, is_due: bool) -> Judged:
    """Decide from the run's own status; None where it does not answer.

    When it `is_due`, as the first hours are about to end, a machine that passed its own check is
    kept, though its speed is not known: the run would be lost otherwise.
    """
    if status is None:
        if is_due:
            return Judged(kind="refused", why="its container does not answer")
        return Judged(kind="wait", why="its container does not answer at the moment")
    machine, why = status.get("machine"), str(status.get("machine_why") or "")
    if status.get("outcome"):
        return Judged(kind="ended", why=f"the run has its verdict ({status['outcome']})")
    if machine == "refused":
        return Judged(kind="refused", why=why or "its own check refused it")
    if machine == "passed":
        return Judged(kind="good", why=why or "it is as ordered")
    stage = str(status.get("stage") or "verify")
    as_ordered = machine == "checking" or stage != "verify"
    if is_due and as_ordered:
        return Judged(kind="good", why="it is as ordered, and its speed is not known yet")
    if is_due:
        return Judged(kind="refused", why="its own check did not end in time")
    words = "as ordered; waits for the first steps" if as_ordered else "its own check is under way"
    return Judged(kind="wait", why=f"{words} (stage {stage})")


def speed(told: Sequence[tuple[float, int]], *, expected_step_s: float) -> tuple[MachineState, str]:
    """Return how the first steps stand against the time that the recipe expects of one.

    `told` are the moments, in seconds, at which steps were told, the first ones included, which
    compile. "checking" until enough were.
    """
    seen = told[COMPILING_STEPS:]
    between = [(b_s - a_s) / (b - a) for (a_s, a), (b_s, b) in pairwise(seen) if b > a]
    if len(between) < STEPS_TO_TELL:
        return "checking", ""
    step_s = statistics.median(between)
    words = f"a step takes {step_s:.2f} s, {expected_step_s:.2f} s were expected"
    if step_s > expected_step_s * SLOWEST:
        return "refused", f"it is too slow: {words}"
    return "passed", words


def in_words(machine: MachineState, why: str) -> str:
    """Return what people are told of a machine; "" where there is nothing to tell."""
    if machine == "checking":
        return "machine is as ordered; its first steps decide"
    return f"machine refused: {why}" if machine == "refused" else ""
