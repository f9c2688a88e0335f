"""Which offer of the catalogue fits a wish, and on which the run costs least; pure, no I/O."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from components.config.compatibility import CPU
from components.config.hours import to_buy
from components.config.keys import MAX_HOURS
from components.config.run_settings import RunSettings, TimedFor, models_of
from components.ionet import cost
from components.ionet.errors import NoOfferError
from components.ionet.models import Hardware, HardwareId, LocationRef, Place
from components.ledger.bad_places import BadPlaces
from container.contract.gpu_name import GpuName
from container.contract.nearest import hint
from container.contract.recipe import slowness

MAX_LISTED = 12


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a run asks of the market; no locations means anywhere."""

    gpu_type: str  # one model, or several with commas between them
    gpus: int
    locations: tuple[str, ...]
    hours: int  # 0: as many as the run needs on what is found
    timed_for: TimedFor | None = None  # None: nothing is known of how long it takes
    max_usd_per_gpu_hour: Decimal = Decimal(0)  # 0: no such cap
    bad: BadPlaces = ()  # where a machine did not work

    def bad_at(self, hardware_id: HardwareId, location: LocationRef) -> str:
        """Return why that hardware at that place is left out, "" where it is not."""
        found = (one for one in self.bad if one.is_of(hardware_id, location))
        return next((one.why_not for one in found), "")

    @property
    def models(self) -> tuple[GpuName, ...]:
        """The GPUs of which any one will do."""
        return tuple(GpuName.parse(model) for model in models_of(self.gpu_type))

    def hours_on(self, gpu: GpuName) -> int:
        """Return how many hours are bought where that GPU is found."""
        return self.hours or to_buy(hours_needed(gpu, self))

    def times_as_long(self, gpu: GpuName) -> float:
        """Return how many times as long the run takes as on the GPU that it is timed for."""
        return self.timed_for.times_as_long(str(gpu)) if self.timed_for else slowness(str(gpu))


def wish_of(run: RunSettings) -> Wish:
    """Return what a run asks for, as its config says it."""
    return Wish(
        gpu_type=run.gpu_type,
        gpus=run.gpus_per_container,
        locations=run.locations,
        hours=run.duration_hours,
        timed_for=run.timed_for,
        max_usd_per_gpu_hour=run.max_usd_per_gpu_hour,
    )


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A place where the wish can be rented, at a price for the whole container."""

    hardware_id: HardwareId
    hardware_name: str
    gpus: int
    location_ids: tuple[LocationRef, ...]
    country: str
    price_usd_per_hour: Decimal
    total_usd: Decimal  # for the hours bought; the vendor's quote with fees, where there is one
    rest_usd: Decimal = Decimal(0)  # of hours that are bought once the machine is checked

    @property
    def gpu(self) -> GpuName:
        """What it is, by the row's name and, where that leaves something open, by its ID."""
        return GpuName.parse(self.hardware_name, str(self.hardware_id))

    @property
    def machine(self) -> str:
        """What and where it is, as people read it."""
        unsaid = self.gpu.form if not GpuName.parse(self.hardware_name).form else ""
        name = f"{self.hardware_name} {unsaid}".rstrip()
        machine = name if self.gpus == 1 else f"{self.gpus} x {name}"
        return f"{machine} in {self.country}"

    def __str__(self) -> str:
        return f"{self.machine} at {cost.dollars(self.price_usd_per_hour)}/h"

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
    """Return the rows that may serve the wish, by what the run costs there at the row's price.

    On a slower GPU an hour is worth less: what is compared is the hourly price times how many times
    as long the run takes there. Left out: another model or form, too little memory, too slow for
    the hours, too few GPUs in a container, a whole node of another size, sold out. A row without a
    price comes last: it has to be asked for. Raises NoOfferError, with what there was, when nothing
    is left.
    """
    fit = [row for row in rows if not obstacle(row, wish)]
    if not fit:
        raise nothing_fits(rows, wish)
    return sorted(fit, key=lambda row: (not is_priced(row), _run_price(row, wish), str(row)))


def is_priced(row: Hardware) -> bool:
    """Whether the catalogue says what it costs; zero means that it does not."""
    return bool(row.price_usd_per_hour) and row.price_usd_per_hour > 0


def offer_at(row: Hardware, *, wish: Wish, places: Sequence[Place]) -> Offer | None:
    """Return the offer that a fitting row makes, or None when it cannot be had at a wished place.

    `places` matters for network hardware only; the one with most room is taken.
    """
    price = price_of(row, wish)
    location: LocationRef
    if row.regional:
        location, country = row.location or "", row.location or "?"
    else:
        open_places = [
            place
            for place in places
            if place.available_replicas > 0
            and (not wish.locations or place.iso2 in wish.locations)
            and not wish.bad_at(row.hardware_id, place.location_id)
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
        total_usd=cost.total_usd(price, hours=wish.hours_on(gpu_of(row))),
    )


