"""Builds an image with BuildKit, through the Docker engine's API, and tells how far it is."""

import base64
import json
import tarfile
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import requests
from docker.auth import INDEX_NAME, load_config, resolve_index_name
from docker.errors import DockerException

from localcloud.pulumi.plugins.buildkit_messages import StatusResponse
from localcloud.pulumi.plugins.buildkit_session import session
from localcloud.pulumi.plugins.context_digest import seen_files
from localcloud.pulumi.plugins.docker_client import (
    Progress,
    Registry,
    daemon_address,
    daemon_client,
    reason,
    stop_if_cancelled,
)
from localcloud.pulumi.plugins.resource import Call, PluginError

TAIL_LINES = 40
"""How much of a failed build's talk its error repeats."""

BUILDKIT = "2"
_TRACE = "moby.buildkit.trace"
_OUTSIDE = ".dockerfile.outside"
_DOCKER_HUB_HOST = "registry-1.docker.io"


def build_image(
    call: Call,
    name: str,
    *,
    context: Path,
    dockerfile: Path,
    options: Mapping[str, Any],
    registry: Registry | None,
) -> str:
    """Build and tag the image; return its ID. Raises PluginError with the end of its talk.

    `options` are query parameters of `POST /build` of the engine's API.
    """
    api = daemon_client().api
    begin = time.monotonic()
    try:
        with (
            tempfile.TemporaryFile() as file,
            session(daemon_address(), login=_logins(registry)) as session_id,
        ):
            found_at = _pack(file, context=context, dockerfile=dockerfile)
            file.seek(0)
            answer = api.post(
                f"{api.base_url}/v{api.api_version}/build",
                params={
                    **options,
                    "version": BUILDKIT,
                    "session": session_id,
                    "t": name,
                    "dockerfile": found_at,
                },
                data=file,
                headers={"Content-Type": "application/x-tar"},
                stream=True,
                timeout=api.timeout,
            )
            image_id = _follow(call, name, _events(answer))
    except (DockerException, requests.RequestException, OSError) as error:
        raise PluginError(f"building {name} failed: {reason(error)}") from error
    call.log(f"built {name} in {time.monotonic() - begin:.0f} s", passing=True)
    return image_id


def _pack(file: IO[bytes], *, context: Path, dockerfile: Path) -> str:
    """Write the context as an archive, all of root's; return where in it the Dockerfile is."""
    # Not in the pax format: of that the engine takes the first header for a Dockerfile.
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in seen_files(context):
            archive.add(context / name, name, recursive=False, filter=_of_root)
        if dockerfile.resolve().is_relative_to(context.resolve()):
            return dockerfile.resolve().relative_to(context.resolve()).as_posix()
        archive.add(dockerfile, _OUTSIDE, recursive=False, filter=_of_root)
        return _OUTSIDE


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _logins(registry: Registry | None) -> Callable[[str], tuple[str, str]]:
    """Return with which login to pull from a host: the given one there, else `docker login`'s."""
    known = load_config()

    def login(host: str) -> tuple[str, str]:
        index = INDEX_NAME if host == _DOCKER_HUB_HOST else resolve_index_name(host)
        if registry is not None and resolve_index_name(registry.server) == index:
            return registry.username, registry.password
        found: Any = known.resolve_authconfig(index) or {}
        lower = {key.lower(): value for key, value in found.items()}
        return lower.get("username") or "", lower.get("password") or ""

    return login


def _events(answer: requests.Response) -> Iterator[dict[str, Any]]:
    if not answer.ok:
        said = answer.json().get("message") if "json" in answer.headers["Content-Type"] else ""
        raise DockerException(said or f"the engine answered {answer.status_code}")
    for line in answer.iter_lines():
        if line.strip():
            yield json.loads(line)


def _follow(call: Call, name: str, events: Iterator[dict[str, Any]]) -> str:
    talk, image_id = _Talk(call), ""
    for event in events:
        stop_if_cancelled(call, f"building {name}")
        if "error" in event:
            said = "\n".join(talk.tail)
            raise PluginError(f"building {name} failed: {event['error']}\n{said}")
        if event.get("id") == _TRACE:
            talk.read(StatusResponse.FromString(base64.b64decode(event["aux"])))
        elif isinstance(event.get("aux"), dict):
            image_id = event["aux"].get("ID", image_id)
    return image_id


class _Talk:
    """What the steps of a build say; `tail` is the end of it."""

    def __init__(self, call: Call) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._progress = Progress(call)
        self._seen: set[str] = set()

    def read(self, status: Any) -> None:
        """Take in what happened since the last time; show each step as it comes."""
        for step in status.vertexes:
            if step.digest not in self._seen:
                self._seen.add(step.digest)
                self.tail.append(step.name)
                self._progress.show(step.name)
        for log in status.logs:
            for line in log.msg.decode(errors="replace").splitlines():
                if line.strip():
                    self.tail.append(line)
                    if self._progress.is_due:
                        self._progress.show(line)
