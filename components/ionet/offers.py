"""Which offer of the catalogue fits a wish, and on which the run costs least; pure, no I/O."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from components.config.keys import MAX_HOURS
from components.config.run_settings import TimedFor
from components.ionet import cost
from components.ionet.errors import NoOfferError
from components.ionet.models import Hardware, HardwareId, LocationRef, Place
from container.contract.gpu_name import GpuName
from container.contract.nearest import hint
from container.contract.recipe import slowness

MAX_LISTED = 12


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a run asks of the market; no locations means anywhere."""

    gpu_type: str
    gpus: int
    locations: tuple[str, ...]
    hours: int
    timed_for: TimedFor | None = None  # None: nothing is known of how long it takes

    def times_as_long(self, gpu: GpuName) -> float:
        """Return how many times as long the run takes as on the GPU that it is timed for."""
        return self.timed_for.times_as_long(str(gpu)) if self.timed_for else slowness(str(gpu))


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

    @property
    def gpu(self) -> GpuName:
        """What it is, by the row's name and, where that leaves something open, by its ID."""
        return GpuName.parse(self.hardware_name, str(self.hardware_id))

    def __str__(self) -> str:
        unsaid = self.gpu.form if not GpuName.parse(self.hardware_name).form else ""
        name = f"{self.hardware_name} {unsaid}".rstrip()
        machine = name if self.gpus == 1 else f"{self.gpus} x {name}"
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
    """Return the rows that may serve the wish, the one first on which the run costs least.

    On a slower GPU an hour is worth less: what is compared is the hourly price times how many times
    as long the run takes there. Left out: another model or form, too little memory, too slow for
    the hours, too few GPUs in a container, a whole node of another size, sold out, no price. Raises
    NoOfferError, with what there was, when nothing is left.
    """
    fit = [row for row in rows if not _obstacle(row, wish)]
    if not fit:
        raise NoOfferError(_nothing_fits(rows, wish))
    return sorted(fit, key=lambda row: (_run_price(row, wish), str(row.hardware_id)))


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
    if not _asked_for(row, wish):
        return "another form or size" if _same_model(row, wish) else "another model"
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
    return _too_small(row, wish) or _too_slow(row, wish)


def _gpu(row: Hardware) -> GpuName:
    gpu = GpuName.parse(row.name, str(row.hardware_id))
    return replace(gpu, memory_gb=row.memory_gb or gpu.memory_gb)


def _asked_for(row: Hardware, wish: Wish) -> bool:
    if row.name and row.name.upper() == wish.gpu_type.upper():
        return True
    return GpuName.parse(wish.gpu_type).asks_for(_gpu(row))


def _same_model(row: Hardware, wish: Wish) -> bool:
    return GpuName.parse(wish.gpu_type).family == _gpu(row).family


def _too_small(row: Hardware, wish: Wish) -> str:
    needed = wish.timed_for.memory_gb if wish.timed_for else 0
    has = _gpu(row).size_gb
    return f"{has} GB each, the run needs {needed:.0f}" if 0 < has < needed else ""


def _too_slow(row: Hardware, wish: Wish) -> str:
    hours = hours_needed(_gpu(row), wish)
    if hours <= wish.hours:
        return ""
    return f"takes about {hours:.1f} h there, {wish.hours} are asked for"


def hours_needed(gpu: GpuName, wish: Wish) -> float:
    """Return how long the run takes on that GPU; 0 where that is not known."""
    return wish.timed_for.hours * wish.times_as_long(gpu) if wish.timed_for else 0.0


def _run_price(row: Hardware, wish: Wish) -> Decimal:
    return _price(row, wish) * Decimal(str(wish.times_as_long(_gpu(row))))


def _price(row: Hardware, wish: Wish) -> Decimal:
    price = row.price_usd_per_hour or Decimal(0)
    return price if row.regional else price * wish.gpus


def _nothing_fits(rows: Sequence[Hardware], wish: Wish) -> str:
    where = f" in {', '.join(wish.locations)}" if wish.locations else ""
    text = f"io.net has no offer for {wish.gpus} x {wish.gpu_type}{where}. Nothing was rented."
    same = [row for row in rows if _same_model(row, wish)]
    if same:
        listed = [f"  {_line(row)}: {_obstacle(row, wish)}" for row in same[:MAX_LISTED]]
        return "\n".join([f"{text}{_longer(same, wish)} Of that model there are:", *listed])
    names = sorted({row.name for row in rows if row.name})
    near = hint(wish.gpu_type, names, all_told=True)
    return f"{text} Models in the catalogue: {', '.join(names) or 'none at all'}{near or '.'}"


def _longer(rows: Sequence[Hardware], wish: Wish) -> str:
    """Say how many hours would do, where only they stand against the offer that is cheapest so."""
    patient = replace(wish, hours=MAX_HOURS)
    would_do = [row for row in rows if not _obstacle(row, patient)]
    if not would_do:
        return ""
    best = min(would_do, key=lambda row: _run_price(row, wish))
    hours = math.ceil(hours_needed(_gpu(best), wish))
    return f" On {_gpu(best)} it would fit: set trainstack:durationHours to {hours}."


def _line(row: Hardware) -> str:
    size = f" x{row.max_gpus_per_container}" if row.max_gpus_per_container else ""
    where = f" in {row.location}" if row.location else ""
    price = cost.dollars(row.price_usd_per_hour) if row.price_usd_per_hour else "no price"
    unit = "node" if row.regional else "GPU"
    return f"{row.name} ({row.hardware_id}){size}{where}, {price} an hour a {unit}"
