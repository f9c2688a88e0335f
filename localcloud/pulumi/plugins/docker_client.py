"""What building and pushing share: the daemon's client, a login, words, cancellation."""

import os
import time
from dataclasses import dataclass, field
from textwrap import shorten

import docker
from docker.errors import DockerException
from docker.utils import parse_host

from container.contract.redacted import without_secrets
from localcloud.pulumi.plugins.resource import Call, PluginError

ENGINE_TIMEOUT_S = 600
"""Between two pieces of an answer: a RUN step may be silent for minutes."""

SHOWN_CHARACTERS = 72
PROGRESS_S = 2.0


@dataclass(frozen=True)
class Registry:
    """Where to push, and as whom."""

    server: str
    username: str
    password: str = field(repr=False)

    def auth(self) -> dict[str, str]:
        """Return the daemon's form of it."""
        return {
            "username": self.username,
            "password": self.password,
            "serveraddress": self.server,
        }


class Progress:
    """Shows lines of talk that pass, a sign of life now and then: apt-get alone says a thousand."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._told = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Say whether it is time for a line again."""
        return time.monotonic() - self._told >= PROGRESS_S

    def show(self, line: str) -> None:
        """Show the line, shortened."""
        self._told = time.monotonic()
        text = shorten(without_secrets(line), SHOWN_CHARACTERS, placeholder=" ...")
        self._call.log(text, passing=True)


def daemon_address() -> str:
    """Return where the daemon is: `http+unix://…`, `http://…`."""
    return str(parse_host(os.environ.get("DOCKER_HOST")))


def daemon_client() -> docker.DockerClient:
    """Return a client of the daemon that answers; raises PluginError."""
    try:
        return docker.from_env(timeout=ENGINE_TIMEOUT_S)
    except DockerException as error:
        raise PluginError(
            f"The Docker engine does not answer ({error}). Start it, or name it in DOCKER_HOST."
        ) from error


def stop_if_cancelled(call: Call, what: str) -> None:
    """Raise PluginError when the engine has interrupted this operation."""
    if call.cancelled.is_set():
        raise PluginError(f"{what} was cancelled")


def reason(error: Exception) -> str:
    """Return what an error of the daemon says."""
    return str(getattr(error, "explanation", None) or error)
