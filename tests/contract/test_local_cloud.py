"""`python -m localcloud` as its user meets it: start, status, heal, stop, nothing left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest
import requests

from localcloud.docker.base_image import TAG
from localcloud.docker.daemon import PLACE_LABEL, connect
from localcloud.place import CHECKOUT, Place, load_place
from localcloud.probe import connects

# A daemon that runs, and that the `stop` of one of these clouds does not end meanwhile.
pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("local_place")]
SERVICES = {"s3", "registry", "mirror", "cloudflare", "caas"}


class Cloud:
    """One local cloud in a folder of its own."""

    def __init__(self, directory: Path) -> None:
        self.place: Place = load_place(directory)
        self.env = {**os.environ, "TRAINSTACK_LOCAL_DIR": str(directory)}

    def run(self, *words: str, expected: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "localcloud", *words],
            cwd=CHECKOUT,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expected, done.stderr
        return done

    def status(self, *, expected: int = 0) -> dict[str, dict[str, Any]]:
        said = self.run("status", "--json", expected=expected).stdout
        return {one["name"]: one for one in json.loads(said)}

    def processes(self) -> list[psutil.Process]:
        """Return every living process that names this cloud's folder or one of its ports."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter(["cmdline", "status"]):
            words = " ".join(process.info["cmdline"] or [])
            mine = str(self.place.directory) in words or self.place.place_id in words
            if mine and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    client = connect()
    yield client
    client.close()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    cloud.run("start")
    yield cloud
    cloud.run("stop")


def test_everything_is_healthy_after_start(cloud: Cloud) -> None:
    found = cloud.status()
    assert set(found) == {"docker", *SERVICES}
    assert {one["health"] for one in found.values()} == {"healthy"}


def test_a_second_start_replaces_no_process(cloud: Cloud) -> None:
    before = {name: one["pid"] for name, one in cloud.status().items()}
    said = cloud.run("start").stderr
    assert said.count("already running") == len(SERVICES)
    assert {name: one["pid"] for name, one in cloud.status().items()} == before


def test_what_was_killed_is_healed_by_start_and_the_rest_left_alone(cloud: Cloud) -> None:
    before = cloud.status()
    killed = [psutil.Process(before[name]["pid"]) for name in ("mirror", "registry")]
    for process in killed:
        process.kill()
    psutil.wait_procs(killed, timeout=10)
    found = cloud.status(expected=3)
    assert {n for n, one in found.items() if one["health"] == "stopped"} == {"mirror", "registry"}
    cloud.run("start")
    after = cloud.status()
    changed = {name for name in SERVICES if after[name]["pid"] != before[name]["pid"]}
    assert changed == {"mirror", "registry"}


def test_a_container_reaches_the_s3_port_and_nothing_behind_it(
    cloud: Cloud, client: docker.DockerClient
) -> None:
    ports = {name: cloud.place.ports[name] for name in ("s3", "mirror", "weed_filer", "caas")}
    program = (
        "import json, socket, sys\n"
        "def reaches(port):\n"
        "    try: socket.create_connection((sys.argv[1], port), 2).close()\n"
        "    except OSError: return False\n"
        "    return True\n"
        "print(json.dumps({n: reaches(p) for n, p in json.loads(sys.argv[2]).items()}))"
    )
    said = client.containers.run(
        TAG,
        ["python3", "-c", program, cloud.place.gateway, json.dumps(ports)],
        network=cloud.place.network,
        labels={PLACE_LABEL: cloud.place.place_id},
        remove=True,
    )
    assert json.loads(said) == {"s3": True, "mirror": True, "weed_filer": False, "caas": False}


def test_nothing_listens_beyond_loopback_and_the_bridge(cloud: Cloud) -> None:
    ports = set(cloud.place.ports.values())
    listening = {
        connection.laddr.ip
        for connection in psutil.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
        and connection.laddr
        and connection.laddr.port in ports
    }
    assert listening == {"127.0.0.1", cloud.place.gateway}


def test_the_registry_takes_an_image_with_the_password_and_refuses_without(
    cloud: Cloud, client: docker.DockerClient
) -> None:
    place = cloud.place
    assert requests.get(f"http://{place.registry_server}/v2/", timeout=5).status_code == 401
    repository = f"{place.registry_server}/test/{place.place_id}"
    client.images.get(TAG).tag(repository, "x")
    try:
        login = {"username": place.registry_username, "password": place.registry_secret}
        # An image without layers of its own: only its description is new to the registry.
        lines = client.api.push(repository, "x", auth_config=login, stream=True, decode=True)
        assert not [line for line in lines if "error" in line]
    finally:
        client.images.remove(f"{repository}:x")
    listed = requests.get(
        f"http://{place.registry_server}/v2/test/{place.place_id}/tags/list",
        auth=(place.registry_username, place.registry_secret),
        timeout=5,
    )
    assert listed.json()["tags"] == ["x"]


def test_no_key_is_in_a_command_line(cloud: Cloud) -> None:
    place = cloud.place
    secrets = (place.operator_token, place.operator_s3_secret, place.ionet_api_key)
    secrets += (place.registry_secret,)
    for process in cloud.processes():
        words = " ".join(process.cmdline())
        assert not [secret for secret in secrets if secret in words]


def test_the_log_of_a_service_is_shown(cloud: Cloud) -> None:
    said = json.loads(cloud.run("logs", "s3", "--json").stdout)
    assert Path(said["path"]).exists() and said["lines"]


def test_the_env_file_is_printed_and_as_json(cloud: Cloud) -> None:
    assert f"export IONET_BASE_URL='{cloud.place.caas_url}'" in cloud.run("env").stdout
    assert json.loads(cloud.run("env", "--json").stdout)["R2_ENDPOINT_URL"] == cloud.place.s3_url


def test_stop_leaves_no_process_no_container_and_no_network(
    tmp_path: Path, client: docker.DockerClient
) -> None:
    cloud = Cloud(tmp_path)
    label = f"{PLACE_LABEL}={cloud.place.place_id}"
    try:
        cloud.run("start")
        client.containers.run(
            TAG,
            ["sleep", "600"],
            detach=True,
            network=cloud.place.network,
            labels={PLACE_LABEL: cloud.place.place_id},
        )
    finally:
        cloud.run("stop")
    assert cloud.processes() == []
    assert client.containers.list(all=True, filters={"label": label}) == []
    assert client.networks.list(filters={"label": label}) == []
    assert not [path for path in Path("/tmp").glob("seaweedfs-*.sock") if _of(cloud, path)]
    assert {one["health"] for one in cloud.status(expected=3).values()} <= {
        "stopped",
        "no network",
    }
    assert "was not running" in cloud.run("stop").stderr


def test_an_interrupted_start_is_cleared_away_by_stop(
    tmp_path: Path, client: docker.DockerClient
) -> None:
    cloud = Cloud(tmp_path)
    starting = subprocess.Popen(
        [sys.executable, "-m", "localcloud", "start"],
        cwd=CHECKOUT,
        env=cloud.env,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert starting.stderr is not None
        for line in starting.stderr:
            if line.startswith("network"):
                break
        starting.send_signal(signal.SIGINT)
        said = starting.stderr.read()
        assert starting.wait(timeout=60) == 130, said
        assert "Interrupted" in said and "Traceback" not in said
    finally:
        starting.kill()
        starting.wait()
        cloud.run("stop")
    assert cloud.processes() == []
    assert not connects("127.0.0.1", cloud.place.ports["registry"])


def _of(cloud: Cloud, path: Path) -> bool:
    return any(str(port) in path.name for port in cloud.place.ports.values())
