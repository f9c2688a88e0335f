"""Which offer of the catalogue serves a wish, and what it costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from components.ionet import offers
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
    found = offers.fitting(
        [node(), network(), node(location="US", price_usd_per_hour=NODE_PRICE * 2)], wish()
    )
    assert found[0].hardware_id == 226


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (node(available=0), "sold out"),
        (node(price_usd_per_hour=Decimal(0)), "no price quoted"),
        (node(price_usd_per_hour=None), "no price quoted"),
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
