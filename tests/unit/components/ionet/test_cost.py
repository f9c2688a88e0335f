"""What a rental costs, and what the vendor's minutes can mean."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ionet import cost
from components.ionet.cost import hours_left, storage_usd_per_month
from components.ionet.errors import TooDearError, UnclearError


@pytest.mark.parametrize(
    ("served", "remaining", "gpus", "expected"),
    [
        (0, 300, 8, (5.0, 5.0)),
        (60, 240, 1, (4.0, 4.0)),
        (480, 1920, 8, (4.0, 32.0)),
        (0, 480, 8, (1.0, 8.0)),
        (7, 290, 8, (290 / 480, 290 / 60)),
    ],
    ids=[
        "only counted once makes whole hours",
        "one GPU has one reading",
        "40 hours, or 5 of 8 GPUs",
        "8 hours, or 1 of 8 GPUs",
        "neither makes whole hours",
    ],
)
def test_hours_left_are_as_many_as_the_minutes_can_mean(
    served: int, remaining: int, gpus: int, expected: tuple[float, float]
) -> None:
    assert expected == hours_left(
        served_minutes=served, remaining_minutes=remaining, total_gpus=gpus
    )


def test_storage_is_counted_in_decimal_gigabytes() -> None:
    assert storage_usd_per_month(100_000_000_000) == pytest.approx(Decimal("1.5"))


@given(
    price=st.decimals(min_value="0.01", max_value="999", places=6),
    hours=st.integers(min_value=1, max_value=168),
)
def test_exactly_the_cap_is_allowed_and_a_thousandth_more_is_not(
    price: Decimal, hours: int
) -> None:
    total = cost.total_usd(price, hours=hours)
    cap = total.to_integral_value(rounding="ROUND_CEILING")
    cost.require_within_cap(total, cap_usd=cap, what="it")
    with pytest.raises(TooDearError):
        cost.require_within_cap(cap + Decimal("0.001"), cap_usd=cap, what="it")


@pytest.mark.parametrize(
    ("cap", "spent", "said"),
    [
        ("20.00", "0", "At this price 4 of the 5 h fit under it."),
        ("24.99", "0", "At this price 4 of the 5 h fit under it."),
        ("24.99", "15", "At this price 1 of the 5 h fit under it."),
        ("4.99", "0", "At this price none of the 5 h fit under it."),
        ("9", "15", "At this price none of the 5 h fit under it."),
    ],
)
def test_a_cap_that_is_too_low_says_how_many_hours_fit_under_it(
    cap: str, spent: str, said: str
) -> None:
    with pytest.raises(TooDearError) as failed:
        cost.require_within_cap(
            Decimal(25), cap_usd=Decimal(cap), what="it", hours=5, spent_usd=Decimal(spent)
        )
    assert said in str(failed.value)


@pytest.mark.parametrize(
    ("minutes", "gpus", "hours"),
    [(300, 8, 5), (2400, 8, 5), (360, 8, 6), (299, 1, 5), (2880, 8, 6)],
)
def test_bought_hours_are_read_from_minutes_counted_once_or_once_a_gpu(
    minutes: int, gpus: int, hours: int
) -> None:
    found = cost.bought_hours(minutes=minutes, total_gpus=gpus, recorded_hours={5}, wanted_hours=6)
    assert found == hours


def test_minutes_that_fit_no_reading_buy_nothing() -> None:
    with pytest.raises(UnclearError, match="Nothing was bought"):
        cost.bought_hours(minutes=77, total_gpus=8, recorded_hours={5}, wanted_hours=6)


def test_minutes_that_can_mean_what_was_bought_and_what_is_wanted_buy_nothing() -> None:
    """3 hours counted once a GPU of 8 read like 24: nothing was bought, and the state said so."""
    with pytest.raises(UnclearError, match="Nothing was bought"):
        cost.bought_hours(minutes=1440, total_gpus=8, recorded_hours={3}, wanted_hours=24)


@pytest.mark.parametrize(
    ("minutes", "gpus", "wanted", "hours"),
    [
        (300, 8, 5, 5),
        (2400, 8, 5, 5),
        (300, 8, 8, 5),  # bought by an engine that was killed, before the config said 8
        (2400, 8, 8, 5),
        (299, 1, 5, 5),
        (0, 8, 5, 5),  # not said
        (77, 1, 5, 5),  # means nothing
    ],
)
def test_an_adopted_machine_has_the_hours_that_were_bought_for_it(
    minutes: int, gpus: int, wanted: int, hours: int
) -> None:
    found = cost.adopted_hours(minutes=minutes, total_gpus=gpus, wanted_hours=wanted)
    assert found == hours


def test_the_hours_that_are_left_do_not_depend_on_what_the_vendors_minutes_count() -> None:
    for gpus in (1, 8):
        left = cost.remaining_hours(
            served_minutes=60 * gpus, remaining_minutes=240 * gpus, bought_hours=5
        )
        assert left == 4
    assert cost.remaining_hours(served_minutes=0, remaining_minutes=0, bought_hours=5) == 5
