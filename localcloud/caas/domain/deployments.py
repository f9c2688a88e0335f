"""Deploy, list, read, change, extend, end and rename deployments; containers follow later."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

from localcloud.caas.domain import answers, catalogue, paging, supply
from localcloud.caas.domain.cloud import Cloud
from localcloud.caas.domain.escapes import BareDollarError, unescaped
from localcloud.caas.domain.records import STATUSES, Attempt, Deployment, Event, Secrets
from localcloud.caas.errors import (
    EndedDeploymentError,
    NotFoundError,
    RefusedError,
    UnprocessableError,
)
from localcloud.caas.wire import DeployRequest, UpdateRequest

# What Nomad tells about a task that was placed; the vendor's texts are not documented.
RECEIVED = "Task received by client"


def deploy(cloud: Cloud, request: DeployRequest) -> dict[str, Any]:
    """Take the money and the capacity, and answer at once; the reconciler starts the containers."""
    now = cloud.switches.current
    config, registry = request.container_config, request.registry_config
    hardware, countries = supply.wanted(
        request.hardware_id, request.location_ids, gpus_per_container=request.gpus_per_container
    )
    supply.check_size(hours=request.duration_hours, replicas=config.replica_count)
    if not hardware.price_usd_per_hour:
        raise RefusedError(f"Hardware {hardware.id} has no price and cannot be rented")
    if now.funds == "refused":
        raise RefusedError("Insufficient credits balance")
    _check_container(cloud, config.entrypoint, registry.image_url)
    bill = catalogue.quote(
        supply.at_todays_price(cloud, hardware),
        gpus_per_container=request.gpus_per_container,
        replicas=config.replica_count,
        hours=request.duration_hours,
        currency="usdc",
    )
    with cloud.store.transaction():
        if not name_is_free(cloud, request.resource_private_name):
            raise RefusedError("Cluster name is already taken")
        allocation = supply.allocate(
            cloud,
            hardware,
            countries,
            gpus=request.gpus_per_container,
            replicas=config.replica_count,
        )
        if allocation is None and now.capacity == "counted":
            raise RefusedError("Not enough available replicas in the chosen locations")
        deployment = Deployment(
            id=str(uuid.uuid4()),
            name=request.resource_private_name,
            status="deployment requested",
            created_at=cloud.clock.now(),
            duration_hours=request.duration_hours,
            amount_paid=bill.total,
            hardware_id=hardware.id,
            hardware_name=hardware.name,
            brand_name=hardware.brand,
            gpus_per_container=request.gpus_per_container,
            replica_count=config.replica_count,
            allocation=allocation or {},
            traffic_port=config.traffic_port,
            entrypoint=None if config.entrypoint is None else tuple(config.entrypoint),
            args=tuple(config.args) if now.args == "honoured" else (),
            env=config.env_variables,
            image_url=registry.image_url,
            secret_keys=tuple(config.secret_env_variables),
        )
        cloud.store.add(
            deployment,
            secrets=Secrets(
                env=config.secret_env_variables,
                registry_username=registry.registry_username,
                registry_secret=registry.registry_secret,
            ),
            attempts=[
                first_attempt(cloud, deployment, slot=slot)
                for slot in range(_containers(deployment))
            ],
        )
    cloud.woken.set()
    return {"status": "DEPLOYMENT REQUESTED", "deployment_id": deployment.id}


def first_attempt(cloud: Cloud, deployment: Deployment, *, slot: int) -> Attempt:
    """Return a container that is still to be started, on a machine of its own."""
    now = cloud.clock.now()
    attempt_id = uuid.uuid4().hex
    return Attempt(
        attempt_id=attempt_id,
        container_id=attempt_id,
        deployment_id=deployment.id,
        slot=slot,
        device_id=str(uuid.uuid4()),
        created_at=now,
        not_before=now,
        generation=deployment.generation,
        events=(Event(time=now, message=RECEIVED),),
    )


def found(cloud: Cloud, deployment_id: uuid.UUID) -> Deployment:
    """Return a deployment, ended or not; raise NotFoundError."""
    deployment = cloud.store.deployment(str(deployment_id))
    if deployment is None:
        raise NotFoundError("Deployment not found")
    return deployment


def read(cloud: Cloud, deployment_id: uuid.UUID) -> dict[str, Any]:
    """Return the details of a deployment, ended or not."""
    return {"data": answers.details(cloud, found(cloud, deployment_id))}


def page(
    cloud: Cloud,
    *,
    status: str | None,
    page_number: int,
    page_size: int,
    location_id: int | None,
    oldest_first: bool,
) -> dict[str, Any]:
    """Return one page of active and past deployments, newest first unless asked otherwise."""
    delay_s = cloud.switches.current.list_delay_s
    rows = [
        deployment
        for deployment in cloud.store.every(status=status)
        if cloud.clock.age_s(deployment.created_at) >= delay_s
        and (location_id is None or location_id in _location_ids(deployment))
    ]
    if oldest_first:
        rows.reverse()
    shown = paging.cut(cloud, rows, page_number=page_number, page_size=page_size)
    return {
        "data": {
            "deployments": [answers.row(cloud, deployment) for deployment in shown],
            "total": len(rows),
            "statuses": [answers.status(cloud, status) for status in STATUSES],
        }
    }


def change(cloud: Cloud, deployment_id: uuid.UUID, request: UpdateRequest) -> dict[str, Any]:
    """Change the container definition; the containers are made anew. Maps are replaced whole."""
    given = request.model_dump(exclude_unset=True, exclude_none=True)
    how = cloud.switches.current.update
    if not given:
        raise UnprocessableError("body", message="Object should not be empty", kind="too_short")
    with cloud.store.transaction():
        deployment = found(cloud, deployment_id)
        if deployment.status not in ("deployment requested", "running"):
            _ended(cloud)
        _check_container(
            cloud, given.get("entrypoint"), given.get("image_url", deployment.image_url)
        )
        if how == "refused":
            raise RefusedError("Updates of this deployment are not supported")
        old = cloud.store.secrets(deployment.id)
        if how == "env_dropped":
            given.pop("env_variables", None)
        elif how == "merged":
            _merge(given, "env_variables", deployment.env)
            _merge(given, "secret_env_variables", old.env)
        secrets = Secrets(
            env=given.get("secret_env_variables", old.env),
            registry_username=given.get("registry_username", old.registry_username),
            registry_secret=given.get("registry_secret", old.registry_secret),
        )
        changes: dict[str, Any] = {
            "status": "deployment requested",
            "generation": deployment.generation + 1,
            "secret_keys": tuple(secrets.env),
            "env": given.get("env_variables", deployment.env),
            "entrypoint": given.get("entrypoint", deployment.entrypoint),
            "traffic_port": given.get("traffic_port", deployment.traffic_port),
            "image_url": given.get("image_url", deployment.image_url),
        }
        if cloud.switches.current.args == "honoured":
            changes["args"] = given.get("args", deployment.args)
        if how != "ignored":
            cloud.store.change(deployment.id, **changes)
            cloud.store.set_secrets(deployment.id, secrets)
    cloud.woken.set()
    return {"status": "UPDATE REQUESTED", "deployment_id": deployment.id}


def _merge(given: dict[str, Any], member: str, old: Mapping[str, str]) -> None:
    if member in given:
        given[member] = {**old, **given[member]}


def extend(cloud: Cloud, deployment_id: uuid.UUID, hours: int) -> dict[str, Any]:
    """Buy more hours on top, at today's price."""
    with cloud.store.transaction():
        deployment = found(cloud, deployment_id)
        if deployment.status not in ("deployment requested", "running"):
            _ended(cloud)
        supply.check_size(
            hours=deployment.duration_hours + hours, replicas=deployment.replica_count
        )
        if cloud.switches.current.funds == "refused":
            raise RefusedError("Insufficient credits balance")
        cloud.store.change(
            deployment.id,
            duration_hours=deployment.duration_hours + hours,
            amount_paid=deployment.amount_paid + _price(cloud, deployment, hours=hours),
        )
        extended = found(cloud, deployment_id)
    return {"data": answers.details(cloud, extended)}


