"""The containers of a deployment, their history and their output, as callers see them."""

from __future__ import annotations

import uuid
from typing import Any

from localcloud.caas.domain import answers, deployments, paging
from localcloud.caas.domain.cloud import Cloud
from localcloud.caas.domain.records import Attempt, Deployment
from localcloud.caas.errors import NotFoundError

# After these nothing is left of the machine; a failed one still tells why in its events.
_GONE = ("completed", "destroyed")


def containers(
    cloud: Cloud, deployment_id: uuid.UUID, *, page_number: int, page_size: int
) -> dict[str, Any]:
    """Return the containers of a deployment; none after its end."""
    deployment = deployments.found(cloud, deployment_id)
    rows = [] if deployment.status in _GONE else cloud.store.attempts(deployment.id)
    return _workers(cloud, deployment, rows, page_number=page_number, page_size=page_size)


def container(cloud: Cloud, deployment_id: uuid.UUID, container_id: str) -> dict[str, Any]:
    """Return one container or past attempt; raise NotFoundError, also after the end."""
    deployment = deployments.found(cloud, deployment_id)
    return answers.worker(cloud, deployment, attempt(cloud, deployment, container_id))


def jobs(
    cloud: Cloud,
    deployment_id: uuid.UUID,
    container_id: str,
    *,
    page_number: int,
    page_size: int,
) -> dict[str, Any]:
    """Return every attempt of the container that once had this id, newest first."""
    deployment = deployments.found(cloud, deployment_id)
    slot = attempt(cloud, deployment, container_id, ended_too=True).slot
    rows = [row for row in cloud.store.attempts(deployment.id, current=False) if row.slot == slot]
    return _workers(cloud, deployment, rows, page_number=page_number, page_size=page_size)


def attempt(
    cloud: Cloud, deployment: Deployment, container_id: str, *, ended_too: bool = False
) -> Attempt:
    """Return the newest attempt with this container id; raise NotFoundError."""
    if ended_too or deployment.status not in _GONE:
        for row in cloud.store.attempts(deployment.id, current=False):
            if row.container_id == container_id:
                return row
    raise NotFoundError("Container not found")


def _workers(
    cloud: Cloud,
    deployment: Deployment,
    rows: list[Attempt],
    *,
    page_number: int,
    page_size: int,
) -> dict[str, Any]:
    shown = paging.cut(cloud, rows, page_number=page_number, page_size=page_size)
    workers = [answers.worker(cloud, deployment, row) for row in shown]
    return {"data": {"total": len(rows), "workers": workers}}
