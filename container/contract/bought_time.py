"""The end of a machine's bought hours: its record, what is forecast from it, and its words; pure.

Hours are paid in advance, and the vendor takes the machine when they are over, whatever it does.
Standard library only.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal

from container.contract.clock import moment
from container.contract.records import Record, Verdict

InTime = Literal["", "yes", "no", "unknown"]
"""Whether a run will end within its hours; "" where that is not asked yet, or no end is known."""

HOURS_OVER = "hours over"
SETTLE_S = 120.0  # of its hours a run keeps so much back, for uploads and verdict
STEPS_FOR_A_PACE = 10  # the first ones compile


@dataclass(frozen=True, kw_only=True)
class BoughtTime(Record):
    """`bought.json` (`keys.BOUGHT_KEY`): written by whoever rents or extends the machine.

    Of one rental: an older one's, left behind in the prefix, says nothing of a later machine.
    """

    rental: str  # the deployment's private name, which its container was told
    hours: int
    ends_at: str  # ISO 8601, by the bucket's clock

    @property
    def end(self) -> datetime | None:
        """When the hours are over; None for a time that is none."""
        return moment(self.ends_at)


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What the running stage still takes, by its pace."""

    least_s: float  # steps alone
    likely_s: float  # with the evaluations and saves between them, as lately seen


def needs(told: Sequence[tuple[float, int]], *, steps_left: int, now_s: float) -> Needs | None:
    """Return what so many steps take, by when (in seconds) the last ones were told.

    None where too few were seen. The least is of the median step, which an evaluation among the
    steps seen does not change.
    """
    if len(told) < STEPS_FOR_A_PACE or told[-1][1] <= told[0][1]:
        return None
    between = [(b_s - a_s) / (b - a) for (a_s, a), (b_s, b) in pairwise(told) if b > a]
    (first_s, first), (last_s, last) = told[0], told[-1]
    step_s, with_all_s = statistics.median(between), (last_s - first_s) / (last - first)
    of_this_step_s = min(max(now_s - last_s, 0.0), step_s)
    least_s = max(steps_left * step_s - of_this_step_s, 0.0)
    return Needs(least_s=least_s, likely_s=max(steps_left * with_all_s - of_this_step_s, least_s))


def forecast(*, left_s: float, needs: Needs | None, is_last: bool) -> InTime:
    """Say whether a run will end within the time left.

    `is_last` says that nothing but uploads comes after the running stage: how long stages take that
    have not begun nobody knows, so before the last one only "no" can be told.
    """
    if left_s <= 0 or (needs is not None and needs.least_s > left_s):
        return "no"
    return "yes" if needs is not None and is_last and needs.likely_s <= left_s else "unknown"


def is_hours_over(verdict: Verdict | None) -> bool:
    """Say whether a run was stopped because its machine's hours were about to end."""
    return (
        verdict is not None
        and verdict.outcome == "stopped"
        and verdict.reason.startswith(HOURS_OVER)
    )


def in_words(in_time: InTime, *, ends_in_s: float | None, needs_s: float | None) -> str:
    """Return what people are told of the end; "" where there is nothing to tell."""
    if not in_time or ends_in_s is None:
        return ""
    if ends_in_s <= 0:
        return "bought time is over"
    will = {
        "yes": "the run will end in time",
        "no": "the run will NOT end in time",
        "unknown": "whether the run ends in time is not known",
    }[in_time]
    needed = "" if needs_s is None else f"; this stage takes about {_minutes(needs_s)} more"
    return f"bought time ends in {_minutes(ends_in_s)}: {will}{needed}"


def _minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
