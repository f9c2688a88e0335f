"""When hours are bought that nobody asked for, and how many: enough, allowed, affordable."""

from __future__ import annotations

from decimal import Decimal

import pytest

from components.ionet.more_hours import LAST_CALL_S, Told, affordable, allowed, missing
from container.contract.bought_time import SETTLE_S, InTime

MIN = 60.0
H = 3600.0


@pytest.mark.parametrize(
    ("in_time", "needs_s", "left_s", "hours"),
    [
        ("", None, 10 * MIN, 0),  # its end is not near, or not known
        ("", 5 * H, H, 0),
        ("yes", 50 * MIN, 59 * MIN, 0),
        ("yes", None, 5 * MIN, 0),
        ("no", 70 * MIN, 50 * MIN, 1),
        ("no", 51 * MIN, 50 * MIN, 1),
        ("no", 100 * MIN, 50 * MIN, 2),  # 1.67 h, a fifth more, less what is left
        ("no", 5 * H, 30 * MIN, 6),
        ("no", 70 * MIN, 110 * MIN, 0),  # bought by somebody else: the run has not heard of it
        ("no", 70 * MIN, 70 * MIN + SETTLE_S, 0),
        ("no", 70 * MIN, 70 * MIN + SETTLE_S - 1, 1),
        ("no", None, 30 * MIN, 0),
        ("no", None, LAST_CALL_S, 1),
        ("no", None, -5.0, 1),
        ("unknown", 20 * MIN, 50 * MIN, 0),  # stages are to come, of which nobody knows
        ("unknown", 20 * MIN, LAST_CALL_S + 1, 0),
        ("unknown", 20 * MIN, LAST_CALL_S, 1),
        ("unknown", None, 1.0, 1),
    ],
)
def test_hours_are_bought_when_a_run_will_not_end_in_those_it_has(
    in_time: InTime, needs_s: float | None, left_s: float, hours: int
) -> None:
    told = Told(in_time=in_time, left_s=50 * MIN, needs_s=needs_s)
    assert missing(told, left_s=left_s) == hours


@pytest.mark.parametrize(
    ("hours", "most", "automatic", "expected"),
    [(1, 2, 0, 1), (3, 2, 0, 2), (2, 2, 1, 1), (1, 2, 2, 0), (1, 1, 3, 0), (0, 2, 0, 0)],
)
def test_a_run_gets_no_more_of_them_altogether_than_its_config_allows(
    hours: int, most: int, automatic: int, expected: int
) -> None:
    assert allowed(hours, most=most, automatic=automatic) == expected


@pytest.mark.parametrize(
    ("hours", "cost", "left", "expected"),
    [
        (2, "57.02", "57.02", 2),
        (2, "57.02", "57.01", 1),
        (2, "57.02", "28.50", 0),
        (3, "0", "0", 3),
        (1, "28.51", "0", 0),
    ],
)
def test_what_is_left_of_the_budget_pays_whole_hours(
    hours: int, cost: str, left: str, expected: int
) -> None:
    assert affordable(hours, cost_usd=Decimal(cost), left_usd=Decimal(left)) == expected
