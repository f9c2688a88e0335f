"""Paths of the stand-in's own, under /_local: is it up, and its switches; not the vendor's."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import ValidationError

from localcloud.caas.errors import NotFoundError, UnprocessableError
from localcloud.caas.http.routes import TheCloud

PREFIX = "/_local"
HEALTH = f"{PREFIX}/health"

router = APIRouter()


@router.get(HEALTH)
def health(cloud: TheCloud) -> dict[str, Any]:
    """Say what this is; asked without a key."""
    return {
        "service": "stand-in for the io.net CaaS API",
        "place_id": cloud.settings.place_id,
        "clock_speed": cloud.settings.clock_speed,
        "live_deployments": len(cloud.store.live()),
    }


@router.get(f"{PREFIX}/behaviours")
def quirks(cloud: TheCloud) -> dict[str, Any]:
    """Return every switch."""
    return cloud.switches.current.model_dump()


@router.post(f"{PREFIX}/behaviours")
def change_quirks(cloud: TheCloud, changes: dict[str, Any]) -> dict[str, Any]:
    """Set the switches that are named; the others stay."""
    try:
        changed = cloud.switches.change(changes)
    except ValidationError as error:
        first = error.errors()[0]
        raise UnprocessableError(
            "body", *first["loc"], message=first["msg"], kind=first["type"]
        ) from None
    cloud.woken.set()
    return changed.model_dump()


@router.post(f"{PREFIX}/deployments/{{deployment_id}}/age")
def age(cloud: TheCloud, deployment_id: str, minutes: Annotated[float, Query(ge=0)]) -> None:
    """Count so many minutes of a live deployment as passed, as if it had been rented earlier."""
    if not cloud.store.age(deployment_id, by=timedelta(minutes=minutes)):
        raise NotFoundError("Deployment not found")
    cloud.woken.set()
