"""The io.net stand-in, renting containers that exist only in memory, and an R2 of memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from localcloud.caas.runtime.runtime import ContainerSpec, FoundContainer
from tests.contract.caas_place import CaasPlace
from tests.contract.in_memory_runtime import InMemoryRuntime
from tests.provider.fake_r2 import FakeR2
from tests.provider.process import Engine, ProviderProcess

NewProcess = Callable[..., ProviderProcess]


class BeatingRuntime(InMemoryRuntime):
    """Containers whose traffic port leads to a status page of the test's process."""

    def __init__(self) -> None:
        super().__init__()
        self.status: dict[str, Any] | None = {"schema": 1, "run": "main"}
        self._page = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._page.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def start(self, spec: ContainerSpec) -> FoundContainer:
        import dataclasses

        port = self._page.server_address[1]
        return super().start(dataclasses.replace(spec, host_port=port))

    def close(self) -> None:
        self._page.shutdown()
        self._page.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        runtime = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(runtime.status).encode()
                self.send_response(200 if runtime.status else 503)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        return Handler


@pytest.fixture
def runtime() -> Iterator[BeatingRuntime]:
    found = BeatingRuntime()
    yield found
    found.close()


@pytest.fixture
def caas(tmp_path: Path, runtime: BeatingRuntime) -> Iterator[CaasPlace]:
    place = CaasPlace(tmp_path, runtime)
    yield place
    runtime.pull_may_end.set()
    place.stop()


@pytest.fixture
def r2() -> Iterator[FakeR2]:
    found = FakeR2()
    yield found
    found.stop()


@pytest.fixture
def engine() -> Iterator[Engine]:
    found = Engine()
    yield found
    found.kill()


@pytest.fixture
def new_process(
    caas: CaasPlace, r2: FakeR2, engine: Engine, tmp_path: Path
) -> Iterator[NewProcess]:
    """Start provider processes in a local world of the test's, each as a new command does."""
    started: list[ProviderProcess] = []

    def start(engine: Engine = engine, **env: str) -> ProviderProcess:
        plain = {
            "TRAINSTACK_LOCAL_CLOUD": str(tmp_path),
            "IONET_BASE_URL": caas.url,
            "IOCLOUD_API_KEY": "io-v2-test-key",
            "CLOUDFLARE_BASE_URL": r2.cloudflare_url,
            "CLOUDFLARE_API_TOKEN": "planted-operator-token",
            "R2_ENDPOINT_URL": r2.url,
        }
        log = tmp_path / f"provider-{len(started)}.log"
        started.append(ProviderProcess(engine, log=log, env={**plain, **env}))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def process(new_process: NewProcess) -> ProviderProcess:
    """One provider process as the engine starts it."""
    return new_process()
