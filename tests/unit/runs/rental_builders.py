"""Entries of the ledger with defaults, for the tests of what `reap` decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from components.ledger.page import Entry, Owner
from runs.rentals import Rental

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
IDENTITY = "0a1b2c3d"
NAME = f"trainstack-dev-main-{IDENTITY}-cafe0001"
OWNER = Owner(project="trainstack", stack="dev", run="main")


def rental(deployment_id: str = "", **members: Any) -> Rental:
    """An open rental of two hours ago, for five; `shown` and `in_state` are the rental's own."""
    own = {name: members.pop(name) for name in ("shown", "in_state") if name in members}
    defaults: dict[str, Any] = {
        "intent": f"intent-of-{deployment_id}",
        "identity": IDENTITY,
        "name": NAME,
        "hours": 5,
        "usd": Decimal("12.30"),
        "asked_at": NOW - timedelta(hours=2),
        "state": "rented" if deployment_id else "asked",
        "deployment_id": deployment_id,
    }
    return Rental(owner=OWNER, entry=Entry(**{**defaults, **members}), **own)
