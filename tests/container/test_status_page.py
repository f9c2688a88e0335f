"""What the status page shows of a run."""

from __future__ import annotations

from typing import Any

import pytest

from container.records import RunStatus
from container.status_page import duration, percent


def status(**changes: Any) -> RunStatus:
    return RunStatus(run="main", attempt=1, recipe="rehearsal", stage="base", **changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.0),
        ({"step": 90, "total_steps": 360}, 25.0),
        ({"step": 361, "total_steps": 360}, 100.0),
        ({"outcome": "succeeded"}, 100.0),
        ({"outcome": "failed", "step": 90, "total_steps": 360}, 25.0),
    ],
)
def test_the_bar_tells_how_far_the_stage_is_and_is_full_after_a_success(
    changes: dict[str, Any], expected: float
) -> None:
    assert percent(status(**changes)) == expected


@pytest.mark.parametrize(
    ("elapsed_s", "shown"),
    [(0.0, "0 min 00 s"), (121.9, "2 min 01 s"), (3600.0, "1 h 00 min"), (16_260.0, "4 h 31 min")],
)
def test_time_is_shown_in_two_units(elapsed_s: float, shown: str) -> None:
    assert duration(elapsed_s) == shown
