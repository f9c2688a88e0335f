"""The catalogue's rows, in every shape that was seen, and what of no shape is told."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from components.ionet.catalogue import hardware_rows
from components.ionet.errors import CatalogueUnreadError
from components.ionet.models import Hardware

ROW = {"hardware_id": 12, "hardware_name": "CPU", "available": 4, "price": 0.4, "location": None}
CAPTURED = {  # the one public body that was captured live
    "id": "8H100.80S.176V__FI",
    "name": "H100",
    "brand_name": "NVIDIA",
    "num_cards": 8,
    "vram_per_card": 80,
    "available_replicas": 3,
    "sold_out": False,
    "price": 27.875342465753423,
    "location": "FI",
}
NODE = Hardware(
    hardware_id="8H100.80S.176V",
    name="H100",
    available=3,
    price_usd_per_hour=Decimal("27.875342465753423"),
    max_gpus_per_container=8,
    location="FI",
    memory_gb=80,
)


@pytest.mark.parametrize(
    "answer", [[ROW], {"data": [ROW]}, {"data": {"hardware": [ROW]}}, {"data": {"data": [ROW]}}]
)
def test_catalogue_rows_are_found_in_every_envelope_that_was_seen(answer: Any) -> None:
    (found,) = hardware_rows(answer)
    assert (found.hardware_id, found.price_usd_per_hour) == (12, Decimal("0.4"))


@pytest.mark.parametrize("envelope", [lambda r: {"data": {"hardware": r}}, lambda r: r])
def test_the_body_that_was_captured_live_is_read(envelope: Any) -> None:
    """Nothing was found in it, and the answer was that there are no models in the catalogue."""
    assert hardware_rows(envelope([CAPTURED])) == [NODE]


@pytest.mark.parametrize(
    ("changes", "hardware_id"),
    [
        ({}, "8H100.80S.176V"),
        ({"id": "gpu_8x_h100", "location": "us"}, "gpu_8x_h100"),
        ({"id": "x__FI", "location": "US"}, "x__FI"),
        ({"id": "x__FI", "deploy_id": "y"}, "y"),
        ({"id": 226, "location": None}, 226),
        ({"id": "226", "location": None}, 226),
        ({"hardware_id": "226"}, 226),
        ({"hardware_id": " 8H100.80S.176V "}, "8H100.80S.176V"),
    ],
)
def test_an_id_is_a_text_or_a_number_in_either_shape(
    changes: dict[str, Any], hardware_id: int | str
) -> None:
    (found,) = hardware_rows({"data": {"hardware": [{**CAPTURED, **changes}]}})
    assert found.hardware_id == hardware_id


def test_a_row_may_mix_the_shapes_and_a_place_within_it_is_no_row() -> None:
    place = {"id": 2, "iso2": "US", "name": "United States", "available_replicas": 4}
    mixed = {"hardware_id": 7, "name": "L40", "available_replicas": 0, "locations": [place]}
    (found,) = hardware_rows([mixed])
    assert (found.hardware_id, found.name, found.available) == (7, "L40", 0)


@pytest.mark.parametrize(
    "answer", [[], {"data": []}, {"data": {"hardware": [], "total": 0}}, {"data": {"data": []}}]
)
def test_an_empty_catalogue_is_no_fault(answer: Any) -> None:
    assert hardware_rows(answer) == []


@pytest.mark.parametrize(
    ("answer", "met"),
    [
        ({"data": [{"sku": "a", "gpu": "H100"}]}, "Members met: gpu, sku."),
        ({"data": {"hardware": [{"hardware_id": None, "cost": 1}]}}, "Members met: cost, hard"),
        ({"data": [{"hardware_id": True}]}, "Members met: hardware_id."),
        ({"data": {"hardware": {"12": {"name": "H100"}}}}, "Members met: 12, data, hardware, name"),
        ({"status": "ok"}, "Members met: status."),
        (None, "Members met: none."),
        ("soon", "Members met: none."),
    ],
)
def test_a_catalogue_of_which_no_row_can_be_read_quotes_the_members_that_it_has(
    answer: Any, met: str
) -> None:
    with pytest.raises(CatalogueUnreadError) as failed:
        hardware_rows(answer)
    assert met in str(failed.value)
    assert "Nothing was rented" in str(failed.value)
