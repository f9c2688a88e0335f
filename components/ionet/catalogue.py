"""Reads the rows of io.net's catalogue, in each of the shapes that it was seen in; no choice.

The account's rows have `hardware_id`, `hardware_name`, `available`, `max_gpus_per_container`. The
one body that was captured from the public catalogue has `id` ("8H100.80S.176V__FI": what to rent,
and where), `name`, `available_replicas`, `num_cards`, `vram_per_card`; the sister product's beside
it has `deploy_id` too. A row may mix them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from components.ionet import json_shapes
from components.ionet.errors import CatalogueUnreadError
from components.ionet.models import Hardware, HardwareId

MOST_MEMBERS = 20
MOST_LETTERS = 40


def hardware_rows(answer: Any) -> list[Hardware]:
    """Find the catalogue's rows in an answer, whose envelope has varied; skip what is no row.

    Raises CatalogueUnreadError, with the names of the members that it met, where something is there
    and none of it is a row. An empty catalogue is none.
    """
    rows = [row for members in json_shapes.objects(answer) if (row := _row(members))]
    if rows:
        return rows
    entries = list(_entries(answer))
    if not entries and _has_list(answer):
        return []
    met = {name for members in entries or json_shapes.objects(answer) for name in members}
    names = ", ".join(name[:MOST_LETTERS] for name in sorted(met)[:MOST_MEMBERS])
    raise CatalogueUnreadError(
        f"io.net's catalogue (GET /hardware) came in an unknown shape: none of its {len(entries)} "
        "entries has a hardware_id, or an id beside num_cards or a price. Members met: "
        f"{names or 'none'}. Nothing was rented, and asking again would not help: this program has "
        "to learn the shape."
    )


def _row(members: dict[str, Any]) -> Hardware | None:
    hardware_id = _hardware_id(members)
    if hardware_id is None:
        return None
    sold_out = members.get("sold_out") is True
    available = json_shapes.integer(_first(members, "available", "available_replicas"))
    size = json_shapes.integer(_first(members, "max_gpus_per_container", "num_cards"))
    return Hardware(
        hardware_id=hardware_id,
        name=str(_first(members, "hardware_name", "name") or ""),
        available=0 if sold_out else available,
        price_usd_per_hour=json_shapes.decimal(members.get("price")),
        max_gpus_per_container=size,
        location=_location(members),
        memory_gb=json_shapes.integer(members.get("vram_per_card")) or 0,
    )


def _hardware_id(members: dict[str, Any]) -> HardwareId | None:
    """Return what deploy wants; digits are a number, however they are quoted."""
    given = _first(members, "hardware_id", "deploy_id")
    # A place has an `id` and a name as well, but neither cards nor a price.
    if given is None and ("num_cards" in members or "price" in members):
        given = members.get("id")
    if isinstance(given, bool) or not isinstance(given, int | str):
        return None
    if isinstance(given, int):
        return given
    text = given.strip().removesuffix(f"__{_location(members)}")
    return int(text) if text.isascii() and text.isdigit() else text or None


def _location(members: dict[str, Any]) -> str | None:
    place = members.get("location")
    return place.strip().upper() or None if isinstance(place, str) else None


def _first(members: dict[str, Any], *names: str) -> Any:
    return next((members[name] for name in names if members.get(name) is not None), None)


def _entries(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects that lie in a list, at any depth of the envelope."""
    if isinstance(value, list):
        items = cast("list[Any]", value)
        yield from json_shapes.rows(items)
        for item in items:
            if isinstance(item, list):
                yield from _entries(item)
    elif isinstance(value, dict):
        for item in cast("dict[str, Any]", value).values():
            yield from _entries(item)


def _has_list(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_list(item) for item in cast("dict[str, Any]", value).values())
    return isinstance(value, list)
