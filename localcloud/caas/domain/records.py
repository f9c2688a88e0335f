"""What the stand-in remembers of a deployment and its containers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

Status = Literal[
    "deployment requested", "running", "completed", "failed", "termination requested", "destroyed"
]
STATUSES: tuple[Status, ...] = (
    "deployment requested",
    "running",
    "completed",
    "failed",
    "termination requested",
    "destroyed",
)
LIVE: tuple[Status, ...] = ("deployment requested", "running", "termination requested")

# The words for workers are not documented; "running" and "pending" were seen in clients.
WorkerStatus = Literal["pending", "running", "exited"]


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One rental; secrets are kept apart from it."""

    id: str
    name: str
    status: Status
    created_at: datetime
    started_at: datetime | None = None
    terminating_at: datetime | None = None
    finished_at: datetime | None = None
    duration_hours: int
    amount_paid: Decimal
    hardware_id: int | str
    hardware_name: str
    brand_name: str
    gpus_per_container: int
    replica_count: int
    # Containers by country.
    allocation: Mapping[str, int]
    traffic_port: int
    entrypoint: tuple[str, ...] | None
    args: tuple[str, ...]
    env: Mapping[str, str]
    image_url: str
    secret_keys: tuple[str, ...]
    # Raised by every change of the configuration; `pulled` is the last one whose image was pulled.
    generation: int = 1
    pulled: int = 0

    @property
    def live(self) -> bool:
        """Say whether it still holds hardware."""
        return self.status in LIVE


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """What a container needs and nobody gets to see again; dropped when the deployment ends."""

    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    registry_username: str = field(default="", repr=False)
    registry_secret: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of a container's story."""

    time: datetime
    message: str


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One start of a container; the newest attempt of a slot is the slot's container."""

    attempt_id: str
    container_id: str
    deployment_id: str
    slot: int
    device_id: str
    created_at: datetime
    not_before: datetime
    status: WorkerStatus = "pending"
    current: bool = True
    generation: int = 1
    # Attempts of this slot in a row that never answered.
    silent_attempts: int = 0
    runtime_id: str | None = None
    host_port: int | None = None
    running_at: datetime | None = None
    ended_at: datetime | None = None
    events: tuple[Event, ...] = ()
