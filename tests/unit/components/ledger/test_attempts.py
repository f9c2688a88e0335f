"""Whether another machine makes sense after one that did not work."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from components.ledger.attempts import another_try, used_up
from components.ledger.page import Entry, Owner, Page, State

AT = datetime(2026, 11, 28, tzinfo=UTC)


def entry(
    n: int = 1,
    *,
    refused: str = "GPU 3 fails",
    state: State = "given back",
    identity: str = "1a2b3c4d",
    usd: str = "28.50",
) -> Entry:
    return Entry(
        intent=f"i-{n}",
        identity=identity,
        name=f"machine-{n}",
        hours=1,
        usd=Decimal(usd),
        asked_at=AT,
        state=state,
        deployment_id=f"d-{n}",
        planned_hours=3,
        rest_usd=Decimal("57.01"),
        refused=refused,
    )


def page(*entries: Entry) -> Page:
    return Page(owner=Owner(project="trainstack", stack="prod", run="main"), entries=entries)


@pytest.mark.parametrize(
    ("entries", "makes_sense", "why"),
    [
        ((), False, "nothing was rented"),
        ((entry(refused=""),), False, "its last machine was not found bad"),
        ((entry(refused="", state="rented"),), False, "not found bad"),
        ((entry(1), entry(2, refused="", state="rented")), False, "not found bad"),
        ((entry(),), True, "machine 1 of 3 did not work (GPU 3 fails); $121.50 of its budget"),
        ((entry(state="rented"),), True, "is still to be given back"),
        ((entry(1), entry(2)), True, "machine 2 of 3 did not work"),
        ((entry(1), entry(2), entry(3)), False, "no attempt is left"),
        ((entry(1, identity="x"), entry(2, usd="9")), True, "1 of 3"),
        ((entry(usd="90"),), False, "$60.00 of its budget are left, and another would need"),
        ((entry(), entry(2, state="lost", refused="")), True, "machine 1 of 3"),
    ],
)
def test_only_a_machine_that_did_not_work_is_worth_another_try(
    entries: tuple[Entry, ...], makes_sense: bool, why: str
) -> None:
    found = another_try(page(*entries), attempts=3, cap_usd=Decimal(150))
    assert found.makes_sense is makes_sense
    assert why in found.why


@pytest.mark.parametrize(("attempts", "many"), [(3, 0), (2, 2), (1, 2), (0, 0)])
def test_attempts_are_used_up_by_machines_that_did_not_work(attempts: int, many: int) -> None:
    used = page(entry(1), entry(2), entry(3, refused=""), entry(4, identity="other"))
    assert len(used_up(used, "1a2b3c4d", attempts=attempts)) == many


def test_a_page_keeps_what_was_set_aside_and_what_was_refused() -> None:
    written = page(entry(1), entry(2, refused="", state="rented"))
    assert Page.from_json(written.to_json()) == written
    waiting = written.entries[1]
    assert waiting.awaited_usd == Decimal("57.01")
    assert written.entries[0].awaited_usd == 0, "it was given back"
