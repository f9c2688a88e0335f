"""Runs rented containers on the Docker daemon; the only module here that knows docker-py.

Containers carry the labels `trainstack.place`, `trainstack.deployment` and `trainstack.attempt`, by
which a restarted process finds them again. Traffic ports are published on loopback only.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, cast

import docker
import docker.errors
import requests.exceptions
import urllib3.exceptions
from docker.types import LogConfig

from localcloud.caas.runtime.runtime import (
    ContainerSpec,
    FoundContainer,
    LogStream,
    PullError,
    RuntimeUnavailableError,
    StartError,
    StreamName,
)

PLACE_LABEL = "trainstack.place"
DEPLOYMENT_LABEL = "trainstack.deployment"
ATTEMPT_LABEL = "trainstack.attempt"

# A layer of gigabytes is unpacked without a word of progress.
DOCKER_TIMEOUT_S = 900
LOG_LIMITS = {"max-size": "20m", "max-file": "2"}
LITTLE_DISK = {"/workspace": "size=64m"}  # the folder that the image works in


class DockerRuntime:
    """The containers of one place on the daemon that the environment names."""

    def __init__(self, *, place_id: str, network: str) -> None:
        self._place_id = place_id
        self._network = network

    @cached_property
    def _docker(self) -> docker.DockerClient:
        return docker.DockerClient.from_env(timeout=DOCKER_TIMEOUT_S, max_pool_size=32)

    def pull(self, image_url: str, *, username: str, secret: str) -> None:
        # An empty mapping keeps docker-py from using the operator's own logins.
        login = {"username": username, "password": secret} if username or secret else {}
        try:
            with _docker_answers():
                # The daemon does not ask the registry for a digest that it has; this does.
                self._docker.api.inspect_distribution(image_url, auth_config=login)
                for line in self._docker.api.pull(
                    image_url, stream=True, decode=True, auth_config=login
                ):
                    if "error" in line:
                        raise PullError(_without(str(line["error"]), secret))
        except docker.errors.APIError as error:
            raise PullError(_without(_reason(error), secret)) from None

    def start(self, spec: ContainerSpec) -> FoundContainer:
        try:
            with _docker_answers():
                return self._start(spec)
        except docker.errors.APIError as error:
            raise StartError(_reason(error)) from None

    def found(self, deployment_id: str | None = None) -> list[FoundContainer]:
        labels = [f"{PLACE_LABEL}={self._place_id}"]
        if deployment_id:
            labels.append(f"{DEPLOYMENT_LABEL}={deployment_id}")
        with _docker_answers(every_error=True):
            rows = self._docker.api.containers(all=True, filters={"label": labels})
            return [self._found(row) for row in rows]

    def remove(self, runtime_id: str, *, grace_s: float) -> None:
        with _docker_answers(every_error=True):
            try:
                self._docker.api.stop(runtime_id, timeout=max(1, round(grace_s)))
                self._docker.api.remove_container(runtime_id, force=True, v=True)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if error.status_code != http.client.CONFLICT:  # "removal is already in progress"
                    raise

    def answers(self, container: FoundContainer, *, timeout_s: float) -> bool:
        if container.host_port is None:
            return False
        # An open port proves nothing: the daemon's proxy accepts before the program listens.
        probe = http.client.HTTPConnection("127.0.0.1", container.host_port, timeout=timeout_s)
        try:
            probe.request("GET", "/")
            probe.getresponse()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            probe.close()
        return True

    def log(self, runtime_id: str, *, stream: StreamName, follow: bool) -> LogStream:
        with _docker_answers(every_error=True):
            return cast(
                "LogStream",
                self._docker.containers.get(runtime_id).logs(
                    stdout=stream == "stdout",
                    stderr=stream == "stderr",
                    stream=True,
                    follow=follow,
                ),
            )

    def _start(self, spec: ContainerSpec) -> FoundContainer:
        try:
            made = self._create(spec, host_port=spec.host_port)
        except docker.errors.APIError as error:
            if error.status_code != http.client.CONFLICT:  # the name: this attempt exists already
                raise
            made = self._docker.containers.get(_name(spec.attempt_id))
        try:
            made.start()
        except docker.errors.APIError:
            made.remove(force=True, v=True)
            # The former port may be somebody else's by now.
            if spec.host_port is None:
                raise
            made = self._create(spec, host_port=None)
            made.start()
        return next(
            one for one in self.found(spec.deployment_id) if one.attempt_id == spec.attempt_id
        )

    def _create(self, spec: ContainerSpec, *, host_port: int | None) -> Any:
        return self._docker.containers.create(
            spec.image_url,
            name=_name(spec.attempt_id),
            entrypoint=list(spec.entrypoint) if spec.entrypoint else None,
            command=list(spec.args) or None,
            environment=dict(spec.environment),
            labels={
                PLACE_LABEL: self._place_id,
                DEPLOYMENT_LABEL: spec.deployment_id,
                ATTEMPT_LABEL: spec.attempt_id,
            },
            network=self._network,
            # Port 0 lets the daemon choose.
            ports={f"{spec.traffic_port}/tcp": ("127.0.0.1", host_port or 0)},
            tmpfs=LITTLE_DISK if spec.little_disk else None,
            log_config=LogConfig(type=LogConfig.types.JSON, config=LOG_LIMITS),
        )

    def _found(self, row: dict[str, Any]) -> FoundContainer:
        running = row["State"] == "running"
        exit_code = None
        if row["State"] in ("exited", "dead"):
            try:
                exit_code = self._docker.api.inspect_container(row["Id"])["State"]["ExitCode"]
            except docker.errors.NotFound:
                exit_code = None
        published = [port["PublicPort"] for port in row["Ports"] if "PublicPort" in port]
        return FoundContainer(
            runtime_id=row["Id"],
            attempt_id=row["Labels"].get(ATTEMPT_LABEL, ""),
            deployment_id=row["Labels"].get(DEPLOYMENT_LABEL, ""),
            running=running,
            exit_code=exit_code,
            host_port=published[0] if published else None,
        )


def _name(attempt_id: str) -> str:
    return f"trainstack-{attempt_id}"


def _reason(error: docker.errors.APIError) -> str:
    return str(error.explanation or "the engine gave no reason")


def _without(text: str, secret: str) -> str:
    return text.replace(secret, "…") if secret else text


@contextmanager
def _docker_answers(*, every_error: bool = False) -> Iterator[None]:
    """Turn a missing answer, with `every_error` also an error, into RuntimeUnavailableError."""
    try:
        yield
    except (docker.errors.APIError, docker.errors.DockerException) as error:
        if isinstance(error, docker.errors.APIError) and not every_error:
            raise
        raise RuntimeUnavailableError(f"the Docker engine did not do as asked: {error}") from None
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        raise RuntimeUnavailableError(f"the Docker engine did not answer: {error}") from None
