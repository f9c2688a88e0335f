"""When bought hours end, by what the vendor counts and by what was bought."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from components.ionet.models import Deployment
from components.ionet.rental.bought_time import ends_at

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ASKED = NOW - timedelta(minutes=40)


def counted(served: int, remaining: int, *, gpus: int = 8, created: bool = True) -> Deployment:
    return Deployment(
        id="dep-1",
        status="running",
        amount_paid_usd=Decimal(9),
        total_gpus=gpus,
        compute_minutes_served=served,
        compute_minutes_remaining=remaining,
        created_at=ASKED if created else None,
    )


@pytest.mark.parametrize(
    ("deployment", "rented_at", "left_min"),
    [
        (counted(30, 150), None, 150),  # counted from when it ran, ten minutes after it was asked
        (counted(30 * 8, 150 * 8), None, 150),  # counted once a GPU
        (counted(30, 30), None, 140),  # an extension that does not show yet: three hours are bought
        (counted(0, 0), None, 140),
        (counted(0, 0, created=False), ASKED, 140),
        (None, ASKED, 140),
        (None, None, 180),
    ],
)
def test_the_end_is_the_vendors_where_its_minutes_mean_the_hours_bought(
    deployment: Deployment | None, rented_at: datetime | None, left_min: int
) -> None:
    end = ends_at(deployment, hours=3, rented_at=rented_at, now=NOW)
    assert end - NOW == timedelta(minutes=left_min)
