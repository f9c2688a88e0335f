"""Which offer of the catalogue fits a wish, and which is the cheapest; pure, no I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from components.ionet import cost
from components.ionet.errors import NoOfferError
from components.ionet.models import Hardware, HardwareId, LocationRef, Place
from container.contract.nearest import hint

MAX_LISTED = 12


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a run asks of the market; no locations means anywhere."""

    gpu_type: str
    gpus: int
    locations: tuple[str, ...]
    hours: int


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A place where the wish can be rented, at a price for the whole container."""

    hardware_id: HardwareId
    hardware_name: str
    gpus: int
    location_ids: tuple[LocationRef, ...]
    country: str
    price_usd_per_hour: Decimal
    total_usd: Decimal  # for the wished hours; the vendor's quote with fees, where there is one

    def __str__(self) -> str:
        machine = self.hardware_name if self.gpus == 1 else f"{self.gpus} x {self.hardware_name}"
        return f"{machine} in {self.country} at {cost.dollars(self.price_usd_per_hour)}/h"

    def to_text(self) -> str:
        """Return the offer as one line of JSON, as it stands in the state."""
        return json.dumps(
            {
                "hardwareId": self.hardware_id,
                "hardwareName": self.hardware_name,
                "gpus": self.gpus,
                "locationIds": list(self.location_ids),
                "country": self.country,
                "priceUsdPerHour": str(self.price_usd_per_hour),
                "totalUsd": str(self.total_usd),
            },
            sort_keys=True,
        )

    @classmethod
    def from_text(cls, text: str) -> Offer:
        """Parse what `to_text` wrote."""
        members = json.loads(text)
        return cls(
            hardware_id=members["hardwareId"],
            hardware_name=members["hardwareName"],
            gpus=members["gpus"],
            location_ids=tuple(members["locationIds"]),
            country=members["country"],
            price_usd_per_hour=Decimal(members["priceUsdPerHour"]),
            total_usd=Decimal(members["totalUsd"]),
        )


def fitting(rows: Sequence[Hardware], wish: Wish) -> list[Hardware]:
    """Return the rows that may serve the wish, cheapest first.

    Left out: another model, too few GPUs in a container, a whole node of another size, sold out, no
    price. Raises NoOfferError, with what there was, when nothing is left.
    """
    fit = [row for row in rows if not _obstacle(row, wish)]
    if not fit:
        raise NoOfferError(_nothing_fits(rows, wish))
    return sorted(fit, key=lambda row: (_price(row, wish), str(row.hardware_id)))


def offer_at(row: Hardware, *, wish: Wish, places: Sequence[Place]) -> Offer | None:
    """Return the offer that a fitting row makes, or None when it cannot be had at a wished place.

    `places` matters for network hardware only; the one with most room is taken.
    """
    price = _price(row, wish)
    location: LocationRef
    if row.regional:
        location, country = row.location or "", row.location or "?"
    else:
        open_places = [
            place
            for place in places
            if place.available_replicas > 0 and (not wish.locations or place.iso2 in wish.locations)
        ]
        if not open_places:
            return None
        best = max(open_places, key=lambda place: (place.available_replicas, -place.location_id))
        location, country = best.location_id, best.iso2
    return Offer(
        hardware_id=row.hardware_id,
        hardware_name=row.name or str(row.hardware_id),
        gpus=wish.gpus,
        location_ids=(location,),
        country=country,
        price_usd_per_hour=price,
        total_usd=cost.total_usd(price, hours=wish.hours),
    )


def no_place(rows: Sequence[Hardware], wish: Wish) -> NoOfferError:
    """Return the error for hardware that fits but has no room at any wished place."""
    names = ", ".join(sorted({row.name or str(row.hardware_id) for row in rows}))
    where = ", ".join(wish.locations) or "any location"
    return NoOfferError(
        f"no room for {wish.gpus} x {wish.gpu_type} in {where} now ({names} fits otherwise). "
        "Nothing was rented. Try again later or widen trainstack:locations."
    )


def _obstacle(row: Hardware, wish: Wish) -> str:
    if not _same_model(row, wish):
        return "another model"
    if row.available is not None and row.available <= 0:
        return "sold out"
    if not row.price_usd_per_hour or row.price_usd_per_hour < 0:
        return "no price quoted"
    size = row.max_gpus_per_container
    if row.regional:
        if size is not None and size != wish.gpus:
            return f"a node of {size}"
        if not row.location:
            return "no location given"
        if wish.locations and row.location not in wish.locations:
            return f"in {row.location}"
    elif size is not None and size < wish.gpus:
        return f"at most {size} in a container"
    return ""


def _same_model(row: Hardware, wish: Wish) -> bool:
    words = re.split(r"[^A-Z0-9]+", row.name.upper())
    wanted = wish.gpu_type.upper()
    return row.name.upper() == wanted or wanted in words


def _price(row: Hardware, wish: Wish) -> Decimal:
    price = row.price_usd_per_hour or Decimal(0)
    return price if row.regional else price * wish.gpus


def _nothing_fits(rows: Sequence[Hardware], wish: Wish) -> str:
    where = f" in {', '.join(wish.locations)}" if wish.locations else ""
    text = f"io.net has no offer for {wish.gpus} x {wish.gpu_type}{where}. Nothing was rented."
    same = [row for row in rows if _same_model(row, wish)]
    if same:
        listed = [f"  {_line(row)}: {_obstacle(row, wish)}" for row in same[:MAX_LISTED]]
        return "\n".join([f"{text} Of that model there are:", *listed])
    names = sorted({row.name for row in rows if row.name})
    near = hint(wish.gpu_type, names, all_told=True)
    return f"{text} Models in the catalogue: {', '.join(names) or 'none at all'}{near or '.'}"


def _line(row: Hardware) -> str:
    size = f" x{row.max_gpus_per_container}" if row.max_gpus_per_container else ""
    where = f" in {row.location}" if row.location else ""
    price = cost.dollars(row.price_usd_per_hour) if row.price_usd_per_hour else "no price"
    unit = "node" if row.regional else "GPU"
    return f"{row.name} ({row.hardware_id}){size}{where}, {price} an hour a {unit}"
