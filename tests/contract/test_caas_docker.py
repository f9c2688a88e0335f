"""The CaaS stand-in on a real Docker daemon, with a tiny image pulled from a registry by digest."""

from __future__ import annotations

import shutil
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests

from localcloud.caas.runtime.containers import DEPLOYMENT_LABEL, PLACE_LABEL, DockerRuntime
from localcloud.docker import debian
from tests.contract.caas_place import CaasPlace, eventually
from tests.contract.image_registry import ImageRegistry

# A daemon that runs, and that no other test's `stop` ends meanwhile.
pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("local_place")]

SERVE = "trap 'exit 0' TERM; echo out $$RUN_NAME $$STORE_SECRET; echo err >&2; mkdir -p /tmp; "
SERVE += "httpd -p 8000 -h /tmp; while :; do sleep 1; done"
TOOLS = ("sh", "echo", "mkdir", "httpd", "sleep")


def busybox(folder: Path) -> bytes:
    """Return a static busybox: Debian's package, unpacked here."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        pytest.skip("makes its image from Debian's busybox-static, and this is no Debian")
    debian.unpack("busybox-static", folder / "unpacked")
    return (folder / "unpacked/bin/busybox").read_bytes()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageRegistry]:
    program = busybox(tmp_path_factory.mktemp("busybox"))
    served = ImageRegistry({f"bin/{tool}": program for tool in TOOLS})
    yield served
    served.close()
    client = docker.DockerClient.from_env()
    for image in client.images.list():
        if served.image_url in image.attrs["RepoDigests"]:
            client.images.remove(str(image.id), force=True)
    client.close()


@pytest.fixture
def place_id() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def caas(tmp_path: Path, place_id: str) -> Iterator[CaasPlace]:
    client = docker.DockerClient.from_env()
    network = client.networks.create(f"trainstack-{place_id}")
    runtime = DockerRuntime(place_id=place_id, network=str(network.name))
    place = CaasPlace(tmp_path, runtime, place_id=place_id, reconcile_period_s=0.2, stop_grace_s=2)
    yield place
    place.stop()
    for container in labelled(place_id):
        client.api.remove_container(container, force=True, v=True)
    network.remove()
    client.close()


def labelled(place_id: str) -> list[str]:
    """Return the daemon's ids of every container of a place."""
    client = docker.DockerClient.from_env()
    found = client.api.containers(all=True, filters={"label": f"{PLACE_LABEL}={place_id}"})
    client.close()
    return [row["Id"] for row in found]


def deploy(caas: CaasPlace, registry: ImageRegistry, script: str = SERVE, **changes: str) -> str:
    given = {"registry_username": registry.username, "registry_secret": registry.secret}
    return caas.deploy(
        image_url=registry.image_url, entrypoint=["/bin/sh", "-c", script], **{**given, **changes}
    )


def test_a_rented_container_serves_logs_and_is_given_back(
    caas: CaasPlace, registry: ImageRegistry, place_id: str
) -> None:
    deployment_id = deploy(caas, registry)
    caas.until(deployment_id, "running")
    (worker,) = caas.workers(deployment_id)
    assert requests.get(worker["public_url"], timeout=5).status_code == 404
    path = f"deployment/{deployment_id}/log/{worker['container_id']}"
    for stream, line in (("stdout", b"out main env-secret-planted"), ("stderr", b"err")):
        with caas.call("GET", path, params={"stream": stream}, stream=True) as answer:
            assert next(answer.iter_lines()) == line
    (container,) = labelled(place_id)
    client = docker.DockerClient.from_env()
    found = client.containers.get(container)
    client.close()
    assert found.labels[DEPLOYMENT_LABEL] == deployment_id
    published = found.attrs["NetworkSettings"]["Ports"]["8000/tcp"]
    assert [port["HostIp"] for port in published] == ["127.0.0.1"]
    caas.call("DELETE", f"deployment/{deployment_id}")
    caas.until(deployment_id, "destroyed")
    assert labelled(place_id) == []


