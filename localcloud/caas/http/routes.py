"""The vendor's paths: each decodes, calls the domain once and encodes; nothing else."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse

from localcloud.caas.domain import deployments, keys, logs, supply, workers
from localcloud.caas.domain.catalogue import HardwareId
from localcloud.caas.domain.cloud import Cloud
from localcloud.caas.domain.records import Status
from localcloud.caas.wire import (
    DeployRequest,
    ExtendRequest,
    KeyRequest,
    RenameRequest,
    UpdateRequest,
)

ENTERPRISE = "/enterprise/v1/io-cloud/caas"
PUBLIC = "/v1/io-cloud/caas"
DEPLOY = f"{ENTERPRISE}/deploy"
PUBLIC_HARDWARE = f"{PUBLIC}/hardware"

router = APIRouter()


def _cloud(request: Request) -> Cloud:
    return cast("Cloud", request.app.state.cloud)


TheCloud = Annotated[Cloud, Depends(_cloud)]
Page = Annotated[int, Query()]
PageSize = Annotated[int, Query(ge=1, le=100)]
Count = Annotated[int, Query(ge=1)]
NodePool = Annotated[UUID | Literal["null"] | None, Query()]
Stream = Annotated[Literal["stdout", "stderr"], Query()]
Offset = Annotated[int, Query(ge=0)]
HardwareText = Annotated[str, Query(min_length=1, alias="hardware_id")]


@router.post(DEPLOY)
def deploy(cloud: TheCloud, request: DeployRequest) -> Response:
    answer = deployments.deploy(cloud, request)
    shape = cloud.switches.current.deploy_answer
    if shape == "empty":
        return Response(status_code=200)
    if shape == "wrapped":
        return JSONResponse({"data": answer})
    if shape in ("cluster_id", "id"):
        answer[shape] = answer.pop("deployment_id")
    return JSONResponse(answer)


@router.get(f"{ENTERPRISE}/deployments")
def list_deployments(
    cloud: TheCloud,
    status: Status | None = None,
    page: Page = 0,
    page_size: PageSize = 10,
    location_id: int | None = None,
    sort_by: str | None = None,
    sort_order: Literal["asc", "desc"] = "desc",
) -> dict[str, Any]:
    return deployments.page(
        cloud,
        status=status,
        page_number=page,
        page_size=page_size,
        location_id=location_id,
        oldest_first=sort_order == "asc",
    )


@router.get(f"{ENTERPRISE}/deployment/{{deployment_id}}")
def get_deployment(cloud: TheCloud, deployment_id: UUID) -> dict[str, Any]:
    return deployments.read(cloud, deployment_id)


@router.patch(f"{ENTERPRISE}/deployment/{{deployment_id}}")
def update_deployment(
    cloud: TheCloud, deployment_id: UUID, request: UpdateRequest
) -> dict[str, Any]:
    return deployments.change(cloud, deployment_id, request)


@router.delete(f"{ENTERPRISE}/deployment/{{deployment_id}}")
def destroy_deployment(cloud: TheCloud, deployment_id: UUID) -> dict[str, Any]:
    return deployments.destroy(cloud, deployment_id)


@router.post(f"{ENTERPRISE}/deployment/{{deployment_id}}/extend")
def extend_deployment(
    cloud: TheCloud, deployment_id: UUID, request: ExtendRequest
) -> dict[str, Any]:
    return deployments.extend(cloud, deployment_id, request.duration_hours)


@router.get(f"{ENTERPRISE}/deployment/{{deployment_id}}/containers")
def list_containers(
    cloud: TheCloud, deployment_id: UUID, page: Page = 0, page_size: PageSize = 20
) -> dict[str, Any]:
    return workers.containers(cloud, deployment_id, page_number=page, page_size=page_size)


@router.get(f"{ENTERPRISE}/deployment/{{deployment_id}}/container/{{container_id}}")
def get_container(cloud: TheCloud, deployment_id: UUID, container_id: str) -> dict[str, Any]:
    return workers.container(cloud, deployment_id, container_id)


@router.get(f"{ENTERPRISE}/deployment/{{deployment_id}}/containers-jobs/{{container_id}}")
def list_container_jobs(
    cloud: TheCloud,
    deployment_id: UUID,
    container_id: str,
    page: Page = 0,
    page_size: PageSize = 20,
) -> dict[str, Any]:
    return workers.jobs(cloud, deployment_id, container_id, page_number=page, page_size=page_size)


@router.get(f"{ENTERPRISE}/deployment/{{deployment_id}}/log/{{container_id}}")
@router.get(f"{PUBLIC}/deployment/{{deployment_id}}/log/{{container_id}}")
async def stream_logs(
    cloud: TheCloud,
    deployment_id: UUID,
    container_id: str,
    stream: Stream = "stdout",
    offset: Offset = 0,
) -> StreamingResponse:
    source = await run_in_threadpool(logs.opened, cloud, deployment_id, container_id, stream=stream)
    return StreamingResponse(
        logs.lines(cloud, source, offset=offset), media_type="text/event-stream"
    )


@router.get(f"{ENTERPRISE}/hardware/max-gpus-per-container")
def get_max_gpus(cloud: TheCloud, node_pool_id: NodePool = None) -> dict[str, Any]:
    return supply.max_gpus_per_container(cloud)


@router.get(f"{ENTERPRISE}/hardware")
def list_hardware(cloud: TheCloud, node_pool_id: NodePool = None) -> dict[str, Any]:
    return supply.account_hardware(cloud)


@router.get(PUBLIC_HARDWARE)
def list_public_hardware(cloud: TheCloud) -> dict[str, Any]:
    return supply.public_hardware(cloud)


@router.get(f"{ENTERPRISE}/available-replicas")
def get_available_replicas(
    cloud: TheCloud, hardware_id: HardwareText, hardware_qty: Count, node_pool_id: NodePool = None
) -> dict[str, Any]:
    return supply.available_replicas(cloud, _hardware_id(hardware_id), gpus=hardware_qty)


@router.get(f"{PUBLIC}/locations")
def list_locations(cloud: TheCloud) -> dict[str, Any]:
    return supply.locations(cloud)


@router.get(f"{ENTERPRISE}/price")
def get_price(
    cloud: TheCloud,
    location_ids: str,
    hardware_id: HardwareText,
    duration_hours: Count,
    gpus_per_container: Count,
    replica_count: Count,
    currency: Literal["usdc", "iocoin"] = "usdc",
) -> dict[str, Any]:
    return supply.price(
        cloud,
        _hardware_id(hardware_id),
        location_ids,
        gpus=gpus_per_container,
        replicas=replica_count,
        hours=duration_hours,
        currency=currency,
    )


@router.get(f"{ENTERPRISE}/clusters/check_cluster_name_availability")
def check_name(cloud: TheCloud, cluster_name: Annotated[str, Query(min_length=1)]) -> bool:
    return deployments.name_is_free(cloud, cluster_name)


@router.put(f"{ENTERPRISE}/clusters/{{deployment_id}}/update-name")
def rename_deployment(
    cloud: TheCloud, deployment_id: UUID, request: RenameRequest
) -> dict[str, Any]:
    return deployments.rename(cloud, deployment_id, request.cluster_name)


@router.post("/v1/api-keys/")
def create_api_key(
    cloud: TheCloud, request: KeyRequest, token: Annotated[str, Header()] = ""
) -> dict[str, Any]:
    return keys.create(cloud, token, request)


def _hardware_id(text: str) -> HardwareId:
    return int(text) if text.isascii() and text.isdigit() else text
