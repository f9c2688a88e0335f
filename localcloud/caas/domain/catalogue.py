"""What can be rented here and for how much: made-up supply in the vendor's two identifier systems.

Integer ids are rented by the GPU at location ids; string ids are whole nodes, rented at country
codes. Prices are in USD an hour: for one GPU of an integer id, for the node of a string id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

HardwareId = int | str
LocationRef = int | str

# Fees as an older page of the vendor names them: reservation, and facilitation of USDC payments.
IONET_FEE_PERCENT = Decimal("0.25")
CONVERSION_FEE_PERCENT = Decimal(2)
_MICRO = Decimal("0.000001")


@dataclass(frozen=True, kw_only=True)
class Location:
    """A place, by number and by country."""

    id: int
    iso2: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """One kind of hardware; `stock` counts GPUs (integer ids) or nodes (string ids) by country."""

    id: HardwareId
    name: str
    brand: str
    max_gpus: int
    vram_gb: int
    price_usd_per_hour: Decimal
    stock: Mapping[str, int]

    @property
    def regional(self) -> bool:
        """Say whether whole nodes are rented."""
        return isinstance(self.id, str)

    def fits(self, gpus_per_container: int) -> bool:
        """Say whether a container can have so many GPUs; for a node, 1 means the node too."""
        if self.regional:
            return gpus_per_container in (1, self.max_gpus)
        return 1 <= gpus_per_container <= self.max_gpus

    def units(self, gpus_per_container: int) -> int:
        """Return how much of the stock one container takes."""
        return 1 if self.regional else gpus_per_container


@dataclass(frozen=True, kw_only=True)
class Quote:
    """The bill of a deployment, fees included."""

    ionet_fee: Decimal
    conversion_fee: Decimal
    conversion_fee_percent: Decimal
    total: Decimal


LOCATIONS = (
    Location(id=2, iso2="US", name="United States"),
    Location(id=5, iso2="FI", name="Finland"),
    Location(id=7, iso2="FR", name="France"),
    Location(id=8, iso2="PL", name="Poland"),
)

HARDWARE = (
    Hardware(
        id=12,
        name="CPU",
        brand="Generic",
        max_gpus=1,
        vram_gb=0,
        price_usd_per_hour=Decimal("0.40"),
        stock={"US": 64, "FI": 8},
    ),
    Hardware(
        id=42,
        name="H100 PCIe",
        brand="NVIDIA",
        max_gpus=1,
        vram_gb=80,
        price_usd_per_hour=Decimal("2.31"),
        stock={"US": 4, "FI": 2},
    ),
    # Eight in one container, of both forms, at the prices of the vendor's own pages.
    Hardware(
        id=43,
        name="H100 SXM",
        brand="NVIDIA",
        max_gpus=8,
        vram_gb=80,
        price_usd_per_hour=Decimal("2.20"),
        stock={"US": 8},
    ),
    Hardware(
        id=44,
        name="H100 PCIe",
        brand="NVIDIA",
        max_gpus=8,
        vram_gb=80,
        price_usd_per_hour=Decimal("1.49"),
        stock={"US": 8, "FR": 16},
    ),
    Hardware(
        id=226,
        name="L40S",
        brand="NVIDIA",
        max_gpus=4,
        vram_gb=48,
        price_usd_per_hour=Decimal("0.90"),
        stock={"FR": 8, "PL": 0},
    ),
    Hardware(
        id="8H100.80S.176V",
        name="H100",
        brand="NVIDIA",
        max_gpus=8,
        vram_gb=80,
        price_usd_per_hour=Decimal("27.875342465753423"),
        stock={"FI": 3, "US": 1},
    ),
    Hardware(
        id="8A100.80S.240V",
        name="A100",
        brand="NVIDIA",
        max_gpus=8,
        vram_gb=80,
        price_usd_per_hour=Decimal("13.92"),
        stock={"FR": 0},
    ),
    # Price 0 means "not quoted", as such rows were seen; it cannot be rented.
    Hardware(
        id="gpu_1x_a6000",
        name="RTX A6000",
        brand="NVIDIA",
        max_gpus=1,
        vram_gb=48,
        price_usd_per_hour=Decimal(0),
        stock={"US": 2},
    ),
    Hardware(
        id="gpu_1x_l40",
        name="L40",
        brand="NVIDIA",
        max_gpus=1,
        vram_gb=48,
        price_usd_per_hour=Decimal("0.99"),
        stock={"US": 3},
    ),
)


def hardware_by_id(hardware_id: HardwareId) -> Hardware | None:
    """Find hardware by the id that the catalogue gave out, of the same type."""
    return next(
        (row for row in HARDWARE if row.id == hardware_id and type(row.id) is type(hardware_id)),
        None,
    )


def location_by_iso2(iso2: str) -> Location:
    """Return the location of a country of the stock."""
    return next(place for place in LOCATIONS if place.iso2 == iso2)


def location_of(hardware: Hardware, ref: LocationRef) -> Location | None:
    """Resolve a location as this hardware wants it: country code for nodes, else number."""
    wanted = (lambda place: place.iso2) if hardware.regional else (lambda place: place.id)
    given = ref.upper() if isinstance(ref, str) else ref
    return next((place for place in LOCATIONS if wanted(place) == given), None)


def quote(
    hardware: Hardware, *, gpus_per_container: int, replicas: int, hours: int, currency: str
) -> Quote:
    """Price whole hours."""
    units = hardware.units(gpus_per_container) * replicas
    base = hardware.price_usd_per_hour * units * hours
    conversion = CONVERSION_FEE_PERCENT if currency == "usdc" else Decimal(0)
    ionet_fee = (base * IONET_FEE_PERCENT / 100).quantize(_MICRO)
    conversion_fee = (base * conversion / 100).quantize(_MICRO)
    return Quote(
        ionet_fee=ionet_fee,
        conversion_fee=conversion_fee,
        conversion_fee_percent=conversion,
        total=base.quantize(_MICRO) + ionet_fee + conversion_fee,
    )