def test_an_exited_container_is_started_again_at_the_same_address(
    caas: CaasPlace, registry: ImageRegistry, place_id: str
) -> None:
    deployment_id = deploy(caas, registry)
    caas.until(deployment_id, "running")
    (before,) = caas.workers(deployment_id)
    client = docker.DockerClient.from_env()
    client.api.kill(labelled(place_id)[0])
    client.close()

    def restarted() -> str | None:
        (worker,) = caas.workers(deployment_id)
        changed = worker["container_id"] != before["container_id"]
        return worker["public_url"] if changed else None

    assert eventually(restarted) == before["public_url"]
    assert len(labelled(place_id)) == 1
    path = f"deployment/{deployment_id}/containers-jobs/{before['container_id']}"
    jobs = caas.call("GET", path).json()["data"]["workers"]
    assert "Terminated. Exit code: 137" in [e["message"] for e in jobs[1]["container_events"]]


def test_a_port_that_is_taken_by_others_is_given_up(
    caas: CaasPlace, registry: ImageRegistry, place_id: str
) -> None:
    deployment_id = deploy(caas, registry)
    caas.until(deployment_id, "running")
    (before,) = caas.workers(deployment_id)
    caas.stop()
    client = docker.DockerClient.from_env()
    client.api.remove_container(labelled(place_id)[0], force=True)
    client.close()
    with socket.create_server(("127.0.0.1", int(before["public_url"].rpartition(":")[2]))):
        caas.start()

        def elsewhere() -> bool:
            (worker,) = caas.workers(deployment_id)
            return worker["public_url"] not in (None, before["public_url"])

        eventually(elsewhere)


def test_a_container_that_serves_nothing_never_runs_for_the_vendor(
    tmp_path: Path, caas: CaasPlace, registry: ImageRegistry
) -> None:
    """The daemon's proxy accepts connections for a program that does not listen."""
    deployment_id = deploy(caas, registry, "echo up; while :; do sleep 1; done")
    path = f"deployment/{deployment_id}/log"
    (worker,) = caas.workers(deployment_id)
    eventually(lambda: "Task started" in str(caas.workers(deployment_id)))
    with caas.call("GET", f"{path}/{worker['container_id']}", stream=True) as answer:
        assert next(answer.iter_lines()) == b"up"
    assert caas.details(deployment_id)["status"] == "deployment requested"


def test_a_restarted_service_finds_its_living_container(
    caas: CaasPlace, registry: ImageRegistry, place_id: str
) -> None:
    deployment_id = deploy(caas, registry)
    caas.until(deployment_id, "running")
    container = labelled(place_id)
    caas.stop()
    assert labelled(place_id) == container
    caas.start()
    assert requests.get(caas.workers(deployment_id)[0]["public_url"], timeout=5).status_code == 404
    caas.call("DELETE", f"deployment/{deployment_id}")
    caas.until(deployment_id, "destroyed")
    assert labelled(place_id) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"registry_secret": "wrong"}, "Failed to pull image"),
        ({"registry_username": "", "registry_secret": ""}, "Failed to pull image"),
        ({"image_url": "127.0.0.1:9/none@sha256:" + "0" * 64}, "Failed to pull image"),
        ({"script": "no-such-command"}, "Failed to start task"),
    ],
    ids=["wrong secret", "no credentials", "no registry", "no such command"],
)
def test_what_the_daemon_refuses_fails_the_deployment_with_its_reason(
    caas: CaasPlace, registry: ImageRegistry, changes: dict[str, str], reason: str
) -> None:
    given = {
        "image_url": registry.image_url,
        "registry_username": registry.username,
        "registry_secret": registry.secret,
        **changes,
    }
    command = given.pop("script", "/bin/sh")
    deployment_id = caas.deploy(entrypoint=[command], **given)
    caas.until(deployment_id, "failed")
    (worker,) = caas.workers(deployment_id)
    assert worker["container_events"][-1]["message"].startswith(reason)
