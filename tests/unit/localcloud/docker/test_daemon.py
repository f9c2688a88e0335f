"""The Docker daemon: shared by checkouts that start and stop it, told of, and asked with care."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest
import requests
from docker.errors import APIError, NotFound

from localcloud.docker import daemon, network
from localcloud.errors import DockerUnavailableError, LocalCloudError
from localcloud.place import Place, load_place
from localcloud.processes import Supervised

ROOTLESS = "docker.sock"


@pytest.fixture(autouse=True)
def own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of the test's own: no daemon, nothing to install one with, no cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(daemon, "DEFAULT_SOCKET", tmp_path / "usual.sock")
    monkeypatch.setattr(daemon, "SYSTEMD", tmp_path / "no-systemd")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return load_place(tmp_path / "place")


class FakeDocker:
    """Answers the few calls that a local cloud makes; `api` and client in one."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.labelled = ["one", "two"]
        self.refusals: dict[str, Exception] = {}
        self.waited: list[str] = []
        self.api = self
        self.networks_made: list[str] = []

    def containers(self, **_: Any) -> list[dict[str, str]]:
        return [{"Id": name} for name in self.labelled]

    def remove_container(self, container: str, **_: Any) -> None:
        if container in self.refusals:
            raise self.refusals[container]
        self.labelled = [name for name in self.labelled if name != container]

    def wait(self, container: str, **_: Any) -> None:
        self.waited.append(container)

    def inspect_network(self, network: str) -> dict[str, Any]:
        return self.rows[network]

    def disconnect_container_from_network(self, container: str, network: str, **_: Any) -> None:
        raise NotFound(f"no container {container} in {network}")

    def remove_network(self, network: str) -> None:
        if network in self.refusals:
            raise self.refusals[network]
        del self.rows[network]

    def close(self) -> None: ...


class Networks:
    """docker-py has one name for the list of networks of `api` and for their collection."""

    def __init__(self, docker: FakeDocker) -> None:
        self._daemon = docker

    def __call__(self, **_: Any) -> list[dict[str, Any]]:
        return list(self._daemon.rows.values())

    def create(self, name: str, *, ipam: Any, **_: Any) -> None:
        self._daemon.rows[name] = {"Id": name, "IPAM": ipam, "Containers": {"gone": {}}}


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    made = FakeDocker()
    made.networks = Networks(made)  # type: ignore[attr-defined]
    monkeypatch.setattr(daemon, "connect", lambda: made)
    monkeypatch.setattr(daemon, "answering_address", lambda: "unix:///rootless.sock")
    return made


def conflict() -> APIError:
    answer = requests.Response()
    answer.status_code = 409
    return APIError("409", response=answer, explanation="removal is already in progress")


def test_two_that_need_a_daemon_at_once_start_one_and_neither_ends_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second took the first's dockerd, which did not answer yet, for a hung one."""
    starting, may_answer, answers = threading.Event(), threading.Event(), threading.Event()
    starts: list[str] = []

    def answering_address() -> str:
        if answers.is_set():
            return "unix:///usual.sock"
        raise DockerUnavailableError("no Docker engine answers")

    def start(_: Callable[[str], None]) -> None:
        starts.append("dockerd")
        starting.set()
        assert may_answer.wait(30)
        answers.set()

    monkeypatch.setattr(daemon, "answering_address", answering_address)
    monkeypatch.setattr(daemon, "_start", start)
    monkeypatch.setattr(daemon.shutil, "which", lambda _: "/usr/sbin/dockerd")
    monkeypatch.setattr(daemon.os, "geteuid", lambda: 0)
    waits = threading.Event()
    how: list[str] = []
    first = threading.Thread(target=lambda: how.append(daemon.ensure_running(print)))
    first.start()
    assert starting.wait(30)
    second = threading.Thread(
        target=lambda: how.append(daemon.ensure_running(lambda _: waits.set()))
    )
    second.start()
    assert waits.wait(30), "the second says that it waits"
    may_answer.set()
    first.join(30)
    second.join(30)
    assert (how, starts) == (["started", "found"], ["dockerd"])


def test_a_daemon_is_not_stopped_while_a_start_makes_its_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(daemon, "answering_address", lambda: "unix:///usual.sock")
    waits = threading.Event()
    done: list[str] = []
    with daemon.running(print):
        stopping = threading.Thread(
            target=lambda: done.append(daemon.stop_if_ours_and_idle(lambda _: waits.set()))
        )
        stopping.start()
        assert waits.wait(30)
        assert done == []
    stopping.join(30)
    assert done == ["left running: it was not started from here"]


def test_an_installation_and_a_start_are_announced_before_they_take_their_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    installed: list[str] = []
    monkeypatch.setattr(daemon.debian, "can_install", lambda: True)
    monkeypatch.setattr(daemon.os, "geteuid", lambda: 0)

    def install(*packages: str) -> None:
        assert "installing" in said[-1]
        installed.extend(packages)

    def start(_self: Supervised, _service: object) -> bool:
        assert "starting dockerd" in said[-1]
        return True

    monkeypatch.setattr(daemon.debian, "install", install)
    monkeypatch.setattr(Supervised, "start", start)
    assert daemon.ensure_running(said.append) == "installed and started"
    assert installed[0] == "docker.io"


