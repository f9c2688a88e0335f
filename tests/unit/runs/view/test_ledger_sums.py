"""What the ledger adds up to: a run, a stack, a month, everything."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from components.ledger.page import Page
from runs.view import ledger_sums
from tests.unit.components.ledger.test_page import OWNER, entry

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
PAGES = (
    Page(
        owner=OWNER,
        entries=(
            entry(state="given back", deployment_id="d1", usd=Decimal("0.10")),
            entry("i2", state="rented", deployment_id="d2", usd=Decimal("0.20"), asked_at=DECEMBER),
            entry("i3", usd=Decimal("0.40"), asked_at=DECEMBER),
            entry("i4", state="lost", usd=Decimal(9)),
        ),
    ),
    Page(
        owner=dataclasses.replace(OWNER, stack="prod"),
        entries=(entry(state="rented", deployment_id="d3", usd=Decimal("1.00")),),
    ),
)


@pytest.mark.parametrize(
    ("asked", "spent", "reserved"),
    [
        ({}, "1.30", "0.40"),
        ({"stack": "dev"}, "0.30", "0.40"),
        ({"run": "main"}, "1.30", "0.40"),
        ({"run": "other"}, "0", "0"),
        ({"month": "2026-11"}, "1.10", "0"),
        ({"month": "2026-12"}, "0.20", "0.40"),
        ({"stack": "prod", "month": "2026-12"}, "0", "0"),
    ],
)
def test_a_run_a_stack_a_month_and_everything_add_up_as_decimal_text(
    asked: dict[str, str], spent: str, reserved: str
) -> None:
    told = ledger_sums.as_json(ledger_sums.sums(PAGES, **asked))
    assert (told["spent_usd"], told["reserved_usd"]) == (spent, reserved)
