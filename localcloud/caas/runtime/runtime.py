"""What the stand-in asks of whatever runs containers; the types only.

`containers.py` does it with the Docker daemon. Tests of the HTTP shapes bring one in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

StreamName = Literal["stdout", "stderr"]


class PullError(Exception):
    """The image cannot be had: unknown, refused, or the registry does not answer."""


class StartError(Exception):
    """The daemon refuses to create or start the container (no such command, no such network)."""


class RuntimeUnavailableError(Exception):
    """The daemon gave no clear answer; nothing is known about the containers."""


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """One container to start; `host_port` is the one it had before, if any.

    With `little_disk` its machine has less room than any recipe needs.
    """

    attempt_id: str
    deployment_id: str
    image_url: str
    entrypoint: tuple[str, ...] | None
    args: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    traffic_port: int
    host_port: int | None
    little_disk: bool = False


@dataclass(frozen=True, kw_only=True)
class FoundContainer:
    """A container that the daemon has, alive or dead."""

    runtime_id: str
    attempt_id: str
    deployment_id: str
    running: bool
    exit_code: int | None
    host_port: int | None


class LogStream(Protocol):
    """Chunks of output as they come; `close` may be called from another thread."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class ContainerRuntime(Protocol):
    """Runs the containers of one place.

    Every method may block, and raise RuntimeUnavailableError.
    """

    def pull(self, image_url: str, *, username: str, secret: str) -> None:
        """Get the image with exactly these credentials; raise PullError."""
        ...

    def start(self, spec: ContainerSpec) -> FoundContainer:
        """Start a container, or return the one of that attempt which exists; raise StartError."""
        ...

    def found(self, deployment_id: str | None = None) -> list[FoundContainer]:
        """Return the containers of one deployment, or of the whole place."""
        ...

    def remove(self, runtime_id: str, *, grace_s: float) -> None:
        """Stop and remove a container; silent when it is gone already."""
        ...

    def answers(self, container: FoundContainer, *, timeout_s: float) -> bool:
        """Say whether an HTTP server answers on the traffic port, whatever its status code."""
        ...

    def log(self, runtime_id: str, *, stream: StreamName, follow: bool) -> LogStream:
        """Return the output from the start; with `follow` it ends when the container does."""
        ...
