"""What the docker stand-in asks of an engine, and what it keeps of an image, without either."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import CreateRequest, ReadRequest

from localcloud.pulumi.plugins.docker_plugin import Image
from localcloud.pulumi.plugins.standin import StandIn
from localcloud.pulumi.plugins.values import plain_map, property_value
from tests.loopback_server import LoopbackServer, QuietHandler

URN = "urn:pulumi:dev::scratch::docker:index/image:Image::image"
BUILT = "sha256:" + "a" * 64
NAME = "localhost/a:tag"


class Engine(LoopbackServer):
    """Opens sessions and builds everything; `builds` are the queries of `POST /build`."""

    def __init__(self) -> None:
        self.sessions: list[str] = []
        self.builds: list[dict[str, list[str]]] = []
        self.calls: list[str] = []
        engine = self

        class Handler(QuietHandler):
            def version(self) -> None:
                engine.calls.append(self.path)
                self._answer({"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"})

            def session_or_build(self) -> None:
                asked = urlsplit(self.path)
                engine.calls.append(asked.path)
                if asked.path == "/session":
                    engine.sessions.append(self.headers["X-Docker-Expose-Session-Uuid"])
                    self.send_response(101)
                    self.end_headers()
                    while self.connection.recv(1 << 16):
                        pass  # until the client is done
                    return
                self.rfile.read(int(self.headers["Content-Length"]))
                engine.builds.append(parse_qs(asked.query))
                self._answer({"id": "moby.image.id", "aux": {"ID": BUILT}})

            def _answer(self, said: dict[str, Any]) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(said).encode())

            do_GET, do_POST = version, session_or_build  # noqa: N815

        super().__init__(Handler)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    engine = Engine()
    monkeypatch.setenv("DOCKER_HOST", engine.url.replace("http:", "tcp:"))
    yield engine
    engine.stop()


@pytest.fixture
def made(engine: Engine, tmp_path: Path) -> dict[str, PropertyValue]:
    """Return the state of an image that was built and not pushed."""
    (tmp_path / "Dockerfile").write_text("FROM scratch AS wanted\n")
    build = {"context": str(tmp_path), "target": "wanted", "platform": "linux/amd64"}
    inputs = {"imageName": NAME, "build": build, "skipPush": True}
    properties = {key: property_value(value) for key, value in inputs.items()}
    return asyncio.run(stand_in().create(CreateRequest(URN, properties, 0, False))).properties


def stand_in() -> StandIn:
    return StandIn("docker", [Image()])


def test_an_image_is_built_with_buildkit_through_the_api_of_a_plain_engine(
    engine: Engine, made: dict[str, PropertyValue]
) -> None:
    """20.10 has it without buildx, and it is the official plugin's default."""
    (asked,) = engine.builds
    assert asked["version"] == ["2"]
    assert asked["session"] == engine.sessions
    assert (asked["t"], asked["target"]) == ([NAME], ["wanted"])
    assert asked["platform"] == ["linux/amd64"]
    assert made["repoDigest"].value == BUILT


def test_the_inputs_of_an_image_lie_together_and_encrypted_in_its_state(
    made: dict[str, PropertyValue],
) -> None:
    """https://github.com/pulumi/pulumi-docker/issues/715"""
    assert made["__inputs"].is_secret
    assert plain_map(made)["__inputs"]["build"]["target"] == "wanted"
    assert not {"build", "registry", "skipPush"} & made.keys()


def test_an_image_that_its_registry_lost_is_read_as_it_was(
    engine: Engine, made: dict[str, PropertyValue]
) -> None:
    engine.calls.clear()
    found = asyncio.run(stand_in().read(ReadRequest(URN, NAME, made, {})))
    assert (found.resource_id, plain_map(found.properties)) == (NAME, plain_map(made))
    assert engine.calls == []
