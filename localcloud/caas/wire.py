"""What the API accepts, as pydantic models; only an update refuses unknown members."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
)


def _only_text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("Input should be a date-time in a string")
    return value


Count = Annotated[StrictInt, Field(ge=1)]
# A bare number would do for pydantic, and not for the vendor's schema.
Moment = Annotated[AwareDatetime, BeforeValidator(_only_text)]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]
Text = Annotated[StrictStr, Field(min_length=1)]

Hours = Annotated[StrictInt, Field(ge=1)]
StringMap = dict[str, StrictStr]


class ContainerConfig(BaseModel):
    """`container_config` of a deploy."""

    replica_count: Count
    traffic_port: Port
    entrypoint: list[StrictStr] | None = None
    args: list[StrictStr] = []
    command: StrictStr = ""
    env_variables: StringMap = {}
    secret_env_variables: StringMap = Field(default={}, repr=False)


class RegistryConfig(BaseModel):
    """`registry_config` of a deploy."""

    image_url: Text
    registry_username: StrictStr = ""
    registry_secret: StrictStr = Field(default="", repr=False)


class DeployRequest(BaseModel):
    """Body of a deploy."""

    resource_private_name: Text
    duration_hours: Hours
    gpus_per_container: Count
    hardware_id: Count | Text
    location_ids: Annotated[
        list[Count | Annotated[StrictStr, Field(min_length=2)]], Field(min_length=1)
    ]
    node_pool_id: UUID | None = None
    container_config: ContainerConfig
    registry_config: RegistryConfig
    billing_model: Literal["duration", "payg"] = "duration"
    payment_method: StrictStr = ""


class UpdateRequest(BaseModel):
    """Body of an update: members at the top level, nothing else."""

    model_config = ConfigDict(extra="forbid")

    env_variables: StringMap | None = None
    secret_env_variables: StringMap | None = Field(default=None, repr=False)
    entrypoint: list[StrictStr] | None = None
    args: list[StrictStr] | None = None
    command: StrictStr | None = None
    traffic_port: Port | None = None
    image_url: StrictStr | None = None
    registry_username: StrictStr | None = None
    registry_secret: StrictStr | None = Field(default=None, repr=False)


class ExtendRequest(BaseModel):
    """Body of an extension; the hours are added."""

    duration_hours: Hours


class RenameRequest(BaseModel):
    """Body of a rename."""

    cluster_name: Text


class KeyRequest(BaseModel):
    """Body of a request for an API key."""

    description: StrictStr
    expires_at: Moment
    project: Literal["io-cloud"]
    scopes: list[StrictStr]
