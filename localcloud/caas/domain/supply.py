"""Hardware, capacity and price: what can be rented now, counted against what is rented."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from localcloud.caas.domain import catalogue
from localcloud.caas.domain.catalogue import Hardware, HardwareId, LocationRef
from localcloud.caas.domain.cloud import Cloud
from localcloud.caas.errors import RefusedError, UnprocessableError

# A client of the sister product caps hours there.
MAX_HOURS = 8760
MAX_REPLICAS = 1000


def wanted(
    hardware_id: HardwareId, location_ids: Sequence[LocationRef], *, gpus_per_container: int
) -> tuple[Hardware, list[str]]:
    """Resolve hardware and countries of a request; raise RefusedError for what is not rented."""
    hardware = catalogue.hardware_by_id(hardware_id)
    if hardware is None:
        raise RefusedError(f"Hardware {hardware_id} is not available")
    countries: list[str] = []
    for ref in location_ids:
        location = catalogue.location_of(hardware, ref)
        if location is None or location.iso2 not in hardware.stock:
            raise RefusedError(f"Hardware {hardware_id} is not available in location {ref}")
        countries.append(location.iso2)
    if not hardware.fits(gpus_per_container):
        raise RefusedError(
            f"gpus_per_container {gpus_per_container} is not possible on hardware {hardware_id}: "
            f"at most {hardware.max_gpus} per container"
        )
    return hardware, countries


def at_todays_price(cloud: Cloud, hardware: Hardware) -> Hardware:
    """Return the hardware with the price that it has now."""
    price = hardware.price_usd_per_hour * cloud.switches.current.price_factor
    return dataclasses.replace(hardware, price_usd_per_hour=price)


def check_size(*, hours: int, replicas: int) -> None:
    """Refuse what nobody rents; the vendor's own limits are not documented."""
    if hours > MAX_HOURS:
        raise RefusedError(f"duration_hours must be at most {MAX_HOURS}")
    if replicas > MAX_REPLICAS:
        raise RefusedError(f"replica_count must be at most {MAX_REPLICAS}")


def free_units(cloud: Cloud, hardware: Hardware) -> dict[str, int]:
    """Return what is left by country: GPUs, or nodes of whole-node hardware."""
    used: Counter[str] = Counter()
    for deployment in cloud.store.live():
        if deployment.hardware_id == hardware.id:
            units = hardware.units(deployment.gpus_per_container)
            for country, containers in deployment.allocation.items():
                used[country] += containers * units
    return {country: max(0, stock - used[country]) for country, stock in hardware.stock.items()}


