"""A stand-in for the docker plugin 5.2.0: `Image`, built and pushed through the engine's API.

It differs in that it builds with BuildKit only, tries the registry's login before it builds, and
ends the error of a failed build with what that build said last.
"""

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from localcloud.pulumi.plugins.context_digest import context_digest
from localcloud.pulumi.plugins.docker_client import Registry
from localcloud.pulumi.plugins.image_build import build_image
from localcloud.pulumi.plugins.image_push import log_in, push_image
from localcloud.pulumi.plugins.resource import Call, PluginError, Properties, Resource, Shape
from localcloud.pulumi.plugins.serve import serve
from localcloud.pulumi.plugins.standin import StandIn
from localcloud.pulumi.plugins.values import has_unknown

VERSION = "5.2.0"

_BUILDKIT = "BuilderBuildKit"
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
    keeps_inputs_as: ClassVar[str] = "__inputs"

    def check(self, call: Call, inputs: Properties) -> Properties:
        build = inputs.get("build", {})
        if has_unknown(build):
            return inputs  # seen again, and known, before it is built
        if not inputs.get("skipPush") and not _is_qualified(inputs["imageName"]):
            raise PluginError(
                f"imageName {inputs['imageName']} of {call.name} names no registry. Put it in "
                "front, as in docker.io/someone/image:tag or 127.0.0.1:5000/image:tag."
            )
        if build.get("builderVersion", _BUILDKIT) != _BUILDKIT:
            raise PluginError(
                f"builderVersion of {call.name} is {build['builderVersion']}; this stand-in builds "
                f"with BuildKit, which is {_BUILDKIT} or nothing."
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

    def create(self, call: Call, inputs: Properties) -> tuple[str, Properties]:
        return inputs["imageName"], self._make(call, inputs)

    def read(self, call: Call, id_: str, state: Properties) -> tuple[str, Properties] | None:
        # As it was passed: an image that its registry lost is not noticed.
        return (id_, state) if state else None

    def update(self, call: Call, id_: str, old: Properties, new: Properties) -> Properties:
        return self._make(call, new)

    def delete(self, call: Call, id_: str, state: Properties) -> None:
        """Leave the image where it is, as the real plugin does: others may use its layers."""

    def _make(self, call: Call, inputs: Properties) -> Properties:
        name, build, registry = inputs["imageName"], inputs.get("build", {}), _registry(inputs)
        context, dockerfile = _paths(build)
        log_in(registry)
        image_id = build_image(
            call,
            name,
            context=context,
            dockerfile=dockerfile,
            options=_options(build),
            registry=registry,
        )
        digest = image_id if inputs.get("skipPush") else push_image(call, name, registry)
        return {**_described(inputs), "repoDigest": digest}


def _options(build: Properties) -> dict[str, Any]:
    """Return the build's settings as the engine's API names and writes them."""
    options: dict[str, Any] = {
        "buildargs": json.dumps(build["args"]) if "args" in build else None,
        "target": build.get("target"),
        "platform": build.get("platform"),
        "networkmode": build.get("network"),
        "extrahosts": build.get("addHosts"),
        "cachefrom": json.dumps(build["cacheFrom"]["images"]) if "cacheFrom" in build else None,
    }
    return {key: value for key, value in options.items() if value is not None}


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
        "imageName": inputs["imageName"],
        "platform": build.get("platform", ""),
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
