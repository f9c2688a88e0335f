"""What one local cloud has on the Docker daemon: its bridge network and its containers.

Every function raises DockerUnavailableError when no daemon answers, and LocalCloudError when the
daemon does not do as asked.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import docker
import psutil
import requests
from docker.errors import APIError, NotFound
from docker.types import IPAMConfig, IPAMPool

from localcloud.docker import daemon
from localcloud.docker.daemon import PLACE_LABEL, first_line
from localcloud.errors import DockerUnavailableError, LocalCloudError
from localcloud.place import Place

REMOVAL_TIMEOUT_S = 30


def ensure_network(place: Place) -> bool:
    """Make the bridge network of this checkout; return False if it was there.

    Raises DockerUnavailableError also when the daemon keeps its bridges elsewhere than on this
    machine: S3 and the mirror have to listen on the network's gateway.
    """
    with _asking(
        f"make the network {place.network} ({place.subnet})",
        remedy="If another network holds these addresses, remove it (docker network ls), or "
        "`make purge` to choose others",
    ) as client:
        subnets = [_subnet(row) for row in _networks(client, place.place_id)]
        if subnets == [place.subnet]:
            made = False
        else:
            _remove_networks(client, place.place_id)
            pool = IPAMPool(subnet=place.subnet, gateway=place.gateway)
            client.networks.create(
                place.network,
                driver="bridge",
                ipam=IPAMConfig(pool_configs=[pool]),
                options={"com.docker.network.bridge.name": f"ts-{place.place_id}"},
                labels={PLACE_LABEL: place.place_id},
            )
            made = True
        if place.gateway not in _own_addresses():
            _remove_networks(client, place.place_id)
            raise DockerUnavailableError(_elsewhere(place))
    return made


def remove_containers(place_id: str) -> int:
    """Remove every container of a local cloud, running or not; return how many there were."""
    with _asking(
        "remove the containers of this local cloud",
        remedy=f"See `docker ps --all --filter label={PLACE_LABEL}={place_id}`, then try again",
    ) as client:
        label = {"label": f"{PLACE_LABEL}={place_id}"}
        containers = [row["Id"] for row in client.api.containers(all=True, filters=label)]
        for container in containers:
            with suppress(NotFound):
                _remove_container(client, container)
        return len(containers)


def remove_network(place_id: str) -> bool:
    """Remove the bridge network of a local cloud; return False if there was none."""
    with _asking(
        "remove the network of this local cloud",
        remedy=f"See `docker network ls --filter label={PLACE_LABEL}={place_id}`, then try again",
    ) as client:
        return _remove_networks(client, place_id)


def network_exists(place: Place) -> bool:
    """Tell whether this checkout's bridge network is there."""
    with _asking("list its networks", remedy="Try again") as client:
        return bool(_networks(client, place.place_id))


@contextmanager
def _asking(what: str, *, remedy: str) -> Iterator[docker.DockerClient]:
    client = daemon.connect()
    try:
        yield client
    except (APIError, requests.RequestException) as error:
        raise LocalCloudError(
            f"the Docker engine could not {what}: {first_line(error)}. {remedy}"
        ) from error
    finally:
        client.close()


def _networks(client: docker.DockerClient, place_id: str) -> list[dict[str, object]]:
    return client.api.networks(filters={"label": f"{PLACE_LABEL}={place_id}"})


def _remove_networks(client: docker.DockerClient, place_id: str) -> bool:
    networks = [str(row["Id"]) for row in _networks(client, place_id)]
    for network in networks:
        with suppress(NotFound):  # whoever removes it at the same time does what we want
            for container in client.api.inspect_network(network).get("Containers") or {}:
                with suppress(NotFound):
                    client.api.disconnect_container_from_network(container, network, force=True)
            client.api.remove_network(network)
    return bool(networks)


def _remove_container(client: docker.DockerClient, container: str) -> None:
    try:
        client.api.remove_container(container, force=True, v=True)
    except APIError as error:
        if error.status_code != http.client.CONFLICT:  # "removal is already in progress"
            raise
        client.api.wait(container, timeout=REMOVAL_TIMEOUT_S, condition="removed")


def _own_addresses() -> set[str]:
    return {one.address for addresses in psutil.net_if_addrs().values() for one in addresses}


def _elsewhere(place: Place) -> str:
    return (
        f"the Docker engine at {daemon.answering_address()} keeps its networks elsewhere: "
        f"{place.gateway}, on which S3 is to serve the containers, is no address of this machine. "
        "So do rootless engines, Docker Desktop and engines of other machines. Use this machine's "
        "own engine that runs as root: unset DOCKER_HOST, start it (sudo systemctl start docker) "
        "and let this user use it (group `docker`)"
    )


def _subnet(row: dict[str, object]) -> str | None:
    ipam = row.get("IPAM")
    pools = ipam.get("Config") if isinstance(ipam, dict) else None
    return pools[0].get("Subnet") if pools else None
