"""How a cap in dollars stands in the state, and is read back."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ionet import properties


@pytest.mark.parametrize(("amount", "stored"), [("150", 150), ("150.00", 150), ("0.5", 0.5)])
def test_whole_dollars_stay_a_whole_number_in_the_state(amount: str, stored: float) -> None:
    """A deployment that was rented before cents were allowed shows no difference."""
    value = properties.dollars(Decimal(amount))
    assert (value, type(value)) == (stored, type(stored))


@given(st.decimals(min_value="0.01", max_value=100_000, places=2))
def test_a_cap_is_read_back_to_the_cent_as_the_engine_hands_it_over(amount: Decimal) -> None:
    as_number = float(properties.dollars(amount))
    assert properties.cap_usd({"maxCostUsd": as_number}) == amount
