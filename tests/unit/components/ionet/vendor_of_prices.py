"""A double of io.net's client for quotes: rows, places and a bill with io.net's fees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from components.ionet.client import Client
from components.ionet.errors import RequestRefusedError
from components.ionet.models import Bill, Hardware, HardwareId, LocationRef, Place

FEES = Decimal("0.0225")
US = Place(location_id=2, iso2="US", available_replicas=1)


class Market(Client):
    """Answers from what it is given; `priced` are rows that only the price call knows."""

    def __init__(
        self,
        rows: Sequence[Hardware],
        *,
        places: Sequence[Place] = (US,),
        priced: Mapping[HardwareId, str] | None = None,
        refused: Sequence[HardwareId] = (),
    ) -> None:
        super().__init__("no key")
        self.rows, self._places, self._refused = list(rows), list(places), refused
        self._priced = {key: Decimal(usd) for key, usd in (priced or {}).items()}

    def hardware(self) -> list[Hardware]:
        return self.rows

    def places(self, hardware_id: HardwareId, *, gpus: int) -> list[Place]:
        return self._places

    def bill(
        self,
        *,
        hardware_id: HardwareId,
        location_ids: Sequence[LocationRef],
        gpus: int,
        hours: int,
    ) -> Bill:
        if hardware_id in self._refused:
            raise RequestRefusedError("no quote", status=400)
        row = next(
            one
            for one in self.rows
            if one.hardware_id == hardware_id and (not one.regional or one.location in location_ids)
        )
        price = row.price_usd_per_hour or self._priced.get(hardware_id, Decimal(0))
        base = price * hours * (1 if row.regional else gpus)
        return Bill(total_usd=base * (1 + FEES), fees_usd=base * FEES)
