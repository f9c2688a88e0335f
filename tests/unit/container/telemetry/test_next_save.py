"""When the next save is said to be due, by the lines that nanochat prints."""

from __future__ import annotations

from decimal import Decimal

import pytest

from container.contract.clock import Clock
from container.telemetry.nanochat_log import parse_line
from container.telemetry.run_status import LiveStatus

COMPILED = (
    "step 00000/00080 (0.00%) | loss: 8.317864 | lrm: 0.03 | dt: 241850.30ms | tok/sec: 33 | "
    "bf16_mfu: 0.00 | epoch: 1 pq: 0 rg: 0 | total time: 0.00m"
)
SECOND = (
    "step 00001/00080 (1.25%) | loss: 8.317202 | lrm: 0.05 | dt: 16302.89ms | tok/sec: 502 | "
    "bf16_mfu: 0.00 | epoch: 1 pq: 0 rg: 0 | total time: 0.00m"
)
RESUMED = (COMPILED.replace("step 00000", "step 00010"), SECOND.replace("step 00001", "step 00011"))
OLD_SFT = ("Step 00000/00701 | Training loss: 2.0| lrm: 1.0| num_tokens: 12,345",)
OLD_SFT += (OLD_SFT[0].replace("00000/", "00001/"),)


class HandClock(Clock):
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("lines", "saves_every", "step", "in_s"),
    [
        ((COMPILED, SECOND), 10, 10, 9 * 16.0),
        (RESUMED, 10, 20, 9 * 16.0),
        (OLD_SFT, 0, 701, 700 * 16.0),
    ],
    ids=["begun", "resumed", "saves at its end, and prints no time"],
)
def test_no_save_is_due_before_two_steps_tell_a_pace(
    lines: tuple[str, str], *, saves_every: int, step: int, in_s: float
) -> None:
    """The first step has the compiling in it: of one of 4 min, then 16 s, 40 min were made."""
    clock = HandClock()
    status = LiveStatus(run="r", recipe="nanochat-cpu", price_usd_per_hour=Decimal(1), clock=clock)
    status.begin_stage("base", saves_every=saves_every)
    assert status.next_save() is None
    tell(status, lines[0])
    assert status.next_save() is None
    clock.now_s += 16.0
    tell(status, lines[1])
    ahead = status.next_save()
    assert ahead is not None
    assert (ahead.step, ahead.in_s) == (step, in_s)


def tell(status: LiveStatus, line: str) -> None:
    seen = parse_line(line)
    assert seen is not None
    status.progress(seen)
