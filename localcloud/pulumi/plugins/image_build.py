"""Builds and pushes an image through the Docker engine's API, telling how far it is."""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.utils import parse_repository_tag

from container.contract.redacted import without_secrets
from localcloud.pulumi.plugins.resource import Call, PluginError

ENGINE_TIMEOUT_S = 600
"""Between two pieces of an answer: a RUN step may be silent for minutes."""

TAIL_LINES = 40
"""How much of a failed build's talk its error repeats."""

SHOWN_CHARACTERS = 72
PROGRESS_S = 2.0

_CHATTER = (" --->", "Removing intermediate container", "Successfully ")
"""The classic builder's talk about itself."""

_OPTIONS = {"args": "buildargs", "network": "network_mode"}


@dataclass(frozen=True)
class Registry:
    """Where to push, and as whom."""

    server: str
    username: str
    password: str = field(repr=False)

    def auth(self) -> dict[str, str]:
        """Return the engine's form of it."""
        return {
            "username": self.username,
            "password": self.password,
            "serveraddress": self.server,
        }


def build_image(
    call: Call,
    name: str,
    *,
    context: Path,
    dockerfile: Path,
    options: Mapping[str, Any],
    cache_from: list[str],
    add_hosts: list[str],
    registry: Registry | None,
) -> str:
    """Build and tag the image; return its ID. Raises PluginError with the end of its talk."""
    client = _client()
    _log_in(client, registry)
    begin = time.monotonic()
    try:
        talk = client.api.build(
            path=str(context),
            # Absolute, so that a Dockerfile outside the context is sent along.
            dockerfile=str(dockerfile.resolve()),
            tag=name,
            rm=True,
            forcerm=True,
            decode=True,
            cache_from=cache_from or None,
            extra_hosts=dict(host.split(":", 1) for host in add_hosts) or None,
            **{_OPTIONS.get(key, key): value for key, value in options.items()},
        )
        image_id = _follow_build(call, name, talk)
    except (DockerException, OSError) as error:
        raise PluginError(f"building {name} failed: {_reason(error)}") from error
    call.log(f"built {name} in {time.monotonic() - begin:.0f} s")
    return image_id or client.images.get(name).id or ""


def push_image(call: Call, name: str, registry: Registry | None) -> str:
    """Push the image; return its reference by digest, `repository@sha256:…`."""
    client = _client()
    repository, tag = parse_repository_tag(name)
    begin = time.monotonic()
    try:
        talk = client.api.push(
            repository,
            tag=tag or "latest",
            stream=True,
            decode=True,
            auth_config=registry.auth() if registry else None,
        )
        digest = _follow_push(call, name, talk)
    except (DockerException, OSError) as error:
        raise PluginError(f"pushing {name} failed: {_reason(error)}") from error
    call.log(f"pushed {name} in {time.monotonic() - begin:.0f} s")
    return f"{repository}@{digest}"


def image_in_registry(call: Call, reference: str, registry: Registry | None) -> bool | None:
    """Say whether the registry has the image; None when it cannot be asked."""
    try:
        _client().api.inspect_distribution(reference, registry.auth() if registry else None)
    except NotFound:
        return False
    except APIError as error:
        # The engine passes a registry's 404 on as 500 with the registry's own words.
        if "manifest unknown" in str(error.explanation).lower():
            return False
        call.log(f"whether {reference} is still there was not found out: {_reason(error)}")
        return None
    except (DockerException, OSError, PluginError):
        return None
    return True


def _client() -> docker.DockerClient:
    try:
        return docker.from_env(timeout=ENGINE_TIMEOUT_S)
    except DockerException as error:
        raise PluginError(
            f"The Docker engine does not answer ({error}). Start it, or name it in DOCKER_HOST."
        ) from error


def _log_in(client: docker.DockerClient, registry: Registry | None) -> None:
    """Use the credentials for what the build pulls; a wrong one is told before a long build."""
    if registry is None:
        return
    try:
        client.login(registry.username, registry.password, registry=registry.server, reauth=True)
    except (DockerException, OSError) as error:
        raise PluginError(
            f"the registry {registry.server} did not let {registry.username} in: {_reason(error)}"
        ) from error


def _follow_build(call: Call, name: str, talk: Iterable[dict[str, Any]]) -> str | None:
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    image_id, told = None, time.monotonic()
    for event in talk:
        _stop_if_cancelled(call, f"building {name}")
        image_id = event.get("aux", {}).get("ID", image_id)
        if "error" in event:
            said = "\n".join(tail)
            raise PluginError(f"building {name} failed: {event['error']}\n{said}")
        for line in event.get("stream", event.get("status", "")).splitlines():
            if line.strip() and not line.startswith(_CHATTER):
                tail.append(line)
                # Every step, and a sign of life within it: apt-get alone says a thousand lines.
                if line.startswith("Step ") or time.monotonic() - told >= PROGRESS_S:
                    told = time.monotonic()
                    call.log(
                        shorten(without_secrets(line), SHOWN_CHARACTERS, placeholder=" ..."),
                        passing=True,
                    )
    return image_id


def _follow_push(call: Call, name: str, talk: Iterable[dict[str, Any]]) -> str:
    done: dict[str, int] = {}
    sizes: dict[str, int] = {}
    digest, told = None, time.monotonic()
    for event in talk:
        _stop_if_cancelled(call, f"pushing {name}")
        if "error" in event:
            raise PluginError(
                f"pushing {name} failed: {event['error']}. Are the registry's address, username "
                "and secret right, and may they push there?"
            )
        digest = event.get("aux", {}).get("Digest", digest)
        progress = event.get("progressDetail") or {}
        if "id" in event and "current" in progress:
            done[event["id"]] = progress["current"]
            sizes[event["id"]] = max(progress.get("total", 0), progress["current"])
        if time.monotonic() - told >= PROGRESS_S:
            told = time.monotonic()
            mib = [sum(part.values()) / 2**20 for part in (done, sizes)]
            call.log(f"pushing {mib[0]:.0f} of {mib[1]:.0f} MiB", passing=True)
    if digest is None:
        raise PluginError(f"pushing {name} failed: the registry told no digest. Push once more.")
    return digest


def _stop_if_cancelled(call: Call, what: str) -> None:
    if call.cancelled.is_set():
        raise PluginError(f"{what} was cancelled")


def _reason(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error)