def test_the_address_is_told_when_the_usual_socket_is_there_and_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tools were left to ask the usual socket although another one answered."""
    rootless = tmp_path / "runtime" / ROOTLESS
    for path in (daemon.DEFAULT_SOCKET, rootless):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    monkeypatch.setattr(daemon, "answering_address", lambda: f"unix://{rootless}")
    assert daemon.unusual_address() == f"unix://{rootless}"
    usual = f"unix://{daemon.DEFAULT_SOCKET}"
    monkeypatch.setattr(daemon, "answering_address", lambda: usual)
    assert daemon.unusual_address() is None


def test_a_daemon_whose_bridge_is_not_on_this_machine_is_refused_with_the_remedy(
    docker: FakeDocker, place: Place
) -> None:
    """S3 could not listen on the gateway, and all that was said was that it did not start."""
    with pytest.raises(DockerUnavailableError, match=r"rootless.*unset DOCKER_HOST") as caught:
        network.ensure_network(place)
    assert place.gateway in str(caught.value)
    assert docker.rows == {}, "what was made for nothing is removed"


def test_addresses_that_another_network_holds_are_free_after_either_remedy(
    docker: FakeDocker, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anothers = {place.subnet}

    def create(name: str, *, ipam: Any, **_: Any) -> None:
        (pool,) = ipam["Config"]
        if pool["Subnet"] in anothers:
            raise conflict()
        docker.rows[name] = {"Id": name, "IPAM": ipam, "Containers": {}}

    monkeypatch.setattr(docker.networks, "create", create)  # type: ignore[attr-defined]
    monkeypatch.setattr(network, "_own_addresses", lambda: {place.gateway, anew.gateway})
    anew = load_place(tmp_path / "after-a-purge")
    with pytest.raises(LocalCloudError, match=r"remove it .*, or `make purge` to choose others"):
        network.ensure_network(place)
    assert network.ensure_network(anew), "others were chosen"
    anothers.clear()
    assert network.ensure_network(place), "it was removed"


@pytest.fixture
def engine_socket(tmp_path: Path) -> Iterator[Path]:
    """A Docker engine that answers, and does nothing."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"ApiVersion": "1.44", "Version": "25.0"}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return ""

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            return

    with ThreadingUnixStreamServer(str(tmp_path / "engine.sock"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield tmp_path / "engine.sock"
        server.shutdown()
        thread.join()


def test_a_docker_host_that_does_not_answer_is_unset_and_this_machines_engine_taken(
    engine_socket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/dead.sock")
    with pytest.raises(DockerUnavailableError, match="or unset DOCKER_HOST"):
        daemon.ensure_running(print)
    monkeypatch.setattr(daemon, "DEFAULT_SOCKET", engine_socket)
    monkeypatch.delenv("DOCKER_HOST")
    assert daemon.ensure_running(print) == "found"


def test_a_machine_that_cannot_run_an_engine_takes_one_that_is_named_or_mounted(
    engine_socket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/dockerd").write_text("#!/bin/sh\necho operation not permitted; exit 1\n")
    (tmp_path / "bin/dockerd").chmod(0o755)
    monkeypatch.setattr(daemon.os, "geteuid", lambda: 0)
    with pytest.raises(DockerUnavailableError, match="mount a Docker socket or set DOCKER_HOST"):
        daemon.ensure_running(print)
    with monkeypatch.context() as named:
        named.setenv("DOCKER_HOST", f"unix://{engine_socket}")
        assert daemon.ensure_running(print) == "found"
    daemon.DEFAULT_SOCKET.symlink_to(engine_socket)
    assert daemon.ensure_running(print) == "found"


def test_a_network_with_a_gateway_here_is_made_once(
    docker: FakeDocker, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_own_addresses", lambda: {place.gateway})
    assert network.ensure_network(place)
    assert not network.ensure_network(place)


@pytest.mark.parametrize("refusal", [NotFound("gone"), conflict()], ids=["gone", "being removed"])
def test_a_container_that_somebody_else_removes_is_no_error(
    docker: FakeDocker, refusal: Exception
) -> None:
    docker.refusals["one"] = refusal
    assert network.remove_containers("0a1b2c3d") == 2
    assert "two" not in docker.labelled
    assert docker.waited == ([] if isinstance(refusal, NotFound) else ["one"])


def test_a_network_is_removed_though_its_container_or_itself_vanishes(docker: FakeDocker) -> None:
    docker.rows = {name: {"Id": name, "Containers": {"c": {}}} for name in ("kept", "vanished")}
    docker.refusals["vanished"] = NotFound("gone")
    assert network.remove_network("0a1b2c3d")
    assert list(docker.rows) == ["vanished"]


def test_a_daemon_that_does_not_do_as_asked_is_an_error_that_says_so(docker: FakeDocker) -> None:
    docker.refusals["one"] = requests.ReadTimeout("read timed out")
    with pytest.raises(LocalCloudError, match=r"could not remove the containers.*timed out"):
        network.remove_containers("0a1b2c3d")
