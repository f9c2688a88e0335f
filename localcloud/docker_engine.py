"""The Docker engine of this machine: used if one answers, else installed and started by us."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.types import IPAMConfig, IPAMPool

from localcloud import debian
from localcloud.errors import EngineUnavailableError, LocalCloudError, ServiceFailedError
from localcloud.place import Place, cache_folder
from localcloud.processes import Service, Supervised

PLACE_LABEL = "trainstack.place"
ANSWER_TIMEOUT_S = 3
SYSTEMD = Path("/run/systemd/system")
DEFAULT_SOCKET = Path("/var/run/docker.sock")


def connect(*, timeout_s: float = 120) -> docker.DockerClient:
    """Return a client of the engine that answers; raises EngineUnavailableError."""
    tried: list[str] = []
    for address in _addresses():
        try:
            probe = docker.DockerClient(base_url=address, timeout=ANSWER_TIMEOUT_S)
            probe.ping()
            probe.close()
        except (DockerException, OSError) as error:
            tried.append(f"{address}: {_first_line(error)}")
            continue
        return docker.DockerClient(base_url=address, timeout=int(timeout_s))
    raise EngineUnavailableError("no Docker engine answers (" + "; ".join(tried) + ")")


def ensure_running() -> str:
    """Make an engine answer; return how it came: "found", "started" or "installed and started".

    Installs `docker.io` and starts `dockerd` where that is possible (Debian, root).
    """
    try:
        connect().close()
        return "found"
    except EngineUnavailableError as error:
        if os.environ.get("DOCKER_HOST"):
            raise EngineUnavailableError(
                f"{error}. DOCKER_HOST names an engine; start it, or unset DOCKER_HOST"
            ) from error
        reason = error
    how = "started"
    if shutil.which("dockerd") is None:
        if not debian.can_install():
            raise EngineUnavailableError(
                f"{reason}, and installing one takes root on Debian. Install Docker "
                "(https://docs.docker.com/engine/install/), see that `docker version` works as "
                "this user, then try again"
            )
        debian.install("docker.io", "iptables")
        how = "installed and started"
        if _answers():  # the package started it as a service of the system
            return "installed"
    if os.geteuid() != 0:
        raise EngineUnavailableError(
            f"{reason}. It is installed but not running, or this user may not use it: start it "
            "(sudo systemctl start docker) or join the group `docker`"
        )
    if SYSTEMD.is_dir():
        # The system's own service: it is not ours to stop again.
        subprocess.run(["systemctl", "start", "docker"], capture_output=True, check=False)
        if _answers():
            return how
    try:
        _supervised().start(_service())
    except ServiceFailedError as error:
        raise EngineUnavailableError(
            f"{error}\nOn a machine that cannot run dockerd itself (a container without "
            "privileges), give it an engine: mount a Docker socket or set DOCKER_HOST"
        ) from error
    return how


def started_by_us() -> bool:
    """Tell whether the engine that runs is the one that `ensure_running` started."""
    return _supervised().process("dockerd") is not None


def stop_if_ours_and_idle() -> str:
    """Stop the engine only if we started it and no container is left; return what was done."""
    if not started_by_us():
        return "left running: it was not started from here"
    try:
        client = connect()
        containers = len(client.containers.list(all=True))
        places = len(client.networks.list(filters={"label": PLACE_LABEL}))
        client.close()
    except EngineUnavailableError:
        containers = places = 0  # it hangs or has died: nothing is lost by ending it
    if containers:
        return f"left running: {containers} container(s) of somebody else are on it"
    if places:
        return f"left running: {places} other checkout(s) use it"
    _supervised().stop(_service())
    return "stopped"


def unusual_address() -> str | None:
    """Return the engine's address for tools that would look elsewhere, or None."""
    if os.environ.get("DOCKER_HOST") or DEFAULT_SOCKET.exists():
        return None
    rootless = [address for address in _addresses() if address != f"unix://{DEFAULT_SOCKET}"]
    return rootless[0] if rootless and Path(rootless[0].removeprefix("unix://")).exists() else None


def ensure_network(place: Place) -> bool:
    """Make the bridge network of this checkout; return False if it was there."""
    client = connect()
    try:
        found = client.networks.list(names=[f"^{place.network}$"])
        if found:
            if _network_subnet(found[0].attrs) == place.subnet:
                return False
            remove_network(place)
        pool = IPAMPool(subnet=place.subnet, gateway=place.gateway)
        client.networks.create(
            place.network,
            driver="bridge",
            ipam=IPAMConfig(pool_configs=[pool]),
            options={"com.docker.network.bridge.name": f"ts-{place.place_id}"},
            labels={PLACE_LABEL: place.place_id},
        )
    except APIError as error:
        raise LocalCloudError(
            f"the Docker network {place.network} ({place.subnet}) could not be made: "
            f"{_first_line(error)}. If another network holds these addresses, remove it "
            "(docker network ls), or `make purge` to choose others"
        ) from error
    finally:
        client.close()
    return True


def remove_containers(place: Place) -> int:
    """Remove every container of this checkout's CaaS, running or not; return how many."""
    client = connect()
    try:
        label = f"{PLACE_LABEL}={place.place_id}"
        containers = client.containers.list(all=True, filters={"label": label})
        for container in containers:
            try:
                container.remove(force=True, v=True)
            except NotFound:
                continue
        return len(containers)
    finally:
        client.close()


def remove_network(place: Place) -> bool:
    """Remove the bridge network; return False if there was none."""
    client = connect()
    try:
        found = client.networks.list(names=[f"^{place.network}$"], greedy=True)
        for network in found:
            for container in network.containers:
                network.disconnect(container, force=True)
            network.remove()
        return bool(found)
    finally:
        client.close()


def network_exists(place: Place) -> bool:
    """Tell whether this checkout's bridge network is there."""
    client = connect()
    try:
        return bool(client.networks.list(names=[f"^{place.network}$"]))
    finally:
        client.close()


def _addresses() -> list[str]:
    named = os.environ.get("DOCKER_HOST")
    if named:
        return [named]
    sockets = [DEFAULT_SOCKET]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        sockets.append(Path(runtime) / "docker.sock")  # a rootless engine
    return [f"unix://{path}" for path in sockets]


def _answers() -> bool:
    try:
        connect().close()
    except EngineUnavailableError:
        return False
    return True


def _supervised() -> Supervised:
    # One engine serves every checkout of this user, so its pid file lies in the shared cache.
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


def _network_subnet(attributes: dict[str, object]) -> str | None:
    ipam = attributes.get("IPAM")
    pools = ipam.get("Config") if isinstance(ipam, dict) else None
    return pools[0].get("Subnet") if pools else None


def _first_line(error: Exception) -> str:
    text = getattr(error, "explanation", None) or str(error)
    return str(text).strip().splitlines()[0] if str(text).strip() else type(error).__name__
