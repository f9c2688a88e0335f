"""What an io.net account shows of a deployment; unknown is never gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from components.ionet import cost
from components.ionet.client import Client
from components.ionet.errors import NotFoundError, RequestRefusedError
from components.ionet.models import Deployment, DeploymentRow, Life

NO_ID = 422  # "that is no deployment's ID"
A_FEW_MINUTES = 2 / 60  # of an hour


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Whether a deployment lives, as this account shows it, and the ID that it has here.

    unknown: neither in the list nor by ID nor by name. A key of another account says so of each.
    """

    life: Life | Literal["unknown"]
    deployment_id: str


def look(
    client: Client,
    deployment_id: str,
    *,
    name: str = "",
    rows: Sequence[DeploymentRow] | None = None,
) -> Shown:
    """Return what the account shows: in its list (`rows`, else asked for), by ID, by private name.

    A list may lag behind, so what it lacks is asked for by ID. Raises UnclearError when there is no
    answer, KeyRefusedError for a bad key.
    """
    rows = client.deployments() if rows is None else rows
    for row in rows:
        if row.id == deployment_id:
            return Shown(life=row.life, deployment_id=row.id)
    found = details(client, deployment_id)
    if found is not None:
        return Shown(life=found.life, deployment_id=deployment_id)
    named = [row for row in rows if name and row.name == name]
    for row in sorted(named, key=lambda row: row.life == "ended"):
        return Shown(life=row.life, deployment_id=row.id)
    return Shown(life="unknown", deployment_id=deployment_id)


def details(client: Client, deployment_id: str) -> Deployment | None:
    """Return a deployment's details; None when the account knows none of that ID."""
    try:
        return client.deployment(deployment_id)
    except RequestRefusedError as error:
        if isinstance(error, NotFoundError) or error.status == NO_ID:
            return None
        raise


def remaining_hours(client: Client, deployment_id: str, *, bought_hours: int) -> float:
    """Return how many of the bought hours of a deployment are left."""
    deployment = client.deployment(deployment_id)
    return cost.remaining_hours(
        served_minutes=deployment.compute_minutes_served,
        remaining_minutes=deployment.compute_minutes_remaining,
        bought_hours=bought_hours,
    )


def hours_are_over(
    deployment: Deployment | None, *, hours: int, rented_at: datetime | None, now: datetime
) -> bool:
    """Tell whether a deployment that has ended had used the hours that were bought.

    By when it ended where the vendor tells, else by what it served, else by the time that has gone
    since it was rented.
    """
    begun, ended = rented_at, now
    if deployment is not None:
        served = cost.hours_of(deployment.compute_minutes_served, total_gpus=deployment.total_gpus)
        if any(abs(reading - hours) < A_FEW_MINUTES for reading in served):
            return True
        begun, ended = deployment.created_at or rented_at, deployment.finished_at or now
    return begun is not None and begun.astimezone(UTC) + timedelta(hours=hours) <= ended


def hours_left(deployment: Deployment) -> tuple[float, float]:
    """Return the fewest and the most hours that the vendor's minutes of it can mean."""
    return cost.hours_left(
        served_minutes=deployment.compute_minutes_served,
        remaining_minutes=deployment.compute_minutes_remaining,
        total_gpus=deployment.total_gpus,
    )
