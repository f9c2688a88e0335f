"""The CaaS stand-in as a process of its own: `python -m localcloud.caas`."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.contract.caas_place import API_KEY, ENTERPRISE, deploy_body, eventually

Start = Callable[[], "Process"]


class Process:
    """One process; its daemon is a socket that is not there."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "log"
        environment = {
            **os.environ,
            "IOCLOUD_API_KEY": API_KEY,
            "DOCKER_HOST": f"unix://{folder}/no-docker.sock",
        }
        arguments = [
            *("--port", str(port), "--db", str(folder / "caas.sqlite3")),
            *("--network", "none", "--place-id", "test", "--reconcile-period", "0.1"),
            *("--clock-speed", "60", "--restart-policy", "never"),
            *("--behaviour", "page=one_based"),
        ]
        with self.log.open("a") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "localcloud.caas", *arguments],
                env=environment,
                stdout=log,
                stderr=log,
            )
        eventually(self.healthy)

    def healthy(self) -> bool:
        assert self.child.poll() is None, self.log.read_text()
        try:
            return requests.get(f"{self.url}/_local/health", timeout=5).ok
        except requests.ConnectionError:
            return False

    def end(self, how: signal.Signals) -> int:
        self.child.send_signal(how)
        return self.child.wait(timeout=20)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started: list[Process] = []

    def go() -> Process:
        started.append(Process(tmp_path, port))
        return started[-1]

    yield go
    for process in started:
        if process.child.poll() is None:
            process.end(signal.SIGKILL)


def test_it_survives_a_kill_without_forgetting_and_ends_on_sigterm(
    start: Start, tmp_path: Path
) -> None:
    process = start()
    headers = {"x-api-key": API_KEY}
    url = f"{process.url}{ENTERPRISE}"
    made = requests.post(f"{url}/deploy", json=deploy_body("one"), headers=headers, timeout=5)
    process.end(signal.SIGKILL)
    process = start()
    found = requests.get(
        f"{url}/deployment/{made.json()['deployment_id']}", headers=headers, timeout=5
    )
    assert found.json()["data"]["status"] == "deployment requested"
    assert process.end(signal.SIGTERM) == -signal.SIGTERM
    log = process.log.read_text()
    assert "waits: the Docker engine" in log
    assert "planted" not in log
    assert API_KEY not in log
    assert (tmp_path / "caas.sqlite3").stat().st_mode & 0o077 == 0


def test_its_switches_come_from_arguments(start: Start) -> None:
    process = start()
    health = requests.get(f"{process.url}/_local/health", timeout=5).json()
    assert (health["place_id"], health["clock_speed"]) == ("test", 60.0)
    switches = requests.get(
        f"{process.url}/_local/behaviours", headers={"x-api-key": API_KEY}, timeout=5
    ).json()
    assert (switches["container_exit"], switches["page"]) == ("left_dead", "one_based")


def test_it_does_not_start_without_a_key(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "IOCLOUD_API_KEY"}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "localcloud.caas", "--port", "1"),
            *("--db", str(tmp_path / "db"), "--network", "none", "--place-id", "test"),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "IOCLOUD_API_KEY is not set" in done.stderr
    assert not (tmp_path / "db").exists()


def test_its_file_can_be_read_with_sqlite_while_it_runs(start: Start, tmp_path: Path) -> None:
    start()
    with sqlite3.connect(f"file:{tmp_path}/caas.sqlite3?mode=ro", uri=True) as database:
        assert database.execute("SELECT count(*) FROM deployments").fetchone() == (0,)
    database.close()
