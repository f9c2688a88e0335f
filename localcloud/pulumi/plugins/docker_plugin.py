"""A stand-in for the docker plugin 5.2.0: `Image`, built and pushed through the engine's API.

It differs in that it builds with the classic builder (a plain engine has no other without the
buildx client) and that a refresh notices an image that its registry no longer has.
"""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from localcloud.pulumi.plugins.image_build import (
    Registry,
    build_image,
    image_in_registry,
    push_image,
)
from localcloud.pulumi.plugins.image_context import context_digest
from localcloud.pulumi.plugins.resource import Call, PluginError, Properties, Resource, Shape
from localcloud.pulumi.plugins.serve import serve
from localcloud.pulumi.plugins.standin import StandIn
from localcloud.pulumi.plugins.values import has_unknown

VERSION = "5.2.0"

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class Image(Resource):
    """An image built from a folder and pushed; built again when what the build sees changes."""

    type: ClassVar[str] = "docker:index/image:Image"
    inputs: ClassVar[Mapping[str, Shape]] = {
        "imageName": None,
        "build": {
            "context": None,
            "dockerfile": None,
            "platform": None,
            "args": None,
            "cacheFrom": {"images": None},
            "addHosts": None,
            "builderVersion": None,
            "network": None,
            "target": None,
            # Not the program's: `check` adds it, so that a changed context is a changed input.
            "contextDigest": None,
        },
        "registry": {"server": None, "username": None, "password": None},
        "buildOnPreview": None,
        "skipPush": None,
    }
    required: ClassVar[frozenset[str]] = frozenset({"imageName"})
    unsettled: ClassVar[frozenset[str]] = frozenset({"repoDigest"})

    def check(self, call: Call, inputs: Properties) -> Properties:
        build = inputs.get("build", {})
        if has_unknown(build):
            return inputs  # seen again, and known, before it is built
        if not inputs.get("skipPush") and not _is_qualified(inputs["imageName"]):
            raise PluginError(
                f"imageName {inputs['imageName']} of {call.name} names no registry. Put it in "
                "front, as in docker.io/someone/image:tag or 127.0.0.1:5000/image:tag."
            )
        context, dockerfile = _paths(build)
        machine = platform.machine()
        settled = {
            "platform": f"linux/{_MACHINES.get(machine, machine)}",
            **build,
            "contextDigest": context_digest(context, dockerfile),
        }
        return {**inputs, "build": settled}

    def compared(self, key: str, old: Any, new: Any) -> tuple[Any, Any]:
        if key == "registry":  # credentials may change as they like; the image stays
            return tuple({"server": (v or {}).get("server")} for v in (old, new))  # type: ignore[return-value]
        if key == "buildOnPreview":
            return None, None
        return old, new

    def preview(self, inputs: Properties) -> Properties:
        return {} if has_unknown(inputs.get("build", {})) else _described(inputs)

    def create(self, call: Call, inputs: Properties) -> tuple[str, Properties]:
        return inputs["imageName"], self._make(call, inputs)

    def read(self, call: Call, id_: str, state: Properties) -> tuple[str, Properties] | None:
        if state and not state.get("skipPush") and "repoDigest" in state:
            there = image_in_registry(call, state["repoDigest"], _registry(state))
            if there is False:
                call.log(f"{state['repoDigest']} is not in its registry any more", warning=True)
                return None
        return (id_, state) if state else None

    def update(self, call: Call, id_: str, old: Properties, new: Properties) -> Properties:
        return self._make(call, new)

    def delete(self, call: Call, id_: str, state: Properties) -> None:
        """Leave the image where it is, as the real plugin does: others may use its layers."""

    def _make(self, call: Call, inputs: Properties) -> Properties:
        name, build = inputs["imageName"], inputs.get("build", {})
        context, dockerfile = _paths(build)
        image_id = build_image(
            call,
            name,
            context=context,
            dockerfile=dockerfile,
            options={k: build[k] for k in ("args", "target", "platform", "network") if k in build},
            cache_from=build.get("cacheFrom", {}).get("images", []),
            add_hosts=build.get("addHosts", []),
            registry=_registry(inputs),
        )
        digest = image_id
        if not inputs.get("skipPush"):
            digest = push_image(call, name, _registry(inputs))
        return {**_described(inputs), "repoDigest": digest}


def _paths(build: Properties) -> tuple[Path, Path]:
    context = Path(build.get("context", "."))
    return context, Path(build.get("dockerfile") or context / "Dockerfile")


def _described(inputs: Properties) -> Properties:
    build = inputs.get("build", {})
    context, dockerfile = _paths(build)
    return {
        "baseImageName": inputs["imageName"],
        "context": str(context),
        "dockerfile": os.path.relpath(dockerfile, context),
        "platform": build.get("platform"),
        "registryServer": inputs.get("registry", {}).get("server", ""),
    }


def _registry(inputs: Properties) -> Registry | None:
    given = inputs.get("registry", {})
    if not given.get("username") or not given.get("password"):
        return None  # what `docker login` left on this machine
    server = given.get("server") or inputs["imageName"].split("/")[0]
    return Registry(server, given["username"], given["password"])


def _is_qualified(name: Any) -> bool:
    if not isinstance(name, str):
        return True  # unknown yet
    first, slash, _ = name.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def main() -> None:
    """Serve the engine."""
    serve(StandIn("docker", [Image()]), VERSION)