def replicas_by_country(cloud: Cloud, hardware: Hardware, *, gpus: int) -> dict[str, int]:
    """Return how many containers of so many GPUs each country can take now."""
    if not hardware.fits(gpus):
        return dict.fromkeys(hardware.stock, 0)
    units = hardware.units(gpus)
    return {country: free // units for country, free in free_units(cloud, hardware).items()}


def allocate(
    cloud: Cloud, hardware: Hardware, countries: Sequence[str], *, gpus: int, replicas: int
) -> dict[str, int] | None:
    """Spread containers over the countries in the order given; None when they do not fit."""
    possible = replicas_by_country(cloud, hardware, gpus=gpus)
    allocation: dict[str, int] = {}
    left = replicas
    for country in dict.fromkeys(countries):
        taken = min(left, possible[country])
        if taken:
            allocation[country] = taken
            left -= taken
    return None if left else allocation


def max_gpus_per_container(cloud: Cloud) -> dict[str, Any]:
    """One row per hardware id, over all locations; the total counts what is available."""
    rows = [
        {
            "hardware_id": hardware.id,
            "hardware_name": hardware.name,
            "brand_name": hardware.brand,
            "max_gpus_per_container": hardware.max_gpus,
            "available": sum(free_units(cloud, hardware).values()),
        }
        for hardware in catalogue.HARDWARE
    ]
    return {"data": {"hardware": rows, "total": sum(int(row["available"]) for row in rows)}}


def account_hardware(cloud: Cloud) -> dict[str, Any]:
    """Catalogue rows of an account, in the shape in force."""
    shape = cloud.switches.current.hardware_shape
    if shape == "unknown":
        rows = [{"sku": str(hardware.id), "gpu": hardware.name} for hardware in catalogue.HARDWARE]
        return {"data": {"offers": rows}}
    if shape == "public":
        return {"data": {"hardware": _public_rows(cloud, catalogue.HARDWARE)}}
    return {"data": _account_rows(cloud)}


def public_hardware(cloud: Cloud) -> dict[str, Any]:
    """Whole-node rows as an anonymous caller sees them."""
    nodes = [hardware for hardware in catalogue.HARDWARE if hardware.regional]
    rows = _public_rows(cloud, nodes)
    # Of the sister product's catalogue, and of use to whoever rents what is shown here.
    return {
        "data": {"hardware": [{**row, "deploy_id": row["id"].partition("__")[0]} for row in rows]}
    }


def _account_rows(cloud: Cloud) -> list[dict[str, Any]]:
    """One row per id, or per id and country for whole nodes."""
    rows: list[dict[str, Any]] = []
    for hardware in catalogue.HARDWARE:
        free = free_units(cloud, hardware)
        common = {
            "hardware_id": hardware.id,
            "hardware_name": hardware.name,
            "brand_name": hardware.brand,
            "price": _shown_price(cloud, hardware),
            "max_gpus_per_container": hardware.max_gpus,
        }
        if hardware.regional:
            rows += [{**common, "available": n, "location": place} for place, n in free.items()]
        else:
            rows.append({**common, "available": sum(free.values()), "location": None})
    return rows


def _shown_price(cloud: Cloud, hardware: Hardware) -> float:
    if cloud.switches.current.catalogue_prices == "hidden":
        return 0.0
    return float(at_todays_price(cloud, hardware).price_usd_per_hour)


def _public_rows(cloud: Cloud, shown: Sequence[Hardware]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for hardware in shown:
        free = free_units(cloud, hardware)
        common = {
            "name": hardware.name,
            "brand_name": hardware.brand,
            "num_cards": hardware.max_gpus,
            "vram_per_card": hardware.vram_gb,
            "price": _shown_price(cloud, hardware),
        }
        places: dict[str | None, int] = (
            {**free} if hardware.regional else {None: sum(free.values())}
        )
        rows += [
            {
                "id": f"{hardware.id}__{place}" if place else hardware.id,
                **common,
                "available_replicas": units,
                "sold_out": units == 0,
                "location": place,
            }
            for place, units in places.items()
        ]
    return rows


def available_replicas(cloud: Cloud, hardware_id: HardwareId, *, gpus: int) -> dict[str, Any]:
    """Containers of so many GPUs per location; no rows for hardware that is not known."""
    hardware = catalogue.hardware_by_id(hardware_id)
    if hardware is None:
        return {"data": []}
    rows = [
        {**vars(catalogue.location_by_iso2(country)), "available_replicas": containers}
        for country, containers in replicas_by_country(cloud, hardware, gpus=gpus).items()
    ]
    return {"data": rows}


def locations(cloud: Cloud) -> dict[str, Any]:
    """Every location, with what is available there."""
    available: Counter[str] = Counter()
    for hardware in catalogue.HARDWARE:
        available.update(free_units(cloud, hardware))
    rows = [{**vars(place), "available": available[place.iso2]} for place in catalogue.LOCATIONS]
    return {"data": {"locations": rows, "total": len(rows)}}


def price(
    cloud: Cloud,
    hardware_id: HardwareId,
    location_ids: str,
    *,
    gpus: int,
    replicas: int,
    hours: int,
    currency: str,
) -> dict[str, Any]:
    """Price a deployment; a quote, not a reservation."""
    hardware, countries = wanted(hardware_id, _location_refs(location_ids), gpus_per_container=gpus)
    check_size(hours=hours, replicas=replicas)
    bill = catalogue.quote(
        at_todays_price(cloud, hardware),
        gpus_per_container=gpus,
        replicas=replicas,
        hours=hours,
        currency=currency,
    )
    possible = replicas_by_country(cloud, hardware, gpus=gpus)
    return {
        "data": {
            "replica_count": replicas,
            "gpus_per_container": gpus,
            "available_replica_count": [possible[country] for country in countries],
            "discount": 0.0,
            "ionet_fee": float(bill.ionet_fee),
            "ionet_fee_percent": float(catalogue.IONET_FEE_PERCENT),
            "currency_conversion_fee": float(bill.conversion_fee),
            "currency_conversion_fee_percent": float(bill.conversion_fee_percent),
            "total_cost_usdc": float(bill.total),
        }
    }


def _location_refs(text: str) -> list[LocationRef]:
    """Read `[9]`, `["US"]` or a bare `US`."""
    if len(text) == 2 and text.isalpha():
        return [text]
    try:
        refs = json.loads(text)
    except ValueError:
        refs = None
    if (
        not isinstance(refs, list)
        or not refs
        or not all(isinstance(ref, int | str) and not isinstance(ref, bool) for ref in refs)
    ):
        raise UnprocessableError(
            "query",
            "location_ids",
            message="Input should be a JSON array of location ids, or one country code",
        )
    return refs
