"""RunImage: the training image, built from `container/`, pushed, and used by digest."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pulumi
import pulumi_docker as docker
from pulumi import (
    ComponentResource,
    ErrorHook,
    ErrorHookArgs,
    Output,
    ResourceHook,
    ResourceHookArgs,
    ResourceHookBinding,
    ResourceHookOptions,
    ResourceOptions,
)

from components import build_failure, docker_daemon, image_context
from components.config.keys import PROJECT_NAMESPACE
from components.config.run_settings import short_hash
from components.config.settings import ImageSettings
from container.contract.upstream import NO_KERNEL, WITHOUT_KERNEL

PLATFORM = "linux/amd64"
TAG_LENGTH = 16
SOURCE = "container"
CONTEXT = ".image/context"
"""Relative to the project: the state names no checkout. Written by each update, never committed."""


class RunImage(ComponentResource):
    """The image in the registry; `digest` is the reference that machines pull."""

    digest: Output[str]

    def __init__(
        self, name: str, *, args: ImageSettings, project: Path, opts: ResourceOptions | None = None
    ) -> None:
        super().__init__("trainstack:index:RunImage", name, None, opts)
        files = image_files(project / SOURCE)
        if args.build_args.get("FA3_REVISION") == NO_KERNEL:
            pulumi.log.warn(f"The image has {WITHOUT_KERNEL} ({PROJECT_NAMESPACE}:flashAttention).")
        image_context.write(files, folder=project / CONTEXT)
        tag = content_tag(files, target=args.target, build_args=args.build_args)
        # The context's content does not travel with the path: the tag makes a change a rebuild.
        image = docker.Image(
            f"{name}-build",
            image_name=f"{args.server}/{args.repository}:{tag}",
            # No builder_version: the plugin's own choice is BuildKit. The classic builder mislabels
            # foreign platforms on a containerd store, and builds each stage before the target.
            # https://github.com/moby/moby/issues/47823
            build=docker.DockerBuildArgs(
                context=CONTEXT,
                dockerfile=f"{CONTEXT}/Dockerfile",
                target=args.target,
                args=dict(args.build_args),
                platform=PLATFORM,
            ),
            registry=docker.RegistryArgs(
                server=args.server,
                username=args.username,
                password=Output.secret(args.secret),
            ),
            opts=ResourceOptions(parent=self, hooks=_hooks(f"{name}-build", target=args.target)),
        )
        self.digest = image.repo_digest
        self.register_outputs({"digest": self.digest})


def _hooks(name: str, *, target: str) -> ResourceHookBinding:
    """Look at the daemon before it builds, and say in our words why a build failed."""
    by_hand = f"docker build --platform {PLATFORM} --target {target} {CONTEXT}"

    async def before(_args: ResourceHookArgs) -> None:
        found = await asyncio.to_thread(docker_daemon.look)
        if found.outcome == "ok":
            return
        if pulumi.runtime.is_dry_run() or found.outcome == "unknown":
            pulumi.log.warn(f"The image may not be built: {found}.")
            return
        raise docker_daemon.DaemonRefusedError(f"The image cannot be built: {found}.")

    def failed(args: ErrorHookArgs) -> bool:
        image = str((args.new_inputs or {}).get("imageName", name))
        if args.failed_operation != "delete":
            pulumi.log.error(build_failure.explain(args.errors, image=image, by_hand=by_hand))
        return False

    look = ResourceHook(f"{name}-daemon", before, ResourceHookOptions(on_dry_run=True))
    return ResourceHookBinding(
        before_create=[look], before_update=[look], on_error=[ErrorHook(f"{name}-failed", failed)]
    )


def image_files(source: Path) -> dict[str, bytes]:
    """Return the image's files; say which modules are none of them, refuse if one is needed."""
    missing = image_context.unlisted_modules(source)
    loaded = image_context.loaded_modules(source)
    if needed := [name for name in missing if name in loaded]:
        raise image_context.ImageContextError(_left_out(source, needed))
    if missing:
        pulumi.log.warn(_left_out(source, missing))
    return image_context.read(source)


def content_tag(files: Mapping[str, bytes], *, target: str, build_args: Mapping[str, str]) -> str:
    """Return a tag that changes with the image's files, the target and the build arguments."""
    seen = hashlib.sha256(short_hash([target, dict(build_args)]).encode())
    for name, content in sorted(files.items()):
        mode = image_context.mode_of(name)
        seen.update(f"{name}\0{mode:o}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return seen.hexdigest()[:TAG_LENGTH]


def _left_out(source: Path, names: Sequence[str]) -> str:
    return (
        f"{', '.join(names)} of {source.name}/ would be missing on the machine: the image has the "
        f"files that {source.name}/{image_context.LIST} names. To have it there, add the line "
        f"`!{names[0]}`."
    )
