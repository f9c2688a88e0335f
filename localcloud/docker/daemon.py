"""The Docker daemon of this machine: used if one answers, else installed and started by us.

What a local cloud has on it (network, containers) is in docker_network.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import requests
from docker.errors import APIError, DockerException

from localcloud.docker import debian
from localcloud.errors import DockerUnavailableError, ServiceFailedError
from localcloud.file_lock import alone
from localcloud.place import cache_folder
from localcloud.processes import Service, Supervised

Report = Callable[[str], None]

PLACE_LABEL = "trainstack.place"
ANSWER_TIMEOUT_S = 3
SYSTEMD = Path("/run/systemd/system")
DEFAULT_SOCKET = Path("/var/run/docker.sock")


def connect(*, timeout_s: float = 120) -> docker.DockerClient:
    """Return a client of the daemon that answers; raises DockerUnavailableError."""
    return docker.DockerClient(base_url=answering_address(), timeout=int(timeout_s))


def answering_address() -> str:
    """Return the address of the first daemon that answers; raises DockerUnavailableError."""
    tried: list[str] = []
    for address in _addresses():
        try:
            probe = docker.DockerClient(base_url=address, timeout=ANSWER_TIMEOUT_S)
            probe.ping()
            probe.close()
        except (DockerException, OSError) as error:
            tried.append(f"{address}: {first_line(error)}")
            continue
        return address
    raise DockerUnavailableError("no Docker engine answers (" + "; ".join(tried) + ")")


def ensure_running(report: Report = print) -> str:
    """Make a daemon answer; return how it came: "found", "started" or "installed and started".

    Installs `docker.io` and starts `dockerd` where that is possible (Debian, root).
    """
    with running(report) as how:
        return how


@contextmanager
def running(report: Report = print) -> Iterator[str]:
    """Make a daemon answer as `ensure_running` does; yield how it came.

    While the block runs, nobody else of this user starts a daemon or stops one that seems idle.
    """
    with _alone(report):
        yield _ensure_running(report)


def started_by_us() -> bool:
    """Tell whether the daemon that runs is the one that `ensure_running` started."""
    return _supervised().process("dockerd") is not None


def stop_if_ours_and_idle(report: Report = print) -> str:
    """Stop the daemon only if we started it and nothing is left on it; return what was done."""
    with _alone(report):
        if not started_by_us():
            return "left running: it was not started from here"
        try:
            client = connect()
            try:
                containers = len(client.api.containers(all=True))
                places = len(client.api.networks(filters={"label": PLACE_LABEL}))
            finally:
                client.close()
        except DockerUnavailableError:
            containers = places = 0  # it hangs or has died: nothing is lost by ending it
        except (APIError, requests.RequestException) as error:
            return f"left running: it did not say what is on it ({first_line(error)})"
        if containers:
            return f"left running: {containers} container(s) of somebody else are on it"
        if places:
            return f"left running: {places} other local cloud(s) use it"
        _supervised().stop(_service())
        return "stopped"


def unusual_address() -> str | None:
    """Return the daemon's address for tools that would look elsewhere, or None."""
    usual = f"unix://{DEFAULT_SOCKET}"
    there = [one for one in _addresses() if Path(one.removeprefix("unix://")).exists()]
    if os.environ.get("DOCKER_HOST") or not there or there == [usual]:
        return None
    try:
        address = answering_address()
    except DockerUnavailableError:
        address = there[0]
    return None if address == usual else address


def first_line(error: Exception) -> str:
    """Return what an error of the daemon says, in one line."""
    text = str(getattr(error, "explanation", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _ensure_running(report: Report) -> str:
    try:
        answering_address()
        return "found"
    except DockerUnavailableError as error:
        if os.environ.get("DOCKER_HOST"):
            raise DockerUnavailableError(
                f"{error}. DOCKER_HOST names an engine; start it, or unset DOCKER_HOST"
            ) from error
        reason = error
    how = "started"
    if shutil.which("dockerd") is None:
        if not debian.can_install():
            raise DockerUnavailableError(
                f"{reason}, and installing one takes root on Debian. Install Docker "
                "(https://docs.docker.com/engine/install/), see that `docker version` works as "
                "this user, then try again"
            )
        report("docker: none here; installing Debian's package docker.io (about a minute)")
        debian.install("docker.io", "iptables")
        how = "installed and started"
        if _answers():  # the package started it as a service of the system
            return "installed"
    if os.geteuid() != 0:
        raise DockerUnavailableError(
            f"{reason}. It is installed but not running, or this user may not use it: start it "
            "(sudo systemctl start docker) or join the group `docker`"
        )
    _start(report)
    return how


def _start(report: Report) -> None:
    if SYSTEMD.is_dir():
        # The system's own service: it is not ours to stop again.
        report("docker: starting the system's engine")
        subprocess.run(["systemctl", "start", "docker"], capture_output=True, check=False)
        if _answers():
            return
    report(f"docker: starting dockerd; its log: {_supervised().log_path('dockerd')}")
    try:
        _supervised().start(_service())
    except ServiceFailedError as error:
        raise DockerUnavailableError(
            f"{error}\nOn a machine that cannot run dockerd itself (a container without "
            "privileges), give it an engine: mount a Docker socket or set DOCKER_HOST"
        ) from error


def _addresses() -> list[str]:
    named = os.environ.get("DOCKER_HOST")
    if named:
        return [named]
    sockets = [DEFAULT_SOCKET]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        sockets.append(Path(runtime) / "docker.sock")  # a rootless daemon
    return [f"unix://{path}" for path in sockets]


def _answers() -> bool:
    try:
        answering_address()
    except DockerUnavailableError:
        return False
    return True


@contextmanager
def _alone(report: Report) -> Iterator[None]:
    """One daemon serves every checkout of this user; two starts at once would end each other's."""
    wait = "docker: another process starts or stops the engine; waiting for it"
    with alone(_supervised().run_folder / "lock", waiting=lambda: report(wait)):
        yield


def _supervised() -> Supervised:
    # One daemon serves every checkout of this user, so its pid file lies in the shared cache.
    folder = cache_folder() / "docker-engine"
    return Supervised(run_folder=folder, log_folder=folder)


def _service() -> Service:
    return Service(
        name="dockerd",
        purpose="Docker engine",
        address=f"unix://{DEFAULT_SOCKET}",
        command=["dockerd", "--log-level=warn"],
        healthy=_answers,
        start_timeout_s=60,
        stop_timeout_s=30,
    )
