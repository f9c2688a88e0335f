"""Which offer of the catalogue serves a wish, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from components.config.run_settings import TimedFor
from components.ionet import market, offers
from components.ionet.errors import NoOfferError
from components.ionet.models import Hardware, Place
from components.ionet.offers import Offer, Wish

NODE_PRICE = Decimal("27.875342465753423")


def node(**changes: Any) -> Hardware:
    values: dict[str, Any] = {
        "hardware_id": "8H100.80S.176V",
        "name": "H100",
        "available": 3,
        "price_usd_per_hour": NODE_PRICE,
        "max_gpus_per_container": 8,
        "location": "FI",
    }
    return Hardware(**{**values, **changes})


def network(**changes: Any) -> Hardware:
    values: dict[str, Any] = {
        "hardware_id": 226,
        "name": "H100 PCIe",
        "available": 9,
        "price_usd_per_hour": Decimal("2.5"),
        "max_gpus_per_container": 8,
        "location": None,
    }
    return Hardware(**{**values, **changes})


def wish(**changes: Any) -> Wish:
    values: dict[str, Any] = {"gpu_type": "H100", "gpus": 8, "locations": (), "hours": 5}
    return Wish(**{**values, **changes})


def test_a_node_is_priced_as_a_whole_and_network_hardware_by_the_gpu() -> None:
    whole = offers.offer_at(node(), wish=wish(), places=[])
    assert whole
    assert whole.price_usd_per_hour == NODE_PRICE
    assert whole.location_ids == ("FI",)
    place = Place(location_id=2, iso2="US", available_replicas=1)
    by_gpu = offers.offer_at(network(), wish=wish(), places=[place])
    assert by_gpu
    assert by_gpu.price_usd_per_hour == Decimal("20.0")
    assert by_gpu.location_ids == (2,)


def test_the_cheapest_that_fits_comes_first_whatever_its_unit_of_price() -> None:
    sxm = network(hardware_id=227, name="H100 SXM5")
    found = offers.fitting(
        [node(), sxm, node(location="US", price_usd_per_hour=NODE_PRICE * 2)], wish()
    )
    assert found[0].hardware_id == 227


D20 = TimedFor(gpu="H100 SXM", hours=1.8, memory_gb=75)
D32 = TimedFor(gpu="H100 SXM", hours=10, memory_gb=75)


@pytest.mark.parametrize(
    ("pcie_usd", "first"),
    [("2.2", "8H100.80S.176V"), ("2.5", "8H100.80S.176V"), ("1.49", 226)],
)
def test_an_offer_is_ranked_by_what_the_run_costs_on_it(pcie_usd: str, first: int | str) -> None:
    """Eight PCIe took 1.6 times as long as eight SXM, which the cheaper hour has to make up for."""
    rows = [node(), network(price_usd_per_hour=Decimal(pcie_usd))]
    assert offers.fitting(rows, wish(timed_for=D20))[0].hardware_id == first
    assert offers.fitting(rows, wish())[0].hardware_id == first


@pytest.mark.parametrize(
    ("asked", "fit"),
    [
        ("H100", {"8H100.80S.176V", 226, 228, 229}),
        ("H100 SXM", {"8H100.80S.176V"}),
        ("h100 sxm5", {"8H100.80S.176V"}),
        ("8H100.80S.176V", {"8H100.80S.176V"}),
        ("H100 PCIe", {226}),
        ("NVIDIA H100 PCIe", {226}),
        ("H100-PCIE", {226}),
        ("H100 NVL", {228}),
        ("H100 80GB", {"8H100.80S.176V", 226, 229}),
        ("A100", {230, 231}),
        ("A100 80GB", {231}),
    ],
)
def test_a_form_or_a_memory_is_had_by_its_name(asked: str, fit: set[int | str]) -> None:
    rows = [
        node(),
        network(),
        network(hardware_id=228, name="H100 NVL"),
        network(hardware_id=229, name="H100"),  # of no form that it tells
        network(hardware_id=230, name="A100 PCIe 40GB"),
        network(hardware_id=231, name="A100", memory_gb=80),
        network(hardware_id=232, name="H200"),
    ]
    assert {row.hardware_id for row in offers.fitting(rows, wish(gpu_type=asked))} == fit


def test_hours_that_do_not_suffice_on_a_slower_card_are_told_and_nothing_is_rented() -> None:
    asked = wish(timed_for=D32, hours=12)
    with pytest.raises(NoOfferError) as failed:
        offers.fitting([network(price_usd_per_hour=Decimal("0.1")), node(available=0)], asked)
    assert "takes about 16.0 h there, 12 are asked for" in str(failed.value)
    assert "sold out" in str(failed.value)


def test_the_hours_that_a_refusal_names_are_enough() -> None:
    asked = wish(timed_for=D32, hours=12, gpu_type="H100 PCIe")
    with pytest.raises(NoOfferError, match="set trainstack:durationHours to 16") as failed:
        offers.fitting([network()], asked)
    named = int(str(failed.value).partition("durationHours to ")[2].partition(".")[0])
    assert offers.fitting([network()], replace(asked, hours=named))


def test_too_little_memory_for_the_run_is_told_before_it_is_rented() -> None:
    rows = [network(name="L40S"), network(name="A100 PCIe 40GB")]
    for row, told in zip(rows, ("48 GB each, the run needs 75", "40 GB each"), strict=True):
        with pytest.raises(NoOfferError, match=told):
            offers.fitting([row], wish(gpu_type=row.name.split()[0], timed_for=D20))


def test_a_slower_offer_is_shown_as_such_and_its_form_is_told() -> None:
    place = Place(location_id=2, iso2="US", available_replicas=1)
    slow = offers.offer_at(network(), wish=wish(), places=[place])
    fast = offers.offer_at(node(), wish=wish(), places=[])
    assert slow
    assert fast
    text = market.summary(slow, wish(timed_for=D20), cap_usd=Decimal(150))
    assert "8 x H100 PCIe in US at $20.00/h" in text
    assert "about 1.6 x as long on it as on the H100 SXM" in text
    assert "about 2.9 h" in text
    text = market.summary(fast, wish(timed_for=D20), cap_usd=Decimal(150))
    assert text.startswith("rents 8 x H100 SXM in FI")
    assert "as long" not in text


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (node(available=0), "sold out"),
        (node(max_gpus_per_container=4), "a node of 4"),
        (node(location="PL"), "in PL"),
        (network(max_gpus_per_container=1), "at most 1 in a container"),
    ],
)
def test_a_row_that_does_not_fit_is_listed_with_the_reason(row: Hardware, why: str) -> None:
    with pytest.raises(NoOfferError) as failed:
        offers.fitting([row], wish(locations=("FI", "US")))
    assert why in str(failed.value)
    assert "Nothing was rented" in str(failed.value)


def test_an_unknown_model_is_answered_with_the_models_that_there_are() -> None:
    with pytest.raises(NoOfferError, match=r"Models in the catalogue: H100, H100 PCIe"):
        offers.fitting([node(), network()], wish(gpu_type="B200"))
    with pytest.raises(NoOfferError, match=r"H100, H100 PCIe; did you mean H100\?"):
        offers.fitting([node(), network()], wish(gpu_type="H10O"))


@pytest.mark.parametrize(
    ("name", "fits"),
    [("H100", True), ("h100", True), ("NVIDIA H100 80GB HBM3", True), ("GH100X", False)],
)
def test_a_model_is_known_by_its_word(name: str, fits: bool) -> None:
    rows = [node(name=name)]
    if fits:
        assert offers.fitting(rows, wish())
    else:
        with pytest.raises(NoOfferError):
            offers.fitting(rows, wish())


def test_network_hardware_goes_to_a_wished_place_with_most_room() -> None:
    places = [
        Place(location_id=2, iso2="US", available_replicas=1),
        Place(location_id=5, iso2="FI", available_replicas=7),
        Place(location_id=8, iso2="PL", available_replicas=99),
        Place(location_id=9, iso2="FI", available_replicas=0),
    ]
    found = offers.offer_at(network(), wish=wish(locations=("FI", "US")), places=places)
    assert found
    assert found.location_ids == (5,)
    assert offers.offer_at(network(), wish=wish(locations=("FR",)), places=places) is None


def test_an_offer_survives_its_way_through_the_state() -> None:
    offer = offers.offer_at(node(), wish=wish(), places=[])
    assert offer
    assert Offer.from_text(offer.to_text()) == offer
