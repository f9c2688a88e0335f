"""What a run would cost on each machine that could be had, and which is chosen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from components.config.run_settings import TimedFor
from components.ionet import market, quote
from components.ionet.errors import NoOfferError, TooDearError
from components.ionet.models import Hardware, Place
from components.ionet.offers import Wish
from components.ionet.quote import Quote
from components.ledger.bad_places import BadPlace, BadPlaces
from tests.unit.components.ionet.test_offers import D20, D32, network, node
from tests.unit.components.ionet.vendor_of_prices import US, Market

FI = Place(location_id=5, iso2="FI", available_replicas=2)
AUTO: dict[str, Any] = {"hours": 0, "timed_for": D20}
PCIE = network()
SXM = network(hardware_id=227, name="H100 SXM", price_usd_per_hour=Decimal("3.4"))


def wish(**changes: Any) -> Wish:
    values: dict[str, Any] = {"gpu_type": "H100", "gpus": 8, "locations": (), **AUTO}
    return Wish(**{**values, **changes})


def quoted(
    rows: Sequence[Hardware],
    wanted: Wish | None = None,
    *,
    cap: str = "150",
    spent: str = "0",
    **market_of: Any,
) -> Quote:
    client = Market(rows, **market_of)
    return market.quote(client, wanted or wish(), cap_usd=Decimal(cap), spent_usd=Decimal(spent))


@pytest.mark.parametrize(
    ("row", "timed_for", "hours"),
    [
        (node(), D20, 3),
        (PCIE, D20, 4),
        (node(), D32, 12),
        (node(), replace(D20, hours=0.35), 1),
        (node(), replace(D20, hours=4.0), 5),
        (node(), replace(D20, hours=14.4), 18),
    ],
)
def test_hours_are_what_the_run_needs_where_it_is_found_with_a_margin(
    row: Hardware, timed_for: TimedFor, hours: int
) -> None:
    one = quoted([row], wish(timed_for=timed_for), cap="9999").chosen
    assert one
    assert one.hours == hours


def test_a_number_of_hours_is_bought_as_it_is() -> None:
    one = quoted([node()], wish(hours=5)).chosen
    assert one
    assert one.hours == 5


def test_whole_hours_that_are_paid_decide_where_the_hours_follow_from_the_run() -> None:
    """Four hours on the slower machine cost less than three on the faster one."""
    slower = network(price_usd_per_hour=Decimal("2.2"))
    of_auto, of_number = quoted([node(), slower]), quoted([node(), slower], wish(hours=5))
    assert of_auto.chosen
    assert of_number.chosen
    assert of_auto.chosen.row is slower
    assert of_number.chosen.row.regional


@pytest.mark.parametrize(
    ("gpu_type", "chosen"),
    [
        ("H100 SXM", "8H100.80S.176V"),
        ("A100", 230),
        ("H100 SXM, A100", 230),
        ("A100, H100 SXM", 230),
        ("B200, H100 SXM", "8H100.80S.176V"),
    ],
)
def test_of_several_models_the_one_is_taken_on_which_the_run_costs_least(
    gpu_type: str, chosen: int | str
) -> None:
    a100 = network(hardware_id=230, name="A100", memory_gb=80, price_usd_per_hour=Decimal("1.2"))
    one = quoted([node(), a100], wish(gpu_type=gpu_type)).chosen
    assert one
    assert one.row.hardware_id == chosen


def test_a_row_without_a_price_is_quoted_by_the_price_call() -> None:
    for unpriced in (None, Decimal(0)):
        row = network(price_usd_per_hour=unpriced)
        one = quoted([row], priced={226: "2.5"}).chosen
        assert one
        assert one.offer
        assert one.offer.price_usd_per_hour == 20
        assert one.offer.total_usd == Decimal("81.8")


@pytest.mark.parametrize("refused", [(), (226,)])
def test_a_row_that_nobody_prices_is_not_rented(refused: tuple[int, ...]) -> None:
    found = quoted([network(price_usd_per_hour=None)], refused=refused)
    with pytest.raises(NoOfferError, match="no price quoted"):
        market.chosen(found)


def test_a_row_that_has_a_price_and_no_quote_is_priced_by_its_hours() -> None:
    one = quoted([PCIE], refused=(226,)).chosen
    assert one
    assert one.offer
    assert one.offer.total_usd == 80


def test_an_offer_above_the_cap_gives_way_to_one_within_it() -> None:
    found = quoted([SXM, PCIE], wish(hours=5), cap="120")
    assert [(one.row, one.why_not) for one in found.candidates] == [
        (PCIE, ""),
        (SXM, "above maxCostUsd"),
    ]


def test_a_cap_that_is_too_low_names_the_hours_that_fit() -> None:
    with pytest.raises(TooDearError, match=r"At this price 2 of the 3 h fit under it\."):
        market.chosen(quoted([node()], cap="60"))


@pytest.mark.parametrize(
    ("most", "allowed"), [("3.49", True), ("3.48", False), ("0", True), ("2.5", False)]
)
def test_the_price_of_a_gpus_hour_has_a_cap_of_its_own(most: str, allowed: bool) -> None:
    found = quoted([node()], wish(max_usd_per_gpu_hour=Decimal(most)))
    assert bool(found.chosen) == allowed


def test_a_price_above_the_hours_cap_is_told_with_the_raise_that_helps() -> None:
    wanted = wish(max_usd_per_gpu_hour=Decimal("2.4"))
    with pytest.raises(NoOfferError, match=r"raise trainstack:maxUsdPerGpuHour") as failed:
        market.chosen(quoted([node(), PCIE], wanted))
    told = re.search(r"cheapest is \$([0-9.]+) an hour a GPU", str(failed.value))
    assert told
    raised = replace(wanted, max_usd_per_gpu_hour=Decimal(told[1]))
    assert quoted([node(), PCIE], raised).chosen


def test_the_last_look_before_the_rental_holds_both_caps() -> None:
    wanted = wish(hours=4, max_usd_per_gpu_hour=Decimal("2.5"))
    client = Market([PCIE])
    offer = market.chosen(market.quote(client, wanted, cap_usd=Decimal(150)))[1]
    assert market.confirm(client, offer, wanted, cap_usd=Decimal(150)) == offer
    client.rows = [network(price_usd_per_hour=Decimal("2.6"))]
    with pytest.raises(NoOfferError, match="maxUsdPerGpuHour"):
        market.confirm(client, offer, wanted, cap_usd=Decimal(150))
    client.rows = [PCIE]
    with pytest.raises(TooDearError):
        market.confirm(client, offer, wanted, cap_usd=Decimal(70))


def test_the_arithmetic_of_a_bill_can_be_followed() -> None:
    found = quoted([node()])
    assert found.chosen
    assert found.chosen.offer
    text = market.summary(found.chosen.offer, found.wish, cap_usd=found.cap_usd)
    assert text == (
        "rents 8 x H100 SXM in FI at $27.8753/h x 3 h = $83.63 + 2.25 % fees = $85.51 (cap $150.00)"
    )
    assert quote.comparison(found.chosen) == (
        "recipe needs about 1.8 h here; buys 3 h; more hours extend a live run"
    )


def test_the_table_marks_the_choice_says_why_not_and_fits_80_columns() -> None:
    rows = [
        node(),
        PCIE,
        SXM,
        node(location="US", available=0),
        network(hardware_id=228, name="H100 NVL", max_gpus_per_container=2),
        network(hardware_id=7, name="NVIDIA H100 80GB HBM3 of a very long name indeed"),
        network(hardware_id=300, name="A100"),
    ]
    text = quote.table(quoted(rows, cap="83"))
    assert max(map(len, text.splitlines())) <= 80
    (marked,) = [line for line in text.splitlines() if line.startswith("->")]
    assert marked.split()[-7:] == ["US", "1", "20.00", "4", "1.80", "81.80", "83.00"]
    for why in ("above maxCostUsd", "sold out", "at most 2 in a container"):
        assert f"not: {why}" in text
    assert "A100" not in text


def test_the_worst_case_is_a_machine_lost_at_its_end_and_never_above_the_cap() -> None:
    for cap, spent, worst in (("500", "0", "163.60"), ("150", "0", "150"), ("150", "20", "130")):
        found = quoted([PCIE], cap=cap, spent=spent)
        assert found.chosen
        assert found.worst_usd(found.chosen) == Decimal(worst)


def test_a_quote_for_machines_has_decimals_as_text_and_the_choice() -> None:
    found = quote.to_json(quoted([node(), node(location="US", available=0)]))
    assert found["chosen"] == 0
    first, second = found["candidates"]
    assert (first["place"], first["hours"], first["needed_hours"]) == ("FI", 3, 1.8)
    assert (
        Decimal(first["expected_usd"]) - Decimal(first["fees_usd"])
        == Decimal(first["usd_per_hour"]) * 3
    )
    assert (second["why_not"], second["expected_usd"]) == ("sold out", None)


def test_hours_that_nobody_sells_are_told() -> None:
    with pytest.raises(NoOfferError, match=r"takes about 160\.0 h there, at most 168 are bought"):
        market.chosen(quoted([node()], wish(timed_for=replace(D20, hours=160)), cap="9999"))


NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def bad(hardware_id: int | str, location: int | str) -> BadPlace:
    return BadPlace(
        hardware_id=str(hardware_id), location=str(location), reason="GPU 3 fails", at=NOW
    )


WHY = "did not work on 2026-11-28 (GPU 3 fails); tried again from 12-05"


@pytest.mark.parametrize(
    ("rows", "places", "left_out", "chosen"),
    [
        ([node(), node(location="US")], (), (), "FI"),
        ([node(), node(location="US")], (), (bad("8H100.80S.176V", "FI"),), "US"),
        ([PCIE], (US, FI), (), "FI"),
        ([PCIE], (US, FI), (bad(PCIE.hardware_id, FI.location_id),), "US"),
        ([PCIE], (US, FI), (bad(999, FI.location_id),), "FI"),
    ],
)
def test_where_a_machine_did_not_work_the_next_offer_is_taken(
    rows: list[Hardware], places: list[Place], left_out: BadPlaces, chosen: str
) -> None:
    one = quoted(rows, wish(bad=left_out), places=places).chosen
    assert one
    assert one.place == chosen


@pytest.mark.parametrize(
    ("rows", "left_out"),
    [
        ([node()], (bad("8H100.80S.176V", "FI"),)),
        ([PCIE], (bad(PCIE.hardware_id, US.location_id),)),
    ],
)
def test_why_a_place_is_left_out_is_told_in_the_table_and_when_nothing_else_is_there(
    rows: list[Hardware], left_out: BadPlaces
) -> None:
    found = quoted(rows, wish(bad=left_out))
    assert found.chosen is None
    assert f"not: {WHY}"[:60] in quote.table(found)
    assert WHY in str(found.refusal())