def destroy(cloud: Cloud, deployment_id: uuid.UUID) -> dict[str, Any]:
    """Ask for the end; asking again while it is under way is fine."""
    with cloud.store.transaction():
        deployment = cloud.store.deployment(str(deployment_id))
        if deployment is None or not deployment.live:
            _ended(cloud)
        if deployment.status != "termination requested":
            cloud.store.change(
                deployment.id,
                status="termination requested",
                terminating_at=cloud.clock.now(),
                amount_paid=_paid_when_destroyed(cloud, deployment),
            )
    cloud.woken.set()
    return {"status": "TERMINATION REQUESTED", "deployment_id": str(deployment_id)}


def name_is_free(cloud: Cloud, name: str, *, apart_from: str = "") -> bool:
    """Say whether no live deployment has the name; a name is free again after the end."""
    return all(row.name != name or row.id == apart_from for row in cloud.store.live())


def rename(cloud: Cloud, deployment_id: uuid.UUID, name: str) -> dict[str, Any]:
    """Give a live deployment another name."""
    with cloud.store.transaction():
        deployment = found(cloud, deployment_id)
        if not deployment.live:
            _ended(cloud)
        if not name_is_free(cloud, name, apart_from=deployment.id):
            raise RefusedError("Cluster name is already taken")
        cloud.store.change(deployment.id, name=name)
    return {"status": "success", "message": "Cluster name updated"}


def _check_container(cloud: Cloud, entrypoint: list[str] | None, image_url: str) -> None:
    if ".dkr.ecr." in image_url:
        raise RefusedError("Images in AWS ECR are not supported")
    if cloud.switches.current.bare_dollar == "refused":
        try:
            unescaped(entrypoint or ())
        except BareDollarError as error:
            raise RefusedError(str(error)) from None


def _containers(deployment: Deployment) -> int:
    """None where capacity was only promised."""
    return sum(deployment.allocation.values())


def _location_ids(deployment: Deployment) -> set[int]:
    return {catalogue.location_by_iso2(iso2).id for iso2 in deployment.allocation}


def _price(cloud: Cloud, deployment: Deployment, *, hours: int) -> Decimal:
    hardware = catalogue.hardware_by_id(deployment.hardware_id)
    if hardware is None:  # the catalogue of another version
        return deployment.amount_paid / deployment.duration_hours * hours
    return catalogue.quote(
        supply.at_todays_price(cloud, hardware),
        gpus_per_container=deployment.gpus_per_container,
        replicas=deployment.replica_count,
        hours=hours,
        currency="usdc",
    ).total


def _paid_when_destroyed(cloud: Cloud, deployment: Deployment) -> Decimal:
    if cloud.switches.current.early_destroy == "no_refund":
        return deployment.amount_paid
    hours = max(1.0, answers.served_s(cloud, deployment) / 3600)
    share = Decimal(hours) / deployment.duration_hours
    return (deployment.amount_paid * share).quantize(Decimal("0.000001"))


def _ended(cloud: Cloud) -> NoReturn:
    raise EndedDeploymentError(status=int(cloud.switches.current.delete_ended))
