"""TrainingRun: one run's identity, credentials, preflight, deployment and heartbeat."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import pulumi_command as command
from pulumi import ComponentResource, Input, Output, Resource, ResourceOptions

from components.artifact_store import ArtifactStore
from components.config.run_settings import RunSettings, short_hash
from components.config.settings import Settings
from components.ionet import change
from components.ionet.deployment import (
    ENTRYPOINT,
    TRAFFIC_PORT,
    CaasDeployment,
    CaasDeploymentArgs,
    DeploymentReady,
    RunIdentity,
)
from components.run_image import RunImage

PREFLIGHT = ".venv/bin/python -m components.preflight"


class TrainingRun(ComponentResource):
    """One training run. `follow` adds the wait for its heartbeat."""

    deployment_id: Output[str]
    r2_prefix: Output[str]
    estimated_cost_usd: Output[float]
    access_token: Output[str]
    status_url: Output[str]

    def __init__(
        self,
        run: RunSettings,
        *,
        settings: Settings,
        store: ArtifactStore,
        image: RunImage,
        opts: ResourceOptions | None = None,
    ) -> None:
        super().__init__("trainstack:index:TrainingRun", run.name, None, opts)
        self._run, self._settings = run, settings
        child = ResourceOptions(parent=self)
        stem = f"{settings.stack}-{run.name}"
        identity = RunIdentity(
            f"{run.name}-identity",
            run=run.name,
            rerun=run.rerun,
            cloud=settings.world.cloud,
            name_stem=f"{settings.project}-{stem}",
            opts=child,
        )
        family = Output.concat(stem, "-", identity.id)
        credentials = store.run_credentials(
            f"{run.name}-token", token_name=Output.concat("trainstack-", family), opts=child
        )
        name_prefix = Output.concat(settings.project, "-", family, "-")
        replacing = self._replacing_inputs(
            identity=identity, r2_prefix=Output.concat(family, "-", run.training_hash), image=image
        )
        replace_hash = Output.from_input(replacing).apply(short_hash)
        args: dict[str, Any] = {
            **replacing,
            "cloud": settings.world.cloud,
            "accountId": settings.account_id,
            "privateName": Output.concat(name_prefix, replace_hash),
            "namePrefix": name_prefix,
            "durationHours": run.duration_hours,
            "maxCostUsd": run.max_cost_usd,
            "credentialsExpireOn": credentials.expire_on,
            "accessKeyId": credentials.access_key_id,
            "secretAccessKey": credentials.secret_access_key,
            "accessToken": identity.accessToken,
            "wandbApiKey": settings.wandb_api_key,
            "registryUsername": settings.image.username,
            "registrySecret": settings.image.secret,
        }
        self._args = cast("CaasDeploymentArgs", args)
        preflight = command.local.Command(
            f"{run.name}-preflight",
            create=PREFLIGHT,
            environment=self._preflight_environment(),
            triggers=[replace_hash, credentials.access_key_id],
            add_previous_output_in_env=False,
            opts=child,
        )
        self.deployment = CaasDeployment(
            f"{run.name}-deployment",
            self._args,
            ResourceOptions(parent=self, depends_on=[preflight]),
        )
        self.deployment_id = self.deployment.id
        # As rented: a run that has its verdict keeps its prefix whatever the program says now.
        self.r2_prefix = self.deployment.r2Prefix
        self.estimated_cost_usd = self.deployment.estimatedCostUsd
        self.access_token = identity.accessToken
        self.register_outputs({"deployment_id": self.deployment_id, "r2_prefix": self.r2_prefix})

    def follow(self, *, after: Sequence[Resource]) -> None:
        """Wait for the first heartbeat, once everything in `after` is there.

        The provider makes four calls at a time: a sweep rents all its machines before it waits.
        """
        ready = DeploymentReady(
            f"{self._run.name}-ready",
            deployment=self.deployment,
            args=self._args,
            timeout_minutes=self._settings.ready_timeout_minutes,
            opts=ResourceOptions(parent=self, depends_on=list(after)),
        )
        self.status_url = ready.statusUrl

    def _replacing_inputs(
        self, *, identity: RunIdentity, r2_prefix: Output[str], image: RunImage
    ) -> dict[str, Any]:
        run, settings = self._run, self._settings
        env: dict[str, Input[str]] = {
            "R2_ENDPOINT": settings.r2_endpoint,
            "R2_BUCKET": settings.bucket,
            "WANDB_RUN": run.wandb_run,
            "KEEP_ALIVE": str(run.keep_alive).lower(),
            "RUN_NAME": run.name,
            "RUN_PREFIX": r2_prefix,
            "RECIPE": run.recipe,
            "RECIPE_SETTINGS": json.dumps(dict(run.recipe_settings), sort_keys=True),
            "IMAGE_DIGEST": image.digest,
            "GPU_TYPE": run.gpu_type,
            "GPUS_PER_CONTAINER": str(run.gpus_per_container),
            "DEVICE_BATCH_SIZE": str(run.device_batch_size),
            "TRAFFIC_PORT": str(TRAFFIC_PORT),
        }
        if settings.world.dataset_mirror_url:
            env["DATASET_MIRROR_URL"] = settings.world.dataset_mirror_url
        values = {
            "bucket": settings.bucket,
            "entrypoint": list(ENTRYPOINT),
            "env": env,
            "gpuType": run.gpu_type,
            "gpusPerContainer": run.gpus_per_container,
            "identity": identity.id,
            "image": image.digest,
            "locations": list(run.locations),
            "r2Endpoint": settings.r2_endpoint,
            "r2Prefix": r2_prefix,
            "run": run.name,
            "trafficPort": TRAFFIC_PORT,
        }
        return {key: values[key] for key in change.REPLACE_KEYS}

    def _preflight_environment(self) -> dict[str, Input[str]]:
        args = self._args
        environment: dict[str, Input[str]] = {
            "R2_ENDPOINT": args["r2Endpoint"],
            "R2_BUCKET": args["bucket"],
            "R2_ACCESS_KEY_ID": args["accessKeyId"],
            "R2_SECRET_ACCESS_KEY": Output.secret(args["secretAccessKey"]),
            "CREDENTIALS_EXPIRE_ON": args["credentialsExpireOn"],
            "RUN_PREFIX": args["r2Prefix"],
            "IMAGE": args["image"],
            "REGISTRY_USERNAME": args["registryUsername"],
            "REGISTRY_SECRET": Output.secret(args["registrySecret"]),
        }
        return environment
