"""The ledger's entries beside what an account lists: which are whose, which nobody shows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from components.ionet.models import DeploymentRow
from runs import rentals
from tests.unit.runs.rental_builders import NAME, NOW, rental


def row(one: str = "d-1", name: str = NAME, status: str = "running") -> DeploymentRow:
    return DeploymentRow(id=one, name=name, status=status)


@pytest.mark.parametrize(
    ("entry", "rows", "shown"),
    [
        (rental("d-1"), [row()], "alive"),
        (rental("d-1"), [row(status="completed")], "ended"),
        (rental("d-1"), [row("d-2", "another")], None),
        (rental("d-1"), [row("d-2")], "alive"),  # the vendor told another ID than it lists
        (rental("d-1"), [row("d-2", status="destroyed")], None),  # that one says nothing of d-1
        (rental("d-1"), [row(status="failed"), row("d-2")], "ended"),  # an ID is the better word
        (rental(), [row()], "alive"),
        (rental(), [row(status="termination requested")], "ending"),
        (rental(), [row(status="destroyed")], "ended"),
        (rental(), [row(status="destroyed"), row("d-2")], "alive"),
        (rental(), [], None),
    ],
)
def test_an_entry_is_shown_by_its_id_else_by_its_name(
    entry: rentals.Rental, rows: list[DeploymentRow], shown: str | None
) -> None:
    assert rentals.as_listed(entry, rows).shown == shown


@pytest.mark.parametrize(
    ("entries", "index"),
    [
        ([rental("d-1")], 0),
        ([rental("d-2", name="another")], None),
        ([rental(name="another"), rental()], 1),
        ([rental("d-2"), rental("d-1", name="another")], 1),
        ([rental("d-2", asked_at=NOW), rental("d-3")], 0),
    ],
)
def test_a_machine_has_the_entry_of_its_id_else_the_newest_of_its_name(
    entries: list[rentals.Rental], index: int | None
) -> None:
    found = rentals.of_machine(row(), entries)
    assert found == (None if index is None else entries[index])


@pytest.mark.parametrize(
    ("members", "kept"),
    [
        ({"deployment_id": "d-1"}, True),
        ({}, True),
        ({"deployment_id": "d-1", "shown": "ended"}, False),
        ({"shown": "alive"}, False),
        ({"deployment_id": "d-1", "state": "given back"}, False),
        ({"state": "lost"}, True),
        ({"state": "lost", "asked_at": NOW - timedelta(days=8)}, False),
        ({"state": "lost", "shown": "alive"}, False),
    ],
)
def test_only_in_the_ledger_is_what_is_open_and_not_shown_or_was_lost_lately(
    members: dict[str, Any], kept: bool
) -> None:
    one = rental(**members)
    assert rentals.only_in_ledger([one], now=NOW) == ([one] if kept else [])


@pytest.mark.parametrize(
    ("members", "may"),
    [
        ({"deployment_id": "d-1"}, True),
        ({}, True),
        ({"deployment_id": "d-1", "shown": "ended"}, False),
        ({"deployment_id": "d-1", "state": "given back"}, False),
        ({"state": "lost"}, False),
        ({"deployment_id": "d-1", "asked_at": NOW - timedelta(hours=29)}, True),
        ({"deployment_id": "d-1", "asked_at": NOW - timedelta(hours=30)}, False),
        (
            {"deployment_id": "d-1", "asked_at": NOW - timedelta(days=9), "extending_at": NOW},
            True,
        ),
    ],
)
def test_a_machine_may_live_until_a_day_after_its_hours(members: dict[str, Any], may: bool) -> None:
    assert rental(**members).may_live(NOW) is may
