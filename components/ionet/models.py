"""Wire types of the io.net CaaS API, decoded strictly where money hangs on it; no HTTP, no choice.

Glossary
  hardware    one row of the catalogue. Integer ids are network hardware, priced for one GPU; string
              ids are regional whole nodes, priced for the whole configuration.
  offer       a row at a place, chosen for a wish (see offers.py)
  deployment  what is rented; "cluster" is the vendor's other word for it
  worker      the container of a deployment, as the vendor calls it
  private name  our name of a deployment: unique in the account, shown in the list only

What the catalogue and the errors look like: `catalogue` and `refusals`.

Facts: https://docs.io.net/reference/caas
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, cast

from components.ionet import json_shapes
from container.contract.clock import moment

HardwareId = int | str
LocationRef = int | str

Life = Literal["alive", "ending", "ended"]

ENDED_STATUSES = frozenset({"completed", "failed", "destroyed"})
FEES = ("ionet_fee", "currency_conversion_fee")
ENDING_STATUSES = frozenset({"termination requested"})


def life_of(status: str) -> Life:
    """Fold the vendor's status words; an unknown word counts as alive, as it may bill."""
    word = status.strip().lower()
    if word in ENDED_STATUSES:
        return "ended"
    return "ending" if word in ENDING_STATUSES else "alive"


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """One row of the catalogue; a price of None or zero means "not quoted", never "free"."""

    hardware_id: HardwareId
    name: str
    available: int | None
    price_usd_per_hour: Decimal | None
    max_gpus_per_container: int | None
    location: str | None
    memory_gb: int = 0  # of one GPU; 0 where the row does not tell

    @property
    def regional(self) -> bool:
        """Whether the row is a whole node, priced as one configuration."""
        return isinstance(self.hardware_id, str)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where network hardware can be had now, and how many containers of it."""

    location_id: int
    iso2: str
    available_replicas: int


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What whole hours of a container cost, fees included; it reserves nothing."""

    total_usd: Decimal
    fees_usd: Decimal | None = None  # of the total; None where they are not told


@dataclass(frozen=True, kw_only=True)
class DeploymentRow:
    """One line of the list: the only place where the private name comes back."""

    id: str
    name: str
    status: str

    @property
    def life(self) -> Life:
        """Whether this deployment can still run, and bill."""
        return life_of(self.status)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Details of one deployment."""

    id: str
    status: str
    amount_paid_usd: Decimal
    total_gpus: int
    compute_minutes_served: int
    compute_minutes_remaining: int
    created_at: datetime | None = None
    finished_at: datetime | None = None
    countries: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None  # the plain variables; None where they are not told

    @property
    def life(self) -> Life:
        """Whether this deployment can still run, and bill."""
        return life_of(self.status)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """The container of a deployment; `public_url` is "" until it runs."""

    public_url: str
    events: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DeployRequest:
    """What is asked for when a machine is rented."""

    private_name: str
    duration_hours: int
    gpus_per_container: int
    hardware_id: HardwareId
    location_ids: tuple[LocationRef, ...]
    image: str
    entrypoint: tuple[str, ...]
    traffic_port: int
    env: Mapping[str, str]
    secret_env: Mapping[str, str] = field(repr=False)
    registry_username: str = ""
    registry_secret: str = field(default="", repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the body; the vendor wants a dollar sign of the entrypoint written twice."""
        registry = {"image_url": self.image}
        if self.registry_username:
            registry["registry_username"] = self.registry_username
            registry["registry_secret"] = self.registry_secret
        return {
            "resource_private_name": self.private_name,
            "duration_hours": self.duration_hours,
            "gpus_per_container": self.gpus_per_container,
            "hardware_id": self.hardware_id,
            "location_ids": list(self.location_ids),
            "container_config": {
                "replica_count": 1,
                "traffic_port": self.traffic_port,
                "entrypoint": self._escaped_entrypoint(),
                "env_variables": dict(self.env),
                "secret_env_variables": dict(self.secret_env),
            },
            "registry_config": registry,
        }

    def to_update_json(self) -> dict[str, Any]:
        """Return the body that puts this container in the place of a machine's.

        Its members are at the top level, others are refused. All that there are: whether one that
        is left out stays as it was is not documented. `args` and `command` were never given.
        """
        return {
            "image_url": self.image,
            "registry_username": self.registry_username,
            "registry_secret": self.registry_secret,
            "entrypoint": self._escaped_entrypoint(),
            "args": [],
            "command": "",
            "traffic_port": self.traffic_port,
            "env_variables": dict(self.env),
            "secret_env_variables": dict(self.secret_env),
        }

    def _escaped_entrypoint(self) -> list[str]:
        return [part.replace("$", "$$") for part in self.entrypoint]


