"""RunImage: the training image, built from `container/`, pushed, and used by digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pulumi_docker as docker
from pulumi import ComponentResource, Output, ResourceOptions

from components.config.run_settings import short_hash
from components.config.settings import ImageSettings
from components.dockerignore import Ignored

PLATFORM = "linux/amd64"
TAG_LENGTH = 16
CONTEXT = "container"


class RunImage(ComponentResource):
    """The image in the registry; `digest` is the reference that machines pull."""

    digest: Output[str]

    def __init__(
        self, name: str, *, args: ImageSettings, project: Path, opts: ResourceOptions | None = None
    ) -> None:
        super().__init__("trainstack:index:RunImage", name, None, opts)
        tag = content_tag(project / CONTEXT, target=args.target, build_args=args.build_args)
        # The context's content does not travel with the path: the tag makes a change a rebuild.
        image = docker.Image(
            f"{name}-build",
            image_name=f"{args.server}/{args.repository}:{tag}",
            build=docker.DockerBuildArgs(
                context=CONTEXT,  # relative to the project: the state names no checkout
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
            opts=ResourceOptions(parent=self),
        )
        self.digest = image.repo_digest
        self.register_outputs({"digest": self.digest})


def content_tag(context: Path, *, target: str, build_args: Mapping[str, str]) -> str:
    """Return a tag that changes with the context's content, the target and the build arguments.

    Files that `.dockerignore` names are left out, as the build does not see them.
    """
    ignored = (
        Ignored((context / ".dockerignore").read_text().splitlines())
        if (context / ".dockerignore").exists()
        else Ignored([])
    )
    seen = hashlib.sha256(short_hash([target, dict(build_args)]).encode())
    for path in sorted(context.rglob("*")):
        name = path.relative_to(context).as_posix()
        if path.is_dir() or ignored.matches(name):
            continue
        mode = "x" if path.stat().st_mode & 0o100 else "-"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        seen.update(f"{name}\0{mode}\0{digest}\n".encode())
    return seen.hexdigest()[:TAG_LENGTH]
