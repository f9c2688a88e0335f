"""Amounts are shown to the cent, halves up, with thousands apart."""

from __future__ import annotations

from decimal import Decimal

import pytest

from container.contract.dollars import dollars


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"),
        ("0.005", "$0.01"),
        ("85.514", "$85.51"),
        ("85.515", "$85.52"),
        ("1234.5", "$1,234.50"),
    ],
)
def test_an_amount_is_shown_to_the_cent(amount: str, shown: str) -> None:
    assert dollars(Decimal(amount)) == shown
