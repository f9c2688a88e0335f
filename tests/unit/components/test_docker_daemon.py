"""Which Docker engines can build the image, as they describe themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from components import docker_daemon
from components.docker_daemon import Daemon, emulators_of_amd64, judge


def daemon(
    version: str = "28.5.2", store: str = "overlay2", architecture: str = "x86_64", **more: Any
) -> Daemon:
    return Daemon(version=version, store=store, architecture=architecture, **more)


@pytest.mark.parametrize(
    ("asked", "outcome", "told"),
    [
        (daemon("20.10.24+dfsg1"), "ok", "Docker 20.10.24+dfsg1, overlay2 store, x86_64"),
        (daemon("27.4.1"), "ok", "overlay2"),
        (daemon("27.4.1", "containerd"), "refused", "Update Docker to 27.5 or later"),
        (daemon("25.0.3", "containerd"), "refused", "turn the containerd image store off"),
        (daemon("27.5.0", "containerd"), "ok", "builds linux/amd64"),
        (daemon("29.7.2", "containerd"), "ok", "builds linux/amd64"),
        (daemon("dev", "containerd"), "ok", "Docker dev"),
        (daemon(architecture="aarch64", emulators=()), "refused", "binfmt --install amd64"),
        (daemon(architecture="aarch64", emulators=("qemu-x86_64",)), "ok", "with qemu-x86_64"),
        (daemon(architecture="aarch64"), "unknown", "was not found out"),
        (daemon(architecture="aarch64", system="Docker Desktop"), "ok", "of Docker Desktop"),
        (daemon("27.3.1", "containerd", "aarch64", emulators=()), "refused", "27.5"),
    ],
)
def test_an_engine_that_cannot_build_is_told_before_it_tries(
    asked: Daemon, outcome: str, told: str
) -> None:
    """https://github.com/moby/moby/issues/47717; https://github.com/pulumi/pulumi-docker/issues/967"""
    found = judge(asked)
    assert found.outcome == outcome
    assert told in str(found)
    assert bool(found.remedy) == (outcome != "ok")


QEMU = """enabled
interpreter /usr/bin/qemu-x86_64
flags: POCF
offset 0
magic 7f454c4602010100000000000000000002003e00
mask fffffffffffefe00fffffffffffffffffeffffff
"""


@pytest.mark.parametrize(
    ("entry", "works"),
    [
        (QEMU, True),
        (QEMU.replace("enabled", "disabled"), False),
        (QEMU.replace("POCF", "POC"), False),  # not found inside a container
        (QEMU.replace("3e00\nmask", "b700\nmask"), False),  # of arm64
        ("", False),
    ],
)
def test_an_emulator_counts_when_it_works_in_a_container(
    tmp_path: Path, entry: str, works: bool
) -> None:
    (tmp_path / "register").write_text("")
    (tmp_path / "status").write_text("enabled\n")
    (tmp_path / "rosetta").write_text(entry)
    assert emulators_of_amd64(tmp_path) == (("rosetta",) if works else ())


def test_without_binfmt_there_is_no_emulator(tmp_path: Path) -> None:
    assert emulators_of_amd64(tmp_path / "none") == ()


@contextmanager
def daemon_double(version: dict[str, Any], info: dict[str, Any]) -> Iterator[str]:
    """Answer as an engine's API does; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(info if self.path.endswith("/info") else version).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as double:
        Thread(target=double.serve_forever, daemon=True).start()
        yield f"tcp://127.0.0.1:{double.server_port}"
        double.shutdown()


VERSION = {"Version": "27.3.1", "ApiVersion": "1.47", "MinAPIVersion": "1.24"}
INFO = {
    "Driver": "overlayfs",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    "Architecture": "x86_64",
    "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
    "KernelVersion": "another",
}


def test_an_engine_is_asked_for_version_store_and_architecture() -> None:
    with daemon_double(VERSION, INFO) as address:
        found = docker_daemon.look({"DOCKER_HOST": address})
    assert found.outcome == "refused"
    assert found.what.startswith("Docker 27.3.1, containerd store, x86_64: ")


def test_what_is_told_about_an_old_containerd_store_helps() -> None:
    newer = {**VERSION, "Version": "27.5.0"}
    without = {**INFO, "Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}
    for version, info in ((newer, INFO), (VERSION, without)):
        with daemon_double(version, info) as address:
            assert docker_daemon.look({"DOCKER_HOST": address}).outcome == "ok"


def test_an_engine_that_does_not_answer_blocks_nothing_and_another_may_be_named() -> None:
    found = docker_daemon.look({"DOCKER_HOST": "tcp://127.0.0.1:1"})
    assert (found.outcome, "tcp://127.0.0.1:1" in found.what) == ("unknown", True)
    assert "DOCKER_HOST" in found.remedy
    with daemon_double({**VERSION, "Version": "28.5.2"}, INFO) as address:
        assert docker_daemon.look({"DOCKER_HOST": address}).outcome == "ok"


def test_nonsense_from_something_that_is_no_engine_is_no_bug() -> None:
    with daemon_double({}, {}) as address:
        assert docker_daemon.look({"DOCKER_HOST": address}).outcome in {"unknown", "refused"}
