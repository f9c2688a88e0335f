"""Whether the hours left on a machine are enough for what it shall train."""

from __future__ import annotations

from decimal import Decimal

import pytest

from components.ionet import room

HOUR = Decimal("27.88")


@pytest.mark.parametrize(
    ("left", "needed", "rental", "way", "more"),
    [
        (2.1, 1.8, None, "enough", 0),
        (2.1, 2.1, None, "enough", 0),
        (2.1, 0.0, None, "enough", 0),
        (0.1, 0.0, None, "enough", 0),
        (2.1, 2.2, HOUR * 3, "extend", 1),
        (0.4, 1.8, HOUR * 3, "extend", 2),
        (0.4, 1.8, HOUR * 2, "extend", 2),
        (0.4, 1.8, HOUR, "replace", 2),
        (0.4, 1.8, None, "extend", 2),
        (0.0, 3.0, HOUR * 4, "extend", 3),
    ],
)
def test_a_machine_is_kept_unless_its_missing_hours_are_dearer_than_another(
    left: float, needed: float, rental: Decimal | None, way: str, more: int
) -> None:
    asked: list[str] = []

    def extension_usd(hours: int) -> Decimal:
        asked.append("extension")
        return HOUR * hours

    def rental_usd() -> Decimal | None:
        asked.append("rental")
        return rental

    found = room.decide(
        left_hours=left, needed_hours=needed, extension_usd=extension_usd, rental_usd=rental_usd
    )
    assert (found.way, found.more_hours) == (way, more)
    assert found.extra_usd == HOUR * more
    assert bool(asked) is (way != "enough"), "nobody is asked for a price that is not needed"
