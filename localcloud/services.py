"""Start, stop and judge the whole local cloud: daemon, network, base image and five services."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcloud.cloudflare_api.service import cloudflare_service
from localcloud.datasets.mirror import mirror_service
from localcloud.docker import daemon, network
from localcloud.docker.base_image import TAG, ensure_base_image
from localcloud.docker.registry import registry_service
from localcloud.env_file import write_env_file
from localcloud.errors import DockerUnavailableError, LocalCloudError
from localcloud.file_lock import alone
from localcloud.object_store.seaweedfs import s3_service
from localcloud.place import LOOPBACK, Place, load_place
from localcloud.probe import connects
from localcloud.processes import Service, Supervised

Report = Callable[[str], None]
CLOCK_SPEED = "TRAINSTACK_CLOCK_SPEED"
"""Environment variable: paid seconds that pass in a real one, in the CaaS; 1 when unset."""

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class ServiceStatus:
    """One line of `status`."""

    name: str
    purpose: str
    address: str
    pid: int | None
    health: str  # "healthy", "not answering" or "stopped"


def start(report: Report = print) -> Place:
    """Make the whole local cloud run and write its env file; return the place.

    Reports one line per part. What already runs is left alone; what died, or was declared
    otherwise, is started again. Raises LocalCloudError that names every part that failed.
    """
    place = load_place()
    with _alone(place, report):
        begin = time.monotonic()
        with daemon.running(report) as how:  # until our network says that it is in use
            report(_line("docker", f"engine {how}", begin))
            begin = time.monotonic()
            made = network.ensure_network(place)
        word = "made" if made else "already there"
        report(_line("network", f"{place.network}, {place.subnet}: {word}", begin))
        write_env_file(place)
        _start_all(place, report)
    return place


def stop(report: Report = print, *, place: Place | None = None) -> None:
    """Stop every service; remove the containers and the network. Stored data stays."""
    place = place or load_place()
    with _alone(place, report):
        supervised = _supervised(place)
        services = {service.name: service for service in _services(place)}
        _end(supervised, services["caas"], report)  # first: it would start containers again
        _remove_from_docker(place, report)
        with ThreadPoolExecutor() as pool:
            others = [one for one in services.values() if one.name != "caas"]
            for _ in pool.map(lambda service: _end(supervised, service, report), others):
                pass
        begin = time.monotonic()
        report(_line("docker", daemon.stop_if_ours_and_idle(report), begin))


def status(place: Place | None = None) -> list[ServiceStatus]:
    """Return how each part is doing; changes nothing."""
    place = place or load_place()
    supervised = _supervised(place)
    return [_docker_status(place), *(_status(supervised, one) for one in _services(place))]


def log_path(name: str, place: Place | None = None) -> Path:
    """Return where a service writes its log."""
    return _supervised(place or load_place()).log_path(name)


def _services(place: Place) -> list[Service]:
    return [
        s3_service(place),
        registry_service(place),
        mirror_service(place),
        cloudflare_service(place),
        _caas_service(place),
    ]


def _start_all(place: Place, report: Report) -> None:
    cancelled = threading.Event()
    supervised = _supervised(place)

    def run(service: Service) -> str:
        begin = time.monotonic()
        if service.prepare:
            service.prepare(report)
        fresh = supervised.start(service, cancelled=cancelled)
        state = "" if fresh else " (already running)"
        return _line(service.name, f"{service.purpose} at {service.address}{state}", begin)

    def base_image() -> str:
        begin = time.monotonic()
        how = ensure_base_image(report, cancelled=cancelled)
        return _line("base image", f"{TAG}, {how}", begin)

    failures: list[LocalCloudError] = []
    with ThreadPoolExecutor(max_workers=8) as pool:
        try:
            waiting: list[Future[str]] = [pool.submit(base_image)]
            waiting += [pool.submit(run, service) for service in _services(place)]
            for done in as_completed(waiting):
                try:
                    report(done.result())
                except LocalCloudError as error:
                    failures.append(error)
        except KeyboardInterrupt:
            cancelled.set()  # the threads end soon; what they started is found by the next start
            raise
    if failures:
        raise LocalCloudError("\n\n".join(str(error) for error in failures))


def _caas_service(place: Place) -> Service:
    port = place.ports["caas"]
    docker_host = daemon.unusual_address()
    return Service(
        name="caas",
        purpose="io.net CaaS API (stand-in)",
        address=place.caas_url,
        command=[
            sys.executable,
            "-m",
            "localcloud.caas",
            f"--host={LOOPBACK}",
            f"--port={port}",
            f"--db={place.directory / 'caas.sqlite3'}",
            f"--network={place.network}",
            f"--place-id={place.place_id}",
            f"--clock-speed={_clock_speed():g}",
        ],
        env={
            "IOCLOUD_API_KEY": place.ionet_api_key,
            **({"DOCKER_HOST": docker_host} if docker_host else {}),
        },
        healthy=lambda: connects(LOOPBACK, port),
        ports=[port],
        sources=[_HERE / "caas"],
        stop_timeout_s=15,
    )


def _clock_speed() -> float:
    value = os.environ.get(CLOCK_SPEED) or "1"
    try:
        speed = float(value)
    except ValueError:
        speed = 0.0
    if not 0 < speed < math.inf:
        raise LocalCloudError(
            f"{CLOCK_SPEED} = {value}: must be a number above 0, such as 60 (an hour is a minute)"
        )
    return speed


def _docker_status(place: Place) -> ServiceStatus:
    try:
        there = network.network_exists(place)
    except DockerUnavailableError:
        return ServiceStatus("docker", "engine and network", "", None, "stopped")
    health = "healthy" if there else "no network"
    return ServiceStatus("docker", "engine and network", place.network, None, health)


def _status(supervised: Supervised, service: Service) -> ServiceStatus:
    process = supervised.process(service.name)
    if process is None:
        return ServiceStatus(service.name, service.purpose, service.address, None, "stopped")
    health = "healthy" if service.healthy() else "not answering"
    return ServiceStatus(service.name, service.purpose, service.address, process.pid, health)


def _end(supervised: Supervised, service: Service, report: Report) -> None:
    begin = time.monotonic()
    stopped = supervised.stop(service)
    report(_line(service.name, "stopped" if stopped else "was not running", begin))


def _remove_from_docker(place: Place, report: Report) -> None:
    begin = time.monotonic()
    try:
        containers = network.remove_containers(place.place_id)
        removed = network.remove_network(place.place_id)
    except DockerUnavailableError:
        report(_line("network", "no engine runs, so no container and no network is left", begin))
        return
    what = f"{place.network} {'removed' if removed else 'was not there'}"
    report(_line("network", f"{what}, {containers} container(s) removed", begin))


def _supervised(place: Place) -> Supervised:
    return Supervised(run_folder=place.run_folder, log_folder=place.log_folder)


@contextmanager
def _alone(place: Place, report: Report) -> Iterator[None]:
    """Keep a second start or stop of this checkout out until this one is done."""
    lock = place.run_folder / "lock"
    with alone(lock, waiting=lambda: report("another start or stop is at work here; waiting")):
        yield


def _line(name: str, what: str, begin: float) -> str:
    return f"{name:<11} {what} ({time.monotonic() - begin:.1f} s)"