def no_place(rows: Sequence[Hardware], wish: Wish, *, left_out: Sequence[str] = ()) -> NoOfferError:
    """Return the error for hardware that fits but has no room at any wished place.

    `left_out` is what would have room, and why it is not taken.
    """
    names = ", ".join(sorted({row.name or str(row.hardware_id) for row in rows}))
    where = ", ".join(wish.locations) or "any location"
    return NoOfferError(
        f"no room for {wish.gpus} x {wish.gpu_type} in {where} now ({names} fits otherwise). "
        "Nothing was rented. Try again later or widen trainstack:locations."
        + "".join(f"\n  left out: {one}" for one in left_out)
    )


def obstacle(row: Hardware, wish: Wish) -> str:
    """Return why a row of the catalogue cannot serve the wish, whatever it costs; "" if it may."""
    if not _asked_for(row, wish):
        return "another form or size" if same_model(row, wish) else "another model"
    if row.available is not None and row.available <= 0:
        return "sold out"
    size = row.max_gpus_per_container
    if row.regional:
        if size is not None and size != wish.gpus:
            return f"a node of {size}"
        if not row.location:
            return "no location given"
        if wish.locations and row.location not in wish.locations:
            return f"in {row.location}"
        if why := wish.bad_at(row.hardware_id, row.location):
            return why
    elif size is not None and size < wish.gpus:
        return f"at most {size} in a container"
    return _too_small(row, wish) or _too_slow(row, wish)


def gpu_of(row: Hardware) -> GpuName:
    """Return what a row is, by its name, its ID and the memory that it tells."""
    gpu = GpuName.parse(row.name, str(row.hardware_id))
    return replace(gpu, memory_gb=row.memory_gb or gpu.memory_gb)


def _asked_for(row: Hardware, wish: Wish) -> bool:
    if row.name and row.name.upper() in map(str.upper, models_of(wish.gpu_type)):
        return True
    return any(model.asks_for(gpu_of(row)) for model in wish.models)


def same_model(row: Hardware, wish: Wish) -> bool:
    """Whether a row is of a model that is asked for, in whatever form and size."""
    return gpu_of(row).family in {model.family for model in wish.models}


def _too_small(row: Hardware, wish: Wish) -> str:
    needed = wish.timed_for.memory_gb if wish.timed_for else 0
    has = gpu_of(row).size_gb
    return f"{has} GB each, the run needs {needed:.0f}" if 0 < has < needed else ""


def _too_slow(row: Hardware, wish: Wish) -> str:
    hours = hours_needed(gpu_of(row), wish)
    if not wish.hours:
        most = wish.hours_on(gpu_of(row)) <= MAX_HOURS
        return "" if most else f"takes about {hours:.1f} h there, at most {MAX_HOURS} are bought"
    # What a processor takes depends on how many cores it has, which no offer tells.
    if hours <= wish.hours or wish.gpu_type == CPU:
        return ""
    return f"takes about {hours:.1f} h there, {wish.hours} are asked for"


def hours_needed(gpu: GpuName, wish: Wish) -> float:
    """Return how long the run takes on that GPU; 0 where that is not known."""
    return wish.timed_for.hours * wish.times_as_long(gpu) if wish.timed_for else 0.0


def _run_price(row: Hardware, wish: Wish) -> Decimal:
    return price_of(row, wish) * Decimal(str(wish.times_as_long(gpu_of(row))))


def price_of(row: Hardware, wish: Wish) -> Decimal:
    """Return the catalogue's price of an hour of the whole container; 0 where it has none."""
    price = row.price_usd_per_hour or Decimal(0)
    return price if row.regional else price * wish.gpus


def nothing_fits(rows: Sequence[Hardware], wish: Wish) -> NoOfferError:
    """Return the error for a wish that no row serves, with the rows of its models."""
    where = f" in {', '.join(wish.locations)}" if wish.locations else ""
    text = f"io.net has no offer for {wish.gpus} x {wish.gpu_type}{where}. Nothing was rented."
    same = [row for row in rows if same_model(row, wish)]
    if same:
        listed = [f"  {line(row)}: {obstacle(row, wish)}" for row in same[:MAX_LISTED]]
        longer = _longer(same, wish)
        return NoOfferError("\n".join([f"{text}{longer} Of that model there are:", *listed]))
    names = sorted({row.name for row in rows if row.name})
    near = hint(wish.gpu_type, names, all_told=True)
    listed_names = ", ".join(names) or "none at all"
    return NoOfferError(f"{text} Models in the catalogue: {listed_names}{near or '.'}")


def _longer(rows: Sequence[Hardware], wish: Wish) -> str:
    """Say how many hours would do, where only they stand against the offer that is cheapest so."""
    patient = replace(wish, hours=MAX_HOURS)
    would_do = [row for row in rows if not obstacle(row, patient)]
    if not would_do:
        return ""
    best = min(would_do, key=lambda row: _run_price(row, wish))
    hours = math.ceil(hours_needed(gpu_of(best), wish))
    return f" On {gpu_of(best)} it would fit: set trainstack:durationHours to {hours}."


def line(row: Hardware) -> str:
    """Return a row of the catalogue as an error lists it."""
    size = f" x{row.max_gpus_per_container}" if row.max_gpus_per_container else ""
    where = f" in {row.location}" if row.location else ""
    price = cost.dollars(row.price_usd_per_hour) if row.price_usd_per_hour else "no price"
    unit = "node" if row.regional else "GPU"
    return f"{row.name} ({row.hardware_id}){size}{where}, {price} an hour a {unit}"
