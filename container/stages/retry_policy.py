"""What follows from the end of a stage's process: a pure function, with a table in the tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from container.contract.recipe import Stage
from container.stages.stage_process import StageEnd

Next = Literal["done", "again", "fail", "stop"]


@dataclass
class Tries:
    """How often a stage ended in which way, in this attempt."""

    failed: int = 0
    stalled: int = 0


@dataclass(frozen=True)
class Decision:
    """What to do; `reason` says why for anything but "done"."""

    next: Next
    reason: str = ""
    device_batch_size: int | None = None  # a new one, when memory ran out


def decide(stage: Stage, end: StageEnd, tries: Tries, *, device_batch_size: int) -> Decision:
    """Return what to do next; counts into `tries`."""
    if end.end == "done":
        return Decision("done")
    if end.end == "stopped":
        return Decision("stop", end.reason)
    if end.end == "out of memory":
        takes_it = any("{device_batch_size}" in argument for argument in stage.argv)
        if not takes_it:
            tries.failed += 1
            if tries.failed <= stage.retries:
                return Decision("again", f"out of memory: {end.reason}")
            return Decision("fail", f"out of memory ({tries.failed} times): {end.reason}")
        if device_batch_size > 1:
            smaller = device_batch_size // 2
            reason = f"out of memory with device batch size {device_batch_size}: {end.reason}"
            return Decision("again", reason, smaller)
        return Decision("fail", f"out of memory even with device batch size 1: {end.reason}")
    if end.end == "stalled":
        tries.stalled += 1
        if tries.stalled <= stage.stall_retries:
            return Decision("again", f"stalled: {end.reason}")
        times = f" {tries.stalled} times" if tries.stalled > 1 else ""
        return Decision("fail", f"stalled{times}: {end.reason}")
    if end.end == "diverged":
        return Decision("fail", end.reason)
    if end.end == "timed out":
        return Decision("fail", f"time limit: {end.reason}")
    tries.failed += 1
    if tries.failed <= stage.retries:
        return Decision("again", f"failed: {end.reason}")
    times = f" ({tries.failed} times)" if tries.failed > 1 else ""
    return Decision("fail", f"{end.reason}{times}")
