"""What one run has cost and may still cost, by its page and by what the state knows."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from threading import Barrier

import pytest

from components.ionet import cost
from components.ionet.errors import TooDearError
from components.ledger import budget
from components.ledger.budget import Budget, KnownRental
from components.ledger.ledger import BucketLedger
from components.ledger.page import Entry, Page
from components.r2.cloudflare import S3Access
from tests.provider.fake_r2 import BUCKET, FakeR2
from tests.unit.components.ledger.test_page import NOW, OWNER, entry, page

CAP = Decimal(300)
ONE = Decimal("92.40")
ACCESS = S3Access(access_key_id="a", secret_access_key="planted-secret")


def of(*entries: Entry, known: tuple[KnownRental, ...] = (), besides: str = "") -> Budget:
    return budget.of_page(page(*entries), cap_usd=CAP, known=known, besides=besides)


def state_knows(deployment_id: str, usd: str, *, name: str = "") -> KnownRental:
    return KnownRental(deployment_id=deployment_id, name=name, usd=Decimal(usd))


EXTENDING = {"extending_at": NOW, "extending_to": 7}


@pytest.mark.parametrize(
    ("found", "spent", "reserved"),
    [
        (entry(), Decimal(0), ONE),
        (entry(state="rented", deployment_id="d"), ONE, Decimal(0)),
        (entry(state="given back", deployment_id="d"), ONE, Decimal(0)),
        (entry(state="lost"), Decimal(0), Decimal(0)),
        (entry(state="rented", extending_usd=Decimal(3), **EXTENDING), ONE, Decimal(3)),
        # An older release wrote no dollars for an extension: at the rental's own price an hour.
        (entry(state="rented", **EXTENDING), ONE, ONE * 2 / 5),
    ],
)
def test_what_was_asked_for_is_reserved_and_what_was_rented_is_spent(
    found: Entry, spent: Decimal, reserved: Decimal
) -> None:
    assert of(found) == Budget(cap_usd=CAP, spent_usd=spent, reserved_usd=reserved)


def test_a_rerun_has_no_budget_of_its_own() -> None:
    first = entry(state="given back", deployment_id="d1")
    second = entry("i2", identity="99999999", state="rented", deployment_id="d2")
    assert of(first, second).spent_usd == 2 * ONE


@pytest.mark.parametrize(
    ("found", "known", "spent"),
    [
        ([], [state_knows("d0", "10")], "10"),  # rented by a release that had no ledger
        (["d1"], [state_knows("d1", "100")], "100"),  # an extension that was not noted
        (["d1"], [state_knows("d1", "100"), state_knows("d0", "10")], "110"),
        ([""], [state_knows("d1", "90", name=entry().name)], "90"),  # its ID was not noted
    ],
)
def test_what_only_the_state_knows_counts_and_what_both_know_counts_once(
    found: list[str], known: list[KnownRental], spent: str
) -> None:
    entries = [entry(state="rented" if id_ else "asked", deployment_id=id_) for id_ in found]
    told = of(*entries, known=tuple(known))
    assert (told.spent_usd, told.reserved_usd) == (Decimal(spent), 0)


def test_a_machine_can_be_left_out() -> None:
    known = (state_knows("d1", "100"), state_knows("d0", "10"))
    told = of(entry(state="rented", deployment_id="d1"), known=known, besides="d1")
    assert told.spent_usd == 10


def test_a_page_of_an_older_release_is_read_and_its_rentals_count() -> None:
    members = json.loads(page(entry(state="rented", deployment_id="d")).to_json())
    for one in members["entries"]:
        for name in ("extending_usd", "extending_by", "charged"):
            del one[name]
    read = Page.from_json(json.dumps(members).encode())
    assert budget.of_page(read, cap_usd=CAP).spent_usd == ONE


@pytest.mark.parametrize(
    ("spent", "reserved", "text"),
    [
        ("27.88", "0", "budget $150.00: $27.88 spent, $0 reserved, $122.12 left"),
        ("0", "0", "budget $150.00: $0 spent, $0 reserved, $150.00 left"),
        ("140", "20", "budget $150.00: $140.00 spent, $20.00 reserved, $0 left"),
    ],
)
def test_a_budget_says_what_is_spent_reserved_and_left(
    spent: str, reserved: str, text: str
) -> None:
    told = Budget(cap_usd=Decimal(150), spent_usd=Decimal(spent), reserved_usd=Decimal(reserved))
    assert str(told) == text


def test_of_two_laptops_that_share_a_budget_for_one_rental_only_one_reserves_it() -> None:
    """Both read the page before either writes: the bucket's condition decides between them."""
    r2, both_read = FakeR2(), Barrier(2, timeout=60)

    def reserve(intent: str) -> str:
        ledger = BucketLedger([lambda: ACCESS], endpoint=r2.url, bucket=BUCKET, write_for_s=60)
        looks: list[Decimal] = []

        def add(read: Page, _now: datetime) -> Page:
            others = budget.of_page(read.without(intent), cap_usd=Decimal(150))
            looks.append(others.used_usd)
            if len(looks) == 1:
                both_read.wait()
            cost.require_within_cap(
                ONE, cap_usd=others.cap_usd, what="it", spent_usd=others.used_usd
            )
            return read.put(entry(intent))

        try:
            ledger.edit(OWNER, add)
        except TooDearError:
            return "refused"
        return "reserved"

    try:
        with ThreadPoolExecutor(2) as laptops:
            ends = sorted(laptops.map(reserve, ("one", "other")))
        reading = BucketLedger([lambda: ACCESS], endpoint=r2.url, bucket=BUCKET).read(OWNER)
    finally:
        r2.stop()
    assert ends == ["refused", "reserved"]
    assert budget.of_page(reading.page, cap_usd=Decimal(150)).reserved_usd == ONE
