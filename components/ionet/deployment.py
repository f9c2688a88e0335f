"""Dynamic resources as a program declares them: RunIdentity, CaasDeployment, DeploymentReady."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from pulumi import Input, Output, ResourceOptions
from pulumi.dynamic import Resource

from components.ionet.provider import (
    CaasDeploymentProvider,
    DeploymentReadyProvider,
    RunIdentityProvider,
)

ENTRYPOINT = ("/bin/bash", "/app/container/train_and_upload.sh")
TRAFFIC_PORT = 8000
SECRET_INPUTS = (
    "accessKeyId",
    "secretAccessKey",
    "accessToken",
    "wandbApiKey",
    "registrySecret",
    "notifyUrl",
    "pingUrl",
)


_OF_ITS_RUN = (
    *("cloud", "project", "stack", "run", "identity"),
    *("accountId", "r2Endpoint", "bucket", "r2Prefix", "attempts"),
    *("maxCostUsd", "maxUsdPerGpuHour"),
)


class MachineArgs(TypedDict):
    """What tells one rental from another: a change of these is another machine or another run."""

    identity: Input[str]
    run: Input[str]
    r2Endpoint: Input[str]
    r2Prefix: Input[str]
    bucket: Input[str]
    gpuType: Input[str]
    gpusPerContainer: Input[int]
    locations: Input[list[str]]
    env: Input[dict[str, str]]


class CaasDeploymentArgs(MachineArgs):
    """Inputs of a CaasDeployment."""

    cloud: Input[str]
    project: Input[str]
    stack: Input[str]
    renew: Input[int]
    accountId: Input[str]
    privateName: Input[str]
    namePrefix: Input[str]
    image: Input[str]
    entrypoint: Input[list[str]]
    trafficPort: Input[int]
    durationHours: NotRequired[Input[int]]
    autoHours: NotRequired[Input[bool]]
    timedFor: NotRequired[dict[str, str | float]]
    maxCostUsd: Input[int | float]
    firstHours: Input[int]
    attempts: Input[int]
    maxUsdPerGpuHour: NotRequired[Input[int | float]]
    autoExtend: NotRequired[Input[int]]
    credentialsExpireOn: Input[str]
    accessKeyId: Input[str]
    secretAccessKey: Input[str]
    accessToken: Input[str]
    wandbApiKey: Input[str]
    registryUsername: Input[str]
    registrySecret: Input[str]
    notifyUrl: NotRequired[Input[str]]
    pingUrl: NotRequired[Input[str]]


class IdentityPlace(TypedDict):
    """Where the ledger of a run's rentals and its tokens are: its deletion looks there."""

    project: str
    stack: str
    accountId: str
    r2Endpoint: str
    bucket: str


class RunIdentity(Resource, module="ionet", name="RunIdentity"):
    """The random identity of a run (its id), and the bearer token of its chat."""

    accessToken: Output[str]  # noqa: N815 - properties are named as in the state

    def __init__(
        self,
        name: str,
        *,
        run: str,
        rerun: int,
        cloud: str,
        name_stem: str,
        place: IdentityPlace,
        opts: ResourceOptions | None = None,
    ) -> None:
        props: dict[str, Any] = {"run": run, "rerun": rerun, "accessToken": None}
        props |= {"cloud": cloud, "nameStem": name_stem, **place}
        secret = ResourceOptions(additional_secret_outputs=["accessToken"])
        super().__init__(RunIdentityProvider(), name, props, ResourceOptions.merge(opts, secret))


class CaasDeployment(Resource, module="ionet", name="CaasDeployment"):
    """A rented container (its id is the deployment's)."""

    r2Prefix: Output[str]  # noqa: N815
    estimatedCostUsd: Output[float]  # noqa: N815
    priceUsdPerHour: Output[str]  # noqa: N815
    hoursFirst: Output[int]  # noqa: N815
    durationHours: Output[int]  # noqa: N815
    offer: Output[str]
    privateName: Output[str]  # noqa: N815
    rentedAt: Output[str]  # noqa: N815

    def __init__(
        self, name: str, args: CaasDeploymentArgs, opts: ResourceOptions | None = None
    ) -> None:
        made = ("estimatedCostUsd", "priceUsdPerHour", "hoursFirst", "offer", "rentedAt")
        props: dict[str, Any] = {"durationHours": None, **args, **dict.fromkeys(made)}
        for key in (one for one in SECRET_INPUTS if one in props):
            props[key] = Output.secret(props[key])
        # Also when the replacement is forced (`--replace`), where the provider's diff is not asked:
        # the new one would adopt the old machine by its name, and deleting the old give it back.
        first = ResourceOptions(delete_before_replace=True)
        super().__init__(CaasDeploymentProvider(), name, props, ResourceOptions.merge(opts, first))


class DeploymentReady(Resource, module="ionet", name="DeploymentReady"):
    """The first heartbeat of a deployment and its check; the address of its status page."""

    statusUrl: Output[str]  # noqa: N815

    def __init__(
        self,
        name: str,
        *,
        deployment: CaasDeployment,
        args: CaasDeploymentArgs,
        timeout_minutes: int,
        opts: ResourceOptions | None = None,
    ) -> None:
        props: dict[str, Any] = {
            "deploymentId": deployment.id,
            "timeoutMinutes": timeout_minutes,
            "statusUrl": None,
            # As rented, and not as the program says now: a machine may be an older release's.
            "hoursFirst": deployment.hoursFirst,
            "plannedHours": deployment.durationHours,
            "offer": deployment.offer,
            "privateName": deployment.privateName,
            "rentedAt": deployment.rentedAt,
            **{key: args[key] for key in _OF_ITS_RUN if key in args},
        }
        super().__init__(DeploymentReadyProvider(), name, props, opts)
