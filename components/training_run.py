"""TrainingRun: one run's identity, credentials, preflight, deployment and heartbeat."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi_command as command
from pulumi import (
    ComponentResource,
    Input,
    Output,
    Resource,
    ResourceHook,
    ResourceHookArgs,
    ResourceHookBinding,
    ResourceOptions,
    log,
)

from components import preflight as checks
from components.artifact_store import ArtifactStore
from components.config.one_run import RUN_OF_SWEEP
from components.config.run_settings import RunSettings
from components.config.settings import Settings
from components.ionet import change, properties, run_tokens
from components.ionet.deployment import (
    ENTRYPOINT,
    TRAFFIC_PORT,
    CaasDeployment,
    CaasDeploymentArgs,
    DeploymentReady,
    MachineArgs,
    RunIdentity,
)
from components.run_image import RunImage
from container.contract.environment import NAMES, NO_WANDB_RUN, RunEnvironment

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
            place={
                "project": settings.project,
                "stack": settings.stack,
                "accountId": settings.account_id,
                "r2Endpoint": settings.r2_endpoint,
                "bucket": settings.bucket,
            },
            opts=child,
        )
        family = Output.concat(stem, "-", identity.id)
        credentials = store.run_credentials(
            f"{run.name}-token",
            token_name=family.apply(lambda name: run_tokens.name_of(name, renew=run.renew)),
            opts=child,
        )
        name_prefix = Output.concat(settings.project, "-", family, "-")
        machine = self._machine(
            identity=identity, r2_prefix=Output.concat(family, "-", run.training_hash)
        )
        rental_hash = Output.from_input(dict(machine)).apply(change.rental_hash)
        self._args: CaasDeploymentArgs = {
            **machine,
            "cloud": settings.world.cloud,
            "project": settings.project,
            "stack": settings.stack,
            "renew": run.renew,
            "accountId": settings.account_id,
            "privateName": Output.concat(name_prefix, rental_hash),
            "namePrefix": name_prefix,
            "image": image.digest,
            "entrypoint": list(ENTRYPOINT),
            "trafficPort": TRAFFIC_PORT,
            "firstHours": run.first_hours,
            "attempts": run.attempts,
            "maxCostUsd": properties.dollars(run.max_cost_usd),
            "credentialsExpireOn": credentials.expire_on,
            "accessKeyId": credentials.access_key_id,
            "secretAccessKey": credentials.secret_access_key,
            "accessToken": identity.accessToken,
            "wandbApiKey": settings.wandb_api_key,
            "registryUsername": settings.image.username,
            "registrySecret": settings.image.secret,
        }
        self._args["timedFor"] = properties.timed_for(run.timed_for)
        # Hours that are left open are resolved when a machine is chosen, and kept.
        if run.duration_hours:
            self._args["durationHours"] = run.duration_hours
        else:
            self._args["autoHours"] = True
        if run.max_usd_per_gpu_hour:
            self._args["maxUsdPerGpuHour"] = properties.dollars(run.max_usd_per_gpu_hour)
        if run.auto_extend:
            self._args["autoExtend"] = run.auto_extend
        # Not there where they are not set: a machine that an older release rented has no such.
        if settings.notify_url:
            self._args["notifyUrl"] = settings.notify_url
        if settings.ping_url:
            self._args["pingUrl"] = settings.ping_url
        # A hook, as it runs when the preflight has run: its output is in the state, and an `apply`
        # would tell it again in every update.
        warning = ResourceHook(
            f"{run.name}-preflight-unknown", lambda ran: _warn(ran, about=preflight)
        )
        preflight = command.local.Command(
            f"{run.name}-preflight",
            create=PREFLIGHT,
            # Of a changed variable it runs again in place. A trigger would show a replacement, and
            # to take those of an older stack away another: they stay as its state has them.
            environment=self._preflight_environment(rental_hash),
            add_previous_output_in_env=False,
            opts=ResourceOptions.merge(
                child,
                ResourceOptions(
                    ignore_changes=["triggers"],
                    hooks=ResourceHookBinding(after_create=[warning], after_update=[warning]),
                ),
            ),
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

    def _machine(self, *, identity: RunIdentity, r2_prefix: Output[str]) -> MachineArgs:
        run, settings = self._run, self._settings

        def environment(prefix: str) -> dict[str, str]:
            return RunEnvironment(
                run=run.name,
                prefix=prefix,
                recipe=run.recipe,
                settings=run.recipe_settings,
                endpoint=settings.r2_endpoint,
                bucket=settings.bucket,
                wandb_run=run.wandb_run,
                keep_alive=run.keep_alive,
                gpu_type=run.models[0],  # what is found of several, the rental tells besides
                gpus_per_container=run.gpus_per_container,
                device_batch_size=run.device_batch_size,
                mirror_url=settings.dataset_mirror,
                hub_mirror=settings.hub_mirror,
                traffic_port=TRAFFIC_PORT,
                stop_grace_s=settings.stop_grace_s,
            ).to_env()

        return {
            "bucket": settings.bucket,
            "env": r2_prefix.apply(environment),
            "gpuType": run.gpu_type,
            "gpusPerContainer": run.gpus_per_container,
            "identity": identity.id,
            "locations": list(run.locations),
            "r2Endpoint": settings.r2_endpoint,
            "r2Prefix": r2_prefix,
            "run": run.name,
        }

    def _preflight_environment(self, rental_hash: Output[str]) -> dict[str, Input[str]]:
        args = self._args
        environment: dict[str, Input[str]] = {
            NAMES["endpoint"]: args["r2Endpoint"],
            NAMES["bucket"]: args["bucket"],
            NAMES["access_key_id"]: args["accessKeyId"],
            NAMES["secret_access_key"]: Output.secret(args["secretAccessKey"]),
            NAMES["prefix"]: args["r2Prefix"],
            "CREDENTIALS_EXPIRE_ON": args["credentialsExpireOn"],
            "IMAGE": args["image"],
            "REGISTRY_USERNAME": args["registryUsername"],
            "REGISTRY_SECRET": Output.secret(args["registrySecret"]),
            NAMES["recipe"]: self._run.recipe,
            "RENTAL": rental_hash,  # read by nobody: another rental is checked before it is made
        }
        if self._settings.dataset_mirror:
            environment[NAMES["mirror_url"]] = self._settings.dataset_mirror
        if self._settings.hub_mirror:
            environment[checks.HUB_MIRROR] = self._settings.hub_mirror
        if self._run.in_sweep:
            environment[RUN_OF_SWEEP] = self._run.name
        if self._run.wandb_run != NO_WANDB_RUN:
            environment[NAMES["wandb_api_key"]] = Output.secret(args["wandbApiKey"])
        return environment


def _warn(ran: ResourceHookArgs, *, about: Resource) -> None:
    def tell(stdout: str) -> None:
        for line in checks.unknown_in(stdout):
            log.warn(line, about)

    # A secret one comes as an output: providers differ in what they mark.
    Output.from_input((ran.new_outputs or {}).get("stdout") or "").apply(tell)
