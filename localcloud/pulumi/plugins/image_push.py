"""Pushes an image through the Docker engine's API, telling how far it is."""

import time
from collections.abc import Iterable
from typing import Any

import requests
from docker.errors import DockerException
from docker.utils import parse_repository_tag

from localcloud.pulumi.plugins.docker_client import (
    Progress,
    Registry,
    daemon_client,
    reason,
    stop_if_cancelled,
)
from localcloud.pulumi.plugins.resource import Call, PluginError


def log_in(registry: Registry | None) -> None:
    """Try the credentials; a wrong one is told before a long build."""
    if registry is None:
        return
    try:
        daemon_client().login(
            registry.username, registry.password, registry=registry.server, reauth=True
        )
    except (DockerException, requests.RequestException, OSError) as error:
        raise PluginError(
            f"the registry {registry.server} did not let {registry.username} in: {reason(error)}"
        ) from error


def push_image(call: Call, name: str, registry: Registry | None) -> str:
    """Push the image; return its reference by digest, `repository@sha256:…`."""
    repository, tag = parse_repository_tag(name)
    begin = time.monotonic()
    try:
        talk = daemon_client().api.push(
            repository,
            tag=tag or "latest",
            stream=True,
            decode=True,
            auth_config=registry.auth() if registry else None,
        )
        digest = _follow(call, name, talk)
    except (DockerException, requests.RequestException, OSError) as error:
        raise PluginError(f"pushing {name} failed: {reason(error)}") from error
    call.log(f"pushed {name} in {time.monotonic() - begin:.0f} s", passing=True)
    return f"{repository}@{digest}"


def _follow(call: Call, name: str, talk: Iterable[dict[str, Any]]) -> str:
    done: dict[str, int] = {}
    sizes: dict[str, int] = {}
    digest, progress = None, Progress(call)
    for event in talk:
        stop_if_cancelled(call, f"pushing {name}")
        if "error" in event:
            raise PluginError(
                f"pushing {name} failed: {event['error']}. Are the registry's address, username "
                "and secret right, and may they push there?"
            )
        digest = event.get("aux", {}).get("Digest", digest)
        part = event.get("progressDetail") or {}
        if "id" in event and "current" in part:
            done[event["id"]] = part["current"]
            sizes[event["id"]] = max(part.get("total", 0), part["current"])
        if progress.is_due:
            mib = [sum(layer.values()) / 2**20 for layer in (done, sizes)]
            progress.show(f"pushing {mib[0]:.0f} of {mib[1]:.0f} MiB")
    if digest is None:
        raise PluginError(f"pushing {name} failed: the registry told no digest. Push once more.")
    return digest
