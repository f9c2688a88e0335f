"""What is forecast of a run whose machine's hours end, and what is told of it."""

from __future__ import annotations

import pytest

from container.contract.bought_time import (
    BoughtTime,
    InTime,
    Needs,
    forecast,
    in_words,
    is_hours_over,
    needs,
)
from tests.runs_builders import verdict


def told(*durations_s: float) -> list[tuple[float, int]]:
    """Return when each step was told, the first one at 100 s."""
    return [(100.0 + sum(durations_s[:n]), n) for n in range(len(durations_s) + 1)]


IN_42_MIN = "bought time ends in 42 min: the run will"
SEEN = Needs(least_s=300.0, likely_s=400.0)


@pytest.mark.parametrize(
    ("left_s", "seen", "is_last", "expected"),
    [
        (500.0, SEEN, True, "yes"),
        (500.0, SEEN, False, "unknown"),  # how long the stages after it take nobody knows
        (350.0, SEEN, True, "unknown"),  # by its steps yes, with its evaluations no
        (299.0, SEEN, True, "no"),
        (299.0, SEEN, False, "no"),
        (500.0, None, True, "unknown"),
        (500.0, None, False, "unknown"),
        (0.0, None, True, "no"),
        (-5.0, Needs(least_s=0.0, likely_s=0.0), True, "no"),
    ],
)
def test_a_run_ends_in_time_or_does_not_or_nobody_knows(
    left_s: float, seen: Needs | None, *, is_last: bool, expected: InTime
) -> None:
    assert forecast(left_s=left_s, needs=seen, is_last=is_last) == expected


@pytest.mark.parametrize(
    ("durations", "steps_left", "since_s", "expected"),
    [
        ([2.0] * 10, 100, 0.0, (200.0, 200.0)),
        ([2.0] * 10, 100, 1.5, (198.5, 198.5)),
        ([2.0] * 10, 100, 600.0, (198.0, 198.0)),  # an evaluation is under way: no step is done
        ([2.0] * 9 + [102.0], 100, 0.0, (200.0, 1200.0)),  # one was: the least counts none
        ([2.0] * 10, 0, 0.0, (0.0, 0.0)),
        ([2.0] * 8, 100, 0.0, None),  # the first steps compile
        ([], 100, 0.0, None),
        ([0.0] * 12, 100, 0.0, (0.0, 0.0)),
    ],
)
def test_what_a_stage_still_takes_is_told_by_its_median_step_and_by_all_that_lies_between(
    durations: list[float],
    steps_left: int,
    since_s: float,
    expected: tuple[float, float] | None,
) -> None:
    steps = told(*durations)
    found = needs(steps, steps_left=steps_left, now_s=steps[-1][0] + since_s)
    seen = (found.least_s, found.likely_s) if found else None
    assert seen == (pytest.approx(expected) if expected else None)


@pytest.mark.parametrize(
    ("in_time", "ends_in_s", "needs_s", "expected"),
    [
        ("", 300.0, 10.0, ""),
        ("yes", None, 10.0, ""),
        (
            "yes",
            2520.0,
            600.0,
            f"{IN_42_MIN} end in time; this stage takes about 10 min more",
        ),
        (
            "no",
            2520.0,
            7500.0,
            f"{IN_42_MIN} NOT end in time; this stage takes about 2 h 5 min more",
        ),
        (
            "unknown",
            20.0,
            None,
            "bought time ends in 20 s: whether the run ends in time is not known",
        ),
        ("no", -3.0, None, "bought time is over"),
    ],
)
def test_people_are_told_when_the_hours_end_and_what_is_known(
    in_time: InTime, ends_in_s: float | None, needs_s: float | None, expected: str
) -> None:
    assert in_words(in_time, ends_in_s=ends_in_s, needs_s=needs_s) == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"outcome": "stopped", "reason": "hours over, after the save of step 40"}, True),
        ({"outcome": "stopped", "reason": "hours over"}, True),
        ({"outcome": "stopped", "reason": "stopped on request (SIGTERM)"}, False),
        ({"outcome": "failed", "reason": "hours over"}, False),
    ],
)
def test_a_run_that_was_stopped_as_its_hours_ended_is_told_from_one_that_somebody_stopped(
    members: dict[str, str], *, expected: bool
) -> None:
    assert is_hours_over(verdict(**members)) is expected
    assert not is_hours_over(None)


@pytest.mark.parametrize("written", ["", "soon", "2026-13-01T00:00:00Z"])
def test_an_end_that_is_no_time_is_none(written: str) -> None:
    assert BoughtTime(rental="one", hours=1, ends_at=written).end is None
