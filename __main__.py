"""The program that `pulumi up` runs: settings, components, outputs."""

import os
from pathlib import Path

import pulumi
from pulumi.runtime import config as runtime_config

from components import debug_log, outputs
from components.artifact_store import ArtifactStore, find_or_make_bucket
from components.config.settings import Settings, load_settings
from components.errors import TrainstackError
from components.r2 import cloudflare
from components.run_image import RunImage
from components.training_run import TrainingRun


def settings() -> Settings:
    """Check the stack's config before anything is asked of anyone."""
    config = dict(runtime_config.CONFIG.get())
    file = Path(__file__).with_name(f"Pulumi.{pulumi.get_stack()}.yaml")
    return load_settings(
        config,
        secret_keys=frozenset(key for key in config if runtime_config.is_config_secret(key)),
        env=os.environ,
        project=pulumi.get_project(),
        stack=pulumi.get_stack(),
        stack_file=file.read_text(errors="replace") if file.is_file() else "",
    )


def main() -> None:
    """Declare the stack."""
    debug_log.hide_properties()
    wanted = settings()
    client = cloudflare.Client(
        wanted.cloudflare_api_token,
        account_id=wanted.account_id,
        base_url=wanted.world.cloudflare_base_url,
    )
    found = find_or_make_bucket(
        client, wanted.bucket, jurisdiction=wanted.jurisdiction, dry_run=pulumi.runtime.is_dry_run()
    )
    store = ArtifactStore("artifacts", settings=wanted, found=found)
    image = RunImage("image", args=wanted.image, project=Path(__file__).parent)
    runs = [TrainingRun(run, settings=wanted, store=store, image=image) for run in wanted.runs]
    for run in runs:
        run.follow(after=[other.deployment for other in runs])
    for name, value in outputs.of(runs, names=[run.name for run in wanted.runs]).items():
        pulumi.export(name, value)
    pulumi.export("bucket", store.bucket)
    pulumi.export("image", image.digest)


try:
    main()
except TrainstackError as error:
    raise pulumi.RunError(str(error)) from None