def places(answer: Any) -> list[Place]:
    """Decode the answer of available-replicas."""
    return [
        Place(
            location_id=json_shapes.required(members, "id", int),
            iso2=str(members.get("iso2") or "").upper(),
            available_replicas=json_shapes.integer(members.get("available_replicas")) or 0,
        )
        for members in json_shapes.rows(json_shapes.member(answer, "data"))
    ]


def bill(answer: Any) -> Bill:
    """Decode the answer of price: the whole bill, and what of it is fees, where that is told."""
    data = json_shapes.mapping(json_shapes.member(answer, "data"))
    total = json_shapes.decimal(data.get("total_cost_usdc"))
    if total is None:
        raise json_shapes.WireError("price: no total_cost_usdc")
    fees = [json_shapes.decimal(data.get(name)) for name in FEES]
    told = [fee for fee in fees if fee is not None]
    return Bill(total_usd=total, fees_usd=sum(told, Decimal(0)) if told else None)


def deployment_page(answer: Any) -> tuple[list[DeploymentRow], int]:
    """Decode one page of the list: its rows, and how many there are in all."""
    data = json_shapes.mapping(json_shapes.member(answer, "data"))
    rows = [
        DeploymentRow(
            id=json_shapes.required(members, "id", str),
            name=str(members.get("name") or ""),
            status=json_shapes.required(members, "status", str),
        )
        for members in json_shapes.rows(data.get("deployments"))
    ]
    return rows, json_shapes.integer(data.get("total")) or 0


def deployment(answer: Any) -> Deployment:
    """Decode the details of a deployment, with or without the envelope."""
    members = json_shapes.mapping(answer)
    data = json_shapes.mapping(members["data"]) if "data" in members else members
    return Deployment(
        id=json_shapes.required(data, "id", str),
        status=json_shapes.required(data, "status", str),
        amount_paid_usd=json_shapes.decimal(data.get("amount_paid")) or Decimal(0),
        total_gpus=json_shapes.integer(data.get("total_gpus")) or 0,
        compute_minutes_served=json_shapes.integer(data.get("compute_minutes_served")) or 0,
        compute_minutes_remaining=json_shapes.integer(data.get("compute_minutes_remaining")) or 0,
        created_at=moment(str(data.get("created_at") or "")),
        finished_at=moment(str(data.get("finished_at") or "")),
        countries=tuple(
            str(place["iso2"]).upper()
            for place in json_shapes.rows(data.get("locations"))
            if place.get("iso2")
        ),
        env=_plain_variables(data.get("container_config")),
    )


def _plain_variables(config: Any) -> dict[str, str] | None:
    members = cast("dict[str, Any]", config) if isinstance(config, dict) else {}
    variables = members.get("env_variables")
    if not isinstance(variables, dict):
        return None
    return {str(k): str(v) for k, v in cast("dict[str, Any]", variables).items()}


def workers(answer: Any) -> list[Worker]:
    """Decode the containers of a deployment."""
    return [
        Worker(
            public_url=str(members.get("public_url") or "").rstrip("/"),
            events=tuple(
                str(event.get("message") or "")
                for event in json_shapes.rows(members.get("container_events"))
            ),
        )
        for members in json_shapes.rows(
            json_shapes.mapping(json_shapes.member(answer, "data")).get("workers")
        )
    ]


def deployment_id(answer: Any) -> str | None:
    """Find the new deployment's id at any depth: its place has varied. None when there is none."""
    for name in ("deployment_id", "cluster_id", "id"):
        for members in json_shapes.objects(answer):
            value = members.get(name)
            if isinstance(value, str) and value:
                return value
    return None
