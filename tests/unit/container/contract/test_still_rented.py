"""What is said of a machine whose run has ended."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from container.contract.still_rented import StillRented, hours_at_most


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {
                "hours_left": (0.8, 0.8),
                "charged_usd": Decimal("0.409"),
                "hours_bought": 1.0,
                "used_usd": 0.02,
            },
            "charged $0.41 (1 h prepaid, $0.02 of it used); machine STILL RENTED 0.8 h",
        ),
        ({"hours_left": (0.5, 4.0)}, "machine STILL RENTED 0.5 to 4.0 h"),
        ({"hours_left": None, "command": "end it"}, "machine STILL RENTED; `end it` gives it back"),
        (
            {"hours_left": (2.0, 2.0), "charged_usd": Decimal(120)},
            "charged $120.00 ($0.00 of it used); machine STILL RENTED 2.0 h",
        ),
    ],
)
def test_it_says_what_is_known_and_how_to_end_it(members: dict[str, Any], expected: str) -> None:
    assert str(StillRented(**members)) == expected


@pytest.mark.parametrize(("used_s", "left"), [(0.0, 5.0), (3600.0, 4.0), (36_000.0, 0.0)])
def test_hours_left_are_those_bought_without_those_that_have_gone(
    used_s: float, left: float
) -> None:
    assert hours_at_most(5, used_s=used_s) == left
