"""How deployments and containers look in an answer; secrets never do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from localcloud.caas.domain import catalogue
from localcloud.caas.domain.cloud import Cloud
from localcloud.caas.domain.records import Attempt, Deployment, Event


def moment(cloud: Cloud, at: datetime | None) -> str | None:
    """Write a timestamp in UTC, with or without its zone."""
    if at is None:
        return None
    text = at.astimezone(UTC).replace(tzinfo=None).isoformat()
    return text if cloud.switches.current.timestamps == "naive" else f"{text}Z"


def status(cloud: Cloud, text: str) -> str:
    """Write a status in the letter case in force."""
    case = cloud.switches.current.status_case
    return text.upper() if case == "upper" else text.title() if case == "title" else text


def served_s(cloud: Cloud, deployment: Deployment) -> float:
    """Return the paid seconds used; the clock starts when the deployment first runs."""
    if deployment.started_at is None:
        return 0.0
    billed = cloud.clock.billed_s(deployment.started_at, until=deployment.finished_at)
    return min(billed, deployment.duration_hours * 3600.0)


def row(cloud: Cloud, deployment: Deployment) -> dict[str, Any]:
    """One row of the list; the only place that shows the name."""
    served, remaining = _minutes(cloud, deployment)
    return {
        "id": deployment.id,
        "name": deployment.name,
        "status": status(cloud, deployment.status),
        "created_at": moment(cloud, deployment.created_at),
        "completed_percent": _percent(cloud, deployment),
        "hardware_quantity": deployment.gpus_per_container * deployment.replica_count,
        "hardware_name": deployment.hardware_name,
        "brand_name": deployment.brand_name,
        "served": _spoken(served),
        "remaining": _spoken(remaining),
        "compute_minutes_served": served,
        "compute_minutes_remaining": remaining,
    }


def details(cloud: Cloud, deployment: Deployment) -> dict[str, Any]:
    """Everything that the vendor tells about one deployment."""
    served, remaining = _minutes(cloud, deployment)
    return {
        "id": deployment.id,
        "status": status(cloud, deployment.status),
        "created_at": moment(cloud, deployment.created_at),
        "started_at": moment(cloud, deployment.started_at),
        "finished_at": moment(cloud, deployment.finished_at),
        "amount_paid": float(deployment.amount_paid),
        "completed_percent": _percent(cloud, deployment),
        "total_gpus": deployment.gpus_per_container * deployment.replica_count,
        "gpus_per_container": deployment.gpus_per_container,
        "total_containers": deployment.replica_count,
        "hardware_name": deployment.hardware_name,
        "hardware_id": deployment.hardware_id,
        "brand_name": deployment.brand_name,
        "locations": [vars(catalogue.location_by_iso2(iso2)) for iso2 in deployment.allocation],
        "compute_minutes_served": served,
        "compute_minutes_remaining": remaining,
        "container_config": {
            "entrypoint": deployment.entrypoint,
            "env_variables": deployment.env,
            "traffic_port": deployment.traffic_port,
            "image_url": deployment.image_url,
            "secret_env_keys": deployment.secret_keys,
        },
    }


def worker(cloud: Cloud, deployment: Deployment, attempt: Attempt) -> dict[str, Any]:
    """One container, or one past attempt of it."""
    running = attempt.status == "running"
    nowhere = None if cloud.switches.current.no_public_url == "null" else ""
    return {
        "device_id": attempt.device_id,
        "container_id": attempt.container_id,
        "hardware": deployment.hardware_name,
        "brand_name": deployment.brand_name,
        "created_at": moment(cloud, attempt.created_at),
        "uptime_percent": 100 if running else 0,
        "gpus_per_container": deployment.gpus_per_container,
        "status": status(cloud, attempt.status),
        "container_events": [_event(cloud, event) for event in attempt.events] or None,
        "public_url": f"http://127.0.0.1:{attempt.host_port}" if running else nowhere,
    }


def _event(cloud: Cloud, event: Event) -> dict[str, Any]:
    return {"time": moment(cloud, event.time), "message": event.message}


def _minutes(cloud: Cloud, deployment: Deployment) -> tuple[int, int]:
    served = int(served_s(cloud, deployment) // 60)
    ended = not deployment.live
    return served, 0 if ended else deployment.duration_hours * 60 - served


def _percent(cloud: Cloud, deployment: Deployment) -> float:
    return round(100 * served_s(cloud, deployment) / (deployment.duration_hours * 3600), 2)


def _spoken(minutes: int) -> str:
    return f"{minutes // 60}h {minutes % 60}m"
