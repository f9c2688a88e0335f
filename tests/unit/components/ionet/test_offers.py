"""Which offer of the catalogue serves a wish, and what it costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ionet import cost, models, offers
from components.ionet.errors import NoOfferError, TooDearError, UnclearError
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


@given(
    price=st.decimals(min_value="0.01", max_value="999", places=6),
    hours=st.integers(min_value=1, max_value=168),
)
def test_exactly_the_cap_is_allowed_and_a_thousandth_more_is_not(
    price: Decimal, hours: int
) -> None:
    total = cost.total_usd(price, hours=hours)
    cap = int(total.to_integral_value(rounding="ROUND_CEILING"))
    cost.require_within_cap(total, cap_usd=cap, what="it")
    with pytest.raises(TooDearError):
        cost.require_within_cap(Decimal(cap) + Decimal("0.001"), cap_usd=cap, what="it")


@pytest.mark.parametrize(
    ("minutes", "gpus", "hours"),
    [(300, 8, 5), (2400, 8, 5), (360, 8, 6), (299, 1, 5), (2880, 8, 6)],
)
def test_bought_hours_are_read_from_minutes_counted_once_or_once_a_gpu(
    minutes: int, gpus: int, hours: int
) -> None:
    found = cost.bought_hours(minutes=minutes, total_gpus=gpus, recorded_hours=5, wanted_hours=6)
    assert found == hours


def test_minutes_that_fit_no_reading_buy_nothing() -> None:
    with pytest.raises(UnclearError, match="Nothing was bought"):
        cost.bought_hours(minutes=77, total_gpus=8, recorded_hours=5, wanted_hours=6)


def test_minutes_that_can_mean_what_was_bought_and_what_is_wanted_buy_nothing() -> None:
    """3 hours counted once a GPU of 8 read like 24: nothing was bought, and the state said so."""
    with pytest.raises(UnclearError, match="Nothing was bought"):
        cost.bought_hours(minutes=1440, total_gpus=8, recorded_hours=3, wanted_hours=24)


@pytest.mark.parametrize(
    ("minutes", "gpus", "wanted", "hours"),
    [
        (300, 8, 5, 5),
        (2400, 8, 5, 5),
        (300, 8, 8, 5),  # bought by an engine that was killed, before the config said 8
        (2400, 8, 8, 5),
        (299, 1, 5, 5),
        (0, 8, 5, 5),  # not said
        (77, 1, 5, 5),  # means nothing
    ],
)
def test_an_adopted_machine_has_the_hours_that_were_bought_for_it(
    minutes: int, gpus: int, wanted: int, hours: int
) -> None:
    found = cost.adopted_hours(minutes=minutes, total_gpus=gpus, wanted_hours=wanted)
    assert found == hours


def test_the_hours_that_are_left_do_not_depend_on_what_the_vendors_minutes_count() -> None:
    for gpus in (1, 8):
        left = cost.remaining_hours(
            served_minutes=60 * gpus, remaining_minutes=240 * gpus, bought_hours=5
        )
        assert left == 4
    assert cost.remaining_hours(served_minutes=0, remaining_minutes=0, bought_hours=5) == 5


ROW = {"hardware_id": 12, "hardware_name": "CPU", "available": 4, "price": 0.4, "location": None}


@pytest.mark.parametrize(
    "answer", [[ROW], {"data": [ROW]}, {"data": {"hardware": [ROW]}}, {"data": {"data": [ROW]}}]
)
def test_catalogue_rows_are_found_in_every_envelope_that_was_seen(answer: Any) -> None:
    (found,) = models.hardware_rows(answer)
    assert (found.hardware_id, found.price_usd_per_hour) == (12, Decimal("0.4"))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"status": "ok", "deployment_id": "a"}, "a"),
        ({"data": {"deployment_id": "a"}}, "a"),
        ({"cluster_id": "a"}, "a"),
        ({"id": "a"}, "a"),
        ({"status": "ok"}, None),
        (None, None),
    ],
)
def test_a_new_deployments_id_is_found_wherever_it_was_seen(answer: Any, found: str | None) -> None:
    assert models.deployment_id(answer) == found


@pytest.mark.parametrize(
    ("status", "life"),
    [
        ("deployment requested", "alive"),
        ("RUNNING", "alive"),
        ("something new", "alive"),
        ("Termination Requested", "ending"),
        ("completed", "ended"),
        ("Failed", "ended"),
        ("DESTROYED", "ended"),
    ],
)
def test_an_unknown_status_counts_as_alive_for_it_may_bill(status: str, life: str) -> None:
    assert models.life_of(status) == life
